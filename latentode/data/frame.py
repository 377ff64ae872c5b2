"""Read a caller's frame: which column is what, its times and numbers, and what is wrong with it.

Everything that comes from outside is checked here, once, before anything is trained or forecast.
Nothing of the caller's is changed and nothing is silently repaired: what cannot be read exactly is
refused with a `FrameError` that says where, how often, and what to do.
"""

import datetime as dt
import difflib
import warnings
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd
from pandas.api.types import is_object_dtype

__all__ = [
    "FrameError",
    "LatentODEWarning",
    "Place",
    "Rows",
    "Schema",
    "Times",
    "canonical",
    "convert_times",
    "count",
    "infer_schema",
    "mend",
    "name_rows",
    "open_frame",
    "place_of",
    "plainly",
    "read_ids",
    "read_numbers",
    "read_times",
    "require_columns",
    "times_as_column",
]

TimeKind = Literal["datetime", "timedelta", "number"]
Reader = Callable[[pd.Series, "Place"], "Times"]

ID_NAMES = ("unique_id", "item_id", "series_id", "id", "group_id")
TIME_NAMES = ("ds", "timestamp", "time", "datetime", "date", "t")
TARGET_NAMES = ("y", "target", "value")
ONE_SERIES = 0  # the key of the only series of a frame without an id column
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
INT64 = np.iinfo(np.int64)
TEXT_SAMPLE = 1000  # so many values of a text column tell whether it holds numbers


class FrameError(ValueError):
    """Say what is wrong with a frame, where, and what to do about it.

    Parameters
    ----------
    code : str
        Stable name of the error, such as ``"E-TIME-NAT"``; docs/the-frame.md explains each.
    what : str
        What was expected and what came, with counts and the first row labels.
    fix : str
        What to do: most often Python to paste, for a frame called ``df``.

    Examples
    --------
    >>> print(FrameError("E-EMPTY", "df has no rows.", "df = pd.read_csv(path)"))
    df has no rows.
    Fix: df = pd.read_csv(path)  [E-EMPTY]
    """

    def __init__(self, code: str, what: str, fix: str) -> None:
        super().__init__(code, what, fix)  # all three, so that it can be sent between processes
        self.code = code
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\nFix: {self.fix}  [{self.code}]"


class LatentODEWarning(UserWarning):
    """Warn of something that is allowed, but may not be what was meant."""


class Schema(NamedTuple):
    """What the columns of a frame are; made in fit and kept for every later frame."""

    id_col: Hashable | None
    """Column that tells the series apart; None if the frame is one series."""
    time_col: Hashable
    target_cols: tuple[Hashable, ...]
    time_kind: TimeKind
    time_unit: str | None
    """Unit of the exact integer times, "s", "ms", "us" or "ns"; None for numbers."""
    time_zone: str | None
    """Zone to give times back in ("UTC" if theirs has no name); None if they had none."""
    guessed: tuple[str, ...]
    """The arguments that were inferred, such as "id_col='patient'"."""


class Rows(NamedTuple):
    """The rows of a caller's frame with id and time as columns, and how Python names them."""

    frame: pd.DataFrame
    """Its index holds the caller's row labels."""
    name: str
    """The variable that a fix speaks of: "df" or "times"."""
    before: str
    """Python that a fix has to begin with, such as "df = df.reset_index(); "."""


class Place(NamedTuple):
    """Where values stand in what the caller gave, for errors and their fixes."""

    title: str
    """What to call them: "time column 'ds'"."""
    labels: pd.Index
    """The caller's label of each row."""
    series: pd.Series | None
    """The series each row belongs to, where that is known."""
    name: str
    """The caller's variable."""
    column: Hashable | None
    """Its column; None if the variable itself is the list of values."""
    before: str


class Times(NamedTuple):
    """Times as they were read: exact integers in the column's own unit, or numbers."""

    values: np.ndarray
    kind: TimeKind
    unit: str | None
    zone: str | None


