"""Tell which columns of a caller's frame are the series, the time and the targets.

What comes from outside is checked once, before anything is trained or forecast. Nothing of the
caller's is changed or silently repaired: what cannot be read exactly is refused.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence

from latentode.data.columns import (
    ID_NAMES,
    TARGET_NAMES,
    TIME_NAMES,
    Schema,
    almost_holds_numbers,
    almost_holds_stamps,
    as_labels,
    dense,
    holds_numbers,
    holds_stamps,
    usual_names,
)
from latentode.data.errors import (
    FrameError,
    as_code,
    count,
    id_code,
    listed,
    nearest,
)
from latentode.data.levels import time_is_last
from latentode.data.noise import check_noise, noise_of_targets
from latentode.data.roles import find_covariates, with_covariates
from latentode.data.rows import Rows, open_frame, place_of
from latentode.data.times import read_times
from latentode.data.unused import as_numbers, refuse_hidden_series, warn_of_unused
from latentode.data.values import refuse_other_than_numbers


def infer_schema(
    df: object,
    *,
    id_col: Hashable | Sequence[Hashable] | None = None,
    time_col: Hashable | None = None,
    target_cols: Hashable | Sequence[Hashable] | None = None,
    past_cols: Hashable | Sequence[Hashable] | None = None,
    known_cols: Hashable | Sequence[Hashable] | None = None,
    static_cols: Hashable | Sequence[Hashable] | None = None,
    static: object = None,
    known_interpolation: str = "previous",
    noise_cols: Mapping[Hashable, Hashable] | None = None,
) -> Schema:
    """Tell which columns of a frame are the series, the time and the targets.

    Names that are given win. Else the id is a column called ``unique_id``, ``item_id``,
    ``series_id``, ``id`` or ``group_id`` (none: the frame is one series), the time is ``ds``,
    ``timestamp``, ``time``, ``datetime``, ``date``, ``t`` or the only column of datetimes, and the
    target is ``y``, ``target`` or ``value``, or else every other column of numbers. A time index
    is read like a column; where levels of an index stand before the time, they are the id.

    Parameters
    ----------
    df : DataFrame of pandas, polars or anything else narwhals reads, or Series of pandas
        One row for each observation; a Series has the times in its index.
    id_col : Hashable or sequence of Hashable, optional
        Name of the column that tells series apart, or names of several that do so together:
        ids are then tuples.
    time_col : Hashable, optional
        Name of the column of times.
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
    noise_cols : mapping of Hashable to Hashable, optional
        Known errors: of a target, the column with the standard deviations of its measurements.

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
    >>> import pandas as pd
    >>> df = pd.DataFrame({"id": ["a", "a", "b"], "time": [0.5, 2.0, 1.1], "hr": [71, 80, 64]})
    >>> infer_schema(df).guessed
    ("id_col='id'", "time_col='time'", "target_cols=['hr']")
    """
    rows = open_frame(df, id_col=id_col, time_col=time_col)
    ids = find_ids(rows, id_col, time_col)
    time = find_time(rows, time_col, ids)
    covariates = find_covariates(
        rows,
        ids,
        past_cols=past_cols,
        known_cols=known_cols,
        static_cols=static_cols,
        static=static,
    )
    noise = check_noise(noise_cols, rows)
    others = {*covariates.columns, *noise.values()}
    targets = _find_targets(rows, target_cols, {*ids, time, *others})
    _refuse_two_roles(ids, time, targets)
    times = read_times(rows.frame[time], place_of(rows, time, "time column", ids))
    for target in targets:
        _refuse_as_target(rows, target, ids)
    if not ids:
        refuse_hidden_series(rows, times.values, {time, *targets, *others})
    if target_cols is None:
        warn_of_unused(rows, ids, time, (*targets, *others))
    given = {"id_col": id_col, "time_col": time_col, "target_cols": target_cols}
    found = {
        "id_col": id_code(ids),
        "time_col": as_code(time),
        "target_cols": as_code(list(targets)),
    }
    guessed = tuple(
        f"{argument}={code}"
        for argument, code in found.items()
        if given[argument] is None and code != "None"
    )
    read = (times.kind, times.unit, times.zone)
    schema = Schema(ids, time, targets, *read, guessed, rows.backend)
    schema = schema._replace(noise_cols=noise_of_targets(noise, targets))
    return with_covariates(schema, rows, covariates, known_interpolation)


def find_ids(rows: Rows, given: object, time_col: Hashable | None) -> tuple[Hashable, ...]:
    """Give the columns of the series: those named, else the usual one or levels of the index."""
    named = as_labels(given, rows.frame.columns)
    if given is None:
        usual = tuple(_usual(rows, "id_col", ID_NAMES))
        before_time = rows.levels[:-1] if time_is_last(rows.frame, rows.levels, time_col) else ()
        return before_time if set(usual) <= set(before_time) else usual
    if not named:
        what = "id_col is an empty list; it is the name of a column, or of several."
        raise FrameError("E-ID-COL", what, "LatentODEForecaster(id_col=None)  # look for it")
    for column in named:
        refuse_unknown(rows, "id_col", column, named)
    return named


def _usual(
    rows: Rows, argument: str, names: Collection[str], indexed: Sequence[Hashable] = ()
) -> list[Hashable]:
    """Give the only column that is indexed or has a usual name for a role, if there is one."""
    hits = usual_names(rows.frame.columns, names)
    hits += [column for column in indexed if column not in hits]
    _refuse_several(argument, hits)
    return hits


def find_time(rows: Rows, given: Hashable | None, ids: tuple[Hashable, ...]) -> Hashable:
    """Give the column of the times: that named, else the usual one, or the only one of stamps."""
    if given is not None:
        refuse_unknown(rows, "time_col", given, (given,))
        return given
    indexed = [rows.levels[-1]] if time_is_last(rows.frame, rows.levels, None) else []
    usual = _usual(rows, "time_col", TIME_NAMES, indexed)
    if usual:
        return usual[0]
    others = [c for c in rows.frame.columns if c not in ids]
    stamps = [c for c in others if holds_stamps(rows.frame[c])]
    _refuse_several("time_col", stamps)
    if stamps:
        return stamps[0]
    likely = [c for c in others if almost_holds_stamps(rows.frame[c])] or others
    wanted = as_code(likely[0]) if likely else "..."
    raise FrameError(
        "E-TIME-COL",
        f"{rows.name} has no column called {listed(TIME_NAMES, 6)}, and none that holds "
        f"datetimes; it has {listed(rows.frame.columns)}.",
        f"LatentODEForecaster(time_col={wanted})  # or another column",
    )


def _find_targets(
    rows: Rows, given: Hashable | Sequence[Hashable] | None, taken: Collection[Hashable]
) -> tuple[Hashable, ...]:
    if given is not None:
        return _named_targets(rows, given)
    left = [c for c in rows.frame.columns if c not in taken]
    hits = usual_names(left, TARGET_NAMES)
    _refuse_several("target_cols", hits)
    targets = hits or [c for c in left if holds_numbers(rows.frame[c])]
    if not targets:
        raise _no_target(rows, left)
    return tuple(targets)


def _named_targets(rows: Rows, given: Hashable | Sequence[Hashable]) -> tuple[Hashable, ...]:
    targets = as_labels(given, rows.frame.columns)
    if not targets:
        raise _no_target(rows, list(rows.frame.columns))
    for target in targets:
        refuse_unknown(rows, "target_cols", target, targets)
    return targets


def _refuse_two_roles(
    ids: tuple[Hashable, ...], time: Hashable, targets: tuple[Hashable, ...]
) -> None:
    roles = [*ids, time, *targets]
    twice = [c for c in dict.fromkeys(roles) if roles.count(c) > 1]
    if not twice:
        return
    what = (
        f"column {as_code(twice[0])} was given two roles: id_col={id_code(ids)}, "
        f"time_col={as_code(time)}, target_cols={as_code(list(targets))}."
    )
    own = list(dict.fromkeys(c for c in ids if c != time))
    if own != list(ids):
        wanted = id_code(own) if own else "None"
        fix = f"LatentODEForecaster(id_col={wanted})  # each column once"
        raise FrameError("E-ROLE-DUP", what, fix)
    others = list(dict.fromkeys(c for c in targets if c not in (*ids, time)))
    wanted = as_code(others) if others else "..."
    fix = f"LatentODEForecaster(target_cols={wanted})  # each column once"
    raise FrameError("E-ROLE-DUP", what, fix)


def _refuse_as_target(rows: Rows, target: Hashable, ids: tuple[Hashable, ...]) -> None:
    column = dense(rows.frame[target])
    place = place_of(rows, target, "target column", ids)
    refuse_other_than_numbers(column, place)
    if not column.notna().any():
        what = f"{place.title} holds no number at all: {count(len(column), 'row')}, all missing."
        fix = f"{rows.before}{rows.name} = {rows.name}.drop(columns=[{as_code(target)}])"
        raise FrameError("E-TARGET-EMPTY", what, fix + "  # or name the others in target_cols")


def refuse_unknown(rows: Rows, argument: str, column: Hashable, named: Sequence[Hashable]) -> None:
    """Refuse a column of those named that is not there; the fix names the nearest instead."""
    columns = list(rows.frame.columns)
    if column in columns:
        return
    code = f"E-{argument.partition('_')[0].upper()}-COL"
    near = nearest(column, columns)
    meant = [near if c == column else c for c in named]
    wanted = as_code(meant) if argument == "target_cols" else id_code(meant)
    what = f"{argument}: {rows.name} has no column {as_code(column)}; it has {listed(columns)}."
    fix = f"LatentODEForecaster({argument}={'...' if near is None else wanted})"
    raise FrameError(code, what, fix)


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
        fix = as_numbers(rows, almost[0])
    what = f"{rows.name} has no column of numbers to forecast {where}."
    return FrameError("E-TARGET-NONE", what, fix)
