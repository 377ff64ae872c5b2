"""Splits at calendar cutoffs."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from latentode import FrameError, TimeCutoffSplit


@pytest.fixture
def visits():
    rng = np.random.default_rng(0)
    days = np.sort(rng.uniform(0, 60, 300))
    time = pd.Timestamp("2024-01-01") + pd.to_timedelta((days * 86400).astype("int64"), unit="s")
    frame = pd.DataFrame({"id": rng.integers(0, 5, 300), "time": time, "y": days})
    return frame.sample(frac=1, random_state=1)


def spans(split, frame, column="time"):
    for train, test in split.split(frame):
        yield frame[column].iloc[train], frame[column].iloc[test]


def test_every_training_row_is_before_every_test_row_and_no_row_is_tested_twice(visits):
    tested = []
    for train, test in spans(TimeCutoffSplit(3, horizon="7D"), visits):
        assert train.max() < test.min()
        assert test.max() - train.max() <= pd.Timedelta("8D")
        tested += test.index.tolist()
    assert len(tested) == len(set(tested))


def test_the_last_test_rows_end_with_the_frame_and_are_a_horizon_long(visits):
    *_, (train, test) = spans(TimeCutoffSplit(horizon="7D"), visits)
    cutoff = visits.time.max() - pd.Timedelta("7D")
    assert set(test.index) == set(visits.index[visits.time > cutoff])
    assert set(train.index) == set(visits.index[visits.time <= cutoff])


def test_a_row_at_the_cutoff_is_trained_on_and_one_at_the_end_tested():
    frame = pd.DataFrame({"t": [0, 4, 5, 6, 10], "y": 0.0})
    ((train, test),) = TimeCutoffSplit(1, horizon=5).split(frame)
    assert train.tolist() == [0, 1, 2]
    assert test.tolist() == [3, 4]


def test_a_gap_is_neither_trained_nor_tested_on():
    frame = pd.DataFrame({"t": range(11), "y": 0.0})
    ((train, test),) = TimeCutoffSplit(1, horizon=3, gap=2).split(frame)
    assert train.tolist() == [0, 1, 2, 3, 4, 5]
    assert test.tolist() == [8, 9, 10]


def test_a_window_leaves_out_what_is_older():
    frame = pd.DataFrame({"t": range(11), "y": 0.0})
    ((train, _),) = TimeCutoffSplit(1, horizon=3, window=4).split(frame)
    assert train.tolist() == [4, 5, 6, 7]


def test_a_step_moves_the_cutoffs():
    frame = pd.DataFrame({"t": range(21), "y": 0.0})
    tests = [test.tolist() for _, test in TimeCutoffSplit(3, horizon=4, step=2).split(frame)]
    assert tests == [[13, 14, 15, 16], [15, 16, 17, 18], [17, 18, 19, 20]]


def test_no_row_is_lost_to_rounding():
    frame = pd.DataFrame({"t": np.arange(31) / 10, "y": 0.0})
    tests = [test.tolist() for _, test in TimeCutoffSplit(3, horizon=0.3).split(frame)]
    assert tests[-1][-1] == 30


@pytest.mark.parametrize(
    "change",
    [
        lambda df: df.assign(time=df.time.astype("datetime64[ns]")),
        lambda df: df.assign(time=df.time.dt.tz_localize("Europe/Paris")),
        lambda df: df.rename(columns={"time": "when"}),
        lambda df: df.set_index(["id", "time"]),
        lambda df: pl.DataFrame(df.to_dict("list")),
    ],
    ids=["ns", "zone", "other name", "index", "polars"],
)
def test_the_kind_of_frame_does_not_matter(change, visits):
    split = TimeCutoffSplit(2, horizon="7D", gap="1D")
    for one, other in zip(split.split(visits), split.split(change(visits)), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_it_is_split_as_often_as_it_says(visits):
    split = TimeCutoffSplit(4, horizon="7D")
    assert split.get_n_splits() == len(list(split.split(visits))) == 4
    assert repr(split) == (
        "TimeCutoffSplit(4, horizon='7D', step=None, gap=0, window=None, time_col=None)"
    )


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"horizon": "90D"}, "E-CUTOFF", r"leaves no row to train on: column 'time' reaches"),
        ({"horizon": "1s", "step": "1ms"}, "E-TIME-UNIT", r"step=1ms is finer than the unit"),
        ({"horizon": 7}, "E-HORIZON", r"horizon=7 has no unit"),
        ({"horizon": "7D", "window": "-1D"}, "E-HORIZON", r"window=-1D is not positive"),
        ({"horizon": "7D", "time_col": "day"}, "E-TIME-COL", r"no time column 'day'"),
    ],
)
def test_what_cannot_be_split_is_named(options, code, message, visits):
    visits = visits.assign(time=visits.time.astype("datetime64[s]"))
    with pytest.raises(FrameError, match=message) as error:
        list(TimeCutoffSplit(2, **options).split(visits))
    assert error.value.code == code
    assert "Fix:" in str(error.value)


def test_a_split_without_test_rows_is_named():
    frame = pd.DataFrame({"t": [0, 1, 2, 50], "y": 0.0})
    with pytest.raises(FrameError, match="leaves no row to test on"):
        list(TimeCutoffSplit(3, horizon=2).split(frame))


def test_two_columns_of_times_are_refused(visits):
    with pytest.raises(FrameError, match="columns 'time', 'date' could each be the time"):
        next(TimeCutoffSplit(2, horizon="7D").split(visits.assign(date=visits.time)))


def test_the_number_of_splits_is_a_whole_number():
    with pytest.raises(ValueError, match=r"n_splits=0 must be a whole number"):
        TimeCutoffSplit(0, horizon=1)
