import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentode.data import (
    FrameError,
    Schema,
    check_time_span,
    drop_empty_rows,
    infer_schema,
    select_series,
    to_panel,
)

PARIS = "Europe/Paris"
KEYS = st.one_of(
    st.integers(-3, 3), st.sampled_from(["1", "b", "a"]), st.tuples(st.integers(0, 2))
)


@st.composite
def frames(draw):
    """Draw a frame of several series with mixed ids, in any order of rows."""
    pairs = st.tuples(KEYS, st.integers(-(2**53), 2**53))
    rows = draw(st.lists(pairs, min_size=1, max_size=30, unique=True))
    n = len(rows)
    number = st.one_of(st.none(), st.floats(allow_infinity=False, allow_nan=False))
    return pd.DataFrame({
        "id": pd.Series([key for key, _ in rows], dtype=object),
        "t": [t for _, t in rows],
        "x": pd.Series(draw(st.lists(number, min_size=n, max_size=n)), dtype="float64"),
        "z": pd.Series(
            [*draw(st.lists(number, min_size=n - 1, max_size=n - 1)), 1.0], dtype="float64"
        ),
    })


SCHEMA = Schema(("id",), "t", ("x", "z"), "number", None, None, ())


def assert_same(one, other):
    assert one.ids == other.ids
    assert list(map(type, one.ids)) == list(map(type, other.ids))
    assert one.schema == other.schema
    for name in ("offsets", "times", "values"):
        assert getattr(one, name).dtype == getattr(other, name).dtype
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


