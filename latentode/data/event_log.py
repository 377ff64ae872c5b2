"""Logs of events: when what happened, and within which windows nothing else did."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from latentode.data.columns import Schema
from latentode.data.errors import FrameError, as_code, listed, mend, nearest, plainly, say_which
from latentode.data.frame import find_ids, find_time
from latentode.data.ids import canonical, read_ids, read_series
from latentode.data.order import sort_rows
from latentode.data.rows import Rows, open_frame, open_later, place_of
from latentode.data.scaling import difference
from latentode.data.times import convert_times, read_times
from latentode.data.windows import Bounds, read_bounds, refuse_later_events, window_of

__all__ = ["EventLog", "event_schema", "to_event_log"]

NO_KIND = "event"  # the only kind of a log without a column of kinds


class EventLog(NamedTuple):
    """Events of all series one after another, sorted by series and time.

    Events ``offsets[s]`` to ``offsets[s + 1]`` are those of series ``ids[s]``.
    """

    ids: tuple[Hashable, ...]
    """S distinct ids, in an order that does not depend on the order of the rows."""
    offsets: np.ndarray
    """int64 of shape (S + 1,)"""
    times: np.ndarray
    """int64 or float64 of shape (N,), in the unit of the schema; no two of a series are equal."""
    kinds: np.ndarray
    """int64 of shape (N,): position of each event's kind in `levels`."""
    begin: np.ndarray
    """Since when each series (S,) is known: the start of its window, or an event before that."""
    start: np.ndarray
    """Start (S,) of each window: events up to it are read, and not told."""
    end: np.ndarray
    """End (S,) of each window: no event is missing until then, and none comes after it."""
    schema: Schema
    """Its targets are the column of the kinds, if there is one."""
    levels: tuple[Hashable, ...]
    """The kinds of event."""

    @property
    def row_series(self) -> np.ndarray:
        """int64 of shape (N,): position of each event's series in `ids`."""
        return np.repeat(np.arange(len(self.ids)), np.diff(self.offsets))

    @property
    def told(self) -> np.ndarray:
        """Bool of shape (N,): whether each event lies in the window of its series."""
        told: np.ndarray = self.times > self.start[self.row_series]
        return told

    @property
    def exposure(self) -> np.ndarray:
        """Length (S,) of each window, in the unit of the schema."""
        lengths: np.ndarray = difference(self.end, self.start)
        return lengths


def event_schema(
    df: object,
    *,
    id_col: Hashable | Sequence[Hashable] | None = None,
    time_col: Hashable | None = None,
    kind_col: Hashable | None = None,
) -> Schema:
    """Tell which columns of a frame are the series, the time and the kind of events.

    Parameters
    ----------
    df : DataFrame of pandas, polars or anything else narwhals reads
        One row for each event.
    id_col, time_col : Hashable, optional
        As in `infer_schema`.
    kind_col : Hashable, optional
        Column of the kinds; by default all events are of one kind.

    Returns
    -------
    Schema
        The columns, and the kind, unit and zone of the times.

    Raises
    ------
    FrameError
        If a column is missing, or could be several, or holds what it cannot hold.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"id": ["a", "a"], "time": [0.5, 2.0], "what": ["call", "visit"]})
    >>> event_schema(df, kind_col="what").target_cols
    ('what',)
    """
    rows = open_frame(df, id_col=id_col, time_col=time_col)
    ids = find_ids(rows, id_col, time_col)
    time = find_time(rows, time_col, ids)
    kinds = () if kind_col is None else (kind_col,)
    for column in kinds:
        _refuse_no_kinds(rows, column)
    _refuse_two_roles([*ids, time, *kinds])
    times = read_times(rows.frame[time], place_of(rows, time, "time column", ids))
    return Schema(ids, time, kinds, times.kind, times.unit, times.zone, (), rows.backend)