def infer_schema(
    df: object,
    *,
    id_col: Hashable | None = None,
    time_col: Hashable | None = None,
    target_cols: Hashable | Sequence[Hashable] | None = None,
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
    targets = _find_targets(rows, target_cols, {id_found, time_found})
    _refuse_two_roles(id_found, time_found, targets)
    times = read_times(*_column(rows, time_found, "time column", id_found))
    for target in targets:
        _refuse_as_target(*_column(rows, target, "target column", id_found))
    if id_found is None:
        _refuse_hidden_series(rows, times.values, {time_found, *targets})
    if target_cols is None:
        _warn_of_unused(rows, id_found, {id_found, time_found, *targets}, targets)
    guessed = _guesses(
        {"id_col": (id_col, id_found), "time_col": (time_col, time_found)},
        None if target_cols is not None else targets,
    )
    return Schema(id_found, time_found, targets, times.kind, times.unit, times.zone, guessed)


def open_frame(
    df: object, *, id_col: Hashable | None, time_col: Hashable | None, name: str = "df"
) -> Rows:
    """Give the rows of any data frame as pandas, with a time index turned into columns.

    Parameters
    ----------
    df : DataFrame of pandas, polars or anything else narwhals reads
        The caller's frame; it is not changed.
    id_col, time_col : Hashable or None
        Names of columns, as far as they are known: unnamed levels of the index get them.
    name : str, default "df"
        What a fix calls the frame.

    Returns
    -------
    Rows
        At least one row, with unique column names, labelled as the caller labelled them.

    Raises
    ------
    FrameError
        If it has no rows, or two columns of one name.
    TypeError
        If `df` is no data frame.

    Examples
    --------
    >>> df = pd.DataFrame({"hr": [71.0]}, index=pd.to_datetime(["2024-01-01"]))
    >>> list(open_frame(df, id_col=None, time_col=None).frame.columns)
    ['time', 'hr']
    """
    frame, before = _to_pandas(df, name)
    _refuse_column_names(frame, name, before)
    if not len(frame):
        raise FrameError(
            "E-EMPTY",
            f"{name} has no rows; columns: {_listed(frame.columns)}.",
            "give at least one row",
        )
    levels, renamed = _levels_to_read(frame, id_col, time_col)
    if not levels:
        return Rows(frame, name, before)
    _refuse_level_names(frame, list(levels), name)
    wide = frame.copy(deep=False)
    for position, (label, level) in enumerate(levels.items()):
        wide.insert(position, label, level)
    return Rows(wide, name, f"{before}{name} = {name}.reset_index(names={_code(renamed)}); ")


def require_columns(rows: Rows, schema: Schema, *, targets: bool) -> None:
    """Refuse rows that lack a column of the schema.

    Parameters
    ----------
    rows : Rows
        The rows of a frame that came after fit.
    schema : Schema
        The columns of the frame in fit.
    targets : bool
        Whether the targets must be there too.

    Raises
    ------
    FrameError
        For the first column that is missing.

    Examples
    --------
    >>> schema = Schema(None, "t", ("y",), "number", None, None, ())
    >>> rows = open_frame(pd.DataFrame({"T": [1.0]}), id_col=None, time_col="t")
    >>> require_columns(rows, schema, targets=False)
    Traceback (most recent call last):
    latentode.data.frame.FrameError: df has no column 't', the time column in fit; it has 'T'.
    Fix: df = df.rename(columns={'T': 't'})  [E-TIME-COL]
    """
    wanted = [(schema.time_col, "E-TIME-COL", "the time column")]
    if schema.id_col is not None:
        wanted.insert(0, (schema.id_col, "E-ID-COL", "the id column"))
    if targets:
        wanted += [(target, "E-TARGET-COL", "a target") for target in schema.target_cols]
    columns = list(rows.frame.columns)
    for column, code, role in wanted:
        if column not in columns:
            what = f"{rows.name} has no column {_code(column)}, {role} in fit"
            raise FrameError(code, f"{what}; it has {_listed(columns)}.", _rename(rows, column))


def place_of(rows: Rows, column: Hashable, role: str, id_col: Hashable | None = None) -> Place:
    """Tell how to point at a column of a frame.

    Parameters
    ----------
    rows : Rows
        The rows of the frame.
    column : Hashable
        A column of it.
    role : str
        What to call it, such as "time column".
    id_col : Hashable, optional
        The column that names the series of each row.

    Returns
    -------
    Place
        For errors and fixes.

    Examples
    --------
    >>> rows = open_frame(pd.DataFrame({"t": [1.0]}), id_col=None, time_col=None)
    >>> place_of(rows, "t", "time column").title
    "time column 't'"
    """
    series = None if id_col is None else rows.frame[id_col]
    title = f"{role} {_code(column)}"
    return Place(title, rows.frame.index, series, rows.name, column, rows.before)


def mend(place: Place, template: str) -> str:
    """Write the Python that puts something else in a column's place.

    Parameters
    ----------
    place : Place
        The column.
    template : str
        An expression in which ``{0}`` stands for the column.

    Returns
    -------
    str
        An assignment to paste.

    Examples
    --------
    >>> rows = open_frame(pd.DataFrame({"t": [1.0]}), id_col=None, time_col=None)
    >>> mend(place_of(rows, "t", "time column"), "{0} / 3600")
    "df['t'] = df['t'] / 3600"
    """
    target = place.name if place.column is None else f"{place.name}[{_code(place.column)}]"
    return f"{place.before}{target} = {template.format(_expression(place))}"


def name_rows(place: Place, bad: np.ndarray) -> str:
    """Name the first rows of those that are bad, each with its series.

    Parameters
    ----------
    place : Place
        Where the rows are.
    bad : ndarray of bool of shape (N,)
        True for the rows to name.

    Returns
    -------
    str
        At most three rows, and how many there are if there are more.

    Examples
    --------
    >>> rows = open_frame(pd.DataFrame({"t": [1.0] * 5}), id_col=None, time_col=None)
    >>> name_rows(place_of(rows, "t", "time column"), np.full(5, True))
    'row 0, row 1, row 2, ... (5 in all)'
    """
    at = np.flatnonzero(bad)
    shown = [f"row {plainly(place.labels[i])}" for i in at[:3]]
    if place.series is not None:
        keys = place.series.iloc[at[:3]]
        shown = [f"{row} (series {plainly(key)})" for row, key in zip(shown, keys, strict=True)]
    return ", ".join(shown) + (f", ... ({len(at)} in all)" if len(at) > 3 else "")


def plainly(label: object) -> str:
    """Print a label of the caller's as they would write it.

    Parameters
    ----------
    label : object
        A row label, the key of a series or a time.

    Returns
    -------
    str
        Without the type that ``repr`` shows for the scalars of numpy.

    Examples
    --------
    >>> plainly((np.int64(3), "a"))
    '(3, a)'
    """
    if isinstance(label, tuple):
        return f"({', '.join(plainly(part) for part in label)})"
    return str(label)


def count(n: int, noun: str) -> str:
    """Say how many of something there are.

    Parameters
    ----------
    n : int
        How many.
    noun : str
        Of what, in the singular.

    Returns
    -------
    str
        Number and noun.

    Examples
    --------
    >>> count(2, "row")
    '2 rows'
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def canonical(ids: Iterable[Hashable]) -> tuple[Hashable, ...]:
    """Put ids in an order that depends on nothing but the ids.

    Parameters
    ----------
    ids : iterable of Hashable
        Distinct ids in any order.

    Returns
    -------
    tuple of Hashable
        Sorted if they can be compared, else by the name of their type and their text.

    Examples
    --------
    >>> canonical(["b", 10, "a", 9])
    (10, 9, 'a', 'b')
    """
    # Sorted by text first, so that ids with a partial order, such as frozensets, end up the same.
    by_text = sorted(ids, key=lambda key: (type(key).__name__, str(key)))
    try:
        return tuple(sorted(by_text))  # type: ignore[type-var]
    except TypeError:
        return tuple(by_text)


def read_ids(column: pd.Series, place: Place) -> tuple[np.ndarray, tuple[Hashable, ...]]:
    """Give the series of each row, and the distinct ids.

    Parameters
    ----------
    column : Series of shape (N,)
        The id column.
    place : Place
        Where it stands.

    Returns
    -------
    codes : ndarray of int64 of shape (N,)
        Position of each row's id in `ids`.
    ids : tuple of Hashable
        The distinct ids in canonical order.

    Raises
    ------
    FrameError
        If an id is missing or cannot be hashed.

    Examples
    --------
    >>> rows = open_frame(pd.DataFrame({"id": ["b", "a", "b"]}), id_col="id", time_col=None)
    >>> read_ids(rows.frame["id"], place_of(rows, "id", "id column"))
    (array([1, 0, 1]), ('a', 'b'))
    """
    column = _dense(column)
    _refuse_missing(column, place, "E-ID-NA")
    try:
        first_seen, distinct = pd.factorize(column)
    except TypeError:
        raise FrameError(
            "E-ID-TYPE",
            f"{place.title} holds {type(column.iloc[0]).__name__} values, which cannot be "
            f"compared or hashed: {name_rows(place, np.arange(len(column)) == 0)}.",
            mend(place, "{0}.map(str)"),
        ) from None
    seen = [_python_scalar(key) for key in distinct.tolist()]
    ids = canonical(seen)
    position = {key: i for i, key in enumerate(ids)}
    rank = np.array([position[key] for key in seen], dtype="int64")
    return rank[first_seen], ids


def read_numbers(column: pd.Series, place: Place) -> np.ndarray:
    """Read a target.

    Parameters
    ----------
    column : Series of shape (N,)
        Numbers of any dtype; missing means not measured.
    place : Place
        Where it stands.

    Returns
    -------
    ndarray of float64 of shape (N,)
        NaN where nothing was measured.

    Raises
    ------
    FrameError
        If it holds something else than numbers, or infinity.

    Examples
    --------
    >>> df = pd.DataFrame({"y": [1, None]}, dtype="Int64")
    >>> rows = open_frame(df, id_col=None, time_col=None)
    >>> read_numbers(rows.frame["y"], place_of(rows, "y", "target column"))
    array([ 1., nan])
    """
    column = _dense(column)
    _refuse_other_than_numbers(column, place)
    values = column.to_numpy("float64", na_value=np.nan)
    infinite = np.isinf(values)
    if infinite.any():
        raise FrameError(
            "E-VALUE-INF",
            f"{place.title} has {count(infinite.sum(), 'infinite value')}: "
            f"{name_rows(place, infinite)}.",
            mend(place, "{0}.replace([np.inf, -np.inf], np.nan)") + "  # NaN: not measured",
        )
    return values


def read_times(column: pd.Series, place: Place) -> Times:
    """Read a time column exactly, in its own unit.

    Parameters
    ----------
    column : Series of shape (N,)
        Datetimes of any unit and zone, dates, periods (their start), timedeltas or numbers.
    place : Place
        Where it stands.

    Returns
    -------
    Times
        int64 of shape (N,) in the unit of the column, or float64.

    Raises
    ------
    FrameError
        If a time is missing, infinite or out of range, or is text or of any other type, or if the
        zones are mixed.

    Examples
    --------
    >>> day = pd.Series(np.array(["3000-01-01"], "datetime64[s]"))
    >>> rows = open_frame(pd.DataFrame({"ds": day}), id_col=None, time_col=None)
    >>> read_times(rows.frame["ds"], place_of(rows, "ds", "time column"))
    Times(values=array([32503680000]), kind='datetime', unit='s', zone=None)
    """
    column = _dense(column)
    _refuse_missing(column, place, "E-TIME-NAT")
    reader = _reader(column.dtype)
    if reader is None:
        raise _wrong_type_of_time(column, place)
    return reader(column, place)


def convert_times(times: Times, schema: Schema, place: Place) -> np.ndarray:
    """Give times in the unit of the schema, to the last digit.

    Parameters
    ----------
    times : Times
        Times as they were read, N of them.
    schema : Schema
        The times of fit.
    place : Place
        Where they stand.

    Returns
    -------
    ndarray of shape (N,)
        int64 in the unit of the schema; for numbers, int64 or float64 as they came.

    Raises
    ------
    FrameError
        If they are of another kind, if one side has a zone and the other none, or if the unit of
        the schema cannot hold them exactly.

    Examples
    --------
    >>> schema = Schema(None, "ds", ("y",), "datetime", "ms", None, ())
    >>> rows = open_frame(pd.DataFrame({"ds": [0.0]}), id_col=None, time_col=None)
    >>> seconds = Times(np.array([1, 2]), "datetime", "s", None)
    >>> convert_times(seconds, schema, place_of(rows, "ds", "time column"))
    array([1000, 2000])
    """
    if times.kind != schema.time_kind:
        raise FrameError(
            "E-TIME-KIND",
            f"{place.title} holds {times.kind}s, but the model was fitted on {schema.time_kind}s, "
            f"in column {_code(schema.time_col)}.",
            mend(place, _KIND_FIXES[times.kind, schema.time_kind]),
        )
    _refuse_other_zone(times, schema, place)
    if times.unit is None or schema.time_unit is None:
        return times.values
    return _rescale(times, schema.time_unit, place)


def times_as_column(times: np.ndarray, schema: Schema) -> pd.Series:
    """Turn times back into a column like the caller's.

    Parameters
    ----------
    times : ndarray of shape (N,)
        Times in the unit of the schema.
    schema : Schema
        Kind, unit and zone.

    Returns
    -------
    Series of shape (N,)
        Datetimes in the zone of the schema, timedeltas or numbers.

    Examples
    --------
    >>> schema = Schema(None, "ds", ("y",), "datetime", "s", "Europe/Paris", ())
    >>> times_as_column(np.array([0]), schema).iloc[0]
    Timestamp('1970-01-01 01:00:00+0100', tz='Europe/Paris')
    """
    if schema.time_kind == "number":
        return pd.Series(times)
    if schema.time_kind == "timedelta":
        return pd.Series(times.view(f"m8[{schema.time_unit}]"))
    stamps: Any = pd.Series(times.view(f"M8[{schema.time_unit}]"))
    if schema.time_zone is None:
        return stamps
    return stamps.dt.tz_localize("UTC").dt.tz_convert(schema.time_zone)


def _to_pandas(df: object, name: str) -> tuple[pd.DataFrame, str]:
    """Give a pandas frame, and the Python that turns the caller's frame into one."""
    if isinstance(df, pd.DataFrame):
        return df, ""
    try:
        table = nw.from_native(df, eager_only=True)  # type: ignore[call-overload]
    except TypeError:
        hint = (
            "Call .collect() on it first."
            if hasattr(df, "collect")
            else "From arrays: pd.DataFrame({'id': ids, 'time': times, 'y': values})."
        )
        raise TypeError(
            f"{name} must be a data frame with one row for each observation, "
            f"got {type(df).__name__}. {hint}"
        ) from None
    # Column by column, because polars needs pyarrow for a whole frame.
    frame = pd.DataFrame({c: _column_to_pandas(table[c]) for c in table.columns})
    if table.implementation.is_polars():
        return frame, f"{name} = pd.DataFrame({name}.to_dict(as_series=False)); "
    return frame, f"{name} = {name}.to_pandas(); "


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
            f"{_listed(frame.columns)}; one name for each column is wanted.",
            f"{before}{name}.columns = ['_'.join(map(str, c)).strip('_') for c in {name}.columns]",
        )
    repeated = frame.columns[frame.columns.duplicated()].unique()
    if len(repeated):
        raise FrameError(
            "E-COLS-DUP",
            f"{name} has several columns of the same name: {_listed(repeated)}.",
            f"{before}{name} = {name}.loc[:, ~{name}.columns.duplicated()]  # keeps the first",
        )


