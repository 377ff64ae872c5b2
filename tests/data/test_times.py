import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentode.data import FrameError, Schema, infer_schema, to_panel
from latentode.data.rows import open_frame, place_of
from latentode.data.times import convert_times, read_times, times_as_column

PARIS = "Europe/Paris"


def objects(*values):
    return pd.Series(values, dtype=object)


def times_of(values):
    df = pd.DataFrame({"time": values})
    rows = open_frame(df, id_col=None, time_col="time")
    return read_times(df["time"], place_of(rows, "time", "time column"))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_datetimes_are_exact_integers_in_their_own_unit(unit):
    times = times_of(np.array(["2024-01-01", "2024-01-02"], f"M8[{unit}]"))
    assert times.unit == unit
    assert np.diff(times.values) == np.timedelta64(1, "D").astype(f"m8[{unit}]").astype(int)


@given(
    st.lists(st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)), min_size=1),
    st.sampled_from(["objects", "M8[us]"]),
)
def test_any_year_survives_reading_and_giving_back(stamps, kind):
    column = np.array(stamps, "M8[us]") if kind == "M8[us]" else objects(*stamps)
    times = times_of(column)
    schema = Schema((), "time", ("y",), times.kind, times.unit, times.zone, ())
    assert list(times_as_column(times.values, schema)) == list(map(pd.Timestamp, stamps))


@given(st.lists(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)), min_size=1))
def test_a_zone_changes_how_times_are_shown_and_not_what_they_are(stamps):
    utc = pd.Series(np.array(stamps, "M8[us]")).dt.tz_localize("UTC")
    for zone in (PARIS, "UTC+05:30", "America/St_Johns"):
        there = times_of(utc.dt.tz_convert(zone))
        np.testing.assert_array_equal(there.values, times_of(utc).values)
        assert there.zone == zone


def test_the_two_hours_that_the_clock_shows_twice_are_kept_apart():
    hours = pd.date_range("2024-10-27 00:00", periods=2, freq="h", tz="UTC", unit="s").tz_convert(
        PARIS
    )
    df = pd.DataFrame({"time": hours, "y": [1.0, 2.0]})
    assert str(hours[0])[:19] == str(hours[1])[:19]
    assert np.diff(to_panel(df, infer_schema(df)).times) == 3600


ODD_TIMES = {
    "dates": ([dt.date(2024, 1, 1), dt.date(3000, 1, 3)], [1704067200, 32503852800], "s"),
    "datetimes": (
        objects(dt.datetime(1970, 1, 1), dt.datetime(1970, 1, 2)),
        [0, 86400 * 10**6],
        "us",
    ),
    "datetimes with a zone": (
        objects(*(dt.datetime(1970, 1, day, tzinfo=dt.UTC) for day in (1, 2))),
        [0, 86400 * 10**6],
        "us",
    ),
    "numpy scalars": (objects(np.datetime64(1, "s"), np.datetime64(2, "ns")), [10**9, 2], "ns"),
    "months": (pd.PeriodIndex(["1970-01", "1970-02"], freq="M"), [0, 31 * 86400], "s"),
    "far months": (
        pd.PeriodIndex(["3000-01", "3000-02"], freq="M"),
        [32503680000, 32506358400],
        "s",
    ),
    "period objects": (
        objects(*pd.PeriodIndex(["1970-01-02", "1970-01-01"], freq="D")),
        [86400, 0],
        "s",
    ),
    "fine periods": (pd.PeriodIndex(["1970-01-01 00:00:00.001"], freq="ms"), [1], "ms"),
    "timedeltas": (pd.to_timedelta([1, 2], unit="s").as_unit("ms"), [1000, 2000], "ms"),
    "timedelta objects": (objects(dt.timedelta(1), dt.timedelta(2)), [86400, 172800], None),
    "integers": ([3, 1], [3, 1], None),
    "epoch seconds": (np.array([1_700_000_000, 1_700_000_001]), None, None),
    "unsigned": (np.array([3, 1], "uint8"), [3, 1], None),
    "nullable integers": (pd.array([2**62 + 1, 1], "Int64"), [2**62 + 1, 1], None),
    "integer objects": (objects(2**62 + 1, np.int32(1)), [2**62 + 1, 1], None),
    "floats": (np.array([0.5, 1e9], "float32"), [0.5, 1e9], None),
    "nullable floats": (pd.array([0.5, 1.5], "Float64"), [0.5, 1.5], None),
    "float objects": (objects(1, 2.5), [1.0, 2.5], None),
    "sparse": (pd.arrays.SparseArray([1, 2]), [1, 2], None),
}


@pytest.mark.parametrize("kind", ODD_TIMES)
def test_times_of_any_honest_type_are_read_exactly(kind):
    column, expected, unit = ODD_TIMES[kind]
    times = times_of(column)
    if kind == "timedelta objects":  # pandas 2 keeps them in ns, pandas 3 in us
        times = times._replace(values=times.values // {"us": 10**6, "ns": 10**9}[times.unit])
    elif unit is not None:
        assert times.unit == unit
    expected = column if expected is None else expected
    np.testing.assert_array_equal(times.values, expected)
    assert times.values.dtype in {np.dtype("int64"), np.dtype("float64")}


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        (dt.timezone(dt.timedelta(hours=1), "CET"), "UTC+01:00"),
        (dt.timezone(dt.timedelta(hours=1, seconds=7)), "UTC"),
        (dt.UTC, "UTC"),
    ],
)
def test_a_zone_that_pandas_cannot_look_up_is_given_back_as_utc(zone, name):
    stamp = dt.datetime(2024, 1, 1, tzinfo=zone)
    times = times_of(objects(stamp))
    schema = Schema((), "time", ("y",), times.kind, times.unit, times.zone, ())
    assert times.zone == name
    assert times_as_column(times.values, schema).iloc[0] == stamp


@given(
    st.integers(-(2**40), 2**40),
    st.sampled_from(["datetime", "timedelta"]),
    st.permutations(["s", "ms", "us", "ns"]),
)
def test_units_are_converted_exactly_or_refused(tick, kind, units):
    have, want = units[:2]
    code = "M8" if kind == "datetime" else "m8"
    exact = np.array([tick]).view(f"{code}[{have}]")
    schema = Schema((), "time", ("y",), kind, want, None, ())
    place = place_of(
        open_frame(pd.DataFrame({"time": exact}), id_col=None, time_col="time"), "time", "time"
    )
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    wanted, rest = divmod(tick * per_second[want], per_second[have])
    if rest == 0 and abs(wanted) < 2**63:
        assert convert_times(times_of(exact), schema, place) == wanted
        return
    with pytest.raises(FrameError) as caught:
        convert_times(times_of(exact), schema, place)
    assert caught.value.code == ("E-TIME-UNIT" if rest else "E-TIME-RANGE")
