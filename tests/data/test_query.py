import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentode.data import FrameError, Schema, query_at, query_horizon

PARIS = "Europe/Paris"
NAIVE = Schema(("id",), "ds", ("y",), "datetime", "us", None, ())
AWARE = NAIVE._replace(time_zone=PARIS)
SECONDS = NAIVE._replace(time_unit="s")
SPANS = NAIVE._replace(time_kind="timedelta")
NUMBERS = NAIVE._replace(time_kind="number", time_unit=None)
ALONE = NUMBERS._replace(id_cols=())
DAY = 86400 * 10**6


def rows(**columns):
    df = pd.DataFrame({
        "id": ["b", "a", "b"],
        "ds": pd.to_datetime(["1970-01-02"] * 2 + ["1970-01-01"]),
    })
    return df.assign(**columns)


HAND = {
    "text": "1970-01-02 00:00",
    "a stamp": pd.Timestamp("1970-01-02"),
    "a date": dt.date(1970, 1, 2),
    "a datetime": dt.datetime(1970, 1, 2),
    "a numpy stamp": np.datetime64("1970-01-02"),
    "an array of no dimension": np.array("1970-01-02", "M8[D]"),
    "a period": pd.Period("1970-01-02", "D"),
    "a list of text": ["1970-01-02"],
    "a tuple": (dt.date(1970, 1, 2),),
    "an array": np.array(["1970-01-02"], "M8[D]"),
    "an array of text": np.array(["1970-01-02"]),
    "a Series": pd.Series(pd.to_datetime(["1970-01-02"]), index=[7]),
    "a Series of text": pd.Series(["1970-01-02"]),
    "an Index": pd.DatetimeIndex(["1970-01-02"]),
    "an extension array": pd.array(["1970-01-02"], "M8[s]"),
    "a column of polars": pl.Series([dt.datetime(1970, 1, 2)]),
}


@pytest.mark.parametrize("kind", HAND)
def test_times_of_any_type_are_asked_of_every_known_series(kind):
    query = query_at(HAND[kind], NAIVE, ["b", "a"])
    assert query.ids == ("a", "b")
    np.testing.assert_array_equal(query.series, [0, 1])
    np.testing.assert_array_equal(query.times, [DAY, DAY])
    expected = pd.DataFrame({"id": ["a", "b"], "ds": pd.Series(np.array([DAY] * 2, "M8[us]"))})
    pd.testing.assert_frame_equal(query.frame, expected)


def test_several_times_come_series_after_series_in_the_order_asked():
    query = query_at(["1970-01-03", dt.date(1970, 1, 2), "1970-01-03"], NAIVE, ["b", "a"])
    np.testing.assert_array_equal(query.series, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(query.times, np.array([2, 1, 2] * 2) * DAY)
    assert list(query.frame.index) == list(range(6))


@pytest.mark.parametrize(
    ("schema", "at", "times"),
    [
        (NUMBERS, 3, [3]),
        (NUMBERS, [1, 2.5], [1.0, 2.5]),
        (NUMBERS, range(2), [0, 1]),
        (NUMBERS, pd.array([1, 2], "Int64"), [1, 2]),
        (SPANS, "1D", [DAY]),
        (SPANS, dt.timedelta(1), [DAY]),
        (SPANS, pd.to_timedelta([1, 2], unit="D"), [DAY, 2 * DAY]),
    ],
)
def test_numbers_and_timedeltas_are_asked_like_datetimes(schema, at, times):
    query = query_at(at, schema, ["a"])
    np.testing.assert_array_equal(query.times, times)
    assert query.times.dtype == np.asarray(times).dtype
    assert len(query.frame) == len(times)


def test_a_frame_without_ids_is_asked_by_time_alone():
    by_hand = query_at([2.0, 1.0], ALONE, [0])
    by_frame = query_at(pd.DataFrame({"ds": [2.0, 1.0]}), ALONE, [0])
    assert by_hand.ids == by_frame.ids == (0,)
    np.testing.assert_array_equal(by_hand.times, by_frame.times)
    pd.testing.assert_frame_equal(by_hand.frame, by_frame.frame)


@given(st.permutations(range(6)))
def test_a_frame_comes_back_in_its_own_order_and_index(order):
    ids = pd.Categorical(["b", "a", "c", "a", "b", "c"], list("dcba"))
    stamps = pd.date_range("2024-03-30", periods=6, freq="11h", tz="Asia/Tokyo")
    asked = pd.DataFrame({"extra": 1, "ds": stamps, "id": ids}, index=[5, 5, 5, 1, 2, 3]).iloc[
        order
    ]
    before = asked.copy(deep=True)
    query = query_at(asked, AWARE, ["a", "b", "c", "e"])
    pd.testing.assert_frame_equal(query.frame, asked[["id", "ds"]])
    pd.testing.assert_frame_equal(asked, before)
    assert query.ids == ("a", "b", "c")
    assert [query.ids[s] for s in query.series] == list(asked["id"])
    np.testing.assert_array_equal(
        query.times, stamps.tz_convert("UTC").as_unit("us").asi8[list(order)]
    )
    query.frame["ds"] = 0
    pd.testing.assert_frame_equal(asked, before)


@given(st.lists(st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 1, 1)), min_size=1))
def test_times_asked_are_the_times_given_back(stamps):
    assert list(query_at(stamps, NAIVE, ["a"]).frame["ds"]) == list(map(pd.Timestamp, stamps))
    frame = pd.DataFrame({"id": "a", "ds": np.array(stamps, "M8[us]")})
    pd.testing.assert_frame_equal(query_at(frame, NAIVE, ["a"]).frame, frame)