def _levels_to_read(
    frame: pd.DataFrame, id_col: Hashable | None, time_col: Hashable | None
) -> tuple[dict[Hashable, pd.Index], list[Hashable]]:
    """Give the levels of the index that hold data, by name, and a name for every level."""
    index, columns = frame.index, list(frame.columns)
    if index.nlevels == 1 and not _index_is_data(index, (id_col, time_col)):
        return {}, []
    usual = ["id" if id_col is None else id_col, "time" if time_col is None else time_col]
    # A level without a name is not needed where the column of its role was named and is there.
    needed = [col is None or col not in columns for col in (id_col, time_col)]
    if index.nlevels == 1:
        usual, needed = usual[1:], needed[1:]
    if index.nlevels > 2:
        usual, needed = [f"level_{i}" for i in range(index.nlevels)], [False] * index.nlevels
    names = [usual[i] if name is None else name for i, name in enumerate(index.names)]
    levels = {
        names[i]: index.get_level_values(i)
        for i, name in enumerate(index.names)
        if name is not None or needed[i]
    }
    return levels, names


def _index_is_data(index: pd.Index, given: tuple[Hashable | None, ...]) -> bool:
    """Tell a time index from mere row labels."""
    if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex | pd.PeriodIndex):
        return True
    return index.name is not None and index.name in (*given, *ID_NAMES, *TIME_NAMES)


