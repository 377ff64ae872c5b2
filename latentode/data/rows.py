"""The rows of any data frame, as pandas, with what stands in the index as columns."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import narwhals as nw
import pandas as pd

from latentode.data.columns import Schema, as_labels
from latentode.data.errors import FrameError, Place, as_code, listed, nearest
from latentode.data.levels import read_levels
from latentode.data.native import PANDAS


class Rows(NamedTuple):
    """The rows of a caller's frame with id and time as columns, and how Python names them."""

    frame: pd.DataFrame
    """Its index holds the caller's row labels."""
    name: str
    """The variable that a fix speaks of: "df" or "times"."""
    before: str
    """Python that a fix has to begin with, such as "df = df.reset_index(); "."""
    backend: str = "pandas"
    """Whose frame it was, as `as_native` takes it."""
    levels: tuple[Hashable, ...] = ()
    """The columns that were levels of the index, in their order."""


def open_frame(df: object, *, id_col: object, time_col: Hashable | None, name: str = "df") -> Rows:
    """Give the rows of any data frame as pandas, with a time index turned into columns.

    It has at least one row and unique names; the caller's own frame is not changed. ``id_col``
    is one column, a list of them, or None if they were not named.

    >>> df = pd.DataFrame({"hr": [71.0]}, index=pd.to_datetime(["2024-01-01"]))
    >>> list(open_frame(df, id_col=None, time_col=None).frame.columns)
    ['time', 'hr']
    """
    frame, before, backend = _to_pandas(df, name)
    _refuse_column_names(frame, name, before)
    if not len(frame):
        what = f"{name} has no rows; columns: {listed(frame.columns)}."
        raise FrameError("E-EMPTY", what, "give at least one row")
    id_cols = as_labels(id_col, [*frame.columns, *frame.index.names])
    levels, renamed = read_levels(frame, id_cols, time_col)
    if not levels:
        return Rows(frame, name, before, backend)
    both = [label for label in levels if label in list(frame.columns)]
    if both:
        what = f"names that are both in the index and among the columns of {name}: {listed(both)}."
        fix = f"{name} = {name}.reset_index(drop=True)  # forgets the index"
        raise FrameError("E-COLS-DUP", what, fix)
    wide = frame.copy(deep=False)
    for position, (label, level) in enumerate(levels.items()):
        wide.insert(position, label, level)
    before += f"{name} = {name}.reset_index(names={as_code(renamed)}); "
    return Rows(wide, name, before, backend, tuple(levels))


def open_later(df: object, schema: Schema, *, targets: bool, name: str = "df") -> Rows:
    """Open a frame that came after fit, and refuse it if it lacks a column of the schema.

    The targets are wanted only if ``targets``.

    >>> schema = Schema((), "t", ("y",), "number", None, None, ())
    >>> open_later(pd.DataFrame({"T": [1.0]}), schema, targets=False)
    Traceback (most recent call last):
    latentode.data.errors.FrameError: df has no column 't', the time column in fit; it has 'T'.
    Fix: df = df.rename(columns={'T': 't'})  [E-TIME-COL]
    """
    rows = open_frame(df, id_col=list(schema.id_cols), time_col=schema.time_col, name=name)
    _require_columns(rows, schema, targets=targets)
    return rows


def _require_columns(rows: Rows, schema: Schema, *, targets: bool) -> None:
    role = "the id column" if len(schema.id_cols) == 1 else "an id column"
    wanted = [(column, "E-ID-COL", role) for column in schema.id_cols]
    wanted.append((schema.time_col, "E-TIME-COL", "the time column"))
    if targets:
        wanted += [(target, "E-TARGET-COL", "a target") for target in schema.target_cols]
    columns = list(rows.frame.columns)
    for column, code, role in wanted:
        if column not in columns:
            what = f"{rows.name} has no column {as_code(column)}, {role} in fit"
            raise FrameError(code, f"{what}; it has {listed(columns)}.", _rename(rows, column))


def place_of(rows: Rows, column: Hashable, role: str, id_cols: Sequence[Hashable] = ()) -> Place:
    """Tell how to point at a column of a frame, and at the series of each row if that is known.

    >>> rows = open_frame(pd.DataFrame({"t": [1.0]}), id_col=None, time_col=None)
    >>> place_of(rows, "t", "time column").title
    "time column 't'"
    """
    ids = tuple(rows.frame[c] for c in id_cols)
    title = f"{role} {as_code(column)}"
    return Place(title, rows.frame.index, ids, rows.name, column, rows.before)


def _to_pandas(df: object, name: str) -> tuple[pd.DataFrame, str, str]:
    """Give a pandas frame, the Python that turns the caller's into one, and whose that was."""
    if isinstance(df, pd.DataFrame):
        return df, "", PANDAS
    if isinstance(df, pd.Series):
        label = "y" if df.name is None else df.name
        return df.to_frame(label), f"{name} = {name}.to_frame({as_code(label)}); ", PANDAS
    try:
        table = nw.from_native(df, eager_only=True)  # type: ignore[call-overload]
    except TypeError:
        hint = "From arrays: pd.DataFrame({'id': ids, 'time': times, 'y': values})."
        if hasattr(df, "collect"):
            hint = "Call .collect() on it first."
        raise TypeError(
            f"{name} must be a data frame with one row for each observation, "
            f"got {type(df).__name__}. {hint}"
        ) from None
    # Column by column, because polars needs pyarrow for a whole frame.
    frame = pd.DataFrame({c: _column_to_pandas(table[c]) for c in table.columns})
    backend = table.implementation.value
    if table.implementation.is_polars():
        return frame, f"{name} = pd.DataFrame({name}.to_dict(as_series=False)); ", backend
    return frame, f"{name} = {name}.to_pandas(); ", backend


def _column_to_pandas(column: nw.Series[Any]) -> pd.Series:
    """Give one column of a frame that is not pandas'; stamps with a zone keep it."""
    dtype = column.dtype
    if isinstance(dtype, nw.Datetime) and dtype.time_zone is not None:
        stamps: Any = pd.Series(column.to_numpy())
        return stamps.dt.tz_localize("UTC").dt.tz_convert(dtype.time_zone)
    if dtype.is_numeric() or isinstance(dtype, nw.Boolean | nw.Date | nw.Datetime | nw.Duration):
        return pd.Series(column.to_numpy())
    return pd.Series(column.to_list())


def _refuse_column_names(frame: pd.DataFrame, name: str, before: str) -> None:
    if frame.columns.nlevels > 1:
        raise FrameError(
            "E-COLS-MULTI",
            f"{name} has column names in {frame.columns.nlevels} levels: "
            f"{listed(frame.columns)}; one name for each column is wanted.",
            f"{before}{name}.columns = ['_'.join(map(str, c)).strip('_') for c in {name}.columns]",
        )
    repeated = frame.columns[frame.columns.duplicated()].unique()
    if len(repeated):
        what = f"{name} has several columns of the same name: {listed(repeated)}."
        fix = f"{before}{name} = {name}.loc[:, ~{name}.columns.duplicated()]  # keeps the first"
        raise FrameError("E-COLS-DUP", what, fix)


def _rename(rows: Rows, column: Hashable) -> str:
    """Write the Python that gives a column the name it had in fit, if one is close."""
    near = nearest(column, list(rows.frame.columns))
    if near is None:
        return f"{rows.name}[{as_code(column)}] = ...  # as in the frame that was fitted"
    renamed = f"{rows.name}.rename(columns={{{as_code(near)}: {as_code(column)}}})"
    return f"{rows.before}{rows.name} = {renamed}"
