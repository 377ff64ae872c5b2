"""Tell which columns of a caller's frame are the series, the time and the targets.

What comes from outside is checked once, before anything is trained or forecast. Nothing of the
caller's is changed or silently repaired: what cannot be read exactly is refused.
"""

import warnings
from collections.abc import Collection, Hashable, Iterable, Sequence

import numpy as np
import pandas as pd

from latentode.data.columns import (
    ID_NAMES,
    TARGET_NAMES,
    TIME_NAMES,
    Schema,
    almost_holds_numbers,
    dense,
    groups_rows,
    holds_numbers,
    holds_stamps,
    number_template,
    sets_apart,
)
from latentode.data.errors import (
    FrameError,
    LatentODEWarning,
    as_code,
    count,
    listed,
    mend,
    name_rows,
    nearest,
)
from latentode.data.roles import find_covariates, with_covariates
from latentode.data.rows import Rows, open_frame, place_of
from latentode.data.times import read_times
from latentode.data.values import refuse_other_than_numbers


def infer_schema(
    df: object,
    *,
    id_col: Hashable | None = None,
    time_col: Hashable | None = None,
    target_cols: Hashable | Sequence[Hashable] | None = None,
    past_cols: Hashable | Sequence[Hashable] | None = None,
    known_cols: Hashable | Sequence[Hashable] | None = None,
    static_cols: Hashable | Sequence[Hashable] | None = None,
    static: object = None,
    known_interpolation: str = "previous",
) -> Schema:
    """Tell which columns of a frame are the series, the time and the targets.

    Names that are given win. Else the id is a column called ``unique_id``, ``item_id``,
    ``series_id``, ``id`` or ``group_id`` (none: the frame is one series), the time is ``ds``,
    ``timestamp``, ``time``, ``datetime``, ``date``, ``t`` or the only column of datetimes, and the
    target is ``y``, ``target`` or ``value``, or else every other column of numbers. A time index,
    alone or with the series before it, is read like columns.

    Parameters
    ----------
    df : DataFrame of pandas, polars or anything else narwhals reads
        One row for each observation.
    id_col, time_col : Hashable, optional
        Names of columns.
    target_cols : Hashable or sequence of Hashable, optional
        What to forecast.
    past_cols : Hashable or sequence of Hashable, optional
        Past covariates: observed like targets, read, and not to be forecast.
    known_cols : Hashable or sequence of Hashable, optional
        Known covariates: known ahead of time, such as an infusion rate or a calendar. NaN means
        *as before*.
    static_cols : Hashable or sequence of Hashable, optional
        Static covariates: what does not change in a series, as numbers, categories or text.
    static : DataFrame, optional
        A frame with one row for each series, and the static covariates in it; without
        `static_cols`, all columns but the id.
    known_interpolation : {"previous", "linear"}, default="previous"
        What lies between two values of a known covariate: the former, or a line.

    Returns
    -------
    Schema
        The columns, and the kind, unit and zone of the times.

    Raises
    ------
    FrameError
        If a column is missing, or could be several, or holds what it cannot hold.
    TypeError
        If `df` is no data frame.

    Warns
    -----
    LatentODEWarning
        Once, if columns that look like data are not used.

    Examples
    --------
    >>> df = pd.DataFrame({"id": ["a", "a", "b"], "time": [0.5, 2.0, 1.1], "hr": [71, 80, 64]})
    >>> infer_schema(df).guessed
    ("id_col='id'", "time_col='time'", "target_cols=['hr']")
    """
    rows = open_frame(df, id_col=id_col, time_col=time_col)
    id_found = _find_column(rows, "id_col", id_col, ID_NAMES)
    time_found = _find_time(rows, time_col, id_found)
    covariates = find_covariates(
        rows,
        id_found,
        past_cols=past_cols,
        known_cols=known_cols,
        static_cols=static_cols,
        static=static,
    )
    taken = {id_found, time_found, *covariates.columns}
    targets = _find_targets(rows, target_cols, taken)
    _refuse_two_roles(id_found, time_found, targets)
    times = read_times(rows.frame[time_found], place_of(rows, time_found, "time column", id_found))
    for target in targets:
        _refuse_as_target(rows, target, id_found)
    if id_found is None:
        _refuse_hidden_series(rows, times.values, {time_found, *targets, *covariates.columns})
    if target_cols is None:
        _warn_of_unused(rows, id_found, time_found, (*targets, *covariates.columns))
    given = {"id_col": id_col, "time_col": time_col, "target_cols": target_cols}
    found = {"id_col": id_found, "time_col": time_found, "target_cols": list(targets)}
    guessed = tuple(
        f"{argument}={as_code(column)}"
        for argument, column in found.items()
        if given[argument] is None and column is not None
    )
    schema = Schema(id_found, time_found, targets, times.kind, times.unit, times.zone, guessed)
    return with_covariates(schema, rows, covariates, known_interpolation)