def _refuse_level_names(frame: pd.DataFrame, names: list[Hashable], name: str) -> None:
    both = [label for label in names if label in list(frame.columns)]
    if both:
        raise FrameError(
            "E-COLS-DUP",
            f"names that are both in the index and among the columns of {name}: {_listed(both)}.",
            f"{name} = {name}.reset_index(drop=True)  # forgets the index",
        )


def _find_column(
    rows: Rows, argument: str, given: Hashable | None, names: Sequence[str]
) -> Hashable | None:
    """Give the column for a role: the one named, else the only one with a usual name."""
    columns = list(rows.frame.columns)
    if given is not None:
        if given not in columns:
            raise _not_a_column(rows, argument, given)
        return given
    hits = [name for name in names if name in columns]
    if len(hits) > 1:
        raise _ambiguous(argument, hits)
    return hits[0] if hits else None


def _find_time(rows: Rows, given: Hashable | None, id_col: Hashable | None) -> Hashable:
    found = _find_column(rows, "time_col", given, TIME_NAMES)
    if found is not None:
        return found
    others = [c for c in rows.frame.columns if c != id_col]
    stamps = [c for c in others if _holds_stamps(rows.frame[c])]
    if len(stamps) > 1:
        raise _ambiguous("time_col", stamps)
    if not stamps:
        raise FrameError(
            "E-TIME-COL",
            f"{rows.name} has no column called {_listed(TIME_NAMES, 6)}, and none that holds "
            f"datetimes; it has {_listed(rows.frame.columns)}.",
            f"LatentODEForecaster(time_col={_code(others[0]) if others else '...'})"
            "  # or another column",
        )
    return stamps[0]


