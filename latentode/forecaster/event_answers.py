"""What an event forecaster is asked, in the units of its model, and its answers as tables."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from latentode.data import (
    EventLog,
    FrameError,
    Query,
    Schema,
    difference,
    pairs_frame,
    query_at,
    query_horizon,
    read_length,
    some_series,
    times_as_column,
)
from latentode.data.errors import plainly
from latentode.forecaster.event_futures import Futures
from latentode.forecaster.question import check_arguments
from latentode.forecaster.table import before, refuse_twice

# What intensities are given per where times are no numbers.
_PER = "1D"
_NAT = np.iinfo(np.int64).min


class EventQuestion(NamedTuple):
    """P pairs of a series and a time, and the events that are known of the S series asked."""

    query: Query
    log: EventLog
    since: np.ndarray
    """Time (P,) of each pair since the beginning of its series, in the unit of the schema."""

    @property
    def is_later(self) -> np.ndarray:
        """Whether each time (P,) is after what is known of its series."""
        later: np.ndarray = self.query.times > self.log.end[self.query.series]
        return later


def ask_events(log: EventLog, at: object, horizon: object, step: object) -> EventQuestion:
    """Ask for times, for the rows of a frame, or for a horizon from the ends of the windows."""
    check_arguments(at, horizon, step)
    if at is not None:
        query = query_at(at, log.schema, log.ids)
    else:
        ends = dict(zip(log.ids, log.end.tolist(), strict=True))
        query = query_horizon(horizon, step, ends, log.schema)
    place = {key: i for i, key in enumerate(log.ids)}
    asked = some_series(log, np.array([place[key] for key in query.ids]))
    since = difference(query.times, asked.begin[query.series])
    return EventQuestion(query, asked, since)


def refuse_times(question: EventQuestion, bad: np.ndarray, why: str) -> None:
    """Refuse times (P,) of which nothing is told."""
    if not bad.any():
        return
    query = question.query
    i = int(np.flatnonzero(bad)[0])
    stamp = times_as_column(query.times[[i]], question.log.schema).iloc[0]
    raise FrameError(
        "E-WINDOW",
        f"{int(bad.sum())} of the {len(bad)} times asked lie {why}, first {plainly(stamp)} of "
        f"series {plainly(query.ids[query.series[i]])}.",
        "at = None  # and a horizon from the end of each window on; or a frame of other rows",
    )


def unit_of(per: object, schema: Schema) -> float:
    """Give the unit that intensities are per, in that of the schema: 1, or a day by default."""
    if per is None:
        per = 1 if schema.time_unit is None else _PER
    return float(read_length("per", per, schema))


def times_after(end: np.ndarray, waited: np.ndarray, schema: Schema) -> pd.Series:
    """Give times that come a while (S,) after others; never is infinity, or NaT."""
    if schema.time_unit is None:
        return times_as_column(end + waited, schema)
    fits = waited + end < 2.0**62
    ticks = end + np.where(fits, waited, 0).round().astype(np.int64)
    return times_as_column(np.where(fits, ticks, _NAT), schema)


def next_table(
    log: EventLog, waited: np.ndarray, endings: Sequence[str], schema: Schema
) -> pd.DataFrame:
    """Give a row for each series, with times that come a while (S, Q) after the end."""
    table = pairs_frame(log.ids, np.arange(len(log.ids)), log.end, schema)
    table = table.drop(columns=schema.time_col)
    names = [f"{schema.time_col}{ending}" for ending in endings]
    refuse_twice(table.columns, names)
    for name, wait in zip(names, waited.T, strict=True):
        table[name] = times_after(log.end, wait, schema)
    return table


def drawn_table(log: EventLog, futures: Futures, time_unit: float) -> pd.DataFrame:
    """Give a row for each event drawn, by draw, series and time."""
    order = np.lexsort((futures.t, futures.series, futures.draw))
    series, t = futures.series[order], futures.t[order]
    stamps = times_after(log.begin[series], t * time_unit, log.schema)
    table = pairs_frame(log.ids, series, log.end[series], log.schema)
    table[log.schema.time_col] = stamps
    for column in log.schema.target_cols:
        table[column] = pd.Series(list(log.levels)).iloc[futures.kinds[order]].to_numpy()
    return before(table, "draw", futures.draw[order])
