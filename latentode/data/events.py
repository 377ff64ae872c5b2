"""Frames made of logs that have a row for each single value."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from latentode.data.columns import Schema, as_labels
from latentode.data.duplicates import ON_DUPLICATES, OnDuplicates
from latentode.data.errors import (
    FrameError,
    Place,
    as_code,
    id_code,
    listed,
    mend,
    nearest,
    refuse_rows,
    say_which,
)
from latentode.data.ids import canonical
from latentode.data.native import as_native
from latentode.data.order import sort_rows
from latentode.data.panel import Panel, read_panel
from latentode.data.rows import Rows, open_frame, place_of
from latentode.data.times import read_times, times_as_column
from latentode.solvers.checks import check_choice


def from_events(
    df: object,
    *,
    id: Hashable | Sequence[Hashable] | None,  # noqa: A002  the word of such logs
    time: Hashable,
    variable: Hashable,
    value: Hashable,
    on_duplicates: OnDuplicates = "raise",
) -> Any:  # noqa: ANN401  a frame of the kind that came
    """Turn a log of single values into a frame with a column for each variable.

    Parameters
    ----------
    df : DataFrame of pandas, polars or anything else narwhals reads
        One row for each value, in any order.
    id : Hashable, sequence of Hashable, or None
        Column that tells the series apart, or columns that do so together; None for one series.
    time, variable, value : Hashable
        Columns of the time, of the name of what was measured, and of the number.
    on_duplicates : {"raise", "mean", "last", "merge"}, default="raise"
        What becomes of several values of one variable of a series at the same time; see
        `to_panel`.

    Returns
    -------
    DataFrame
        One row for each series and time, sorted, with a column of float64 for each variable and
        NaN for what was not measured then; of polars if the log is.

    Raises
    ------
    FrameError
        If a column is missing or holds what it cannot hold, if a variable has the name of another
        column, or if values repeat.
    TypeError
        If `df` is no data frame.
    ValueError
        If `on_duplicates` is none of these words.

    Examples
    --------
    >>> log = pd.DataFrame({
    ...     "stay": [7, 7, 7],
    ...     "hour": [0.5, 0.5, 2.0],
    ...     "lab": ["lactate", "glucose", "lactate"],
    ...     "result": [1.9, 110.0, 1.4],
    ... })
    >>> from_events(log, id="stay", time="hour", variable="lab", value="result")
       stay  hour  glucose  lactate
    0     7   0.5    110.0      1.9
    1     7   2.0      NaN      1.4
    """
    check_choice("on_duplicates", on_duplicates, ON_DUPLICATES)
    rows = open_frame(df, id_col=id, time_col=time)
    ids = as_labels(id, rows.frame.columns)
    roles = {"time": time, "variable": variable, "value": value}
    _refuse_columns(rows, ids, roles)
    names = rows.frame[variable]
    place = place_of(rows, variable, "variable column", ids)
    refuse_rows(place, names.isna().to_numpy(), "E-ID-NA", "missing value", "{0}.notna()")
    times = read_times(rows.frame[time], place_of(rows, time, "time column", ids))
    schema = Schema((*ids, variable), time, (value,), times.kind, times.unit, times.zone, ())
    log = read_panel(rows, schema, on_duplicates)
    _refuse_taken_names(log, rows, [*ids, time], place)
    return as_native(_spread(log, rows, ids), rows.backend)


def _refuse_columns(rows: Rows, ids: Sequence[Hashable], roles: dict[str, Hashable]) -> None:
    """Refuse columns that are not there, or that are named for two roles."""
    columns = list(rows.frame.columns)
    named = [("id", column) for column in ids] + list(roles.items())
    missing = [(role, column) for role, column in named if column not in columns]
    labels = [column for _, column in named]
    if missing:
        role, column = missing[0]
        near = nearest(column, [c for c in columns if c not in labels])
        wanted: dict[str, Any] = {"id": [near if c == column else c for c in ids], **roles}
        what = f"{role}: {rows.name} has no column {as_code(column)}; it has {listed(columns)}."
        if role != "id":
            wanted[role] = near
        fix = "name one of these columns" if near is None else _call(wanted)
        raise FrameError(f"E-{_ROLES[role]}-COL", what, fix)
    twice = [column for column in labels if labels.count(column) > 1]
    if twice:
        what = f"column {as_code(twice[0])} was given two roles: {_call({'id': ids, **roles})}."
        raise FrameError("E-ROLE-DUP", what, "name each column once")


_ROLES = {"id": "ID", "time": "TIME", "variable": "VARIABLE", "value": "TARGET"}


def _call(roles: dict[str, Any]) -> str:
    """Write the call with these columns."""
    roles = {**roles, "id": id_code(roles["id"])}
    given = {role: code if role == "id" else as_code(code) for role, code in roles.items()}
    return f"from_events(df, {', '.join(f'{role}={code}' for role, code in given.items())})"


def _refuse_taken_names(log: Panel, rows: Rows, columns: Sequence[Hashable], place: Place) -> None:
    """Refuse variables that would become columns with the name of the id or the time."""
    names = {str(column) for column in columns}
    taken = [name for name in _variables(log) if str(name) in names]
    if not taken:
        return
    name = taken[0]
    bad = (rows.frame[place.column] == name).to_numpy()
    what = say_which(place, bad, "value", f" {as_code(name)}, the name of another column")
    new = as_code(f"{name} value")
    fix = mend(place, f"{{0}}.map(lambda name: {new} if name == {as_code(name)} else name)")
    raise FrameError("E-COLS-DUP", what, fix)


def _variables(log: Panel) -> list[Hashable]:
    """Give the variable of each id of a log."""
    several = len(log.schema.id_cols) > 1
    return [key[-1] if several else key for key in log.ids]  # type: ignore[index]


def _spread(log: Panel, rows: Rows, ids: Sequence[Hashable]) -> pd.DataFrame:
    """Put the values of each series and time beside each other."""
    keys: list[Any] = [key[:-1] if ids else () for key in log.ids]  # type: ignore[index]
    lengths = np.diff(log.offsets)
    series, variables = canonical(set(keys)), canonical(set(_variables(log)))
    row_series = np.repeat(_numbers(keys, series), lengths)
    row_variable = np.repeat(_numbers(_variables(log), variables), lengths)
    order, first = sort_rows(row_series, log.times)
    row = np.empty(len(order), dtype="int64")
    row[order] = np.repeat(np.arange(len(first)), np.diff(first, append=len(order)))
    values = np.full((len(first), len(variables)), np.nan)
    values[row, row_variable] = log.values[:, 0]

    kept = order[first]
    columns: dict[Hashable, Any] = {}
    for i, column in enumerate(ids):
        of_series = pd.Series([key[i] for key in series], dtype=rows.frame[column].dtype)  # type: ignore[index]
        columns[column] = of_series.iloc[row_series[kept]].reset_index(drop=True)
    columns[log.schema.time_col] = times_as_column(log.times[kept], log.schema)
    return pd.DataFrame({**columns, **dict(zip(variables, values.T, strict=True))})


def _numbers(keys: Sequence[Hashable], distinct: Sequence[Hashable]) -> np.ndarray:
    position = {key: i for i, key in enumerate(distinct)}
    return np.array([position[key] for key in keys], dtype="int64")
