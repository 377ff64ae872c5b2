"""Plots of a fitted forecaster: what it knows, and what it foretells."""

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from latentode.data import (
    Panel,
    Query,
    drop_empty_rows,
    pairs_frame,
    read_length,
    select_series,
)
from latentode.data.errors import listed, plainly
from latentode.forecaster.levels import probabilities
from latentode.forecaster.question import Question, Wanted, last_times
from latentode.plotting import plot_forecast

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from latentode.forecaster.base import Forecaster

# Series and targets that are drawn unless others are named, and times of each forecast.
_MOST_SERIES, _MOST_TARGETS, _N_TIMES = 3, 4, 60
# Part of a typical series' span that a forecast is drawn for, unless a horizon is given.
_AHEAD = 0.5


def plot(
    forecaster: "Forecaster",
    panel: Panel,
    *,
    ids: Iterable[Hashable] | None,
    horizon: object,
    targets: Sequence[Hashable] | None,
    coverages: Sequence[float],
    truth: Panel | None,
) -> "Figure":
    """Draw what is known of some series, and their forecasts; see `Forecaster.plot`."""
    schema = forecaster.schema_
    chosen = list(panel.ids[:_MOST_SERIES] if ids is None else ids)
    _refuse_unknown("ids", chosen, panel.ids)
    names = list(schema.target_cols[:_MOST_TARGETS] if targets is None else targets)
    _refuse_unknown("targets", names, schema.target_cols)
    known = drop_empty_rows(select_series(panel, chosen))
    length = None if horizon is None else read_length("horizon", horizon, schema)
    ahead = _AHEAD * forecaster.scaler_.time_unit if length is None else length
    question = _grid(known, ahead)
    shares = probabilities(coverages)
    levels = [level for share in shares for level in ((1 - share) / 2, (1 + share) / 2)]
    wanted = Wanted(np.array([0.5, *levels]))
    quantiles = forecaster._tell_calibrated(question, wanted).quantiles
    forecast = question.query.frame.copy()
    for d, name in enumerate(schema.target_cols):
        forecast[name], *limits = quantiles[:, d].T
        for i, limit in enumerate(limits):
            forecast[f"{name}_{i}"] = limit
    return plot_forecast(
        frame_of(known).rename(columns=str),
        forecast.rename(columns=str),
        id_col=[str(column) for column in schema.id_cols],
        time_col=str(schema.time_col),
        target=[str(name) for name in names],
        bands=[
            (f"{{target}}_{2 * i}", f"{{target}}_{2 * i + 1}", f"{100 * share:.3g} %")
            for i, share in enumerate(shares)
        ],
        truth=None if truth is None else frame_of(truth).rename(columns=str),
        ids=list(question.query.ids) if schema.id_cols else [None],
    )


def frame_of(panel: Panel) -> pd.DataFrame:
    """Give the rows of a panel as a frame, with the targets alone."""
    schema = panel.schema
    frame = pairs_frame(panel.ids, panel.row_series, panel.times, schema)
    for d, name in enumerate(schema.target_cols):
        frame[name] = panel.values[:, d]
    return frame


def _grid(known: Panel, ahead: float) -> Question:
    """Ask for times that follow what is known of each series, the last one known included."""
    starts = last_times(known, known)
    steps = np.linspace(0, ahead, _N_TIMES)
    if known.times.dtype.kind == "i" and known.schema.time_unit is not None:
        steps = np.rint(steps).astype("int64")
    times = (starts[:, None] + steps).ravel()
    series = np.repeat(np.arange(len(known.ids)), _N_TIMES)
    frame = pairs_frame(known.ids, series, times, known.schema)
    return Question(Query(known.ids, series, times, frame), known, starts)


def _refuse_unknown(argument: str, asked: Sequence[Hashable], known: Sequence[Hashable]) -> None:
    unknown = [one for one in asked if one not in set(known)]
    if unknown:
        raise ValueError(
            f"{argument}: {plainly(unknown[0])} is not known; there are {listed(known)}."
        )
    if not asked:
        raise ValueError(f"{argument} is empty: give at least one of {listed(known)}.")
