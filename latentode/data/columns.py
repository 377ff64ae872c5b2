"""What the columns of a frame are, and what a column holds."""

import datetime as dt
from collections.abc import Collection, Hashable, Iterable
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_object_dtype

TimeKind = Literal["datetime", "timedelta", "number"]
ID_NAMES = ("unique_id", "item_id", "series_id", "id", "group_id")
TIME_NAMES = ("ds", "timestamp", "time", "datetime", "date", "t")
TARGET_NAMES = ("y", "target", "value")
TEXT_SAMPLE = 1000  # so many values of a text column tell whether it holds numbers

# How a column of each kind of dtype becomes numbers.
NUMBER_FIXES = {
    "b": "{0}.astype('float64')",
    "c": "np.real({0})",
    "m": "{0}.dt.total_seconds()",
    "M": "({0} - {0}.min()).dt.total_seconds()",
}


class Schema(NamedTuple):
    """What the columns of a frame are; made in fit and kept for every later frame."""

    id_cols: tuple[Hashable, ...]
    """Columns that tell the series apart; none if the frame is one series."""
    time_col: Hashable
    target_cols: tuple[Hashable, ...]
    time_kind: TimeKind
    time_unit: str | None
    """Unit of the exact integer times, "s", "ms", "us" or "ns"; None for numbers."""
    time_zone: str | None
    """Zone to give times back in ("UTC" if theirs has no name); None if they had none."""
    guessed: tuple[str, ...]
    """The arguments that were inferred, such as "id_col='patient'"."""
    backend: str = "pandas"
    """Whose frame it was read from: "pandas", "polars" or another that narwhals knows."""
    past_cols: tuple[Hashable, ...] = ()
    """Past covariates: observed like targets and read with them, but not to be forecast."""
    known_cols: tuple[Hashable, ...] = ()
    """Known covariates: known ahead of time, such as an infusion rate."""
    static_cols: tuple[Hashable, ...] = ()
    """Static covariates: what does not change in a series."""
    static_levels: tuple[tuple[Hashable, ...] | None, ...] = ()
    """Of each of them the levels, or None if it is a number."""
    noise_cols: tuple[Hashable | None, ...] = ()
    """Of each target the column of its known errors, or None; empty if there are none at all."""
    known_interpolation: str = "previous"
    """What lies between two values of a known covariate: "previous" or "linear"."""

    @property
    def feature_cols(self) -> tuple[Hashable, ...]:
        """What a model reads and tells: targets first, then past covariates."""
        return self.target_cols + self.past_cols


def columns_of(schema: Schema) -> list[Hashable]:
    """Give the columns in use: series, time, targets, and covariates.

    >>> columns_of(Schema(("id",), "t", ("y",), "number", None, None, (), known_cols=("rate",)))
    ['id', 't', 'y', 'rate']
    """
    covariates = [*schema.past_cols, *schema.known_cols, *schema.static_cols]
    errors = [column for column in schema.noise_cols if column is not None]
    return [*schema.id_cols, schema.time_col, *schema.target_cols, *covariates, *errors]


def without_covariates(schema: Schema) -> Schema:
    """Leave out all columns but those of series, time and targets."""
    return schema._replace(
        past_cols=(), known_cols=(), static_cols=(), static_levels=(), noise_cols=()
    )


def usual_names(columns: Iterable[Hashable], names: Collection[str]) -> list[Hashable]:
    """Give the columns with a usual name; those in other letters, as in "Date", if there is none.

    Single letters count as they are: T may be a temperature.

    >>> usual_names(["Date", "T"], TIME_NAMES), usual_names(["Date", "time"], TIME_NAMES)
    (['Date'], ['time'])
    """
    columns = list(columns)
    same: list[Hashable] = [name for name in names if name in columns]
    return same or [c for c in columns if isinstance(c, str) and len(c) > 1 and c.lower() in names]


def as_labels(given: object, columns: Collection[Hashable]) -> tuple[Hashable, ...]:
    """Give the columns that an argument names: none, one, or those of a list.

    >>> as_labels(["shop", "item"], []), as_labels(("y", 1), [("y", 1)]), as_labels(None, [])
    (('shop', 'item'), (('y', 1),), ())
    """
    if given is None:
        return ()
    label = isinstance(given, tuple) and given in columns
    one = label or isinstance(given, str) or not isinstance(given, Iterable)
    return (given,) if one else tuple(given)  # type: ignore[arg-type]


