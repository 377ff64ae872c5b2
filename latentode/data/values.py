"""The numbers of a frame: read, or refused."""

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_object_dtype

from latentode.data.columns import are_numbers, dense, number_template, types_in
from latentode.data.errors import (
    FrameError,
    Place,
    count,
    mend,
    name_rows,
    plainly,
    say_which,
)


def read_numbers(column: pd.Series, place: Place) -> np.ndarray:
    """Give a target as float64 (N,), NaN where nothing was measured; refuse infinity.

    >>> column = pd.Series([1, None], dtype="Int64")
    >>> read_numbers(column, Place("target column 'y'", column.index, None, "df", "y", ""))
    array([ 1., nan])
    """
    column = dense(column)
    refuse_other_than_numbers(column, place)
    try:
        values = column.to_numpy("float64", na_value=np.nan)
    except OverflowError:  # whole numbers of Python have no largest one
        values = np.array([_as_float(value) for value in column])
    infinite = np.isinf(values)
    if infinite.any():
        fix = mend(place, "{0}.replace([np.inf, -np.inf], np.nan)  # NaN: not measured")
        raise FrameError("E-VALUE-INF", say_which(place, infinite, "infinite value"), fix)
    return values


def read_covariate(column: pd.Series, place: Place) -> np.ndarray:
    """Give a covariate as float64 (N,), true as 1 and false as 0, NaN where it is missing.

    >>> column = pd.Series([True, False])
    >>> read_covariate(column, Place("known covariate 'on'", column.index, None, "df", "on", ""))
    array([1., 0.])
    """
    column = dense(column)
    if is_object_dtype(column.dtype) and types_in(column) == {bool}:
        column = column.astype("boolean")
    if column.dtype.kind == "b":
        column = column.astype("Float64")
    if column.dtype.kind in "OUT" and not are_numbers(types_in(column), (Decimal,)):
        refuse_text(column, place)
    return read_numbers(column, place)


def refuse_text(column: pd.Series, place: Place) -> None:
    """Refuse a covariate of text or categories, which has no order."""
    first = plainly(column.dropna().iloc[0])
    raise FrameError(
        "E-KNOWN-DTYPE",
        f"{place.title} must hold numbers or true and false; it has dtype {column.dtype}, with "
        f"values such as {first}: {name_rows(place, column.notna().to_numpy())}.",
        f"{place.before}{place.name} = pd.get_dummies({place.name}, "
        f"columns=[{place.column!r}], dtype=float)  # and name the new columns",
    )


def _as_float(value: Any) -> float:  # noqa: ANN401  any number, or None
    try:
        return math.nan if pd.isna(value) else float(value)
    except OverflowError:
        return math.inf


def refuse_other_than_numbers(column: pd.Series, place: Place) -> None:
    """Refuse a dense column that holds anything but numbers and missing values."""
    dtype = column.dtype
    bad = column.notna().to_numpy()
    if is_object_dtype(dtype):
        number = column.map(lambda value: are_numbers({type(value)}, (Decimal,)))
        bad = bad & ~number.to_numpy(dtype=bool)
    if dtype.kind in "iuf" or (is_object_dtype(dtype) and not bad.any()):
        return
    such = f" such as {plainly(column[bad].iloc[0])}: {name_rows(place, bad)}" if bad.any() else ""
    raise FrameError(
        "E-TARGET-DTYPE",
        f"{place.title} must hold numbers; it has dtype {dtype}, with "
        f"{count(bad.sum(), 'other value')}{such}.",
        mend(place, number_template(column)),
    )