def _find_targets(
    rows: Rows, given: Hashable | Sequence[Hashable] | None, taken: Collection[Hashable | None]
) -> tuple[Hashable, ...]:
    if given is not None:
        return _named_targets(rows, given)
    left = [c for c in rows.frame.columns if c not in taken]
    hits = [name for name in TARGET_NAMES if name in left]
    if len(hits) > 1:
        raise _ambiguous("target_cols", hits)
    targets = hits or [c for c in left if _holds_numbers(rows.frame[c])]
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
        if target not in columns:
            raise _not_a_column(rows, "target_cols", target)
    return targets


def _refuse_two_roles(
    id_col: Hashable | None, time_col: Hashable, targets: tuple[Hashable, ...]
) -> None:
    roles = [c for c in (id_col, time_col, *targets) if c is not None]
    twice = [c for c in dict.fromkeys(roles) if roles.count(c) > 1]
    if not twice:
        return
    others = [c for c in targets if c not in (*twice, id_col, time_col)]
    wanted = _code(others) if others else "..."
    raise FrameError(
        "E-ROLE-DUP",
        f"column {_code(twice[0])} was given two roles: id_col={_code(id_col)}, "
        f"time_col={_code(time_col)}, target_cols={_code(list(targets))}.",
        f"LatentODEForecaster(target_cols={wanted})  # each column once",
    )


def _refuse_as_target(column: pd.Series, place: Place) -> None:
    column = _dense(column)
    _refuse_other_than_numbers(column, place)
    if not column.notna().any():
        raise FrameError(
            "E-TARGET-EMPTY",
            f"{place.title} holds no number at all: {count(len(column), 'row')}, all missing.",
            f"{place.before}{place.name} = {place.name}.drop(columns=[{_code(place.column)}])"
            "  # or name the others in target_cols",
        )


def _refuse_hidden_series(rows: Rows, times: np.ndarray, taken: Collection[Hashable]) -> None:
    """Refuse rows that repeat times, if a column that nobody named sets them apart."""
    repeats = pd.Series(times).duplicated()
    if not repeats.any():
        return
    left = [c for c in rows.frame.columns if c not in taken]
    ids = [c for c in left if _sets_apart(rows.frame[c], times)]
    if ids:
        bad = place_of(rows, ids[0], "column")
        raise FrameError(
            "E-ID-MISSING",
            f"no id column was named or found, and {count(repeats.sum(), 'row')} repeat a time: "
            f"{name_rows(bad, repeats.to_numpy())}; column {_code(ids[0])} looks like the id.",
            f"LatentODEForecaster(id_col={_code(ids[0])})",
        )


def _sets_apart(column: pd.Series, times: np.ndarray) -> bool:
    """Tell whether a column of text, categories or integers makes (it, time) unique."""
    column = _dense(column)
    if column.dtype.kind not in "Oiu" or isinstance(column.dtype, pd.PeriodDtype):
        return False
    try:
        codes, _ = pd.factorize(column)
    except TypeError:
        return False
    return not pd.DataFrame({"id": codes, "time": times}).duplicated().any()


def _warn_of_unused(
    rows: Rows,
    id_col: Hashable | None,
    used: Collection[Hashable | None],
    targets: tuple[Hashable, ...],
) -> None:
    """Name the columns that look like data, or like the id, and are not used."""
    left = [c for c in rows.frame.columns if c not in used]
    numbers = [c for c in left if _holds_numbers(rows.frame[c])]
    almost = [c for c in left if c not in numbers and _almost_numbers(rows.frame[c])]
    ids = [] if id_col is not None else [c for c in left if _groups_rows(rows.frame[c])]
    notes = []
    if numbers:
        wanted = _code([*targets, *numbers])
        notes.append(
            f"{_listed(numbers)}: the target is {_listed(targets)}; to forecast them all, "
            f"LatentODEForecaster(target_cols={wanted})"
        )
    notes += [
        f"{_code(c)}: it does not hold numbers; "
        + mend(place_of(rows, c, "column"), _number_template(rows.frame[c]))
        for c in almost
    ]
    notes += [
        f"{_code(c)}: if it tells series apart, LatentODEForecaster(id_col={_code(c)})"
        for c in ids
        if c not in almost
    ]
    if notes:
        text = "\n- ".join(["columns that are not used:", *notes])
        warnings.warn(text, LatentODEWarning, stacklevel=3)


def _guesses(
    columns: dict[str, tuple[Hashable | None, Hashable | None]],
    targets: tuple[Hashable, ...] | None,
) -> tuple[str, ...]:
    found = [
        f"{argument}={_code(column)}"
        for argument, (given, column) in columns.items()
        if given is None and column is not None
    ]
    return tuple(found if targets is None else [*found, f"target_cols={_code(list(targets))}"])


def _not_a_column(rows: Rows, argument: str, given: Hashable) -> FrameError:
    code = _ROLE_CODES[argument] + "-COL"
    columns = list(rows.frame.columns)
    if argument == "id_col" and isinstance(given, list):
        parts = ", ".join(f"{rows.name}[{_code(part)}]" for part in given)
        return FrameError(
            code,
            f"id_col is the name of one column, got the list {given}.",
            f"{rows.before}df['id'] = list(zip({parts})); LatentODEForecaster(id_col='id')",
        )
    near = _nearest(given, columns)
    name = "..." if near is None else _code([near] if argument == "target_cols" else near)
    return FrameError(
        code,
        f"{argument}: {rows.name} has no column {_code(given)}; it has {_listed(columns)}.",
        f"LatentODEForecaster({argument}={name})",
    )


