import datetime as dt
import pickle
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentode.data.frame import (
    FrameError,
    LatentODEWarning,
    Schema,
    canonical,
    convert_times,
    infer_schema,
    open_frame,
    place_of,
    read_times,
    times_as_column,
)
from latentode.data.panel import to_panel

ROOT = Path(__file__).parents[2]
STAMPS = ["2024-01-01 00:00", "2024-01-01 07:13", "2024-01-04", "2024-01-05 01:01", "2024-02-01"]
PARIS = "Europe/Paris"


def visits(**columns):
    """Give five rows of two series, with some columns replaced."""
    stamps = pd.to_datetime(pd.Series(STAMPS), format="ISO8601")
    df = pd.DataFrame({"id": list("aaabb"), "time": stamps, "y": np.arange(5.0)})
    return df.assign(**columns)


def objects(*values):
    return pd.Series(values, dtype=object)


def read(df, **names):
    return to_panel(df, infer_schema(df, **names))


def times_of(values):
    df = pd.DataFrame({"time": values})
    rows = open_frame(df, id_col=None, time_col="time")
    return read_times(df["time"], place_of(rows, "time", "time column"))


def paste(error, df):
    """Run the fix of an error as a reader would, and give the frame and the names it leaves."""
    fix = str(error).split("\nFix: ")[1].rsplit("  [", 1)[0]
    names = {}
    scope = {"df": df, "pd": pd, "np": np, "LatentODEForecaster": lambda **kw: names.update(kw)}
    exec(fix, scope)
    return scope["df"], names


# Frames that other libraries take, and the columns they are read as: id, time, targets.
FOREIGN = {
    "nixtla": (visits().set_axis(["unique_id", "ds", "y"], axis=1), ("unique_id", "ds", "y")),
    "autogluon": (
        visits().set_axis(["item_id", "timestamp", "target"], axis=1),
        ("item_id", "timestamp", "target"),
    ),
    "autogluon with its index": (
        visits()
        .set_axis(["item_id", "timestamp", "target"], axis=1)
        .set_index(["item_id", "timestamp"]),
        ("item_id", "timestamp", "target"),
    ),
    "prophet": (visits()[["time", "y"]].set_axis(["ds", "y"], axis=1), (None, "ds", "y")),
    "sktime": (visits().set_index(["id", "time"]), ("id", "time", "y")),
    "sktime without names": (
        visits().set_index(["id", "time"]).rename_axis([None, None]),
        ("id", "time", "y"),
    ),
    "a time index without a name": (
        visits().set_index("time")[["y"]].rename_axis(None),
        (None, "time", "y"),
    ),
    "a time index with any name": (
        visits().set_index("time").rename_axis("seen at"),
        ("id", "seen at", "y"),
    ),
    "an index of numbers called t": (
        pd.DataFrame({"t": [0.5, 1.5], "y": [1, 2]}).set_index("t"),
        (None, "t", "y"),
    ),
    "the only column of datetimes": (
        visits().rename(columns={"time": "admitted"}),
        ("id", "admitted", "y"),
    ),
    "wide": (visits().rename(columns={"y": "hr"}), ("id", "time", "hr")),
}


@pytest.mark.parametrize("library", FOREIGN)
def test_frames_of_other_libraries_are_read_unchanged(library):
    df, (id_col, time_col, target) = FOREIGN[library]
    schema = infer_schema(df)
    assert (schema.id_col, schema.time_col, schema.target_cols) == (id_col, time_col, (target,))
    assert len(to_panel(df, schema).times) == len(df)


def test_every_column_of_numbers_is_a_target_where_none_has_a_usual_name():
    df = visits(hr=[1, 2, 3, 4, 5], bp=pd.array([1, None, 3, 4, 5], "Int64")).drop(columns="y")
    assert infer_schema(df).target_cols == ("hr", "bp")
    assert infer_schema(df, target_cols="bp").target_cols == ("bp",)
    assert infer_schema(df, target_cols=["bp", "hr"]).target_cols == ("bp", "hr")
    assert infer_schema(df, target_cols=df.columns[2:]).target_cols == ("hr", "bp")


def test_names_that_are_given_win_and_guesses_are_told():
    df = visits(ds=range(5), item_id=1)
    schema = infer_schema(df, id_col="id", time_col="ds", target_cols="y")
    assert schema == Schema("id", "ds", ("y",), "number", None, None, ())
    assert infer_schema(visits()).guessed == (
        "id_col='id'",
        "time_col='time'",
        "target_cols=['y']",
    )


