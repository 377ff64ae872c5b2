import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentode import from_events
from latentode.data import FrameError, infer_schema, to_panel

ROLES = {"id": "stay", "time": "hour", "variable": "lab", "value": "result"}


def log(**columns):
    df = pd.DataFrame({
        "result": [1.9, 110.0, 1.4, 97.0, np.nan],
        "lab": ["lactate", "glucose", "lactate", "glucose", "lactate"],
        "hour": [0.5, 0.5, 2.0, 1.0, 1.0],
        "stay": [7, 7, 7, 3, 3],
    })
    return df.assign(**columns)


def test_a_log_becomes_a_row_for_each_series_and_time():
    wide = from_events(log(), **ROLES)
    expected = pd.DataFrame({
        "stay": [3, 7, 7],
        "hour": [1.0, 0.5, 2.0],
        "glucose": [97.0, 110.0, np.nan],
        "lactate": [np.nan, 1.9, 1.4],
    })
    pd.testing.assert_frame_equal(wide, expected)


@given(st.permutations(range(5)))
def test_the_order_of_a_log_changes_nothing(order):
    pd.testing.assert_frame_equal(
        from_events(log().iloc[order], **ROLES), from_events(log(), **ROLES)
    )


@st.composite
def frames(draw):
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from(["a", "b", 1]), st.integers(0, 5)), min_size=1, unique=True
        )
    )
    number = st.one_of(st.none(), st.floats(allow_infinity=False, allow_nan=False))
    df = pd.DataFrame({"id": pd.Series([row[0] for row in rows], dtype=object)})
    df["t"] = [row[1] for row in rows]
    for name in ("x", "z"):
        df[name] = pd.Series(
            draw(st.lists(number, min_size=len(rows), max_size=len(rows))), dtype="float64"
        )
    return df


@given(frames())
def test_what_is_melted_comes_back(df):
    melted = df.melt(["id", "t"], var_name="name", value_name="number")
    back = from_events(melted, id="id", time="t", variable="name", value="number")
    schema = infer_schema(df.assign(x=0.0, z=0.0), target_cols=["x", "z"])
    one, other = to_panel(df, schema), to_panel(back, schema)
    assert one.ids == other.ids
    assert one.times.tobytes() == other.times.tobytes()
    np.testing.assert_array_equal(one.values, other.values)


def test_stamps_keep_their_unit_and_zone_and_ids_their_dtype():
    stamps = pd.date_range("2024-03-30", periods=5, freq="7h", tz="Europe/Paris", unit="ms")
    df = log(hour=stamps, stay=pd.Categorical(list("bbbaa")))
    wide = from_events(df, **ROLES)
    assert wide["hour"].dtype == stamps.dtype
    assert wide["stay"].dtype == df["stay"].dtype
    assert wide["hour"].tolist() == [stamps[3], stamps[4], *stamps[:3]]


def test_several_ids_or_none_tell_series_apart():
    df = log(ward=["x", "x", "y", "x", "x"])
    wide = from_events(df, **ROLES | {"id": ["ward", "stay"]})
    assert wide[["ward", "stay"]].to_numpy().tolist() == [["x", 3], ["x", 7], ["y", 7]]
    alone = from_events(df[:3], **ROLES | {"id": None})
    assert list(alone.columns) == ["hour", "glucose", "lactate"]
    assert len(alone) == 2


def test_columns_may_stand_in_an_index():
    indexed = log().set_index(["stay", "hour"]).rename_axis([None, None])
    wide = from_events(indexed, **ROLES)
    pd.testing.assert_frame_equal(wide, from_events(log(), **ROLES))