def _ambiguous(argument: str, hits: Sequence[Hashable]) -> FrameError:
    role = {"id_col": "the id", "time_col": "the time", "target_cols": "the target"}[argument]
    return FrameError(
        _ROLE_CODES[argument] + "-AMBIG",
        f"columns {_listed(hits)} could each be {role}: pass {argument}.",
        f"LatentODEForecaster({argument}={_code(hits[0])})  # or {_listed(hits[1:])}",
    )


def _no_target(rows: Rows, left: Sequence[Hashable]) -> FrameError:
    almost = [c for c in left if _almost_numbers(rows.frame[c])]
    return FrameError(
        "E-TARGET-NONE",
        f"{rows.name} has no column of numbers to forecast"
        + (f" among {_listed(left)}." if left else " beside the id and the time."),
        mend(place_of(rows, almost[0], "column"), _number_template(rows.frame[almost[0]]))
        if almost
        else "LatentODEForecaster(target_cols=...)  # name a column of numbers",
    )


def _rename(rows: Rows, column: Hashable) -> str:
    """Write the Python that gives a column the name it had in fit, if one is close."""
    near = _nearest(column, list(rows.frame.columns))
    if near is None:
        return f"{rows.name}[{_code(column)}] = ...  # as in the frame that was fitted"
    renamed = f"{rows.name}.rename(columns={{{_code(near)}: {_code(column)}}})"
    return f"{rows.before}{rows.name} = {renamed}"


def _nearest(column: object, columns: Sequence[Hashable]) -> Hashable | None:
    by_text = {str(c).lower(): c for c in reversed(columns)}
    near = difflib.get_close_matches(str(column).lower(), list(by_text), n=1)
    return by_text[near[0]] if near else None


def _column(
    rows: Rows, column: Hashable, role: str, id_col: Hashable | None
) -> tuple[pd.Series, Place]:
    return rows.frame[column], place_of(rows, column, role, id_col)


def _code(label: object) -> str:
    """Write a label as Python."""
    return repr(_python_scalar(label))


def _listed(labels: Iterable[object], most: int = 5) -> str:
    labels = list(labels)
    shown = ", ".join(_code(label) for label in labels[:most])
    return shown + (f", ... ({len(labels)} in all)" if len(labels) > most else "")


def _python_scalar(label: Hashable) -> Hashable:
    """Give the number or text inside a scalar of numpy's, so that it prints and saves plainly."""
    if isinstance(label, np.generic) and not isinstance(label, np.datetime64 | np.timedelta64):
        return label.item()
    return label


def _expression(place: Place) -> str:
    """Write the Python for a column, as a Series."""
    if place.column is None:
        return f"pd.Series({place.name})"
    return f"{place.name}[{_code(place.column)}]"


def _keep(place: Place, template: str) -> str:
    """Write the Python that keeps only the rows for which a condition holds."""
    everything = f"pd.Series({place.name})" if place.column is None else place.name
    condition = template.format(_expression(place))
    return f"{place.before}{place.name} = {everything}[{condition}]"


def _refuse_missing(column: pd.Series, place: Place, code: str) -> None:
    missing = column.isna().to_numpy(dtype=bool)
    if missing.any():
        raise FrameError(
            code,
            f"{place.title} has {count(missing.sum(), 'missing value')}: "
            f"{name_rows(place, missing)}.",
            _keep(place, "{0}.notna()"),
        )


def _dense(column: pd.Series) -> pd.Series:
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


def _types(column: pd.Series) -> set[type]:
    return {type(value) for value in column[column.notna()]}


def _are_numbers(types: Collection[type], also: tuple[type, ...] = ()) -> bool:
    """Tell whether values of these types are real numbers; bool and timedelta64 are not."""
    real = (int, float, np.integer, np.floating, *also)
    return all(issubclass(t, real) and t not in {bool, np.timedelta64} for t in types)


def _holds_numbers(column: pd.Series) -> bool:
    """Tell whether a column is one to forecast; a complex one is, to be refused by name."""
    column = _dense(column)
    if is_object_dtype(column.dtype):
        types = _types(column)
        return bool(types) and _are_numbers(types, (Decimal,))
    return not isinstance(column.dtype, pd.PeriodDtype) and column.dtype.kind in "iufc"


def _holds_stamps(column: pd.Series) -> bool:
    column = _dense(column)
    if is_object_dtype(column.dtype):
        types = _types(column)
        return bool(types) and all(issubclass(t, dt.date | np.datetime64) for t in types)
    return isinstance(column.dtype, pd.PeriodDtype) or column.dtype.kind == "M"


def _almost_numbers(column: pd.Series) -> bool:
    """Tell whether a column holds true and false, or mostly numbers written as text."""
    column = _dense(column)
    if column.dtype.kind == "b":
        return True
    if column.dtype.kind != "O" or _holds_stamps(column):
        return False
    present = column[column.notna()].iloc[:TEXT_SAMPLE].astype(str)
    numbers = pd.to_numeric(present, errors="coerce").notna()
    return len(numbers) > 0 and bool(numbers.mean() > 0.5)


def _groups_rows(column: pd.Series) -> bool:
    """Tell whether a column of text or categories has several values, and repeats them."""
    if column.dtype.kind != "O" or _holds_stamps(column):
        return False
    try:
        return 1 < column.nunique() < len(column)
    except TypeError:
        return False


def _refuse_other_than_numbers(column: pd.Series, place: Place) -> None:
    dtype = column.dtype
    if dtype.kind in "iuf":
        return
    if is_object_dtype(dtype) and _are_numbers(_types(column), (Decimal,)):
        return
    bad = column.notna().to_numpy(dtype=bool)
    if is_object_dtype(dtype):
        number = column.map(lambda value: _are_numbers({type(value)}, (Decimal,)))
        bad = bad & ~number.to_numpy(dtype=bool)
    such = f" such as {plainly(column[bad].iloc[0])}: {name_rows(place, bad)}" if bad.any() else ""
    raise FrameError(
        "E-TARGET-DTYPE",
        f"{place.title} must hold numbers; it has dtype {dtype}, with "
        f"{count(int(bad.sum()), 'other value')}{such}.",
        mend(place, _number_template(column)),
    )