def test_column_names_need_not_be_text():
    df = visits().set_axis([0, 1, (2, "y")], axis=1)
    schema = infer_schema(df, id_col=0, time_col=1, target_cols=(2, "y"))
    assert schema[:3] == (0, 1, ((2, "y"),))


def test_numbers_beside_a_y_are_named_once_and_not_used():
    df = visits(hr=1.0, note=["x"] * 5, admitted=pd.Timestamp("2024-01-01"))
    with pytest.warns(LatentODEWarning) as caught:
        schema = infer_schema(df)
    assert schema.target_cols == ("y",)
    assert len(caught) == 1
    assert "LatentODEForecaster(target_cols=['y', 'hr'])" in str(caught[0].message)
    assert "note" not in str(caught[0].message)


@pytest.mark.parametrize(
    "column", [["1", "2.5", "x", "4", "5"], [True, False] * 2 + [True], [1, 2, "x", 4, None]]
)
def test_a_column_that_is_almost_numbers_does_not_vanish_silently(column):
    with pytest.warns(LatentODEWarning, match=r"'lab': it does not hold numbers; df\['lab'\] = "):
        infer_schema(visits(lab=column))


def test_a_text_column_that_groups_rows_is_named_where_there_is_no_id():
    df = visits().rename(columns={"id": "shop"})
    with pytest.warns(LatentODEWarning, match=r"LatentODEForecaster\(id_col='shop'\)"):
        assert infer_schema(df).id_col is None


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
    schema = Schema(None, "time", ("y",), times.kind, times.unit, times.zone, ())
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
    assert np.diff(read(df).times) == 3600


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
    schema = Schema(None, "time", ("y",), times.kind, times.unit, times.zone, ())
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
    schema = Schema(None, "time", ("y",), kind, want, None, ())
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


