"""Windows of observation: from when to when nothing that happened is missing."""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from latentode.data.columns import Schema
from latentode.data.errors import FrameError, as_code, name_rows, plainly
from latentode.data.ids import read_series
from latentode.data.query import is_frame
from latentode.data.rows import Rows, open_later, place_of
from latentode.data.split import read_time
from latentode.data.times import convert_times, read_times, times_as_column


class Bounds(NamedTuple):
    """One side of the windows, as it was given.

    Attributes
    ----------
    name : str
        "start" or "end".
    of_all : number or None
        The same for all series.
    by_id : dict
        That of each series.
    """

    name: str
    of_all: float | None
    by_id: dict[Hashable, float]

    @property
    def ids(self) -> tuple[Hashable, ...]:
        """The series that are named."""
        return tuple(self.by_id)


def read_bounds(name: str, given: object, schema: Schema) -> Bounds:
    """Read one side of the windows: nothing, a time, a Series by id, or a frame.

    >>> schema = Schema(("id",), "t", (), "number", None, None, ())
    >>> read_bounds("end", pd.Series({"a": 5.0}), schema).by_id
    {'a': 5.0}
    """
    if given is None:
        return Bounds(name, None, {})
    if isinstance(given, pd.Series) and schema.id_cols:
        return Bounds(name, None, _by_id(name, _frame_of(given, schema), schema))
    if is_frame(given):
        return Bounds(name, None, _by_id(name, given, schema))
    return Bounds(name, _one_time(name, given, schema), {})


def window_of(
    bounds: Sequence[Bounds],
    ids: Sequence[Hashable],
    events: tuple[np.ndarray, np.ndarray],
    has_events: np.ndarray,
    schema: Schema,
) -> tuple[np.ndarray, np.ndarray]:
    """Give start and end (S,) of each series.

    Parameters
    ----------
    bounds : sequence of Bounds
        What was given of both.
    ids : sequence of Hashable
        The series.
    events : tuple of ndarray of shape (S,)
        First and last event of each, to begin and end with where nothing was given.
    has_events : ndarray of shape (S,), dtype=bool
        Which have any.
    schema : Schema
        The columns.

    Returns
    -------
    tuple of ndarray of shape (S,)
        Start and end.

    Raises
    ------
    FrameError
        If a series has no such time, or ends before it starts.
    """
    sides = []
    for bound, of_events in zip(bounds, events, strict=True):
        if bound.of_all is not None:
            sides.append(np.full(len(ids), bound.of_all))
        elif bound.by_id:
            _refuse_missing(bound, ids, schema)
            sides.append(np.array([bound.by_id[key] for key in ids]))
        else:
            _refuse_unknown(bound.name, ids, has_events, schema)
            sides.append(of_events)
    start, end = sides
    _refuse_backward(start, end, ids, schema)
    return start, end


def refuse_later_events(
    rows: Rows,
    codes: np.ndarray,
    times: np.ndarray,
    end: np.ndarray,
    schema: Schema,
    *,
    given: object,
) -> None:
    """Refuse events (N,) after the ends (S,) of their windows."""
    late = times > end[codes]
    if not late.any():
        return
    place = place_of(rows, schema.time_col, "time column", schema.id_cols)
    first = times_as_column(end[codes[late][:1]], schema).iloc[0]
    column, ends = as_code(schema.time_col), "end"
    if isinstance(given, pd.Series):
        ends = f"df[{as_code(schema.id_cols[0])}].map(end)"
    elif is_frame(given):
        key = as_code(list(schema.id_cols))
        ends = f"df[{key}].merge(end, 'left', {key})[{column}].to_numpy()"
    raise FrameError(
        "E-WINDOW",
        f"{int(late.sum())} events lie after the end of their windows, where nothing is known: "
        f"{name_rows(place, late)}; the window of the first ends at {plainly(first)}.",
        f"{rows.before}df = df[df[{column}] <= {ends}]  # or a later end",
    )


def _by_id(name: str, given: object, schema: Schema) -> dict[Hashable, float]:
    rows = open_later(given, schema, targets=False, name=name)
    codes, ids = read_series(rows, schema.id_cols)
    place = place_of(rows, schema.time_col, "time column", schema.id_cols)
    times = convert_times(read_times(rows.frame[schema.time_col], place), schema, place)
    again = pd.Series(codes).duplicated().to_numpy()
    if again.any():
        columns = as_code(list(schema.id_cols))
        raise FrameError(
            "E-WINDOW",
            f"{name} has several times of one series: {name_rows(place, again)}.",
            f"{rows.before}{name} = {name}.drop_duplicates({columns}, keep='last')",
        )
    return {ids[code]: time for code, time in zip(codes, times.tolist(), strict=True)}


def _frame_of(given: pd.Series, schema: Schema) -> pd.DataFrame:
    """Give a Series of times with the ids in its index as a frame."""
    levels = [given.index.get_level_values(i) for i in range(given.index.nlevels)]
    if len(levels) != len(schema.id_cols):
        raise FrameError(
            "E-WINDOW",
            f"a Series of start or end has the ids in its index: {len(schema.id_cols)} levels for "
            f"{as_code(list(schema.id_cols))}, not {len(levels)}.",
            f"end = df.groupby({as_code(list(schema.id_cols))})[{as_code(schema.time_col)}].max()",
        )
    columns = dict(zip(schema.id_cols, levels, strict=True))
    return pd.DataFrame({**columns, schema.time_col: given.reset_index(drop=True)})


def _one_time(name: str, given: object, schema: Schema) -> float:
    if isinstance(given, Iterable) and not isinstance(given, str):
        raise TypeError(
            f"{name} must be a time, a Series with the ids in its index, or a frame with the "
            f"columns of series and time, got a {type(given).__name__}."
        )
    try:
        return read_time(given, schema)
    except FrameError as error:
        fix = error.fix.replace("cutoff", name).replace("times", name)
        what = error.what.replace("the cutoff", name).replace("times", name, 1)
        raise FrameError(error.code, what, fix) from None


def _refuse_missing(bound: Bounds, ids: Sequence[Hashable], schema: Schema) -> None:
    missing = [key for key in ids if key not in bound.by_id]
    if missing:
        columns = as_code(schema.id_cols[0])
        raise FrameError(
            "E-WINDOW",
            f"{bound.name} has no time of {len(missing)} of {len(ids)} series, first of series "
            f"{plainly(missing[0])}.",
            f"{bound.name} = None  # the events', or df = df[df[{columns}].isin(...)]",
        )


def _refuse_unknown(
    name: str, ids: Sequence[Hashable], has_events: np.ndarray, schema: Schema
) -> None:
    """Refuse series without an event of which one side of the window was given, and not both."""
    if has_events.all():
        return
    key = ids[int(np.flatnonzero(~has_events)[0])]
    other = {"start": "end", "end": "start"}[name]
    raise FrameError(
        "E-WINDOW",
        f"{int((~has_events).sum())} series have no event, first of them {plainly(key)}: of these "
        f"the {name} is wanted too.",
        f"{other} = None  # the events', or give {name} as well",
    )


def _refuse_backward(
    start: np.ndarray, end: np.ndarray, ids: Sequence[Hashable], schema: Schema
) -> None:
    backward = end < start
    if not backward.any():
        return
    i = int(np.flatnonzero(backward)[0])
    first, last = (plainly(times_as_column(at[[i]], schema).iloc[0]) for at in (start, end))
    raise FrameError(
        "E-WINDOW",
        f"{int(backward.sum())} windows end before they start, first that of series "
        f"{plainly(ids[i])}: from {first} to {last}.",
        "start = None  # from the first event of each series",
    )
