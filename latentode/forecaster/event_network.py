"""The network of an `EventForecaster`, how it is trained, and what it is asked."""

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latentode.data import EventLog, FrameError, hold_out_events, scale_log
from latentode.data.errors import plainly
from latentode.models import EventDataModule, EventModel, own_torch_state, train
from latentode.nn import GRUEventReader, Intensity, MLPField, PointProcess, SlowingField
from latentode.solvers import ADJOINTS, METHODS
from latentode.solvers.checks import (
    check_choice,
    check_not_negative,
    check_part,
    check_positive,
    check_sizes,
)

if TYPE_CHECKING:
    from latentode.forecaster.events import EventForecaster

# Training steps that the default number of epochs amounts to, and how few and many epochs these
# are.
_N_STEPS, _FEWEST_EPOCHS, _MOST_EPOCHS = 500, 10, 200
# Of the moving average of the weights.
_AVERAGING = 0.98


class Rates(NamedTuple):
    """How often events came in training.

    Attributes
    ----------
    time_unit : float
        Mean time between events, in the unit of the schema: the model's unit of time.
    by_kind : tuple of float
        Events of each kind in such a unit.
    longest : float
        Longest time for which a series is known, in such units.
    """

    time_unit: float
    by_kind: tuple[float, ...]
    longest: float


def rates_of(log: EventLog) -> Rates:
    """Give the rates of a log to learn from; raise `FrameError` if nothing is told there."""
    exposure, n_told = float(log.exposure.sum()), int(log.told.sum())
    if not n_told or not exposure > 0:
        raise FrameError(
            "E-NOTHING-TO-TELL",
            f"none of the {len(log.times)} events lies within a window after its start: there are "
            f"{len(log.ids)} series, first {plainly(log.ids[0])}. By default windows reach from "
            "the first event of a series to its last.",
            "give series with two events or more, or the windows: model.fit(df, start=..., "
            "end=...)",
        )
    counts = np.bincount(log.kinds[log.told], minlength=len(log.levels))
    # A kind that did not come may come all the same.
    shares = (counts + 0.5) / (n_told + 0.5 * len(counts))
    time_unit = exposure / n_told
    known = scale_log(log, time_unit).end.max()
    return Rates(time_unit, tuple(shares.tolist()), float(known))


def check_parameters(forecaster: "EventForecaster") -> None:
    """Refuse parameters that would fail late, or not at all."""
    check_sizes(
        latent_size=forecaster.latent_size,
        hidden_size=forecaster.hidden_size,
        batch_size=forecaster.batch_size,
    )
    if forecaster.max_epochs is not None:
        check_sizes(max_epochs=forecaster.max_epochs)
    if forecaster.patience is not None:
        check_sizes(patience=forecaster.patience)
    check_positive("learning_rate", forecaster.learning_rate)
    check_positive("rtol", forecaster.rtol)
    check_positive("atol", forecaster.atol)
    check_not_negative("weight_decay", forecaster.weight_decay)
    check_part("val_fraction", forecaster.val_fraction)
    methods = [name for name, method in METHODS.items() if method.error is not None]
    check_choice("method", forecaster.method, methods)
    check_choice("adjoint", forecaster.adjoint, [name for name in ADJOINTS if name != "none"])


def build_process(forecaster: "EventForecaster", rates: Rates) -> PointProcess:
    """Build the untrained process of a forecaster."""
    latent_size, hidden_size = forecaster.latent_size, forecaster.hidden_size
    n_kinds = len(rates.by_kind)
    reader = GRUEventReader(latent_size, hidden_size, n_kinds=n_kinds, span=rates.longest)
    return PointProcess(
        reader,
        SlowingField(MLPField(latent_size, hidden_size)),
        Intensity(latent_size, rates.by_kind, hidden_size=hidden_size),
        method=forecaster.method,
        rtol=forecaster.rtol,
        atol=forecaster.atol,
        adjoint=forecaster.adjoint,
    ).float()  # whatever torch's default is


def train_process(
    forecaster: "EventForecaster", log: EventLog, rates: Rates, seed: int
) -> tuple[PointProcess, pd.DataFrame]:
    """Train a process on a log, and give it as it is used, with the losses of each epoch."""
    random = np.random.default_rng(seed)
    parts = hold_out_events(log, forecaster.val_fraction, random)
    learned, validated = (
        None if part is None else scale_log(part, rates.time_unit) for part in parts
    )
    assert learned is not None
    with own_torch_state(seed):
        model = EventModel(
            build_process(forecaster, rates),
            learning_rate=forecaster.learning_rate,
            weight_decay=forecaster.weight_decay,
        )
        data = EventDataModule(learned, validated, batch_size=forecaster.batch_size, seed=seed)
        n_batches = math.ceil(learned.n_series / forecaster.batch_size)
        history = train(
            model,
            data,
            max_epochs=forecaster.max_epochs or _n_epochs(n_batches),
            patience=forecaster.patience,
            accelerator=forecaster.accelerator,
            label="fit" if forecaster.verbose else None,
            averaging=_AVERAGING,
        )
        process = in_use(forecaster, model.process, rates)
    return process, pd.DataFrame(history)


def in_use(forecaster: "EventForecaster", trained: PointProcess, rates: Rates) -> PointProcess:
    """Give a process as it is asked: in float64, and ten times as precise as it was trained."""
    process = build_process(forecaster, rates)
    process.load_state_dict(copy.deepcopy(trained.state_dict()))
    process.solve.keywords.update(rtol=0.1 * forecaster.rtol, atol=0.1 * forecaster.atol)
    return process.double().eval().requires_grad_(requires_grad=False)


def grouped(series: np.ndarray, values: np.ndarray, n_series: int) -> tuple[Tensor, Tensor]:
    """Put values (P,) of series into lines (S, W), filled up with zeros; and give their places.

    Examples
    --------
    >>> lines, place = grouped(np.array([1, 0, 1]), np.array([5.0, 6.0, 7.0]), 2)
    >>> lines, place
    (tensor([[6., 0.],
            [5., 7.]], dtype=torch.float64), tensor([0, 0, 1]))
    """
    order = np.argsort(series, kind="stable")
    n = np.bincount(series, minlength=n_series)
    place = np.empty(len(series), dtype=np.int64)
    place[order] = np.arange(len(series)) - np.repeat(np.cumsum(n) - n, n)
    lines = np.zeros((n_series, int(n.max(initial=0))))
    lines[series, place] = values
    return torch.tensor(lines), torch.tensor(place)


def kind_columns(name: str, levels: Sequence[object], endings: Sequence[str]) -> list[str]:
    """Name the columns of what is told of all events, then of each kind if there are several.

    Examples
    --------
    >>> kind_columns("count", ["call", "visit"], ["", "_q0.5"])
    ['count', 'count_q0.5', 'count_call', 'count_call_q0.5', 'count_visit', 'count_visit_q0.5']
    """
    kinds = [f"_{plainly(level)}" for level in levels] if len(levels) > 1 else []
    return [f"{name}{kind}{ending}" for kind in ("", *kinds) for ending in endings]


def _n_epochs(n_batches: int) -> int:
    return min(max(math.ceil(_N_STEPS / n_batches), _FEWEST_EPOCHS), _MOST_EPOCHS)
