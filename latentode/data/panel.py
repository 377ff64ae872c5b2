"""All series of a frame in one sorted block of numbers."""

from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np

from latentode.data.columns import Schema
from latentode.data.duplicates import ON_DUPLICATES, OnDuplicates, SortedRows, join_repeats
from latentode.data.errors import FrameError, count, plainly
from latentode.data.ids import canonical, read_series
from latentode.data.known import Known, read_known, some_known
from latentode.data.noise import read_noise, require_noise
from latentode.data.order import sort_rows
from latentode.data.roles import require_covariates
from latentode.data.rows import Rows, open_later, place_of
from latentode.data.static import n_static, read_static
from latentode.data.times import convert_times, read_times, times_as_column
from latentode.data.values import read_numbers
from latentode.solvers.checks import check_choice

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
    """float64 of shape (N, D), NaN where nothing was measured: targets, then past covariates."""
    schema: Schema
    known: Known | None = None
    """When known covariates were stated; also at times when nothing was measured."""
    static: np.ndarray | None = None
    """float64 of shape (S, E), NaN where one is missing: static covariates."""
    noise: np.ndarray | None = None
    """float64 of shape (N, D), NaN where it is not known: standard deviations of measurements."""

    @property
    def row_series(self) -> np.ndarray:
        """int64 of shape (N,): position of each row's series in `ids`."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def with_rows(self, rows: np.ndarray, offsets: np.ndarray) -> "Panel":
        """Give a panel of some rows, by number or by a mask, with where each series begins."""
        noise = None if self.noise is None else self.noise[rows]
        return self._replace(
            offsets=offsets, times=self.times[rows], values=self.values[rows], noise=noise
        )


def to_panel(
    df: object, schema: Schema, *, on_duplicates: OnDuplicates = "raise", static: object = None
) -> Panel:
    """Check a frame and copy it into a panel.

    Parameters
    ----------
    df : DataFrame of pandas, polars or anything else narwhals reads
        One row for each observation, in any order; it is not changed.
    schema : Schema
        The columns and times, as `infer_schema` found them, in this frame or in one before.
    on_duplicates : {"raise", "mean", "last", "merge"}, default="raise"
        What becomes of rows of one series at the same time: an error; the mean of what was
        measured in each column; the last one of the frame, whole; or one row of all that was
        measured, where no two of them have a value in the same column.
    static : DataFrame, optional
        One row for each series, with its static covariates, if these are not in `df`.

    Returns
    -------
    Panel
        The same for every order of the rows of `df`, to the last bit; only "last" looks at it.

    Raises
    ------
    FrameError
        If a column is missing or holds what it cannot hold, if the times are not like those of
        the schema, or if a series has two rows of the same time that are not to be joined.
    TypeError
        If `df` is no data frame.
    ValueError
        If `on_duplicates` is none of these words.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.data.frame import infer_schema
    >>> df = pd.DataFrame({"id": ["b", "a", "a"], "t": [3, 9, 4], "y": [0.3, 0.9, 0.4]})
    >>> panel = to_panel(df, infer_schema(df))
    >>> panel.ids, panel.offsets, panel.times
    (('a', 'b'), array([0, 2, 3]), array([4, 9, 3]))
    >>> log = pd.DataFrame({"t": [1, 1, 2], "hr": [71, None, 80], "bp": [None, 120, None]})
    >>> to_panel(log, infer_schema(log), on_duplicates="merge").values
    array([[ 71., 120.],
           [ 80.,  nan]])
    """
    check_choice("on_duplicates", on_duplicates, ON_DUPLICATES)
    rows = open_later(df, schema, targets=True)
    require_covariates(rows, schema)
    require_noise(rows, schema)
    return read_panel(rows, schema, on_duplicates, static)


def read_panel(
    rows: Rows, schema: Schema, on_duplicates: OnDuplicates, static: object = None
) -> Panel:
    """Give the panel of the rows of a frame that has every column of the schema."""
    codes, ids = read_series(rows, schema.id_cols)
    place = place_of(rows, schema.time_col, "time column", schema.id_cols)
    times = convert_times(read_times(rows.frame[schema.time_col], place), schema, place)
    known = read_known(rows, schema, codes, times)
    of_series = read_static(rows, schema, codes, ids, static)
    order, first = sort_rows(codes, times)
    values, noise = _read_values(rows, schema, order), read_noise(rows, schema, order)
    if len(first) < len(order):
        n_features = values.shape[1]
        both = values if noise is None else np.hstack([values, noise])
        joined = join_repeats(
            SortedRows(order, times[order], both, first), on_duplicates, place, schema
        )
        values = joined[:, :n_features]
        noise = None if noise is None else joined[:, n_features:]
    kept = order[first]
    sizes = np.bincount(codes[kept], minlength=len(ids))
    return Panel(ids, _offsets(sizes), times[kept], values, schema, known, of_series, noise)


def empty_panel(schema: Schema) -> Panel:
    """Give a panel without series.

    Examples
    --------
    >>> empty_panel(Schema(("id",), "t", ("y",), "number", None, None, ())).values.shape
    (0, 1)
    """
    times = np.zeros(0, np.float64 if schema.time_unit is None else np.int64)
    offsets = np.zeros(1, np.int64)
    values = np.zeros((0, len(schema.feature_cols)))
    known = Known(offsets, times, np.zeros((0, len(schema.known_cols))))
    return Panel(
        (),
        offsets,
        times,
        values,
        schema,
        known if schema.known_cols else None,
        np.zeros((0, n_static(schema))) if schema.static_cols else None,
        values.copy() if schema.noise_cols else None,
    )


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
    known = None if panel.known is None else some_known(panel.known, kept)
    static = None if panel.static is None else panel.static[kept]
    some = panel.with_rows(rows, offsets)
    return some._replace(ids=chosen, known=known, static=static)


def drop_empty_rows(panel: Panel) -> Panel:
    """Leave out the rows in which nothing was measured; known covariates stated there are kept.

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
    return panel.with_rows(measured, kept)


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
    ends = np.array([panel.times.min(), panel.times.max()])
    check_times_differ(ends, len(panel.times), panel.schema)


def check_times_differ(ends: np.ndarray, n_rows: int, schema: Schema) -> None:
    """Refuse rows to train on if the first and the last of their times (2,) are the same."""
    if ends[0] != ends[1]:
        return
    column = schema.time_col
    first = plainly(times_as_column(ends[:1], schema).iloc[0])
    raise FrameError(
        "E-TIME-FLAT",
        f"time column {column!r} is {first} in all {count(n_rows, 'row')}: there is no "
        "change over time to learn.",
        "give rows at two times or more; if the hours were cut off, read them again, or name "
        "another column: LatentODEForecaster(time_col=...)",
    )


def _read_values(rows: Rows, schema: Schema, order: np.ndarray) -> np.ndarray:
    """Give the targets and past covariates (N, D) of the rows in an order."""
    values = np.empty((len(rows.frame), len(schema.feature_cols)))
    for d, column in enumerate(schema.feature_cols):
        role = "target column" if d < len(schema.target_cols) else "past covariate"
        place = place_of(rows, column, role, schema.id_cols)
        values[:, d] = read_numbers(rows.frame[column], place)[order]
    return values


def _offsets(sizes: np.ndarray) -> np.ndarray:
    """Give where each of S parts begins and the last one ends, from their sizes."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype("int64")