def test_times_with_a_zone_come_back_in_the_zone_they_came_in():
    query = query_at("2024-03-31 12:00+09:00", AWARE, ["a"])
    assert query.frame["ds"].iloc[0].isoformat() == "2024-03-31T12:00:00+09:00"
    assert str(query_horizon("7D", None, {"a": 0}, AWARE).frame["ds"].dt.tz) == PARIS


def test_an_index_of_series_and_time_is_read_and_kept():
    asked = rows().set_index(["id", "ds"])
    query = query_at(asked, NAIVE, ["a", "b"])
    pd.testing.assert_index_equal(query.frame.index, asked.index)
    assert [query.ids[i] for i in query.series] == ["b", "a", "b"]
    assert query.frame.columns.empty  # in both places, no name would be clear


def test_a_polars_frame_is_asked_like_one_of_pandas():
    asked = pl.DataFrame({
        "id": ["b", "a"],
        "ds": [dt.datetime(1970, 1, 2), dt.datetime(1970, 1, 1)],
    })
    query = query_at(asked, NAIVE, ["a", "b"])
    np.testing.assert_array_equal(query.times, [DAY, 0])


def test_ids_1_and_text_1_are_asked_apart():
    query = query_at(5, NUMBERS, ["1", 1, ("x", 2)])
    assert query.ids == (1, "1", ("x", 2))
    assert list(query.frame["id"]) == [1, "1", ("x", 2)]


def test_a_sparse_column_of_times_is_asked_like_any_other():
    schema = Schema(("id",), "t", ("y",), "number", None, None, ())
    at = pd.Series(pd.arrays.SparseArray([1.0, 2.0]))
    assert query_at(at, schema, ("a",)).times.tolist() == [1.0, 2.0]


