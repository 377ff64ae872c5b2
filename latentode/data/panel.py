"""All series of a frame in one sorted block of numbers."""

from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np

from latentode.data.columns import Schema
from latentode.data.errors import FrameError, Place, count, plainly
from latentode.data.rows import Rows, open_frame, place_of, require_columns
from latentode.data.times import convert_times, read_times, times_as_column
from latentode.data.values import ONE_SERIES, canonical, read_ids, read_numbers

__all__ = ["Panel", "check_time_span", "drop_empty_rows", "select_series", "to_panel"]


class Panel(NamedTuple):
    """All series one after another, sorted by series and time.

    Rows ``offsets[s]`` to ``offsets[s + 1]`` are those of series ``ids[s]``.
    """

    ids: tuple[Hashable, ...]
    """S distinct ids, in an order that does not depend on the order of the rows."""
    offsets: np.ndarray
    """int64 of shape (S + 1,)"""
    times: np.ndarray
    """int64 or float64 of shape (N,), in the unit of the schema."""
    values: np.ndarray
    """float64 of shape (N, D), NaN where nothing was measured."""
    schema: Schema


def to_panel(df: object, schema: Schema) -> Panel:
    """Check a frame and copy it into a panel.

    Parameters
    ----------
    df : DataFrame of pandas, polars or anything else narwhals reads
        One row for each observation, in any order; it is not changed.
    schema : Schema
        The columns and times, as `infer_schema` found them, in this frame or in one before.

    Returns
    -------
    Panel
        The same for every order of the rows of `df`, to the last bit.

    Raises
    ------
    FrameError
        If a column is missing or holds what it cannot hold, if the times are not like those of
        the schema, or if a series has two rows of the same time.
    TypeError
        If `df` is no data frame.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.data.frame import infer_schema
    >>> df = pd.DataFrame({"id": ["b", "a", "a"], "t": [3, 9, 4], "y": [0.3, 0.9, 0.4]})
    >>> panel = to_panel(df, infer_schema(df))
    >>> panel.ids, panel.offsets, panel.times
    (('a', 'b'), array([0, 2, 3]), array([4, 9, 3]))
    """
    rows = open_frame(df, id_col=schema.id_col, time_col=schema.time_col)
    require_columns(rows, schema, targets=True)
    codes, ids = read_series(rows, schema)
    place = place_of(rows, schema.time_col, "time column", schema.id_col)
    times = convert_times(read_times(rows.frame[schema.time_col], place), schema, place)
    order = np.lexsort((times, codes))
    codes, times = codes[order], times[order]
    _refuse_duplicates(codes, times, order, place, schema)
    sizes = np.bincount(codes, minlength=len(ids))
    return Panel(ids, _offsets(sizes), times, _read_values(rows, schema)[order], schema)


def select_series(panel: Panel, ids: Iterable[Hashable]) -> Panel:
    """Give the panel of some of the series.

    Parameters
    ----------
    panel : Panel
        All series.
    ids : iterable of Hashable
        The series wanted, in any order.

    Returns
    -------
    Panel
        A copy with those series, in canonical order.

    Raises
    ------
    KeyError
        If a series is not in the panel.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.data.frame import infer_schema
    >>> df = pd.DataFrame({"id": ["a", "b", "c"], "t": [1, 2, 3], "y": [0.1, 0.2, 0.3]})
    >>> select_series(to_panel(df, infer_schema(df)), ["c", "a"]).times
    array([1, 3])
    """
    position = {key: i for i, key in enumerate(panel.ids)}
    wanted = set(ids)
    unknown = [key for key in wanted if key not in position]
    if unknown:
        raise KeyError(f"series {plainly(unknown[0])} is not in the panel")
    # Mixed ids may be in another order without those left out, as when only numbers remain.
    chosen = canonical(wanted)
    kept = np.array([position[key] for key in chosen], dtype="int64")
    sizes = np.diff(panel.offsets)[kept]
    offsets = _offsets(sizes)
    rows = np.arange(offsets[-1]) + np.repeat(panel.offsets[kept] - offsets[:-1], sizes)
    return Panel(chosen, offsets, panel.times[rows], panel.values[rows], panel.schema)