IDS = {
    "integers and text": (objects(1, "1", 1, "1", 2), (1, 2, "1")),
    "tuples": (objects(*[("a", 1), ("b", 2), ("a", 1), ("b", 2), ("b", 10)]), None),
    "categories with unused levels": (pd.Categorical(list("babab"), list("cba")), ("a", "b")),
    "nullable integers": (pd.array([2, 1, 2, 1, 3], "Int64"), (1, 2, 3)),
    "floats": ([0.5, 0.25, 0.5, 0.25, 7.0], (0.25, 0.5, 7.0)),
    "bools": ([True, False, True, False, True], (False, True)),
    "stamps": (pd.to_datetime(["2024-01-02", "2024-01-01"] * 2 + ["2024-01-03"]), None),
    "sparse": (pd.arrays.SparseArray([1, 0, 1, 0, 2]), (0, 1, 2)),
    "numpy scalars": (objects(*np.array([3, 1, 3, 1, 2])), (1, 2, 3)),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_any_type_are_told_apart_and_sorted(kind):
    column, expected = IDS[kind]
    panel = read(visits(id=column))
    assert panel.ids == (tuple(sorted(set(column))) if expected is None else expected)
    assert not any(isinstance(key, np.generic) for key in panel.ids)


@given(st.permutations([1, "1", 2.5, ("a", 1), frozenset({1}), frozenset({2}), None]))
def test_the_order_of_ids_depends_on_the_ids_alone(ids):
    assert canonical(ids) == canonical(ids[::-1])
    assert canonical(ids[4:]) == canonical(ids[:3:-1])


VALUES = {
    "small integers": np.array([1, 2, 3, 4, 5], "int8"),
    "nullable integers": pd.array([1, None, 3, 4, 5], "Int64"),
    "nullable floats": pd.array([1, None, 3, 4, 5], "Float32"),
    "objects of numbers": objects(1, None, 3.0, Decimal(4), np.int64(5)),
    "sparse": pd.arrays.SparseArray([1, np.nan, 3, 4, 5]),
    "one number in five": [np.nan, np.nan, 3, np.nan, np.nan],
    "constant": [7, 7, 7, 7, 7],
    "far away": [1e9, 1e9 + 1, 1e9, 1e9, 1e9],
}


@pytest.mark.parametrize("kind", VALUES)
def test_numbers_of_any_dtype_become_floats_with_nan_for_missing(kind):
    column = VALUES[kind]
    expected = [np.nan if pd.isna(value) else float(value) for value in column]
    values = read(visits(y=column)).values
    np.testing.assert_array_equal(values[:, 0], expected)


@pytest.mark.parametrize(
    ("dtype", "unit"),
    [("timestamp[us, tz=UTC]", "us"), ("timestamp[s]", "s"), ("date32[day]", "s")],
)
def test_arrow_columns_are_read_where_pyarrow_is_there(dtype, unit):
    pytest.importorskip("pyarrow")
    days = pd.date_range("1970-01-02", periods=5, tz="UTC" if "UTC" in dtype else None)
    df = visits(time=pd.Series(days).astype(f"{dtype}[pyarrow]"))
    panel = read(df.astype({"id": "string[pyarrow]", "y": "int8[pyarrow]"}))
    assert panel.schema.time_unit == unit
    np.testing.assert_array_equal(
        panel.times, np.arange(1, 6) * 86400 * 10 ** (6 * (unit == "us"))
    )
    np.testing.assert_array_equal(panel.values[:, 0], np.arange(5.0))


def test_polars_frames_are_read_without_pyarrow():
    df = visits(y=[1.0, None, 3.0, 4.0, 5.0], note="x")
    columns = {
        "id": pl.Series(df["id"].tolist(), dtype=pl.Categorical),
        "time": pl.Series(df["time"].tolist()).dt.replace_time_zone(PARIS),
        "y": pl.Series([1, None, 3, 4, 5]),
        "note": pl.Series(["x"] * 5),
    }
    panel = read(pl.DataFrame(columns))
    expected = read(df.assign(time=df["time"].dt.as_unit("us").dt.tz_localize(PARIS)))
    assert panel.schema == expected.schema
    np.testing.assert_array_equal(panel.times, expected.times)
    np.testing.assert_array_equal(panel.values, expected.values)


def test_what_is_no_frame_is_a_type_error_that_helps():
    with pytest.raises(
        TypeError, match=r"one row for each observation, got ndarray\. From arrays"
    ):
        infer_schema(np.zeros((3, 2)))
    with pytest.raises(TypeError, match=r"got LazyFrame\. Call \.collect\(\)"):
        infer_schema(pl.LazyFrame({"y": [1]}))


NO_ID = visits().rename(columns={"id": "shop"})
TWICE = visits(time=pd.to_datetime(["2024-01-01"] * 2 + ["2024-01-04"] * 3))

# code, frame, arguments, words of the message; the fix is run, and reading must then succeed.
MENDED = {
    "columns of one name": (
        "E-COLS-DUP",
        visits(z=1.0).set_axis(["id", "time", "y", "y"], axis=1),
        {},
        "'y'",
    ),
    "index and column": (
        "E-COLS-DUP",
        visits().set_index("time", drop=False),
        {},
        "columns of df: 'time'",
    ),
    "names in levels": (
        "E-COLS-MULTI",
        visits().set_axis(
            pd.MultiIndex.from_tuples([("id", ""), ("time", ""), ("y", "")]), axis=1
        ),
        {},
        "2 levels",
    ),
    "two ids": ("E-ID-AMBIG", visits(item_id=1), {"target_cols": "y"}, "'item_id', 'id'"),
    "two times": (
        "E-TIME-AMBIG",
        visits(ds=[1, 2, 3, 4, 5]),
        {"target_cols": "y"},
        "pass time_col",
    ),
    "two stamps": (
        "E-TIME-AMBIG",
        visits(seen=visits()["time"]).rename(columns={"time": "made"}),
        {},
        "'made', 'seen'",
    ),
    "two targets": ("E-TARGET-AMBIG", visits(value=1.0), {}, "'y', 'value'"),
    "an id misspelt": ("E-ID-COL", visits(), {"id_col": "ID"}, "no column 'ID'"),
    "two id columns": (
        "E-ID-COL",
        visits(ward=1),
        {"id_col": ["id", "ward"], "target_cols": "y"},
        "one column",
    ),
    "a time misspelt": ("E-TIME-COL", visits(), {"time_col": "tyme"}, "no column 'tyme'"),
    "no time": (
        "E-TIME-COL",
        visits(n=range(5))[["n", "id", "y"]],
        {},
        "none that holds datetimes",
    ),
    "a target misspelt": ("E-TARGET-COL", visits(hr=1), {"target_cols": ["HR"]}, "'HR'"),
    "one column, two roles": (
        "E-ROLE-DUP",
        visits(),
        {"target_cols": ["time", "y"]},
        "'time' was given two roles",
    ),
    "no numbers": (
        "E-TARGET-NONE",
        visits(y=list("12345")).rename(columns={"y": "hr"}),
        {},
        "'hr'",
    ),
    "only bools": ("E-TARGET-NONE", visits(on=[True] * 5)[["id", "time", "on"]], {}, "'on'"),
    "no id but repeats": (
        "E-ID-MISSING",
        TWICE.rename(columns={"id": "shop"}).assign(shop=list("abcde")),
        {},
        "3 rows repeat a time: row 1",
    ),
    "a missing id": (
        "E-ID-NA",
        visits(id=["a", None, "a", "b", None]),
        {},
        "2 missing values: row 1",
    ),
    "ids in lists": ("E-ID-TYPE", visits(id=objects([1], [1], [1], [2], [2])), {}, "list"),
    "a missing time": (
        "E-TIME-NAT",
        visits(time=visits()["time"].where(np.arange(5) != 2)),
        {},
        "time column 'time' has 1 missing value: row 2 (series a)",
    ),
    "many missing times": (
        "E-TIME-NAT",
        visits(time=visits()["time"].where(np.arange(5) == 2)),
        {},
        "row 0 (series a), row 1 (series a), row 3 (series b), ... (4 in all)",
    ),
    "a missing time in an index": (
        "E-TIME-NAT",
        visits(time=visits()["time"].where(np.arange(5) != 2)).set_index(["id", "time"]),
        {},
        "1 missing value: row (a, ",
    ),
    "an infinite time": (
        "E-TIME-NAT",
        visits(time=[1, 2, np.inf, 4, 5]),
        {},
        "infinite value: row 2",
    ),
    "a missing time in polars": (
        "E-TIME-NAT",
        pl.DataFrame({"ds": [dt.datetime(2024, 1, 1), None], "y": [1, 2]}),
        {},
        "row 1",
    ),
    "text that is ISO": (
        "E-TIME-DTYPE",
        visits(time=STAMPS),
        {},
        "day and month could be swapped",
    ),
    "text with offsets": (
        "E-TIME-DTYPE",
        visits(time=["2024-01-01T00:00+01:00"] + [f"2024-0{i}-01T00:00+02:00" for i in "2345"]),
        {},
        "5 values of type str such as 2024-01-01T00:00+01:00: row 0 (series a)",
    ),
    "text that is local": (
        "E-TIME-DTYPE",
        visits(time=[f"{i}/2/2024" for i in range(20, 25)]),
        {},
        "20/2",
    ),
    "text that is a number": ("E-TIME-DTYPE", visits(time=list("12345")), {}, "str"),
    "categories of stamps": (
        "E-TIME-DTYPE",
        visits(time=visits()["time"].astype("category")),
        {},
        "cat",
    ),
    "bool times": (
        "E-TIME-DTYPE",
        visits(time=[True, False] * 2 + [True], id=list("aabbc")),
        {},
        "bool",
    ),
    "complex times": ("E-TIME-DTYPE", visits(time=np.arange(5) + 0j), {}, "complex"),
    "clock times": (
        "E-TIME-DTYPE",
        visits(time=[dt.time(i) for i in range(5)]),
        {},
        "type time such as 00:00:00",
    ),
    "with and without a zone": (
        "E-TIME-TZMIX",
        visits(
            time=objects(*(pd.Timestamp(s) for s in STAMPS[:4]), pd.Timestamp(STAMPS[4], tz="UTC"))
        ),
        {},
        "row 4 (series b)",
    ),
    "two zones": (
        "E-TIME-TZMIX",
        visits(
            time=objects(
                *(pd.Timestamp(s, tz=PARIS) for s in STAMPS[:4]), pd.Timestamp(STAMPS[4], tz="UTC")
            )
        ),
        {},
        "Europe/Paris, UTC",
    ),
    "huge integers": (
        "E-TIME-RANGE",
        visits(time=np.arange(5, dtype="uint64") + 2**63),
        {},
        "5 values",
    ),
    "huge integer objects": (
        "E-TIME-RANGE",
        visits(time=objects(*(10**30 + i for i in range(5)))),
        {},
        "5",
    ),
    "stamps that are too far apart": (
        "E-TIME-RANGE",
        visits(time=objects(*(dt.date(3000, 1, i) for i in range(1, 5)), pd.Timestamp(1))),
        {},
        "1 value too far away for a column in ns",
    ),
    "a time twice": (
        "E-TIME-DUP",
        TWICE.set_axis(list("vwxyz")),
        {},
        "series a at 2024-01-01 00:00:00 (rows v and w); series b at 2024-01-04 00:00:00 (rows y ",
    ),
    "a time twice in one series": (
        "E-TIME-DUP",
        TWICE[["time", "y"]],
        {},
        "several series, pass id_col",
    ),
    "text targets": (
        "E-TARGET-DTYPE",
        visits(y=["1", "2", "x", "4", "5"]),
        {},
        "'y' must hold numbers",
    ),
    "one text target": (
        "E-TARGET-DTYPE",
        visits(y=objects(1, 2, "x", 4, 5)),
        {},
        "1 other value such as x: row 2 (series a)",
    ),
    "bool targets": ("E-TARGET-DTYPE", visits(y=[True] * 5), {}, "dtype bool"),
    "nullable bool targets": ("E-TARGET-DTYPE", visits(y=pd.array([True] * 5)), {}, "boolean"),
    "bool objects": ("E-TARGET-DTYPE", visits(y=objects(True, None, *[False] * 3)), {}, "object"),
    "complex targets": (
        "E-TARGET-DTYPE",
        visits(z=np.arange(5) + 1j).drop(columns="y"),
        {},
        "complex128",
    ),
    "stamps as targets": ("E-TARGET-DTYPE", visits(y=visits()["time"]), {}, "datetime64"),
    "timedeltas as targets": (
        "E-TARGET-DTYPE",
        visits(y=pd.to_timedelta(range(5), unit="s")),
        {},
        "timedelta",
    ),
    "categories as targets": (
        "E-TARGET-DTYPE",
        visits(y=pd.Categorical([1, 2, 3, 4, 5])),
        {},
        "category",
    ),
    "infinite targets": (
        "E-VALUE-INF",
        visits(y=[0, -np.inf, np.inf, 1, 2]),
        {},
        "target column 'y' has 2 infinite values: row 1 (series a), row 2 (series a)",
    ),
    "nothing measured": ("E-TARGET-EMPTY", visits(x=np.nan, z=1.0).drop(columns="y"), {}, "'x'"),
}

# Errors whose fix is not in the frame.
TOLD = {
    "no rows": ("E-EMPTY", visits().iloc[:0], {}, "df has no rows; columns: 'id', 'time', 'y'"),
    "no columns": ("E-TIME-COL", pd.DataFrame(index=range(3)), {}, "it has ."),
    "an id that is like nothing": ("E-ID-COL", visits(), {"id_col": "zzz"}, "'zzz'"),
    "no targets at all": ("E-TARGET-NONE", visits()[["id", "time"]], {}, "beside the id"),
    "an empty list of targets": (
        "E-TARGET-NONE",
        visits(),
        {"target_cols": []},
        "no column of numbers",
    ),
}


@pytest.mark.parametrize("case", MENDED)
def test_what_is_refused_is_named_and_mended_by_its_fix(case):
    code, df, names, words = MENDED[case]
    before = df.clone() if isinstance(df, pl.DataFrame) else df.copy(deep=True)
    with pytest.raises(FrameError) as caught:
        read(df, **names)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert "np.int64" not in str(caught.value)
    mended, new_names = paste(caught.value, before)
    assert len(read(mended, **{**names, **new_names}).times) > 0


@pytest.mark.parametrize("case", TOLD)
def test_what_cannot_be_mended_in_the_frame_is_refused_and_told(case):
    code, df, names, words = TOLD[case]
    with pytest.raises(FrameError) as caught:
        read(df, **names)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert "\nFix: " in str(caught.value)


def test_an_error_survives_the_way_between_processes():
    error = FrameError("E-X", "what", "fix")
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, str(again)) == ("E-X", "what\nFix: fix  [E-X]")
    assert isinstance(again, ValueError)


def test_the_page_explains_every_error_and_no_other():
    page = (ROOT / "docs" / "the-frame.md").read_text(encoding="utf-8")
    folder = ROOT / "latentode" / "data"
    source = "".join(
        (folder / f"{name}.py").read_text("utf-8") for name in ("frame", "panel", "query")
    )
    code = r"E-[A-Z]+(?:-[A-Z]+)?\b"
    roles = {f"E-{role}-{end}" for role in ("ID", "TIME", "TARGET") for end in ("COL", "AMBIG")}
    raised = set(re.findall(f'"({code})"', source)) - {"E-ID", "E-TIME", "E-TARGET"} | roles
    assert set(re.findall(rf"^\| `({code})`", page, re.MULTILINE)) == raised
