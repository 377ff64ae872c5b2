import numpy as np
import pandas as pd
import polars as pl
import pytest

from latentode.data import infer_schema, to_panel

PARIS = "Europe/Paris"


def read(df):
    return to_panel(df, infer_schema(df))


def test_polars_frames_are_read_without_pyarrow():
    stamps = pd.Series(pd.date_range("2024-01-01", periods=5, freq="31h", unit="us"))
    columns = {
        "id": pl.Series(list("aaabb"), dtype=pl.Categorical),
        "time": pl.Series(stamps.tolist()).dt.replace_time_zone(PARIS),
        "y": pl.Series([1, None, 3, 4, 5]),
        "note": pl.Series(["x"] * 5),
    }
    panel = read(pl.DataFrame(columns))
    df = pd.DataFrame({"id": list("aaabb"), "y": [1, None, 3, 4, 5], "note": "x"})
    expected = read(df.assign(time=stamps.dt.tz_localize(PARIS)))
    assert panel.schema == expected.schema._replace(backend="polars")
    np.testing.assert_array_equal(panel.times, expected.times)
    np.testing.assert_array_equal(panel.values, expected.values)


def test_what_is_no_frame_is_a_type_error_that_helps():
    with pytest.raises(
        TypeError, match=r"one row for each observation, got ndarray\. From arrays"
    ):
        infer_schema(np.zeros((3, 2)))
    with pytest.raises(TypeError, match=r"got LazyFrame\. Call \.collect\(\)"):
        infer_schema(pl.LazyFrame({"y": [1]}))
