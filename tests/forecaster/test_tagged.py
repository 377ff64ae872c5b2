"""Values of Python as JSON, and back the same."""

import datetime as dt
import json
import math
from collections import namedtuple
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from latentode.forecaster.tagged import from_json, to_json

VALUES = [
    None, True, 0, -(2**80), 0.1, -0.0, 5e-324, math.inf, "", 'quo"te \\ \n', "ø\ud800",
    b"\x00\xff", (), (1, ("a", None)), [1, (2,)], {"a": [1], (1, 2): None},
    UUID(int=7), Decimal("1.10"), dt.date(1, 1, 1), dt.datetime(2024, 3, 1, 7, 30, 0, 5),
    dt.datetime(2024, 3, 1, tzinfo=dt.UTC), dt.timedelta(-1, 5, 7),
    pd.Timestamp("3000-01-01").as_unit("s"), pd.Timestamp(1, unit="ns"),
    pd.Timestamp("2024-07", tz="Europe/Paris"), pd.Timestamp("2024", tz="UTC+02:00"),
    pd.Timedelta("1D").as_unit("ms"), pd.Period("2024-03", "M"), pd.Period("2024-03-01", "h"),
    np.timedelta64(5, "m"), np.timedelta64(3, "2h"),
]  # fmt: skip


def through_json(value):
    return from_json(json.loads(json.dumps(to_json(value), allow_nan=False)))


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_value_comes_back_the_same(value):
    again = through_json(value)
    assert again == value
    assert type(again) is type(value)
    assert str(again) == str(value)
    assert getattr(again, "unit", None) == getattr(value, "unit", None)
    assert getattr(again, "tzinfo", None) == getattr(value, "tzinfo", None)


def test_both_hours_of_an_autumn_night_come_back():
    first = pd.Timestamp("2024-10-27 00:30", tz="UTC").tz_convert("Europe/Paris")
    second = pd.Timestamp("2024-10-27 01:30", tz="UTC").tz_convert("Europe/Paris")
    assert first.replace(tzinfo=None) == second.replace(tzinfo=None)
    assert [through_json(t).utcoffset() for t in (first, second)] == [
        first.utcoffset(), second.utcoffset(),
    ]  # fmt: skip


def test_nan_comes_back():
    assert math.isnan(through_json(math.nan))


def test_scalars_of_numpy_become_those_of_python():
    assert through_json((np.int64(3), np.float32(0.5), np.str_("a"))) == (3, 0.5, "a")


def test_a_random_state_goes_on_where_it_was():
    state = np.random.RandomState(3)
    state.standard_normal(3)
    again = through_json(state)
    assert again.standard_normal(5).tolist() == state.standard_normal(5).tolist()


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, 1j, len, int, np.datetime64("2024"), namedtuple("Pair", "a b")(1, 2)],
    ids=lambda value: type(value).__name__,
)
def test_other_types_are_refused_by_name(value):
    with pytest.raises(TypeError, match=f"is of type {type(value).__name__}"):
        to_json(("a", value))


def test_a_zone_without_a_name_is_refused():
    class Zone(dt.tzinfo):
        def utcoffset(self, moment):
            return dt.timedelta(hours=1)

        def dst(self, moment):
            return None

        def tzname(self, moment):
            return "nowhere"

    with pytest.raises(TypeError, match="time zone"):
        to_json(dt.datetime(2024, 3, 1, tzinfo=Zone()))
    with pytest.raises(TypeError, match="time zone"):
        to_json(pd.Timestamp(dt.datetime(2024, 3, 1), tz=Zone()))


def test_a_type_of_another_version_is_named():
    with pytest.raises(ValueError, match="cannot read: Quaternion"):
        from_json({"Quaternion": [1, 2, 3, 4]})