@given(frames(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing_to_the_last_bit(df, random):
    rows = list(range(len(df)))
    random.shuffle(rows)
    assert_same(to_panel(df.iloc[rows], SCHEMA), to_panel(df, SCHEMA))


@given(frames())
def test_every_row_is_found_again_in_its_series_in_order_of_time(df):
    panel = to_panel(df, SCHEMA)
    series = np.repeat(np.arange(len(panel.ids)), np.diff(panel.offsets))
    found = {
        (panel.ids[s], t): tuple(x)
        for s, t, x in zip(series, panel.times, panel.values, strict=True)
    }
    assert len(found) == len(df)
    for key, t, *x in df.itertuples(index=False):
        np.testing.assert_array_equal(found[key, t], x)
    for start, stop in zip(panel.offsets[:-1], panel.offsets[1:], strict=True):
        assert (np.diff(panel.times[start:stop]) > 0).all()


@given(frames())
def test_the_frame_of_the_caller_is_not_changed(df):
    before = df.copy(deep=True)
    panel = to_panel(df, SCHEMA)
    panel.values[:] = 0.0
    panel.times[:] = 0
    pd.testing.assert_frame_equal(df, before)


@given(frames(), st.data())
def test_a_selection_is_the_panel_of_those_rows(df, data):
    panel = to_panel(df, SCHEMA)
    some = data.draw(st.lists(st.sampled_from(panel.ids), min_size=1, unique=True))
    rows = df["id"].map(lambda key: key in set(some))
    assert_same(select_series(panel, some), to_panel(df[rows], SCHEMA))


@given(frames())
def test_only_rows_without_any_number_are_dropped_and_all_series_stay(df):
    panel = to_panel(df, SCHEMA)
    dropped = drop_empty_rows(panel)
    measured = ~np.isnan(panel.values).all(axis=1)
    assert dropped.ids == panel.ids
    np.testing.assert_array_equal(dropped.times, panel.times[measured])
    series = np.repeat(np.arange(len(panel.ids)), np.diff(panel.offsets))
    again = np.repeat(np.arange(len(panel.ids)), np.diff(dropped.offsets))
    np.testing.assert_array_equal(again, series[measured])


def test_a_series_that_is_not_there_cannot_be_selected():
    df = pd.DataFrame({"id": ["a"], "t": [1], "y": [1.0]})
    with pytest.raises(KeyError, match="series b is not in the panel"):
        select_series(to_panel(df, infer_schema(df)), ["b"])


@pytest.mark.parametrize("n_rows", [1, 3])
def test_a_frame_in_which_no_time_passes_cannot_be_fitted(n_rows):
    stamp = pd.Timestamp("2024-01-01", tz=PARIS)
    df = pd.DataFrame({"id": range(n_rows), "ds": stamp, "y": 1.0})
    panel = to_panel(df, infer_schema(df))
    with pytest.raises(FrameError, match=r"'ds' is 2024-01-01 00:00:00\+01:00 in all") as caught:
        check_time_span(panel)
    assert caught.value.code == "E-TIME-FLAT"


def test_one_row_for_each_series_is_enough():
    df = pd.DataFrame({"id": ["b", "a"], "t": [1.0, 2.0], "y": [3, 3]})
    panel = to_panel(df, infer_schema(df))
    check_time_span(panel)
    np.testing.assert_array_equal(panel.offsets, [0, 1, 2])


def test_a_frame_without_an_id_is_the_series_0():
    df = pd.DataFrame(
        {"ds": pd.to_datetime(["2024-01-03", "2024-01-01"]), "y": [1, 2]}, index=[7, 7]
    )
    panel = to_panel(df, infer_schema(df))
    assert panel.ids == (0,)
    np.testing.assert_array_equal(panel.values, [[2.0], [1.0]])


def later(**columns):
    df = pd.DataFrame({
        "id": ["a", "a"],
        "ds": pd.to_datetime(["2025-01-01", "2025-01-02"]),
        "y": [1, 2],
    })
    return df.assign(**columns)


def test_a_later_frame_may_have_another_unit_zone_or_an_empty_target():
    stamps = pd.Series(np.array(["2025-01-01", "2025-01-02"], "M8[s]")).dt.tz_localize("UTC")
    schema = infer_schema(later(ds=stamps.dt.as_unit("us").dt.tz_convert(PARIS)))
    for column in (stamps, stamps.dt.as_unit("ns").dt.tz_convert("Asia/Tokyo")):
        panel = to_panel(later(ds=column, y=np.nan, other="x"), schema)
        assert panel.schema == schema
        np.testing.assert_array_equal(np.diff(panel.times), 86400 * 10**6)


STAMPS = later()["ds"]
HOURS = pd.to_timedelta([1, 2], unit="h")

# The column in fit, the one that came later, and the code; the fix makes it fit.
UNLIKE = {
    "no zone": (STAMPS.dt.tz_localize(PARIS), STAMPS, "E-TIME-ZONE"),
    "a zone": (STAMPS, STAMPS.dt.tz_localize(PARIS), "E-TIME-ZONE"),
    "finer": (
        STAMPS.dt.as_unit("s"),
        STAMPS + pd.Timedelta(1, "ms"),
        "E-TIME-UNIT",
    ),
    "finer timedeltas": (HOURS.as_unit("s"), HOURS + pd.Timedelta(1, "ms"), "E-TIME-UNIT"),
    "numbers for stamps": (STAMPS, [1, 2], "E-TIME-KIND"),
    "numbers for timedeltas": (HOURS, [1.5, 2.5], "E-TIME-KIND"),
    "stamps for numbers": ([1, 2], STAMPS, "E-TIME-KIND"),
    "stamps for timedeltas": (HOURS, STAMPS, "E-TIME-KIND"),
    "timedeltas for numbers": ([1, 2], HOURS, "E-TIME-KIND"),
    "timedeltas for stamps": (STAMPS, HOURS, "E-TIME-KIND"),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_a_later_frame_with_other_times_is_refused_and_mended_by_the_fix(case):
    fitted, came, code = UNLIKE[case]
    schema = infer_schema(later(ds=fitted), time_col="ds")
    scope = {"df": later(ds=came), "pd": pd}
    with pytest.raises(FrameError, match="'ds'") as caught:
        to_panel(scope["df"], schema)
    assert caught.value.code == code
    exec(caught.value.fix, scope)
    assert len(to_panel(scope["df"], schema).times) == 2


def test_a_later_frame_too_far_away_for_the_unit_of_fit_is_refused():
    schema = infer_schema(later(ds=STAMPS.dt.as_unit("ns")))
    far = pd.Series(np.array(["2025-01-01", "3000-01-01"], "M8[s]"))
    with pytest.raises(
        FrameError, match=r"1 value too far away .* ns: row 1 \(series a\)"
    ) as caught:
        to_panel(later(ds=far), schema)
    assert caught.value.code == "E-TIME-RANGE"


@pytest.mark.parametrize(("column", "code"), [("id", "ID"), ("ds", "TIME"), ("y", "TARGET")])
def test_a_later_frame_that_lacks_a_column_is_refused(column, code):
    schema = infer_schema(later())
    with pytest.raises(FrameError, match=rf"no column '{column}', .* in fit") as caught:
        to_panel(later().drop(columns=column), schema)
    assert caught.value.code == f"E-{code}-COL"
    scope = {"df": later().rename(columns={column: column.upper()})}
    with pytest.raises(FrameError) as caught:
        to_panel(scope["df"], schema)
    exec(caught.value.fix, scope)
    assert_same(to_panel(scope["df"], schema), to_panel(later(), schema))


def test_duplicates_are_counted_and_the_first_three_named():
    df = pd.DataFrame({"t": np.repeat(np.arange(5), 2), "y": 1.0})
    with pytest.raises(FrameError, match=r"5 rows at the time .* at 2 \(rows 4 and 5\); \.\.\."):
        to_panel(df, infer_schema(df))