def _number_template(column: pd.Series) -> str:
    """Write how a column of something else can become numbers."""
    column = _dense(column)
    kind = column.dtype.kind
    if kind in _NUMBER_FIXES:
        return _NUMBER_FIXES[kind]
    if is_object_dtype(column.dtype) and _types(column) <= {bool}:
        return "{0}.astype('float64')"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "pd.to_numeric({0}.astype(object), errors='coerce')"
    return "pd.to_numeric({0}, errors='coerce')  # NaN where it is no number"


def _reader(dtype: Any) -> Reader | None:  # noqa: ANN401  pandas has no public type for any dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return None
    return _read_periods if isinstance(dtype, pd.PeriodDtype) else _READERS.get(dtype.kind)


def _read_stamps(column: pd.Series, place: Place) -> Times:
    zone = column.dt.tz
    return Times(
        column.astype("int64").to_numpy(),
        "datetime",
        column.dt.unit,
        None if zone is None else _zone_name(zone),
    )


def _read_spans(column: pd.Series, place: Place) -> Times:
    return Times(column.astype("int64").to_numpy(), "timedelta", column.dt.unit, None)


def _read_periods(column: pd.Series, place: Place) -> Times:
    """Read the start of each period: its ordinal at the frequency of its unit is exact."""
    periods = pd.PeriodIndex(column)
    unit = periods.freqstr if periods.freqstr in UNITS else "s"
    starts = periods.asfreq(unit, how="START").astype("int64").to_numpy()
    return Times(starts, "datetime", unit, None)


def _read_integers(column: pd.Series, place: Place) -> Times:
    large = column.to_numpy() > INT64.max if column.dtype.kind == "u" else np.zeros(1, bool)
    if large.any():
        raise _out_of_range(place, large, "64-bit integers", mend(place, _COUNT_FROM_FIRST))
    return Times(column.to_numpy("int64"), "number", None, None)


def _read_floats(column: pd.Series, place: Place) -> Times:
    values = column.to_numpy("float64")
    infinite = ~np.isfinite(values)
    if infinite.any():
        raise FrameError(
            "E-TIME-NAT",
            f"{place.title} has {count(infinite.sum(), 'infinite value')}: "
            f"{name_rows(place, infinite)}.",
            _keep(place, "np.isfinite({0})"),
        )
    return Times(values, "number", None, None)


def _read_objects(column: pd.Series, place: Place) -> Times:
    types = _types(column)
    if all(issubclass(t, dt.date | np.datetime64) for t in types):
        return _read_stamp_objects(column, place)
    if all(issubclass(t, dt.timedelta | np.timedelta64) for t in types):
        values, unit = _exact([pd.Timedelta(value) for value in column], "m8", place)
        return Times(values, "timedelta", unit, None)
    if types == {pd.Period} and column.map(lambda period: period.freqstr).nunique() == 1:
        return _read_periods(column, place)
    if not _are_numbers(types):
        raise _wrong_type_of_time(column, place)
    if any(issubclass(t, float | np.floating) for t in types):
        return _read_floats(column.astype("float64"), place)
    large = column.map(lambda value: not INT64.min <= value <= INT64.max).to_numpy()
    if large.any():
        raise _out_of_range(place, large, "64-bit integers", mend(place, _COUNT_FROM_FIRST))
    return Times(column.to_numpy("int64"), "number", None, None)


def _read_stamp_objects(column: pd.Series, place: Place) -> Times:
    stamps = [pd.Timestamp(value) for value in column]
    zones = {None if stamp.tz is None else _zone_name(stamp.tz) for stamp in stamps}
    if len(zones) > 1:
        first = stamps[0].tz
        other = np.array([str(stamp.tz) != str(first) for stamp in stamps])
        raise FrameError(
            "E-TIME-TZMIX",
            f"{place.title} mixes time zones: {', '.join(sorted(map(str, zones)))} (None: without "
            f"a zone); the first is {first}, unlike {name_rows(place, other)}.",
            mend(place, "pd.to_datetime({0}.map(pd.Timestamp), utc=True)")
            + ("  # if those without a zone are UTC" if None in zones else ""),
        )
    values, unit = _exact(stamps, "M8", place)
    return Times(values, "datetime", unit, zones.pop())


def _exact(
    moments: Sequence[pd.Timestamp] | Sequence[pd.Timedelta], dtype: str, place: Place
) -> tuple[np.ndarray, str]:
    """Give stamps or spans as integers in the finest unit that one of them has."""
    unit = max((moment.unit for moment in moments), key=UNITS.__getitem__)
    try:
        exact = [moment.as_unit(unit).asm8 for moment in moments]
    except (pd.errors.OutOfBoundsDatetime, pd.errors.OutOfBoundsTimedelta):
        fine = np.array([moment.unit == unit for moment in moments])
        room = f"a column in {unit}, the unit of the finest"
        code = "Timestamp" if dtype == "M8" else "Timedelta"
        fix = mend(place, f"{{0}}.map(lambda t: pd.{code}(t).as_unit('us'))  # rounds them")
        raise _out_of_range(place, fine, room, fix) from None
    return np.array(exact, dtype=f"{dtype}[{unit}]").view("int64"), unit