def test_a_horizon_goes_from_the_last_time_of_each_series():
    query = query_horizon("2D", "12h", {"b": 0, "a": DAY}, NAIVE)
    assert query.ids == ("a", "b")
    np.testing.assert_array_equal(query.series, np.repeat([0, 1], 4))
    np.testing.assert_array_equal(query.times, np.array([3, 4, 5, 6, 1, 2, 3, 4]) * DAY // 2)
    assert list(query.frame["id"]) == ["a"] * 4 + ["b"] * 4


def test_without_a_step_one_time_is_asked_at_the_horizon():
    np.testing.assert_array_equal(query_horizon("7D", None, {"a": DAY}, NAIVE).times, [8 * DAY])
    np.testing.assert_array_equal(query_horizon(2.5, None, {"a": 1}, NUMBERS).times, [3.5])
    assert list(query_horizon(2, None, {0: 1}, ALONE).frame) == ["ds"]


@given(st.integers(1, 60), st.sampled_from([0.1, 0.3, 0.7, 1e-3, 1e9, 3.0]), st.floats(0, 0.9))
def test_a_step_that_divides_the_horizon_reaches_it_and_none_passes_it(n, step, rest):
    exact = query_horizon(n * step, step, {"a": 0.0}, NUMBERS).times
    assert len(exact) == n
    assert exact[-1] == n * step
    longer = query_horizon(n * step + rest * step, step, {"a": 0.0}, NUMBERS).times
    np.testing.assert_allclose(longer, exact, rtol=1e-12)


@pytest.mark.parametrize(
    "step",
    ["6h", pd.Timedelta("6h"), dt.timedelta(hours=6), np.timedelta64(6, "h"), pd.offsets.Hour(6)],
)
def test_a_step_is_anything_like_a_timedelta(step):
    assert len(query_horizon("1D", step, {"a": 0}, SPANS).times) == 4


def test_integers_stay_integers():
    assert query_horizon(2, 1, {"a": 2**62 + 1}, NUMBERS).times.tolist() == [2**62 + 2, 2**62 + 3]


# code, what was asked, schema, words; the fix is run on `times`, and asking must then succeed.
MENDED = {
    "no zone": ("E-TIME-ZONE", "2024-03-01", AWARE, "fitted on times in Europe/Paris"),
    "no zone in a list": ("E-TIME-ZONE", [pd.Timestamp("2024-03-01")], AWARE, "no time zone"),
    "no zone in a frame": ("E-TIME-ZONE", rows(), AWARE, "'ds'"),
    "no zone in an index": ("E-TIME-ZONE", rows().set_index(["id", "ds"]), AWARE, "'ds'"),
    "a zone": ("E-TIME-ZONE", pd.Timestamp(0, tz=PARIS), NAIVE, "without a zone"),
    "a zone in a frame": (
        "E-TIME-ZONE",
        rows(ds=rows()["ds"].dt.tz_localize("UTC")),
        NAIVE,
        "UTC",
    ),
    "numbers for stamps": ("E-TIME-KIND", [1, 2], NAIVE, "times holds numbers"),
    "stamps for numbers": ("E-TIME-KIND", rows(), NUMBERS, "holds datetimes, but"),
    "text for numbers": ("E-TIME-KIND", ["1", 2], NUMBERS, "row 0"),
    "too fine": ("E-TIME-UNIT", "2024-03-01 07:30:00.5", SECONDS, "finer than the unit"),
    "text in a frame": (
        "E-TIME-DTYPE",
        rows(ds="2024-03-01"),
        NAIVE,
        "str such as 2024-03-01: row 0 (series b), row 1 (series a)",
    ),
    "text that is no time": ("E-TIME-DTYPE", ["2024-03-01", "soon"], NAIVE, "soon cannot be read"),
    "text of a day or a month": ("E-TIME-DTYPE", "12.04.2025", NAIVE, "day and month could be"),
    "text of a day, surely": ("E-TIME-DTYPE", "13.04.2025", NAIVE, "the year first"),
    "text with a month": ("E-TIME-DTYPE", "March 1 2024", NAIVE, "8601, the year first."),
    "text that is no timedelta": ("E-TIME-DTYPE", "soon", SPANS, "read as a timedelta"),
    "bools": ("E-TIME-DTYPE", True, NUMBERS, "bool"),
    "nothing among times": ("E-TIME-NAT", ["2024-03-01", None, pd.NaT], NAIVE, "row 1, row 2"),
    "NaN": ("E-TIME-NAT", [1.0, np.nan], NUMBERS, "1 missing value"),
    "infinity": ("E-TIME-NAT", [1.0, np.inf], NUMBERS, "infinite"),
    "nothing in a frame": (
        "E-TIME-NAT",
        rows(ds=rows()["ds"].where([True, False, True])),
        NAIVE,
        "(series a)",
    ),
    "zones mixed": ("E-TIME-TZMIX", ["2024-03-01", "2024-03-01 00:00+00:00"], AWARE, "row 1"),
    "a missing id": ("E-ID-NA", rows(id=["a", None, "b"]), NAIVE, "row 1"),
    "a column misspelt": ("E-TIME-COL", rows().rename(columns={"ds": "DS"}), NAIVE, "'ds'"),
    "an id misspelt": ("E-ID-COL", rows().rename(columns={"id": "ID"}), NAIVE, "'id'"),
    "columns of one name": (
        "E-COLS-DUP",
        rows(x=1).set_axis(["id", "ds", "id"], axis=1),
        NAIVE,
        "'id'",
    ),
}


@pytest.mark.parametrize("case", MENDED)
def test_what_cannot_be_asked_is_named_and_mended_by_the_fix(case):
    code, at, schema, words = MENDED[case]
    with pytest.raises(FrameError) as caught:
        query_at(at, schema, ["a", "b"])
    assert caught.value.code == code
    assert words in str(caught.value)
    scope = {"times": at.copy() if isinstance(at, pd.DataFrame) else at, "pd": pd, "np": np}
    exec(caught.value.fix, scope)
    assert len(query_at(scope["times"], schema, ["a", "b"]).times) > 0


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (
            ["c", "a", "c"],
            r"series c is not known: no row of it was read, in fit or as context.* row 0, row 2\.",
        ),
        (["c", "d", "e"], r"series c, d, e are not known: none was read, in fit or as context"),
    ],
)
def test_a_series_without_a_history_is_refused(ids, words):
    with pytest.raises(FrameError, match=words) as caught:
        query_at(rows(id=ids), NAIVE, ["a", "b"])
    assert caught.value.code == "E-ID-UNSEEN"
    assert caught.value.fix == "model.predict(times, context=df_with_its_rows)"