def _find_column(
    rows: Rows, argument: str, given: Hashable | None, names: Sequence[str]
) -> Hashable | None:
    """Give the column for a role: the one named, else the only one with a usual name."""
    if given is not None:
        _refuse_unknown(rows, argument, given)
        return given
    hits = [name for name in names if name in list(rows.frame.columns)]
    _refuse_several(argument, hits)
    return hits[0] if hits else None


def _find_time(rows: Rows, given: Hashable | None, id_col: Hashable | None) -> Hashable:
    found = _find_column(rows, "time_col", given, TIME_NAMES)
    if found is not None:
        return found
    others = [c for c in rows.frame.columns if c != id_col]
    stamps = [c for c in others if holds_stamps(rows.frame[c])]
    _refuse_several("time_col", stamps)
    if stamps:
        return stamps[0]
    wanted = as_code(others[0]) if others else "..."
    raise FrameError(
        "E-TIME-COL",
        f"{rows.name} has no column called {listed(TIME_NAMES, 6)}, and none that holds "
        f"datetimes; it has {listed(rows.frame.columns)}.",
        f"LatentODEForecaster(time_col={wanted})  # or another column",
    )


def _find_targets(
    rows: Rows, given: Hashable | Sequence[Hashable] | None, taken: Collection[Hashable | None]
) -> tuple[Hashable, ...]:
    if given is not None:
        return _named_targets(rows, given)
    left = [c for c in rows.frame.columns if c not in taken]
    hits = [name for name in TARGET_NAMES if name in left]
    _refuse_several("target_cols", hits)
    targets = hits or [c for c in left if holds_numbers(rows.frame[c])]
    if not targets:
        raise _no_target(rows, left)
    return tuple(targets)


def _named_targets(rows: Rows, given: Hashable | Sequence[Hashable]) -> tuple[Hashable, ...]:
    columns = list(rows.frame.columns)
    label = isinstance(given, tuple) and given in columns
    one = label or isinstance(given, str) or not isinstance(given, Iterable)
    targets = (given,) if one else tuple(given)  # type: ignore[arg-type]
    if not targets:
        raise _no_target(rows, columns)
    for target in targets:
        _refuse_unknown(rows, "target_cols", target)
    return targets


def _refuse_two_roles(
    id_col: Hashable | None, time_col: Hashable, targets: tuple[Hashable, ...]
) -> None:
    roles = [c for c in (id_col, time_col, *targets) if c is not None]
    twice = [c for c in dict.fromkeys(roles) if roles.count(c) > 1]
    if not twice:
        return
    others = [c for c in targets if c not in (*twice, id_col, time_col)]
    wanted = as_code(others) if others else "..."
    raise FrameError(
        "E-ROLE-DUP",
        f"column {as_code(twice[0])} was given two roles: id_col={as_code(id_col)}, "
        f"time_col={as_code(time_col)}, target_cols={as_code(list(targets))}.",
        f"LatentODEForecaster(target_cols={wanted})  # each column once",
    )


def _refuse_as_target(rows: Rows, target: Hashable, id_col: Hashable | None) -> None:
    column = dense(rows.frame[target])
    place = place_of(rows, target, "target column", id_col)
    refuse_other_than_numbers(column, place)
    if not column.notna().any():
        what = f"{place.title} holds no number at all: {count(len(column), 'row')}, all missing."
        fix = f"{rows.before}{rows.name} = {rows.name}.drop(columns=[{as_code(target)}])"
        raise FrameError("E-TARGET-EMPTY", what, fix + "  # or name the others in target_cols")