def dense(column: pd.Series) -> pd.Series:
    """Give a Sparse or Arrow column as one that numpy can hold."""
    dtype: Any = column.dtype
    if isinstance(dtype, pd.SparseDtype):
        return column.astype(dtype.subtype)
    if not isinstance(dtype, pd.ArrowDtype):
        return column
    arrow = dtype.pyarrow_dtype
    if dtype.kind in "mM" and hasattr(arrow, "unit"):
        zone = getattr(arrow, "tz", None)
        plain = np.dtype(f"{dtype.kind}8[{arrow.unit}]")
        return column.astype(plain if zone is None else pd.DatetimeTZDtype(arrow.unit, zone))
    return column.astype(object) if dtype.kind in "mMO" else column  # dates have no unit


def types_in(column: pd.Series) -> set[type]:
    """Give the types of the values that are there."""
    return {type(value) for value in column[column.notna()]}


def are_numbers(types: Collection[type], also: tuple[type, ...] = ()) -> bool:
    """Tell whether values of these types are real numbers; bool and timedelta64 are not."""
    real = (int, float, np.integer, np.floating, *also)
    return all(issubclass(t, real) and t not in {bool, np.timedelta64} for t in types)


def holds_numbers(column: pd.Series) -> bool:
    """Tell whether a column is one to forecast; a complex one is, to be refused by name."""
    column = dense(column)
    if is_object_dtype(column.dtype):
        types = types_in(column)
        return bool(types) and are_numbers(types, (Decimal,))
    return not isinstance(column.dtype, pd.PeriodDtype) and column.dtype.kind in "iufc"


def holds_stamps(column: pd.Series) -> bool:
    """Tell whether a column holds datetimes, dates or periods."""
    column = dense(column)
    if is_object_dtype(column.dtype):
        types = types_in(column)
        return bool(types) and all(issubclass(t, dt.date | np.datetime64) for t in types)
    return isinstance(column.dtype, pd.PeriodDtype) or column.dtype.kind == "M"


def almost_holds_numbers(column: pd.Series) -> bool:
    """Tell whether a column holds true and false, or mostly numbers written as text."""
    column = dense(column)
    if column.dtype.kind != "O" or holds_stamps(column):
        return column.dtype.kind == "b"
    present = column[column.notna()].iloc[:TEXT_SAMPLE].astype(str)
    numbers = pd.to_numeric(present, errors="coerce").notna()
    return len(numbers) > 0 and bool(numbers.mean() > 0.5)


def almost_holds_stamps(column: pd.Series) -> bool:
    """Tell whether a column holds mostly dates written as text."""
    column = dense(column)
    if column.dtype.kind != "O":
        return False
    present = column[column.notna()].iloc[:TEXT_SAMPLE].astype(str)
    dates = present.str.match(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}\b")
    return len(dates) > 0 and bool(dates.mean() > 0.5)


def groups_rows(column: pd.Series) -> bool:
    """Tell whether a column of text or categories has several values, and repeats them."""
    if column.dtype.kind != "O" or holds_stamps(column):
        return False
    try:
        return 1 < column.nunique() < len(column)
    except TypeError:  # lists and other things that cannot be hashed
        return False


def sets_apart(columns: Iterable[pd.Series], times: np.ndarray) -> bool:
    """Tell whether columns of text, categories or integers make rows unique with their times."""
    columns = [dense(column) for column in columns]
    if any(c.dtype.kind not in "Oiu" or isinstance(c.dtype, pd.PeriodDtype) for c in columns):
        return False
    try:
        codes = [pd.factorize(column)[0] for column in columns]
    except TypeError:
        return False
    return not pd.DataFrame(dict(enumerate([*codes, times]))).duplicated().any()


def number_template(column: pd.Series) -> str:
    """Write how a column of something else can become numbers."""
    column = dense(column)
    bools = is_object_dtype(column.dtype) and types_in(column) <= {bool}
    kind = "b" if bools else column.dtype.kind
    if kind in NUMBER_FIXES:
        return NUMBER_FIXES[kind]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "pd.to_numeric({0}.astype(object), errors='coerce')"
    return "pd.to_numeric({0}, errors='coerce')  # NaN where it is no number"
