"""Which rows of a frame a panel has."""

import numpy as np
import pandas as pd
import pytest

from latentode import FrameError
from latentode.data import infer_schema, to_panel
from latentode.data.lookup import rows_known


@pytest.fixture
def df():
    rng = np.random.default_rng(0)
    ids, times = rng.integers(0, 7, 300), rng.integers(0, 40, 300)
    return pd.DataFrame({"id": ids, "time": times, "y": 0.0}).drop_duplicates(["id", "time"])


def test_rows_are_known_by_their_series_and_time(df):
    panel = to_panel(df.iloc[:100], infer_schema(df))
    pairs = set(zip(df.id[:100], df.time[:100], strict=True))
    expected = [pair in pairs for pair in zip(df.id, df.time, strict=True)]
    assert rows_known(panel, df).tolist() == expected
    assert rows_known(panel, df.iloc[::-1]).tolist() == expected[::-1]


def test_nothing_is_known_of_other_series(df):
    panel = to_panel(df, infer_schema(df))
    assert not rows_known(panel, df.assign(id=df.id + 100)).any()


def test_stamps_in_another_unit_are_the_same(df):
    stamps = pd.to_datetime(df.time, unit="s").astype("datetime64[s]")
    panel = to_panel(df.assign(time=stamps), infer_schema(df.assign(time=stamps)))
    assert rows_known(panel, df.assign(time=stamps.astype("datetime64[ns]"))).all()


def test_a_frame_without_the_time_is_refused(df):
    panel = to_panel(df, infer_schema(df))
    with pytest.raises(FrameError, match="df has no column 'time'"):
        rows_known(panel, df.drop(columns="time"))