def _refuse_hidden_series(rows: Rows, times: np.ndarray, taken: Collection[Hashable]) -> None:
    """Refuse rows that repeat times, if a column that nobody named sets them apart."""
    repeats = pd.Series(times).duplicated().to_numpy()
    if not repeats.any():
        return
    left = [c for c in rows.frame.columns if c not in taken]
    ids = [c for c in left if sets_apart(rows.frame[c], times)]
    if ids:
        place = place_of(rows, ids[0], "column")
        raise FrameError(
            "E-ID-MISSING",
            f"no id column was named or found, and {count(repeats.sum(), 'row')} repeat a time: "
            f"{name_rows(place, repeats)}; {place.title} looks like the id.",
            f"LatentODEForecaster(id_col={as_code(ids[0])})",
        )


def _warn_of_unused(
    rows: Rows, id_col: Hashable | None, time_col: Hashable, targets: tuple[Hashable, ...]
) -> None:
    """Name the columns that look like data, or like the id, and are not used."""
    left = [c for c in rows.frame.columns if c not in {id_col, time_col, *targets}]
    numbers = [c for c in left if holds_numbers(rows.frame[c])]
    almost = [c for c in left if c not in numbers and almost_holds_numbers(rows.frame[c])]
    ids = [c for c in left if id_col is None and c not in almost and groups_rows(rows.frame[c])]
    notes = []
    if numbers:
        notes.append(
            f"{listed(numbers)}: the target is {listed(targets)}; to forecast them all, "
            f"LatentODEForecaster(target_cols={as_code([*targets, *numbers])})"
        )
    notes += [f"{as_code(c)}: it does not hold numbers; {_as_numbers(rows, c)}" for c in almost]
    notes += [
        f"{as_code(c)}: if it tells series apart, LatentODEForecaster(id_col={as_code(c)})"
        for c in ids
    ]
    if notes:
        text = "\n- ".join(["columns that are not used:", *notes])
        warnings.warn(text, LatentODEWarning, stacklevel=3)


def _refuse_unknown(rows: Rows, argument: str, given: Hashable) -> None:
    columns = list(rows.frame.columns)
    if given in columns:
        return
    code = f"E-{argument.partition('_')[0].upper()}-COL"
    if argument == "id_col" and isinstance(given, list):
        parts = ", ".join(f"{rows.name}[{as_code(part)}]" for part in given)
        what = f"id_col is the name of one column, got the list {given}."
        fix = f"{rows.before}df['id'] = list(zip({parts})); LatentODEForecaster(id_col='id')"
        raise FrameError(code, what, fix)
    near = nearest(given, columns)
    name = "..." if near is None else as_code([near] if argument == "target_cols" else near)
    what = f"{argument}: {rows.name} has no column {as_code(given)}; it has {listed(columns)}."
    raise FrameError(code, what, f"LatentODEForecaster({argument}={name})")


def _refuse_several(argument: str, hits: Sequence[Hashable]) -> None:
    if len(hits) < 2:
        return
    role = argument.partition("_")[0]
    what = f"columns {listed(hits)} could each be the {role}: pass {argument}."
    fix = f"LatentODEForecaster({argument}={as_code(hits[0])})  # or {listed(hits[1:])}"
    raise FrameError(f"E-{role.upper()}-AMBIG", what, fix)


def _no_target(rows: Rows, left: Sequence[Hashable]) -> FrameError:
    almost = [c for c in left if almost_holds_numbers(rows.frame[c])]
    where = f"among {listed(left)}" if left else "beside the id and the time"
    fix = "LatentODEForecaster(target_cols=...)  # name a column of numbers"
    if almost:
        fix = _as_numbers(rows, almost[0])
    what = f"{rows.name} has no column of numbers to forecast {where}."
    return FrameError("E-TARGET-NONE", what, fix)


def _as_numbers(rows: Rows, column: Hashable) -> str:
    """Write the Python that turns a column into numbers."""
    return mend(place_of(rows, column, "column"), number_template(rows.frame[column]))
