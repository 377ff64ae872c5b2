"""The times of a frame: read exactly, brought to the unit of the fitted ones, and given back."""

import datetime as dt
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from latentode.data.columns import (
    NUMBER_FIXES,
    TEXT_SAMPLE,
    Schema,
    TimeKind,
    are_numbers,
    dense,
    types_in,
)
from latentode.data.errors import (
    FrameError,
    Place,
    as_code,
    count,
    mend,
    name_rows,
    plainly,
    refuse_rows,
    say_which,
)

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
INT64 = np.iinfo(np.int64)


class Times(NamedTuple):
    """Times as they were read: exact integers in the column's own unit, or numbers."""

    values: np.ndarray
    kind: TimeKind
    unit: str | None
    zone: str | None


def read_times(column: pd.Series, place: Place) -> Times:
    """Read N times exactly, as int64 in the unit of the column or as float64.

    They may be datetimes of any unit and zone, dates, periods (their start), timedeltas or
    numbers; what is missing, infinite, out of range, text or mixed is refused.

    >>> column = pd.Series(np.array(["3000-01-01"], "datetime64[s]"))
    >>> read_times(column, Place("time column 'ds'", column.index, (), "df", "ds", ""))
    Times(values=array([32503680000]), kind='datetime', unit='s', zone=None)
    """
    column = dense(column)
    refuse_rows(place, column.isna().to_numpy(), "E-TIME-NAT", "missing value", "{0}.notna()")
    kind = column.dtype.kind
    if isinstance(column.dtype, pd.PeriodDtype):
        return _read_periods(column)
    if kind in "mM":
        return _read_ticks(column)
    if kind in "iu":
        return _read_integers(column, place)
    if kind == "f":
        return _read_floats(column, place)
    if kind == "O" and not isinstance(column.dtype, pd.CategoricalDtype):
        return _read_objects(column, place)
    raise _wrong_type_of_time(column, place)


def convert_times(times: Times, schema: Schema, place: Place) -> np.ndarray:
    """Give times in the unit of the schema, to the last digit, or refuse them.

    >>> schema = Schema((), "ds", ("y",), "datetime", "ms", None, ())
    >>> place = Place("time column 'ds'", pd.RangeIndex(2), (), "df", "ds", "")
    >>> convert_times(Times(np.array([1, 2]), "datetime", "s", None), schema, place)
    array([1000, 2000])
    """
    if times.kind != schema.time_kind:
        raise FrameError(
            "E-TIME-KIND",
            f"{place.title} holds {times.kind}s, but the model was fitted on {schema.time_kind}s, "
            f"in column {as_code(schema.time_col)}.",
            mend(place, _KIND_FIXES[times.kind, schema.time_kind]),
        )
    _refuse_other_zone(times, schema, place)
    if times.unit is None or schema.time_unit is None:
        return times.values
    return _rescale(times.values, times.unit, schema, place)


def times_as_column(times: np.ndarray, schema: Schema) -> pd.Series:
    """Turn times in the unit of the schema back into a column like the caller's.

    >>> schema = Schema((), "ds", ("y",), "datetime", "s", "Europe/Paris", ())
    >>> times_as_column(np.array([0]), schema).iloc[0]
    Timestamp('1970-01-01 01:00:00+0100', tz='Europe/Paris')
    """
    if schema.time_kind == "number":
        return pd.Series(times)
    code = "M8" if schema.time_kind == "datetime" else "m8"
    column: Any = pd.Series(times.view(f"{code}[{schema.time_unit}]"))
    if schema.time_zone is None:
        return column
    return column.dt.tz_localize("UTC").dt.tz_convert(schema.time_zone)


def _read_ticks(column: pd.Series) -> Times:
    kind: TimeKind = "datetime" if column.dtype.kind == "M" else "timedelta"
    zone = _zone_name(getattr(column.dt, "tz", None))
    return Times(column.astype("int64").to_numpy(), kind, column.dt.unit, zone)


def _read_periods(column: pd.Series) -> Times:
    """Read the start of each period: its ordinal at the frequency of its unit is exact."""
    periods = pd.PeriodIndex(column)
    unit = periods.freqstr if periods.freqstr in UNITS else "s"
    starts = periods.asfreq(unit, how="START").astype("int64").to_numpy()
    return Times(starts, "datetime", unit, None)


def _read_integers(column: pd.Series, place: Place) -> Times:
    values: Any = column.to_numpy()  # of any integer type, or Python's own
    large = (values < INT64.min) | (values > INT64.max)
    if large.any():
        fix = mend(place, "{0} - {0}.min()  # the same start for every frame")
        raise _out_of_range(place, large, "64-bit integers", fix)
    return Times(column.to_numpy("int64"), "number", None, None)


def _read_floats(column: pd.Series, place: Place) -> Times:
    values = column.to_numpy("float64")
    infinite = ~np.isfinite(values)
    refuse_rows(place, infinite, "E-TIME-NAT", "infinite value", "np.isfinite({0})")
    return Times(values, "number", None, None)


