import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from latentode.data import as_native, infer_schema, query_at, query_horizon, to_panel

PARIS = "Europe/Paris"


def polars_frame(unit="us", zone=None):
    stamps = pl.Series([dt.datetime(2024, 3, 1), dt.datetime(2024, 3, 31, 4)])
    stamps = stamps.cast(pl.Datetime(unit)).dt.replace_time_zone(zone)
    return pl.DataFrame({"unique_id": ["b", "a"], "ds": stamps, "y": [1.5, None]})


@pytest.mark.parametrize("zone", [None, "UTC", PARIS])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_polars_frame_that_was_asked_comes_back_as_it_was(unit, zone):
    df = polars_frame(unit, zone)
    schema = infer_schema(df)
    query = query_at(df, schema, ["a", "b"])
    assert query.backend == schema.backend == "polars"
    assert_frame_equal(as_native(query.frame, query.backend), df.select("unique_id", "ds"))


def test_times_alone_are_given_back_like_the_frame_that_was_fitted():
    schema = infer_schema(polars_frame("ms", PARIS))
    for query in (
        query_at("2024-03-31 12:00+02:00", schema, ["a"]),
        query_at(pl.Series([dt.datetime(2024, 3, 31, 10, tzinfo=dt.UTC)]), schema, ["a"]),
        query_horizon("7D", None, {"a": 0}, schema),
    ):
        assert query.backend == "polars"
        back = as_native(query.frame, query.backend)
        assert back.schema["unique_id"] == pl.String
        assert back.schema["ds"].time_unit == "ms"
    assert as_native(query.frame, query.backend).schema["ds"].time_zone == PARIS


def test_a_frame_of_pandas_asked_of_a_polars_fit_stays_one_of_pandas():
    df = polars_frame()
    asked = pd.DataFrame({"unique_id": ["a"], "ds": pd.to_datetime(["2024-04-01"])}, index=["x"])
    query = query_at(asked, infer_schema(df), ["a", "b"])
    assert query.backend == "pandas"
    assert as_native(query.frame, query.backend) is query.frame


def test_every_kind_of_column_is_given_back():
    df = pd.DataFrame({
        "number": [1, 2],
        "missing": [0.5, np.nan],
        "nullable": pd.array([1, None], "Int64"),
        "text": ["a", None],
        "category": pd.Categorical(["x", "y"]),
        "bool": [True, False],
        "span": pd.to_timedelta([1, 2], unit="s").as_unit("ns"),
        "seconds": np.array(["2024-01-01", "NaT"], "M8[s]"),
        7: [1.0, 2.0],
    })
    expected = pl.DataFrame({
        "number": [1, 2],
        "missing": [0.5, float("nan")],
        "nullable": [1, None],
        "text": ["a", None],
        "category": ["x", "y"],
        "bool": [True, False],
        "span": pl.Series([10**9, 2 * 10**9]).cast(pl.Duration("ns")),
        "seconds": pl.Series([dt.datetime(2024, 1, 1), None]).cast(pl.Datetime("ms")),
        "7": [1.0, 2.0],
    })
    assert_frame_equal(as_native(df, "polars"), expected)


def test_reading_a_frame_of_polars_is_reading_the_same_rows_of_pandas():
    df = polars_frame("us", PARIS)
    stamps = pd.Series(df["ds"].to_list()).dt.as_unit("us")
    same = pd.DataFrame({"unique_id": ["b", "a"], "ds": stamps, "y": [1.5, None]})
    one, other = (to_panel(frame, infer_schema(frame)) for frame in (df, same))
    assert one.schema == other.schema._replace(backend="polars")
    assert one.times.tobytes() == other.times.tobytes()