def _zone_name(zone: dt.tzinfo) -> str:
    """Give a name by which pandas finds the zone; UTC, in which it is kept, if there is none."""
    if isinstance(zone, dt.timezone):
        zone = dt.timezone(zone.utcoffset(None))  # forgets a name that could be another zone's
    try:
        found = pd.DatetimeTZDtype("s", str(zone)).tz
    except (KeyError, OSError, TypeError, ValueError):
        return "UTC"
    return str(zone) if str(found) == str(zone) else "UTC"


def _wrong_type_of_time(column: pd.Series, place: Place) -> FrameError:
    types = [type(value) for value in column]
    rarest = min(set(types), key=lambda t: (types.count(t), t.__name__))  # the odd ones out
    odd = np.array([t is rarest for t in types])
    why = (
        "text is not read for you, because day and month could be swapped"
        if rarest is str
        else "datetimes, dates, periods, timedeltas or numbers of one kind are wanted"
    )
    return FrameError(
        "E-TIME-DTYPE",
        f"{place.title} has dtype {column.dtype}, with {count(int(odd.sum()), 'value')} of type "
        f"{rarest.__name__} such as {plainly(column[odd].iloc[0])}: {name_rows(place, odd)}; "
        f"{why}.",
        mend(place, _time_template(column)),
    )


def _time_template(column: pd.Series) -> str:
    """Write how a column of something else can become times."""
    column = column.infer_objects()
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype) and dtype.categories.dtype.kind != "O":
        return "{0}.astype({0}.cat.categories.dtype)"
    if dtype.kind in _NUMBER_FIXES:
        return _NUMBER_FIXES[dtype.kind] + "  # if these really are times"
    for template, reader in _TEXT_READERS.items():
        if _succeeds(reader, column.iloc[:TEXT_SAMPLE]):
            return template
    return "pd.to_datetime({0}.astype(str), format='mixed', dayfirst=True)  # or dayfirst=False"


def _succeeds(reader: Callable[[pd.Series], object], column: pd.Series) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pandas 2 warns where pandas 3 refuses
        try:
            reader(column)
        except (TypeError, ValueError, Warning):
            return False
    return True


def _out_of_range(place: Place, bad: np.ndarray, room: str, fix: str) -> FrameError:
    return FrameError(
        "E-TIME-RANGE",
        f"{place.title} has {count(int(bad.sum()), 'value')} too far away for {room}: "
        f"{name_rows(place, bad)}.",
        fix,
    )


def _refuse_other_zone(times: Times, schema: Schema, place: Place) -> None:
    if (times.zone is None) == (schema.time_zone is None):
        return
    if times.zone is None:
        raise FrameError(
            "E-TIME-ZONE",
            f"{place.title} has no time zone, but the model was fitted on times in "
            f"{schema.time_zone}.",
            mend(place, f"pd.to_datetime({{0}}).dt.tz_localize({schema.time_zone!r})"),
        )
    raise FrameError(
        "E-TIME-ZONE",
        f"{place.title} is in the time zone {times.zone}, but the model was fitted on times "
        "without a zone.",
        mend(place, "pd.to_datetime({0}).dt.tz_localize(None)")
        + f"  # keeps the clock time of {times.zone}",
    )


def _rescale(times: Times, unit: str, place: Place) -> np.ndarray:
    """Give integer times in another unit, if it holds every one of them exactly."""
    values, have, want = times.values, UNITS[times.unit or unit], UNITS[unit]
    if want >= have:
        factor = want // have
        far = (values > INT64.max // factor) | (values < -(INT64.max // factor))
        if far.any():
            fix = "fit on times in a coarser unit, such as datetime64[us]"
            raise _out_of_range(place, far, f"the unit of the fitted times, {unit}", fix)
        return values * factor
    factor = have // want
    between = values % factor != 0
    if between.any():
        raise FrameError(
            "E-TIME-UNIT",
            f"{place.title} has {count(int(between.sum()), 'value')} finer than the unit of the "
            f"fitted times, {unit}: {name_rows(place, between)}.",
            mend(place, f"pd.to_{times.kind}({{0}}).dt.floor('{unit}')"),
        )
    return values // factor


_ROLE_CODES = {"id_col": "E-ID", "time_col": "E-TIME", "target_cols": "E-TARGET"}

_READERS: dict[str, Reader] = {
    "M": _read_stamps,
    "m": _read_spans,
    "i": _read_integers,
    "u": _read_integers,
    "f": _read_floats,
    "O": _read_objects,
}

_NUMBER_FIXES = {
    "b": "{0}.astype('float64')",
    "c": "np.real({0})",
    "m": "{0}.dt.total_seconds()",
    "M": "({0} - {0}.min()).dt.total_seconds()",
}

_COUNT_FROM_FIRST = "{0} - {0}.min()  # the same start for every frame"

_KIND_FIXES: dict[tuple[TimeKind, TimeKind], str] = {
    ("number", "datetime"): "pd.to_datetime({0}, unit='s')  # if they are seconds since 1970",
    ("number", "timedelta"): "pd.to_timedelta({0}, unit='s')  # if they are seconds",
    ("datetime", "number"): "({0} - {0}.min()) / pd.Timedelta('1h')  # or as it was done for fit",
    ("datetime", "timedelta"): "{0} - {0}.min()  # or from where the fitted times count",
    ("timedelta", "datetime"): "pd.Timestamp('1970-01-01') + {0}  # or the day they count from",
    ("timedelta", "number"): "{0} / pd.Timedelta('1h')  # or as it was done for fit",
}

_TEXT_READERS: dict[str, Callable[[pd.Series], object]] = {
    "pd.to_numeric({0})": pd.to_numeric,
    "pd.to_datetime({0}, format='ISO8601')": lambda text: pd.to_datetime(text, format="ISO8601"),
    "pd.to_datetime({0}, format='ISO8601', utc=True)": lambda text: pd.to_datetime(
        text, format="ISO8601", utc=True
    ),
}
