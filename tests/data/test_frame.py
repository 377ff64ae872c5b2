import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from latentode.data import FrameError, LatentODEWarning, Schema, infer_schema, to_panel

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
    "capitals": (
        visits().rename(columns={"id": "ID", "time": "Date", "y": "Value"}),
        ("ID", "Date", "Value"),
    ),
    "an index in capitals": (
        visits().rename(columns={"id": "ID", "time": "Date"}).set_index(["ID", "Date"]),
        ("ID", "Date", "y"),
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
    assert schema.id_cols == (() if id_col is None else (id_col,))
    assert (schema.time_col, schema.target_cols) == (time_col, (target,))
    assert len(to_panel(df, schema).times) == len(df)


def test_every_column_of_numbers_is_a_target_where_none_has_a_usual_name():
    df = visits(hr=[1, 2, 3, 4, 5], bp=pd.array([1, None, 3, 4, 5], "Int64")).drop(columns="y")
    assert infer_schema(df).target_cols == ("hr", "bp")
    assert infer_schema(df, target_cols="bp").target_cols == ("bp",)
    assert infer_schema(df, target_cols=["bp", "hr"]).target_cols == ("bp", "hr")
    assert infer_schema(df, target_cols=df.columns[2:]).target_cols == ("hr", "bp")


def test_capitals_matter_where_a_usual_name_is_there_and_for_single_letters():
    df = visits(Date=range(5), ID=1.5, Y=1.0, T=2.0)
    with pytest.warns(LatentODEWarning, match="'Date', 'ID', 'Y', 'T'"):
        schema = infer_schema(df)
    assert (schema.id_cols, schema.time_col, schema.target_cols) == (("id",), "time", ("y",))
    df = df.drop(columns=["y", "ID", "Date"])
    assert infer_schema(df).target_cols == ("Y", "T")


def test_the_fix_of_a_time_that_is_not_found_names_text_with_dates():
    df = pd.DataFrame({"station": ["a", "b"], "Datum": ["1.3.2025 06:00", "2.3.2025"], "y": 1.0})
    with pytest.raises(FrameError, match="time_col='Datum'"):
        infer_schema(df)


def test_names_that_are_given_win_and_guesses_are_told():
    df = visits(ds=range(5), item_id=1)
    schema = infer_schema(df, id_col="id", time_col="ds", target_cols="y")
    assert schema == Schema(("id",), "ds", ("y",), "number", None, None, ())
    assert infer_schema(visits()).guessed == (
        "id_col='id'",
        "time_col='time'",
        "target_cols=['y']",
    )


def test_column_names_need_not_be_text():
    df = visits().set_axis([0, 1, (2, "y")], axis=1)
    schema = infer_schema(df, id_col=0, time_col=1, target_cols=(2, "y"))
    assert schema[:3] == ((0,), 1, ((2, "y"),))


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
        assert infer_schema(df).id_cols == ()


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
    "one of two ids misspelt": (
        "E-ID-COL",
        visits(ward=1),
        {"id_col": ["id", "wart"], "target_cols": "y"},
        "no column 'wart'",
    ),
    "no id column in the list": ("E-ID-COL", visits(), {"id_col": []}, "empty"),
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