def to_event_log(
    df: object,
    schema: Schema,
    levels: tuple[Hashable, ...] | None = None,
    *,
    start: object = None,
    end: object = None,
) -> EventLog:
    """Check a frame of events and the windows they lie in, and copy them into a log.

    Parameters
    ----------
    df : DataFrame of pandas, polars or anything else narwhals reads
        One row for each event, in any order; it is not changed.
    schema : Schema
        The columns and times, as `event_schema` found them.
    levels : tuple of Hashable, optional
        The kinds of event that there may be; by default those of the frame.
    start, end : time, Series or DataFrame, optional
        The windows: one time for all series, a Series with the ids in its index, or a frame with
        the columns of series and time. By default the first and the last event of each series. A
        series that has both and no event is one in which nothing happened.

    Returns
    -------
    EventLog
        The same for every order of the rows.

    Raises
    ------
    FrameError
        If a column holds what it cannot hold, a kind is not known, a series has two events at the
        same time, or windows and events do not fit together.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"id": ["b", "a", "a"], "t": [3, 9, 4]})
    >>> log = to_event_log(df, event_schema(df), start=0, end=pd.Series({"a": 10, "b": 5, "c": 7}))
    >>> log.ids, log.offsets, log.times, log.end
    (('a', 'b', 'c'), array([0, 2, 3, 3]), array([4, 9, 3]), array([10,  5,  7]))
    """
    rows = open_later(df, schema, targets=False)
    codes, ids = read_series(rows, schema.id_cols)
    place = place_of(rows, schema.time_col, "time column", schema.id_cols)
    times = convert_times(read_times(rows.frame[schema.time_col], place), schema, place)
    kinds, levels = _read_kinds(rows, schema, levels)
    _refuse_ties(rows, schema, codes, times)
    bounds = [read_bounds(name, at, schema) for name, at in (("start", start), ("end", end))]
    every = canonical({*ids, *(key for bound in bounds for key in bound.ids)})
    number = {key: i for i, key in enumerate(every)}
    codes = np.array([number[key] for key in ids], dtype=np.int64)[codes]
    order, _ = sort_rows(codes, times)
    offsets = np.concatenate([[0], np.bincount(codes, minlength=len(every)).cumsum()])
    log = _within(bounds, every, offsets, times[order], schema)
    log = log._replace(kinds=kinds[order], levels=levels)
    refuse_later_events(rows, codes, times, log.end, schema, given=end)
    return log


def _within(
    bounds: Sequence[Bounds],
    ids: tuple[Hashable, ...],
    offsets: np.ndarray,
    times: np.ndarray,
    schema: Schema,
) -> EventLog:
    """Give a log without its kinds; windows that are not given are those of the events."""
    has_events = np.diff(offsets) > 0
    first = times[np.minimum(offsets[:-1], len(times) - 1)]
    last = times[np.maximum(offsets[1:] - 1, 0)]
    start, end = window_of(bounds, ids, (first, last), has_events, schema)
    begin = np.where(has_events, np.minimum(first, start), start)
    none = np.zeros(len(times), dtype=np.int64)
    return EventLog(ids, offsets, times, none, begin, start, end, schema, (NO_KIND,))


def _read_kinds(
    rows: Rows, schema: Schema, levels: tuple[Hashable, ...] | None
) -> tuple[np.ndarray, tuple[Hashable, ...]]:
    """Give the number (N,) of each event's kind among the kinds that there may be."""
    if not schema.target_cols:
        return np.zeros(len(rows.frame), dtype=np.int64), (NO_KIND,)
    column = schema.target_cols[0]
    _refuse_no_kinds(rows, column)
    place = place_of(rows, column, "kind column", schema.id_cols)
    codes, found = read_ids(rows.frame[column], place)
    if levels is None:
        return codes, found
    number = {kind: i for i, kind in enumerate(levels)}
    own = np.array([number.get(kind, -1) for kind in found], dtype=np.int64)[codes]
    if (own < 0).any():
        unseen = [kind for kind in found if kind not in number]
        why = f" of a kind that fit has not seen, {', '.join(map(plainly, unseen[:3]))}"
        what = say_which(place, own < 0, "event", why)
        fix = f"{place.before}df = df[df[{as_code(column)}].isin({as_code(list(levels))})]"
        raise FrameError("E-KIND-UNSEEN", f"{what}; it has seen {listed(levels)}.", fix)
    return own, levels


def _refuse_no_kinds(rows: Rows, column: Hashable) -> None:
    columns = list(rows.frame.columns)
    if column in columns:
        return
    near = nearest(column, columns)
    raise FrameError(
        "E-KIND-COL",
        f"kind_col: {rows.name} has no column {as_code(column)}; it has {listed(columns)}.",
        f"EventForecaster(kind_col={'...' if near is None else as_code(near)})",
    )


def _refuse_two_roles(columns: Sequence[Hashable]) -> None:
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        raise FrameError(
            "E-ROLE-DUP",
            f"column {as_code(twice[0])} was given two roles among id_col, time_col and kind_col.",
            "EventForecaster(kind_col=None)  # or another column: each column once",
        )


def _refuse_ties(rows: Rows, schema: Schema, codes: np.ndarray, times: np.ndarray) -> None:
    """Refuse events of a series at the same time: the density of that would be infinite."""
    order, first = sort_rows(codes, times)
    if len(first) == len(order):
        return
    again = np.ones(len(order), dtype=bool)
    again[order[first]] = False
    place = place_of(rows, schema.time_col, "time column", schema.id_cols)
    hint = "" if schema.id_cols else " If the frame holds several series, pass id_col."
    columns = as_code([*schema.id_cols, schema.time_col])
    raise FrameError(
        "E-TIME-DUP",
        say_which(place, again, "event", " at the time of another of the same series") + hint,
        f"{place.before}df = df.drop_duplicates({columns})  # or spread them over the unit to "
        f"which they were rounded: {mend(place, '{0} + ...')}",
    )
