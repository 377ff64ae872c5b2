"""Values of Python as JSON: what JSON has no form of stands there with the name of its type."""

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd

from latentode.data.errors import plainly, python_scalar


class Kind(NamedTuple):
    """A type of values, and how one becomes JSON and is made again; nothing is run for either."""

    type: type
    to_json: Callable[[Any], Any]
    from_json: Callable[[Any], Any]


def to_json(value: object) -> Any:  # noqa: ANN401  whatever JSON holds
    """Give a value as JSON; an array of JSON is a tuple.

    Parameters
    ----------
    value : object
        None, bool, int, float, str, bytes, UUID, Decimal, dates and times of Python and pandas, a
        numpy scalar, numpy's RandomState, or a tuple, list or dict of such.

    Returns
    -------
    object
        What the module json writes, without NaN and infinity.

    Raises
    ------
    TypeError
        If the value, or one within, is of another type; it is named.

    Examples
    --------
    >>> to_json(("a", 1, pd.Timestamp("2024-03-01", tz="Europe/Paris").as_unit("s")))
    ['a', 1, {'Timestamp': [1709247600, 's', 'Europe/Paris']}]
    """
    value = python_scalar(value)
    if value is None or type(value) in {bool, int, str}:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if type(value) is tuple:
        return [to_json(part) for part in value]
    for name, kind in KINDS.items():
        if type(value) is kind.type:
            return {name: kind.to_json(value)}
    raise TypeError(f"{plainly(value)} is of type {type(value).__name__}")


def from_json(value: Any) -> Any:  # noqa: ANN401  whatever JSON holds
    """Give the value that `to_json` was given.

    Examples
    --------
    >>> from_json([1, {"date": "2024-03-01"}])
    (1, datetime.date(2024, 3, 1))
    """
    if isinstance(value, list):
        return tuple(from_json(part) for part in value)
    if isinstance(value, dict):
        ((name, content),) = value.items()
        if name not in KINDS:
            raise ValueError(f"a value is of a type that this version cannot read: {name}.")
        return KINDS[name].from_json(content)
    return value


def _stamp_to_json(stamp: pd.Timestamp) -> list[Any]:
    zone = None if stamp.tz is None else str(stamp.tz)
    parts = [int(stamp.asm8.astype("int64")), stamp.unit, zone]
    if zone is not None and not _is_zone(zone, stamp.tz):
        raise TypeError(f"{stamp} is in a time zone without a name, {zone}")
    return parts


def _is_zone(name: str, zone: object) -> bool:
    """Tell whether a time zone is found by its name."""
    try:
        return bool(pd.DatetimeTZDtype("s", name).tz == zone)
    except (KeyError, OSError, TypeError, ValueError):
        return False


def _stamp_from_json(parts: list[Any]) -> pd.Timestamp:
    ticks, unit, zone = parts
    stamp = pd.Timestamp(np.datetime64(ticks, unit))
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(zone)


def _datetime_to_json(moment: dt.datetime) -> str:
    if moment.tzinfo is not None and type(moment.tzinfo) is not dt.timezone:
        raise TypeError(f"{moment} is a datetime in the time zone {moment.tzinfo}")
    return moment.isoformat()


def _random_to_json(state: np.random.RandomState) -> list[Any]:
    name, keys, *rest = state.get_state(legacy=True)
    return [name, [int(key) for key in keys], *rest]


def _random_from_json(parts: list[Any]) -> np.random.RandomState:
    state = np.random.RandomState()
    state.set_state((parts[0], np.array(parts[1], dtype=np.uint32), *parts[2:]))
    return state


KINDS = {
    "float": Kind(float, str, float),
    "list": Kind(list, lambda v: [to_json(x) for x in v], lambda v: [from_json(x) for x in v]),
    "dict": Kind(
        dict,
        lambda v: [[to_json(key), to_json(x)] for key, x in v.items()],
        lambda v: {from_json(key): from_json(x) for key, x in v},
    ),
    "bytes": Kind(bytes, bytes.hex, bytes.fromhex),
    "UUID": Kind(UUID, str, UUID),
    "Decimal": Kind(Decimal, str, Decimal),
    "date": Kind(dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "datetime": Kind(dt.datetime, _datetime_to_json, dt.datetime.fromisoformat),
    "timedelta": Kind(
        dt.timedelta, lambda v: [v.days, v.seconds, v.microseconds], lambda v: dt.timedelta(*v)
    ),
    "Timestamp": Kind(pd.Timestamp, _stamp_to_json, _stamp_from_json),
    "timedelta64": Kind(
        np.timedelta64,
        lambda v: [int(v.astype("int64")), *np.datetime_data(v.dtype)],
        lambda v: np.timedelta64(v[0], (v[1], v[2])),
    ),
    "Timedelta": Kind(
        pd.Timedelta,
        lambda v: [int(v.asm8.astype("int64")), v.unit],
        lambda v: pd.Timedelta(np.timedelta64(*v)),
    ),
    "Period": Kind(
        pd.Period,
        lambda v: [v.ordinal, v.freqstr],
        lambda v: pd.Period(ordinal=v[0], freq=v[1]),
    ),
    "RandomState": Kind(np.random.RandomState, _random_to_json, _random_from_json),
}