def test_a_log_of_polars_gives_a_frame_of_polars():
    stamps = pl.Series([dt.datetime(2024, 3, 1, hour) for hour in (7, 7, 9, 8, 8)])
    df = pl.DataFrame(log().to_dict(orient="list")).with_columns(
        hour=stamps.cast(pl.Datetime("ms")).dt.replace_time_zone("Europe/Paris"),
        lab=pl.Series([101, 102, 101, 102, 101]),
    )
    wide = from_events(df, **ROLES)
    assert wide.columns == ["stay", "hour", "101", "102"]
    assert wide.schema["hour"] == df.schema["hour"]
    assert len(to_panel(wide, infer_schema(wide, id_col="stay")).times) == 3


def test_values_that_repeat_are_refused_or_joined():
    twice = pd.concat([log(), log(result=[2.1, 112.0, None, 97.0, 3.0])], ignore_index=True)
    with pytest.raises(
        FrameError, match=r"series \(3, glucose\) at 1\.0 \(rows 3 and 8\)"
    ) as caught:
        from_events(twice, **ROLES)
    assert caught.value.code == "E-TIME-DUP"
    scope = {"df": twice}
    exec(caught.value.fix, scope)
    last = from_events(twice, **ROLES, on_duplicates="last")
    pd.testing.assert_frame_equal(from_events(scope["df"], **ROLES), last)
    assert last["lactate"].tolist()[:2] == [3.0, 2.1]
    assert np.isnan(last["lactate"][2])
    mean = from_events(twice, **ROLES, on_duplicates="mean")
    np.testing.assert_allclose(mean["lactate"], [3.0, 2.0, 1.4])
    with pytest.raises(FrameError, match="'result': series"):
        from_events(twice, **ROLES, on_duplicates="merge")
    with pytest.raises(ValueError, match="on_duplicates=sum is not known"):
        from_events(twice, **ROLES, on_duplicates="sum")


# code, log, columns that are named otherwise, words of the message
REFUSED = {
    "no id": ("E-ID-COL", log(), {"id": "stya"}, "id: df has no column 'stya'"),
    "no time": ("E-TIME-COL", log(), {"time": "hours"}, "no column 'hours'"),
    "no variable": ("E-VARIABLE-COL", log(), {"variable": "labs"}, "no column 'labs'"),
    "no value": ("E-TARGET-COL", log(), {"value": "results"}, "no column 'results'"),
    "a missing time": ("E-TIME-NAT", log(hour=[1, None, 2, 3, 4]), {}, "row 1 (series 7)"),
    "a missing id": ("E-ID-NA", log(stay=[1, 1, 1, None, 1]), {}, "row 3"),
    "a missing variable": (
        "E-ID-NA",
        log(lab=["a", "b", None, "a", "b"]),
        {},
        "variable column 'lab' has 1 missing value: row 2 (series 7)",
    ),
    "text": ("E-TARGET-DTYPE", log(result=list("12345")), {}, "'result' must hold numbers"),
    "infinity": ("E-VALUE-INF", log(result=[1, 2, np.inf, 4, 5]), {}, "row 2 (series (7, lactate"),
    "a variable called like the time": (
        "E-COLS-DUP",
        log(lab=["hour", "glucose"] * 2 + ["hour"]),
        {},
        "3 values 'hour', the name of another column: row 0 (series 7)",
    ),
    "no rows": ("E-EMPTY", log()[:0], {}, "no rows"),
    "one column twice": ("E-ROLE-DUP", log(), {"value": "hour"}, "'hour' was given two roles"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_log_that_cannot_be_read_is_refused_and_mended_by_its_fix(case):
    code, df, other, words = REFUSED[case]
    with pytest.raises(FrameError) as caught:
        from_events(df, **ROLES | other)
    assert caught.value.code == code
    assert words in str(caught.value)
    if code in {"E-EMPTY", "E-ROLE-DUP"}:
        return
    scope = {"df": df.copy(), "from_events": from_events, "pd": pd, "np": np}
    exec(f"made = {caught.value.fix}" if other else caught.value.fix, scope)
    made = scope["made"] if other else from_events(scope["df"], **ROLES)
    assert len(made) > 0
