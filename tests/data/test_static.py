"""Static covariates: one of each for a series, whatever frame they come from."""

import numpy as np
import pandas as pd
import pytest

from latentode.data import (
    FrameError,
    Scaler,
    infer_schema,
    n_static,
    scale_panel,
    select_series,
    to_panel,
)

NAN = np.nan


def frame():
    return pd.DataFrame({
        "id": ["b", "a", "a", "c"],
        "t": [1, 2, 1, 1],
        "y": [1.0, 2.0, 3.0, 4.0],
        "sex": ["m", "f", "f", "m"],
        "age": [40.0, NAN, 60.0, NAN],
        "smokes": [True, False, False, True],
    })


COLUMNS = ["sex", "age", "smokes"]


def of_series():
    return frame().drop(columns=["t", "y"]).drop(index=1)


def schema_of(df=None, **options):
    df = frame() if df is None else df
    return infer_schema(df, target_cols="y", **{"static_cols": COLUMNS, **options})


def test_numbers_stay_and_categories_are_zeros_and_ones():
    schema = schema_of()
    assert schema.static_levels == (("f", "m"), None, None) and n_static(schema) == 4
    expected = [[1, 0, 60, 0], [0, 1, 40, 1], [0, 1, NAN, 1]]
    np.testing.assert_array_equal(to_panel(frame(), schema).static, expected)


def test_a_frame_of_the_series_says_the_same():
    apart = schema_of(frame()[["id", "t", "y"]], static=of_series(), static_cols=None)
    assert apart.static_cols == tuple(COLUMNS)
    panel = to_panel(frame()[["id", "t", "y"]], apart, static=of_series().iloc[::-1])
    np.testing.assert_array_equal(panel.static, to_panel(frame(), schema_of()).static)


def test_the_order_of_rows_changes_nothing():
    panel = to_panel(frame().iloc[::-1], schema_of())
    np.testing.assert_array_equal(panel.static, to_panel(frame(), schema_of()).static)


def test_a_selection_keeps_what_is_said_of_its_series():
    panel = to_panel(frame(), schema_of())
    np.testing.assert_array_equal(select_series(panel, ["c"]).static, panel.static[2:])


def test_what_is_missing_is_the_mean():
    panel = to_panel(frame(), schema_of())
    static = scale_panel(panel, Scaler.fit(panel, panel)).static
    assert static.isfinite().all() and static[2, 2] == 0
    np.testing.assert_allclose(static[:, 2], [1, -1, 0], atol=1e-6)


def test_a_missing_category_is_none_of_the_levels():
    df = frame().assign(sex=["m", None, "f", None])
    panel = to_panel(df, schema_of())
    np.testing.assert_array_equal(panel.static[:, :2], [[1, 0], [0, 1], [NAN, NAN]])
    assert not scale_panel(panel, Scaler.fit(panel, panel)).static[2, :2].any()


@pytest.mark.parametrize("column", ["sex", "smokes", "age"])
def test_one_that_varies_is_refused_and_the_fix_mends_it(column):
    df = frame().assign(
        sex=["m", "f", "m", "m"], smokes=[True, False, True, True], age=[1.0, 2.0, 3.0, 4.0]
    )
    message = r"must not change in a series, and is .* in row 1 and .* in row 2 of series a"
    with pytest.raises(FrameError, match=message) as caught:
        to_panel(df, schema_of(df, static_cols=column))
    assert caught.value.code == "E-STATIC-VARIES"
    exec(caught.value.fix, {"df": df})
    assert len(to_panel(df, schema_of(df, static_cols=column)).static) == 3


def test_an_unknown_level_is_refused_and_the_fix_makes_it_missing():
    df = frame().assign(sex=["x", "f", "f", "m"])
    message = r"'sex' is x, which no series was in fit, in row 0 \(series b\); .* 'f', 'm'"
    with pytest.raises(FrameError, match=message) as caught:
        to_panel(df, schema_of())
    assert caught.value.code == "E-STATIC-LEVEL"
    exec(caught.value.fix, {"df": df})
    assert np.isnan(to_panel(df, schema_of()).static[1, 0])


def test_a_series_without_its_row_is_refused_and_the_fix_leaves_it_out():
    df, static = frame()[["id", "t", "y"]], of_series().iloc[:2]
    schema = schema_of(df, static=static, static_cols=None)
    with pytest.raises(FrameError, match="static has no row for 1 of 3 series: 'c'") as caught:
        to_panel(df, schema, static=static)
    assert caught.value.code == "E-STATIC-MISSING"
    names = {"df": df, "static": static}
    exec(caught.value.fix, names)
    assert to_panel(names["df"], schema, static=static).ids == ("a", "b")


def test_two_rows_of_a_series_are_refused_and_the_fix_keeps_one():
    df, static = frame()[["id", "t", "y"]], frame()[["id", "sex"]]
    schema = schema_of(df, static=static, static_cols=None)
    with pytest.raises(FrameError, match=r"1 row of a series .*row 2 \(series a\)") as caught:
        to_panel(df, schema, static=static)
    assert caught.value.code == "E-STATIC-DUP"
    names = {"static": static}
    exec(caught.value.fix, names)
    assert len(to_panel(df, schema, static=names["static"]).static) == 3


def test_a_later_frame_has_the_same_ones():
    with pytest.raises(FrameError, match="df has no column 'age', a static covariate") as caught:
        to_panel(frame().drop(columns="age"), schema_of())
    assert caught.value.code == "E-STATIC-COL"
    with pytest.raises(FrameError, match="static has no column 'id'"):
        schema_of(static=of_series().drop(columns="id"), static_cols=None)


def test_a_frame_of_one_series_has_one_row_of_them():
    df = pd.DataFrame({"t": [1.0, 2.0], "y": [1.0, 2.0]})
    static = pd.DataFrame({"age": [40.0]})
    schema = infer_schema(df, static=static)
    assert to_panel(df, schema, static=static).static.tolist() == [[40.0]]
    with pytest.raises(FrameError, match="static has 1 row of a series that has one before"):
        to_panel(df, schema, static=pd.DataFrame({"age": [40.0, 50.0]}))


def test_static_columns_are_no_targets():
    assert infer_schema(frame().rename(columns={"y": "x"}), static_cols=COLUMNS).target_cols == (
        "x",
    )