def drop_empty_rows(panel: Panel) -> Panel:
    """Leave out the rows in which nothing was measured.

    Parameters
    ----------
    panel : Panel
        Any panel.

    Returns
    -------
    Panel
        A copy with the same series; one in which nothing was ever measured keeps no row.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.data.frame import infer_schema
    >>> df = pd.DataFrame({"id": ["a", "a", "b"], "t": [1, 2, 3], "y": [0.1, None, None]})
    >>> drop_empty_rows(to_panel(df, infer_schema(df))).offsets
    array([0, 1, 1])
    """
    measured = ~np.isnan(panel.values).all(axis=1)
    kept = _offsets(measured)[panel.offsets]  # rows kept before each series
    return panel._replace(offsets=kept, times=panel.times[measured], values=panel.values[measured])


def check_time_span(panel: Panel) -> None:
    """Refuse a panel to train on if all its times are the same.

    Parameters
    ----------
    panel : Panel
        What a model is to be fitted on.

    Raises
    ------
    FrameError
        If no time passes: there is nothing to learn from.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.data.frame import infer_schema
    >>> df = pd.DataFrame({"id": ["a", "b"], "t": [7, 7], "y": [0.1, 0.2]})
    >>> check_time_span(to_panel(df, infer_schema(df)))
    Traceback (most recent call last):
    latentode.data.errors.FrameError: time column 't' is 7 in all 2 rows: there is no change ...
    """
    if panel.times.min() != panel.times.max():
        return
    column = panel.schema.time_col
    first = plainly(times_as_column(panel.times[:1], panel.schema).iloc[0])
    raise FrameError(
        "E-TIME-FLAT",
        f"time column {column!r} is {first} in all {count(len(panel.times), 'row')}: there is no "
        "change over time to learn.",
        "give rows at two times or more; if the hours were cut off, read them again, or name "
        "another column: LatentODEForecaster(time_col=...)",
    )


def read_series(rows: Rows, schema: Schema) -> tuple[np.ndarray, tuple[Hashable, ...]]:
    """Give each row's position among the distinct ids, and the ids."""
    if schema.id_col is None:
        return np.zeros(len(rows.frame), dtype="int64"), (ONE_SERIES,)
    return read_ids(rows.frame[schema.id_col], place_of(rows, schema.id_col, "id column"))


def _read_values(rows: Rows, schema: Schema) -> np.ndarray:
    values = np.empty((len(rows.frame), len(schema.target_cols)))
    for d, target in enumerate(schema.target_cols):
        place = place_of(rows, target, "target column", schema.id_col)
        values[:, d] = read_numbers(rows.frame[target], place)
    return values


def _offsets(sizes: np.ndarray) -> np.ndarray:
    """Give where each of S parts begins and the last one ends, from their sizes."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype("int64")


def _refuse_duplicates(
    codes: np.ndarray, times: np.ndarray, order: np.ndarray, place: Place, schema: Schema
) -> None:
    """Refuse sorted rows of which two are of one series and one time."""
    again = (codes[1:] == codes[:-1]) & (times[1:] == times[:-1])
    if not again.any():
        return
    at = np.flatnonzero(again)
    stamps = times_as_column(times[at[:3]], schema)
    pairs = [
        _name_pair(place, order[i], order[i + 1], stamp)
        for i, stamp in zip(at[:3], stamps, strict=True)
    ]
    subset = [column for column in (schema.id_col, schema.time_col) if column is not None]
    hint = "" if schema.id_col is not None else " If the frame holds several series, pass id_col."
    raise FrameError(
        "E-TIME-DUP",
        f"{count(len(at), 'row')} at the time of another row of the same series: "
        f"{'; '.join(pairs)}{'; ...' if len(at) > 3 else ''}.{hint}",
        f"{place.before}{place.name} = {place.name}.drop_duplicates({subset!r}, keep='last')"
        f"  # or .groupby({subset!r}, as_index=False).mean(numeric_only=True)",
    )


def _name_pair(place: Place, one: int, other: int, stamp: object) -> str:
    series = "" if place.series is None else f"series {plainly(place.series.iloc[one])} "
    rows = f"rows {plainly(place.labels[one])} and {plainly(place.labels[other])}"
    return f"{series}at {plainly(stamp)} ({rows})"
