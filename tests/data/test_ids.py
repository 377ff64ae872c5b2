import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentode.data import (
    FrameError,
    infer_schema,
    query_at,
    query_horizon,
    to_panel,
)

STAMPS = pd.to_datetime(["2024-01-03", "2024-01-01", "2024-01-02", "2024-01-01", "2024-01-05"])


def sales(**columns):
    """Give five rows of four series, each told by a shop and an item."""
    df = pd.DataFrame({"shop": list("baabb"), "item": [1, 2, 1, 1, 1], "ds": STAMPS, "y": 1.0})
    return df.assign(y=np.arange(5.0), **columns)


BOTH = ["shop", "item"]
IDS = (("a", 1), ("a", 2), ("b", 1))


def assert_same(one, other):
    assert one.ids == other.ids
    assert one.offsets.tobytes() == other.offsets.tobytes()
    assert one.times.tobytes() == other.times.tobytes()
    assert one.values.tobytes() == other.values.tobytes()


def test_several_columns_tell_series_apart_together_and_ids_are_tuples():
    schema = infer_schema(sales(), id_col=BOTH)
    panel = to_panel(sales(), schema)
    assert schema.id_cols == ("shop", "item")
    assert panel.ids == IDS
    np.testing.assert_array_equal(panel.offsets, [0, 1, 2, 5])
    np.testing.assert_array_equal(panel.values[:, 0], [2, 1, 3, 0, 4])


def test_a_list_of_one_column_gives_plain_ids():
    df = sales().drop(columns="item").drop(index=2)
    assert_same(
        to_panel(df, infer_schema(df, id_col=["shop"])),
        to_panel(df, infer_schema(df, id_col="shop")),
    )
    assert infer_schema(df, id_col=["shop"]) == infer_schema(df, id_col="shop")


def test_a_tuple_is_a_label_where_a_column_has_it_and_a_list_where_none_has():
    df = sales()
    assert infer_schema(df, id_col=("shop", "item")).id_cols == ("shop", "item")
    labelled = df.rename(columns={"shop": ("shop", "item")})[[("shop", "item"), "ds", "y"]]
    assert infer_schema(labelled, id_col=("shop", "item")).id_cols == (("shop", "item"),)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", 1, (2,)]), st.integers(-2, 2), st.integers(0, 9)),
        min_size=1,
        unique=True,
    ),
    st.randoms(use_true_random=False),
)
def test_two_id_columns_are_read_like_one_of_their_tuples(rows, random):
    df = pd.DataFrame({"one": pd.Series([row[0] for row in rows], dtype=object)})
    df = df.assign(two=[row[1] for row in rows], t=[row[2] for row in rows], y=1.0)
    random.shuffle(rows)
    pairs = pd.DataFrame({
        "id": pd.Series([row[:2] for row in rows], dtype=object),
        "t": [row[2] for row in rows],
        "y": 1.0,
    })
    apart = to_panel(df, infer_schema(df, id_col=["one", "two"]))
    assert_same(apart, to_panel(pairs, infer_schema(pairs)))


INDEXED = {
    "named": sales().set_index(["shop", "item", "ds"]),
    "named in part": sales().set_index(["shop", "item", "ds"]).rename_axis(["shop", None, None]),
    "without names": sales().set_index(["shop", "item", "ds"]).rename_axis([None] * 3),
    "one of them a column": sales().set_index(["item", "ds"]),
    "polars": pl.DataFrame(sales().assign(ds=STAMPS.to_numpy()).to_dict(orient="list")),
}


@pytest.mark.parametrize("case", INDEXED)
def test_ids_in_levels_of_an_index_are_read_like_columns(case):
    df = INDEXED[case]
    schema = infer_schema(df, id_col=BOTH)
    panel = to_panel(df, schema)
    assert schema.id_cols == ("shop", "item")
    assert panel.ids == IDS
    np.testing.assert_array_equal(panel.values[:, 0], [2, 1, 3, 0, 4])


def test_forecasts_give_the_columns_of_the_ids_back():
    schema = infer_schema(sales(), id_col=BOTH)
    query = query_at("2024-02-01", schema, IDS)
    expected = pd.DataFrame({"shop": list("aab"), "item": [1, 2, 1]})
    pd.testing.assert_frame_equal(query.frame[BOTH], expected)
    later = query_horizon("2D", "1D", {("b", 1): 0, ("a", 2): 0}, schema)
    assert list(later.frame["item"]) == [2, 2, 1, 1]
    assert list(later.frame.columns) == ["shop", "item", "ds"]


