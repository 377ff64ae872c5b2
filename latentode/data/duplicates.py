"""Rows of one series with the same time: refused, or made into one row."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from latentode.data.columns import Schema
from latentode.data.errors import FrameError, Place, as_code, count, name_series, plainly
from latentode.data.times import times_as_column

OnDuplicates = Literal["raise", "mean", "last", "merge"]


class SortedRows(NamedTuple):
    """N rows sorted by series and time, those with the same of both in the order of the frame."""

    order: np.ndarray
    """int64 of shape (N,): where each row stands in the frame."""
    times: np.ndarray
    """int64 or float64 of shape (N,)"""
    values: np.ndarray
    """float64 of shape (N, D)"""
    first: np.ndarray
    """int64 of shape (G,): the first row of each series and time."""

    @property
    def sizes(self) -> np.ndarray:
        """Rows of each series and time, (G,)."""
        return np.diff(self.first, append=len(self.order))


def join_repeats(
    rows: SortedRows, on_duplicates: OnDuplicates, place: Place, schema: Schema
) -> np.ndarray:
    """Give one row (G, D) for each series and time, or refuse that there are several."""
    if on_duplicates == "raise":
        raise _repeats(rows, place, schema)
    if on_duplicates == "merge":
        _refuse_clashes(rows, place, schema)
    return _JOINS[on_duplicates](rows)


def _last_rows(rows: SortedRows) -> np.ndarray:
    return rows.values[rows.first + rows.sizes - 1]


def _merged_rows(rows: SortedRows) -> np.ndarray:
    """Give the only value of each column that is there."""
    return np.fmax.reduceat(rows.values, rows.first, axis=0)


def _mean_rows(rows: SortedRows) -> np.ndarray:
    means = rows.values[rows.first]
    sizes = rows.sizes
    several = sizes > 1
    group = np.repeat(np.arange(several.sum()), sizes[several])
    repeated = rows.values[np.repeat(several, sizes)]
    means[several] = np.column_stack([_means(column, group) for column in repeated.T])
    return means


def _means(column: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Give the mean (G,) of the values of each group that were measured.

    They are summed in rising order, so that the order in which they came changes no bit.
    """
    n_groups = group[-1] + 1
    measured = ~np.isnan(column)
    column, group = column[measured], group[measured]
    order = np.lexsort((column, group))
    column, group = column[order], group[order]
    n = np.bincount(group, minlength=n_groups)
    end, some = np.cumsum(n), n > 0
    means = np.full(n_groups, np.nan)
    means[some] = _divided_sums(column, group, n)[some]
    # The bounds keep equal values just as they are; + 0.0 makes one zero of 0.0 and -0.0.
    means[some] = np.clip(means[some], column[(end - n)[some]], column[end[some] - 1]) + 0.0
    return means


def _divided_sums(column: np.ndarray, group: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Give the sum of each group over its count, also where the sum itself overflows."""
    sums = np.bincount(group, column, minlength=len(n))
    parts = np.bincount(group, column / n[group], minlength=len(n))
    return np.where(np.isfinite(sums), sums / np.maximum(n, 1), parts)


_JOINS: dict[OnDuplicates, Callable[[SortedRows], np.ndarray]] = {
    "mean": _mean_rows,
    "last": _last_rows,
    "merge": _merged_rows,
}
ON_DUPLICATES: tuple[OnDuplicates, ...] = ("raise", *_JOINS)


def _repeats(rows: SortedRows, place: Place, schema: Schema) -> FrameError:
    """Name the rows at the time of the one before."""
    again = np.ones(len(rows.order), dtype=bool)
    again[rows.first] = False
    at = np.flatnonzero(again)
    pairs = [_name_rows(rows, i - 1, i, place, schema) for i in at[:3]]
    hint = "" if schema.id_cols else " If the frame holds several series, pass id_col."
    subset = [*schema.id_cols, schema.time_col]
    return FrameError(
        "E-TIME-DUP",
        f"{count(len(at), 'row')} at the time of another row of the same series: "
        f"{'; '.join(pairs)}{'; ...' if len(at) > 3 else ''}.{hint}",
        f"{place.before}{place.name} = {place.name}.drop_duplicates({subset!r}, keep='last')"
        "  # or on_duplicates='mean', 'last' or 'merge'",
    )


def _refuse_clashes(rows: SortedRows, place: Place, schema: Schema) -> None:
    """Refuse rows to merge of which two have a value in the same column."""
    measured = ~np.isnan(rows.values)
    counts = np.add.reduceat(measured, rows.first, axis=0, dtype="int64")
    groups, columns = np.nonzero(counts > 1)
    if not len(groups):
        return
    shown = []
    for g, d in zip(groups[:3], columns[:3], strict=True):
        first = rows.first[g]
        one, other = first + np.flatnonzero(measured[first : first + rows.sizes[g], d])[:2]
        where = _name_rows(rows, one, other, place, schema)
        shown.append(f"{as_code(schema.target_cols[d])}: {where}")
    subset = [*schema.id_cols, schema.time_col]
    raise FrameError(
        "E-DUP-MERGE",
        "on_duplicates=merge wants one value in each column for a series and a time at most, but "
        f"{count(len(groups), 'time')} there are several: {'; '.join(shown)}"
        f"{'; ...' if len(groups) > 3 else ''}.",
        f"{place.before}{place.name} = {place.name}.groupby({subset!r}, as_index=False)"
        ".mean(numeric_only=True)  # or on_duplicates='mean' or 'last'",
    )


def _name_rows(rows: SortedRows, one: int, other: int, place: Place, schema: Schema) -> str:
    a, b = rows.order[one], rows.order[other]
    series = f"series {name_series(place, a)} " if place.ids else ""
    stamp = times_as_column(rows.times[[one]], schema).iloc[0]
    labels = f"rows {plainly(place.labels[a])} and {plainly(place.labels[b])}"
    return f"{series}at {plainly(stamp)} ({labels})"