def _read_objects(column: pd.Series, place: Place) -> Times:
    types = types_in(column)
    if all(issubclass(t, dt.date | np.datetime64) for t in types):
        return _read_stamp_objects(column, place)
    if all(issubclass(t, dt.timedelta | np.timedelta64) for t in types):
        values, unit = _exact([pd.Timedelta(value) for value in column], place)
        return Times(values, "timedelta", unit, None)
    if types == {pd.Period} and column.map(lambda period: period.freqstr).nunique() == 1:
        return _read_periods(column)
    if not are_numbers(types):
        raise _wrong_type_of_time(column, place)
    if any(issubclass(t, float | np.floating) for t in types):
        return _read_floats(column.astype("float64"), place)
    return _read_integers(column, place)


def _read_stamp_objects(column: pd.Series, place: Place) -> Times:
    stamps = [pd.Timestamp(value) for value in column]
    zones = {_zone_name(stamp.tz) for stamp in stamps}
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
    values, unit = _exact(stamps, place)
    return Times(values, "datetime", unit, zones.pop())


def _exact(
    moments: Sequence[pd.Timestamp] | Sequence[pd.Timedelta], place: Place
) -> tuple[np.ndarray, str]:
    """Give stamps or spans as integers in the finest unit that one of them has."""
    unit = max((moment.unit for moment in moments), key=UNITS.__getitem__)
    try:
        exact = np.array([moment.as_unit(unit).asm8 for moment in moments])
    except (pd.errors.OutOfBoundsDatetime, pd.errors.OutOfBoundsTimedelta):
        fine = np.array([moment.unit == unit for moment in moments])
        read = type(moments[0]).__name__
        fix = mend(place, f"{{0}}.map(lambda t: pd.{read}(t).as_unit('us'))  # rounds them")
        room = f"a column in {unit}, the unit of the finest"
        raise _out_of_range(place, fine, room, fix) from None
    return exact.view("int64"), unit


def _zone_name(zone: dt.tzinfo | None) -> str | None:
    """Give a name by which pandas finds the zone; UTC, in which it is kept, if there is none."""
    if zone is None:
        return None
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
    why = "datetimes, dates, periods, timedeltas or numbers of one kind are wanted"
    if rarest is str:
        why = "text is not read for you, because day and month could be swapped"
    return FrameError(
        "E-TIME-DTYPE",
        f"{place.title} has dtype {column.dtype}, with {count(odd.sum(), 'value')} of type "
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
    if dtype.kind in NUMBER_FIXES:
        return NUMBER_FIXES[dtype.kind] + "  # if these really are times"
    for template, read in _TEXT_READERS.items():
        with warnings.catch_warnings(), suppress(TypeError, ValueError, Warning):
            warnings.simplefilter("error")  # pandas 2 warns where pandas 3 refuses
            read(column.iloc[:TEXT_SAMPLE])
            return template
    return "pd.to_datetime({0}.astype(str), format='mixed', dayfirst=True)  # or dayfirst=False"


def _out_of_range(place: Place, bad: np.ndarray, room: str, fix: str) -> FrameError:
    what = say_which(place, bad, "value", f" too far away for {room}")
    return FrameError("E-TIME-RANGE", what, fix)


def _refuse_other_zone(times: Times, schema: Schema, place: Place) -> None:
    if (times.zone is None) == (schema.time_zone is None):
        return
    if times.zone is None:
        had = f"has no time zone, but the model was fitted on times in {schema.time_zone}"
        fix = mend(place, f"pd.to_datetime({{0}}).dt.tz_localize({schema.time_zone!r})")
    else:
        had = f"is in the time zone {times.zone}, but the model was fitted on times without a zone"
        keeps = f"  # keeps the clock time of {times.zone}"
        fix = mend(place, "pd.to_datetime({0}).dt.tz_localize(None)") + keeps
    raise FrameError("E-TIME-ZONE", f"{place.title} {had}.", fix)


def _rescale(values: np.ndarray, unit: str, schema: Schema, place: Place) -> np.ndarray:
    """Give integer times in the unit of the schema, if it holds every one of them exactly."""
    wanted = str(schema.time_unit)
    if UNITS[wanted] >= UNITS[unit]:
        factor = UNITS[wanted] // UNITS[unit]
        far = (values > INT64.max // factor) | (values < -(INT64.max // factor))
        if far.any():
            fix = "fit on times in a coarser unit, such as datetime64[us]"
            raise _out_of_range(place, far, f"the unit of the fitted times, {wanted}", fix)
        return values * factor
    factor = UNITS[unit] // UNITS[wanted]
    between = values % factor != 0
    if between.any():
        why = f" finer than the unit of the fitted times, {wanted}"
        fix = mend(place, f"pd.to_{schema.time_kind}({{0}}).dt.floor('{wanted}')")
        raise FrameError("E-TIME-UNIT", say_which(place, between, "value", why), fix)
    return values // factor


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