def test_rows_asked_by_several_ids_come_back_as_they_were():
    schema = infer_schema(sales(), id_col=BOTH)
    asked = sales().set_axis([7, 7, 3, 4, 5])
    query = query_at(asked, schema, IDS)
    pd.testing.assert_frame_equal(query.frame, asked[["shop", "item", "ds"]])
    assert [query.ids[s] for s in query.series] == list(
        zip(asked["shop"], asked["item"], strict=True)
    )


def test_errors_name_the_columns_and_the_series_of_several_ids():
    schema = infer_schema(sales(), id_col=BOTH)
    scope = {"df": pd.concat([sales(), sales()], ignore_index=True)}
    with pytest.raises(FrameError, match=r"series \(a, 1\) at .* \(rows 2 and 7\)") as caught:
        to_panel(scope["df"], schema)
    exec(caught.value.fix, scope)
    assert_same(to_panel(scope["df"], schema), to_panel(sales(), schema))
    with pytest.raises(FrameError, match=r"row 1 \(series \(a, 2\)\)"):
        to_panel(sales().assign(y=[0, np.inf, 0, 0, 0]), schema)


def test_a_missing_part_of_an_id_is_named_by_its_column():
    scope = {"df": sales(item=[1, None, 1, None, 2])}
    schema = infer_schema(scope["df"], id_col=BOTH)
    with pytest.raises(FrameError, match="id column 'item' has 2 missing values: row 1") as caught:
        to_panel(scope["df"], schema)
    assert caught.value.code == "E-ID-NA"
    exec(caught.value.fix, scope)
    assert len(to_panel(scope["df"], schema).times) == 3


def test_a_series_of_several_columns_without_a_history_is_refused():
    schema = infer_schema(sales(), id_col=BOTH)
    asked = sales(item=[1, 9, 1, 1, 9])
    words = r"series \(a, 9\), \(b, 9\) are not known: .* columns 'shop', 'item', row 1, row 4"
    with pytest.raises(FrameError, match=words):
        query_at(asked, schema, IDS)
    scope = {"times": sales(item=["1", "2", "1", "1", "1"])}
    with pytest.raises(FrameError, match="In fit, 'item' is int, here it is str") as caught:
        query_at(scope["times"], schema, IDS)
    exec(caught.value.fix, scope)
    assert query_at(scope["times"], schema, IDS).ids == IDS


def paste_names(error):
    """Run a fix that names columns, and give them."""
    names = {}
    exec(error.fix, {"LatentODEForecaster": lambda **kw: names.update(kw)})
    return names


def test_two_columns_that_look_like_the_id_together_are_told():
    df = pd.DataFrame({
        "shop": list("aabb") * 2,
        "item": list("xyxy") * 2,
        "ds": np.repeat(pd.to_datetime(["2024-01-01", "2024-01-02"]), 4),
        "y": 1.0,
    })
    with pytest.raises(FrameError, match="'shop', 'item' look like the id together") as caught:
        infer_schema(df)
    assert caught.value.code == "E-ID-MISSING"
    assert len(to_panel(df, infer_schema(df, **paste_names(caught.value))).ids) == 4


NO_NAMES = [None, None, None]
HIERARCHIES = {
    "no names": (NO_NAMES, ("level_0", "level_1"), "time"),
    "names of sktime": (["h0", "h1", "timepoints"], ("h0", "h1"), "timepoints"),
    "one usual name": (["region", "unique_id", "ds"], ("region", "unique_id"), "ds"),
}


@pytest.mark.parametrize("case", HIERARCHIES)
def test_all_levels_before_the_time_are_the_id_together(case):
    names, id_cols, time_col = HIERARCHIES[case]
    df = sales().set_index(["shop", "item", "ds"]).rename_axis(names)
    schema = infer_schema(df)
    assert (schema.id_cols, schema.time_col) == (id_cols, time_col)
    assert schema.guessed[0] == f"id_col={list(id_cols)}"
    assert to_panel(df, schema).ids == IDS
    rows = query_at(df, schema, IDS).frame
    pd.testing.assert_index_equal(rows.index, df.index)
    np.testing.assert_array_equal(rows.index.get_level_values(0), list("baabb"))


def test_levels_that_say_nothing_beside_columns_are_not_read():
    junk = pd.MultiIndex.from_arrays([[1, 1, 1, 1, 1], [5, 5, 5, 5, 5], range(5)])
    schema = infer_schema(sales().set_index(junk), id_col=BOTH)
    assert (schema.id_cols, schema.time_col) == (("shop", "item"), "ds")


def test_one_column_named_twice_as_id_is_refused():
    with pytest.raises(FrameError, match="'shop' was given two roles") as caught:
        infer_schema(sales(), id_col=["shop", "item", "shop"])
    assert paste_names(caught.value) == {"id_col": ["shop", "item"]}