def test_many_series_without_a_history_are_counted():
    asked = pd.DataFrame({"id": range(10), "ds": 1.0})
    with pytest.raises(FrameError, match=r"series 0, 1, 2, \.\.\. \(10 in all\) are not known"):
        query_at(asked, NUMBERS, ["a"])


def test_an_id_of_the_wrong_type_is_told_from_one_that_is_new():
    scope = {"times": pd.DataFrame({"id": ["1", "2"], "ds": [1.0, 2.0]})}
    with pytest.raises(FrameError, match="In fit, 'id' is int, here it is str") as caught:
        query_at(scope["times"], NUMBERS, [1, 2])
    exec(caught.value.fix, scope)
    assert query_at(scope["times"], NUMBERS, [1, 2]).ids == (1, 2)


@pytest.mark.parametrize("at", [[], rows().iloc[:0], pd.DatetimeIndex([]), np.array([])])
def test_asking_for_nothing_is_refused(at):
    with pytest.raises(FrameError) as caught:
        query_at(at, NAIVE, ["a", "b"])
    assert caught.value.code == "E-EMPTY"


@pytest.mark.parametrize("at", [{"a": 1}, {1, 2}, pl.LazyFrame({"ds": [1]})])
def test_what_has_no_order_or_no_rows_yet_is_a_type_error(at):
    with pytest.raises(TypeError, match="times must be"):
        query_at(at, NUMBERS, ["a"])


def test_times_in_two_dimensions_are_refused():
    with pytest.raises(FrameError, match="of type list") as caught:
        query_at(np.zeros((2, 2)), NUMBERS, ["a"])
    assert caught.value.code == "E-TIME-DTYPE"


# code, horizon, step, schema; the fix is run on both, and asking must then succeed.
LENGTHS = {
    "no unit": ("E-HORIZON", 7, None, NAIVE),
    "text without a unit": ("E-HORIZON", "7", None, NAIVE),
    "a step without a unit": ("E-HORIZON", "7D", 6.5, SPANS),
    "months": ("E-HORIZON", "1M", None, NAIVE),
    "calendar months": ("E-HORIZON", pd.offsets.MonthEnd(1), None, NAIVE),
    "nothing": ("E-HORIZON", None, None, NAIVE),
    "NaT": ("E-HORIZON", pd.NaT, None, NAIVE),
    "backward": ("E-HORIZON", "-7D", None, NAIVE),
    "zero": ("E-HORIZON", 0, None, NUMBERS),
    "NaN": ("E-HORIZON", np.nan, None, NUMBERS),
    "infinity": ("E-HORIZON", np.inf, None, NUMBERS),
    "text for numbers": ("E-HORIZON", "7D", None, NUMBERS),
    "a timedelta for numbers": ("E-HORIZON", np.timedelta64(7, "D"), None, NUMBERS),
    "a bool": ("E-HORIZON", True, None, NUMBERS),
    "a step past the horizon": ("E-HORIZON", "1D", "2D", NAIVE),
    "a step that is too fine": ("E-TIME-UNIT", "1D", "1500ms", SECONDS),
}


@pytest.mark.parametrize("case", LENGTHS)
def test_a_horizon_or_step_that_is_none_is_refused_and_mended_by_the_fix(case):
    code, horizon, step, schema = LENGTHS[case]
    with pytest.raises(FrameError) as caught:
        query_horizon(horizon, step, {"a": 0}, schema)
    assert caught.value.code == code
    scope = {"horizon": horizon, "step": step, "pd": pd}
    exec(caught.value.fix, scope)
    assert len(query_horizon(scope["horizon"], scope["step"], {"a": 0}, schema).times) > 0


def test_a_horizon_past_all_integers_is_refused():
    with pytest.raises(FrameError, match="too far away") as caught:
        query_horizon(2**63 - 2, None, {"a": 0, "b": 2}, NUMBERS)
    assert caught.value.code == "E-TIME-RANGE"


def test_a_horizon_needs_a_series():
    with pytest.raises(FrameError, match="no series is known"):
        query_horizon("7D", None, {}, NAIVE)
    with pytest.raises(FrameError, match="no series is known"):
        query_at("2024-03-01", NAIVE, [])
