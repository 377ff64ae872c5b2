"""Static covariates: what does not change in a series, as numbers."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from latentode.data.columns import Schema, dense
from latentode.data.errors import (
    FrameError,
    as_code,
    count,
    id_code,
    listed,
    name_rows,
    name_series,
    plainly,
)
from latentode.data.ids import canonical, read_series
from latentode.data.rows import Rows, open_frame, place_of
from latentode.data.values import read_covariate

__all__ = ["StaticLevels", "levels_of", "n_static", "read_static"]

StaticLevels = tuple[Hashable, ...] | None


def levels_of(rows: Rows, columns: Sequence[Hashable]) -> tuple[StaticLevels, ...]:
    """Give the levels of each column of categories or text, in canonical order; None of numbers.

    >>> df = pd.DataFrame({"id": [1, 2], "sex": ["m", "f"], "age": [40, 60]})
    >>> levels_of(open_frame(df, id_col="id", time_col=None), ["sex", "age"])
    (('f', 'm'), None)
    """
    return tuple(_levels(dense(rows.frame[column])) for column in columns)


def n_static(schema: Schema) -> int:
    """Give how many numbers the static covariates of a series are: one for each level."""
    return sum(1 if levels is None else len(levels) for levels in schema.static_levels)


def read_static(
    rows: Rows, schema: Schema, codes: np.ndarray, ids: Sequence[Hashable], static: object = None
) -> np.ndarray | None:
    """Give the static covariates of each series as numbers.

    Parameters
    ----------
    rows : Rows
        The frame.
    schema : Schema
        With the static covariates and their levels, learned in fit.
    codes : ndarray of shape (N,)
        Series of each row, by its position in `ids`.
    ids : sequence of Hashable
        The S series.
    static : DataFrame, optional
        One row for each series, with the static covariates instead of the frame.

    Returns
    -------
    ndarray of shape (S, E), or None
        A number, or 0 and 1 for each level; NaN where one is missing. None without static
        covariates.

    Raises
    ------
    FrameError
        If one varies within a series, has a level that was not there in fit, or is not given.
    """
    if not schema.static_cols:
        return None
    if static is not None:
        rows, codes = _rows_of_series(static, schema, ids)
    require_static(rows, schema)
    parts = [
        _read_column(rows, column, levels, schema, codes, len(ids))
        for column, levels in zip(schema.static_cols, schema.static_levels, strict=True)
    ]
    return np.concatenate(parts, axis=1)


def open_static(static: object, id_cols: tuple[Hashable, ...]) -> Rows:
    """Give the rows of a frame with one row for each series."""
    rows = open_frame(static, id_col=list(id_cols) or None, time_col=None, name="static")
    for column in id_cols:
        if column not in list(rows.frame.columns):
            what = f"static has no column {as_code(column)}, the id column of the series"
            fix = f"static = static.rename(columns={{...: {as_code(column)}}})"
            raise FrameError("E-ID-COL", f"{what}; it has {listed(rows.frame.columns)}.", fix)
    return rows


def require_static(rows: Rows, schema: Schema) -> None:
    """Refuse rows that lack a static covariate of fit."""
    columns = list(rows.frame.columns)
    for column in schema.static_cols:
        if column not in columns:
            raise FrameError(
                "E-STATIC-COL",
                f"{rows.name} has no column {as_code(column)}, a static covariate in fit; it has "
                f"{listed(columns)}.",
                f"{rows.before}{rows.name}[{as_code(column)}] = ...  # as in fit, or static=frame",
            )


def _levels(column: pd.Series) -> StaticLevels:
    if column.dtype.kind in "biuf":
        return None
    return canonical(column.dropna().unique().tolist())


def _rows_of_series(
    static: object, schema: Schema, ids: Sequence[Hashable]
) -> tuple[Rows, np.ndarray]:
    """Give the rows of a frame of series that are wanted, and which series each is of."""
    rows = open_static(static, schema.id_cols)
    found, there = read_series(rows, schema.id_cols)
    _refuse_doubles(rows, schema, found)
    missing = [key for key in ids if key not in set(there)]
    if missing:
        raise FrameError(
            "E-STATIC-MISSING",
            f"static has no row for {len(missing)} of {len(ids)} series: {listed(missing, 3)}.",
            f"{_only_with_static(schema.id_cols)}  # or give static a row for each, NaN where "
            "nothing is known",
        )
    number = {key: i for i, key in enumerate(ids)}
    codes = np.array([number.get(key, -1) for key in there], dtype="int64")[found]
    wanted = codes >= 0
    return rows._replace(frame=rows.frame[wanted]), codes[wanted]


def _refuse_doubles(rows: Rows, schema: Schema, codes: np.ndarray) -> None:
    again = pd.Series(codes).duplicated().to_numpy()
    if not again.any():
        return
    subset = listed(schema.id_cols, len(schema.id_cols))
    where = ""
    if subset:
        place = place_of(rows, schema.id_cols[0], "id column", schema.id_cols)
        where = f": {name_rows(place, again)}"
    raise FrameError(
        "E-STATIC-DUP",
        f"static has {count(int(again.sum()), 'row')} of a series that has one before{where}.",
        f"static = static.drop_duplicates([{subset}])" if subset else "static = static.iloc[:1]",
    )


def _only_with_static(id_cols: tuple[Hashable, ...]) -> str:
    """Write the Python that leaves out the rows of series that static has no row of."""
    if len(id_cols) == 1:
        column = as_code(id_cols[0])
        return f"df = df[df[{column}].isin(static[{column}])]"
    columns = as_code(list(id_cols))
    return f"df = df.merge(static[{columns}], on={columns})"


def _read_column(
    rows: Rows,
    column: Hashable,
    levels: StaticLevels,
    schema: Schema,
    codes: np.ndarray,
    n_series: int,
) -> np.ndarray:
    """Give the numbers (S, n) of a static covariate."""
    values = dense(rows.frame[column])
    place = place_of(rows, column, "static covariate", schema.id_cols)
    if levels is None:
        numbers = read_covariate(values, place)
    else:
        numbers = _level_numbers(values, levels, rows, column, schema)
    _refuse_varying(rows, column, schema, codes, numbers)
    chosen = np.full(n_series, np.nan)
    known = ~np.isnan(numbers)
    chosen[codes[known]] = numbers[known]
    if levels is None:
        return chosen[:, None]
    ones = (chosen[:, None] == np.arange(len(levels))).astype("float64")
    return np.where(np.isnan(chosen)[:, None], np.nan, ones)


def _level_numbers(
    values: pd.Series, levels: tuple[Hashable, ...], rows: Rows, column: Hashable, schema: Schema
) -> np.ndarray:
    """Give the number of the level of each row, NaN where it is missing."""
    place = place_of(rows, column, "static covariate", schema.id_cols)
    number: dict[Any, int] = {level: i for i, level in enumerate(levels)}
    there = values.notna().to_numpy()
    numbers = np.full(len(values), np.nan)
    objects = values.astype(object)
    unknown = there & np.array([value not in number for value in objects], dtype=bool)
    if unknown.any():
        first = objects[unknown].iloc[0]
        raise FrameError(
            "E-STATIC-LEVEL",
            f"{place.title} is {plainly(first)}, which no series was in fit, in "
            f"{name_rows(place, unknown)}; the levels are {listed(levels)}.",
            f"{place.before}{place.name}[{as_code(column)}] = {place.name}[{as_code(column)}]"
            f".where({place.name}[{as_code(column)}].isin({list(levels)!r}))  # missing instead",
        )
    numbers[there] = [number[value] for value in objects[there]]
    return numbers


def _refuse_varying(
    rows: Rows, column: Hashable, schema: Schema, codes: np.ndarray, numbers: np.ndarray
) -> None:
    there = np.flatnonzero(~np.isnan(numbers))
    first = np.full(int(codes.max(initial=0)) + 1, -1)
    first[codes[there[::-1]]] = there[::-1]
    other = there[numbers[there] != numbers[first[codes[there]]]]
    if not len(other):
        return
    place = place_of(rows, column, "static covariate", schema.id_cols)
    j = int(other[0])
    i = int(first[codes[j]])
    values = rows.frame[column]
    one, two = (f"{plainly(values.iloc[k])} in row {plainly(place.labels[k])}" for k in (i, j))
    key = f" of series {name_series(place, j)}" if place.ids else ""
    n_series = len(set(codes[other].tolist()))
    code = f"{place.name}[{as_code(column)}]"
    constant = f"{code}.iloc[0]"
    if schema.id_cols:
        by = f"{place.name}.groupby({id_code(schema.id_cols)})[{as_code(column)}]"
        constant = f"{by}.transform('first')"
    raise FrameError(
        "E-STATIC-VARIES",
        f"{place.title} must not change in a series, and is {one} and {two}{key}; it varies in "
        f"{n_series} series.",
        f"{place.before}{code} = {constant}  # or known_cols, past_cols if it is to vary",
    )
