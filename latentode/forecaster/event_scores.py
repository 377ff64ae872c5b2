"""How well a point process tells what came, beside naive rules."""

import math

import numpy as np
import pandas as pd
import torch

from latentode.data import EventLog, FrameError, ScaledLog
from latentode.forecaster.event_futures import likelihood_of
from latentode.forecaster.event_network import Rates
from latentode.nn import Likelihood, PointProcess, constant_rate, running_rate


def compare(
    processes: dict[str, PointProcess], log: ScaledLog, rates: Rates, *, baselines: bool
) -> dict[str, Likelihood]:
    """Give the likelihoods of processes, and of naive rules."""
    told = {name: likelihood_of(process, log) for name, process in processes.items()}
    if baselines:
        every, by_kind = log.events(torch.arange(log.n_series)), torch.tensor(rates.by_kind)
        told["SeriesRate"] = running_rate(every, by_kind.double())
        told["TrainingRate"] = constant_rate(every, by_kind.double())
    return told


def table_of(told: dict[str, Likelihood], log: ScaledLog, unit: float) -> pd.DataFrame:
    """Give a row for each process, in nats for times in a unit of so many of the model's."""
    is_told = log.events(torch.arange(log.n_series)).told()
    n = int(is_told.sum())
    rows = {
        name: {
            "log_likelihood": float(one.log_prob.sum()) / n + math.log(unit),
            "ks": _distance(one, is_told.numpy()),
            "n_events": n,
        }
        for name, one in told.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis("forecaster")


def check_told(log: EventLog) -> None:
    """Refuse a log in which nothing is to be told."""
    if log.told.any():
        return
    raise FrameError(
        "E-NOTHING-TO-TELL",
        f"none of the {len(log.times)} events lies within a window after its start, and after "
        "what is known of its series.",
        "df = ...  # later events of the fitted series, or other series with two events or more",
    )


def _distance(one: Likelihood, is_told: np.ndarray) -> float:
    """Give how far the integrals between events are from an exponential distribution.

    The greatest distance between survival functions. That of the integrals is Kaplan and Meier's
    estimate, since the last of each series was cut off by the end of the window.
    """
    integrals = one.compensator.numpy()
    ended = np.hstack([is_told, np.zeros((len(is_told), 1), dtype=bool)])
    x, ended = integrals[integrals > 0], ended[integrals > 0]
    order = np.argsort(x, kind="stable")
    x, ended = x[order], ended[order]
    left = np.cumprod(1 - ended / np.arange(len(x), 0, -1))
    before = np.concatenate([[1.0], left[:-1]])
    exact = np.exp(-x)
    return float(np.abs([left - exact, before - exact])[:, ended].max())
