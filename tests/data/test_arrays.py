import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentode import from_arrays
from latentode.data import FrameError, infer_schema, to_panel

TIMES = [np.array([0.0, 1.5, 2.0]), np.array([0.25])]
VALUES = [np.array([[1.0, np.nan], [3.0, 4.0], [np.nan, 6.0]]), np.array([[7.0, 8.0]])]


def padded(fill):
    times, values = np.full((2, 3), fill), np.full((2, 3, 2), np.nan)
    for s, (t, x) in enumerate(zip(TIMES, VALUES, strict=True)):
        times[s, : len(t)], values[s, : len(t)] = t, x
    return times, values


def test_a_list_of_arrays_becomes_a_row_for_each_time():
    df = from_arrays(TIMES, VALUES, ids=["a", "b"], names=["hr", "bp"])
    expected = pd.DataFrame({
        "id": list("aaab"),
        "time": [0.0, 1.5, 2.0, 0.25],
        "hr": [1.0, 3.0, np.nan, 7.0],
        "bp": [np.nan, 4.0, 6.0, 8.0],
    })
    pd.testing.assert_frame_equal(df, expected)


@pytest.mark.parametrize("fill", [0.0, 99.0, np.nan])
def test_padding_leaves_no_row(fill):
    expected = from_arrays(TIMES, VALUES)
    pd.testing.assert_frame_equal(from_arrays(*padded(fill)), expected)


def test_a_mask_says_what_was_measured():
    times, values = padded(0.0)
    filled = np.nan_to_num(values, nan=-1.0)
    expected = from_arrays(TIMES, VALUES)
    masked = from_arrays(times, filled, mask=~np.isnan(values))
    pd.testing.assert_frame_equal(masked, expected)
    whole = np.arange(3) < np.array([[3], [1]])  # of shape (B, T): of every column
    both = from_arrays(times, filled, mask=whole)
    np.testing.assert_array_equal(both["y0"], [1.0, 3.0, -1.0, 7.0])
    listed = from_arrays(TIMES, VALUES, mask=[np.ones((3, 2), bool), np.array([[True, False]])])
    assert np.isnan(listed["y1"].iloc[3])


def test_tensors_lists_and_one_row_of_times_for_all_are_read():
    _, values = padded(0.0)
    times = np.array([0.0, 1.5, 2.0])
    one = from_arrays(times, values)
    other = from_arrays(torch.tensor(times), torch.tensor(values))
    pd.testing.assert_frame_equal(one, other)
    assert one["time"].tolist() == [0.0, 1.5, 2.0, 0.0]
    assert from_arrays([[1, 2]], [[5, 6]])["y"].tolist() == [5.0, 6.0]
    assert from_arrays(np.array([[1, 2]]), np.array([[5, 6]]))["y"].tolist() == [5.0, 6.0]


def test_stamps_stay_exact():
    stamps = np.array(["3000-01-01", "2024-01-01"], "M8[s]")
    df = from_arrays([stamps, stamps[:1]], [[1, 2], [3]])
    assert df["time"].dtype == "M8[s]"
    assert infer_schema(df).time_unit == "s"


@given(st.lists(st.lists(st.floats(-9, 9), min_size=1, max_size=4), min_size=1, max_size=4))
def test_a_panel_of_the_frame_holds_the_arrays(values):
    times = [np.arange(len(x)) + i for i, x in enumerate(values)]
    df = from_arrays(times, values)
    panel = to_panel(df, infer_schema(df))
    np.testing.assert_array_equal(panel.values[:, 0], np.concatenate(values))
    np.testing.assert_array_equal(panel.times, np.concatenate(times))
    np.testing.assert_array_equal(np.diff(panel.offsets), [len(x) for x in values])


# times, values, options, code, words
REFUSED = {
    "too few times": ([[1]], [[1], [2]], {}, "E-ARRAY", "1 of times, 2 of values"),
    "too few ids": ([[1]], [[1]], {"ids": "ab"}, "E-ARRAY", "2 of ids"),
    "lengths apart": ([[1, 2]], [[1]], {}, "E-ARRAY", "times of shape (2,) and values of (1, 1)"),
    "widths apart": ([[1], [1]], [[[1, 2]], [[1]]], {}, "E-ARRAY", "series 1 has 1 column"),
    "four axes": ([[1]], np.zeros((1, 1, 1, 1)), {}, "E-ARRAY", "(1, 1, 1, 1)"),
    "a mask of another shape": (
        [[1]],
        [[1]],
        {"mask": [[True, False]]},
        "E-ARRAY",
        "the mask of series 0 has shape (2, 1)",
    ),
    "a mask of weights": ([[1]], [[1]], {"mask": [[0.5]]}, "E-ARRAY", "holds True and False"),
    "too few names": ([[1]], [[1]], {"names": ["a", "b"]}, "E-ARRAY", "must be 1 name"),
    "a name that is taken": ([[1]], [[1]], {"names": ["time"]}, "E-ARRAY", "apart from id"),
    "a value without a time": (
        [[1, np.nan]],
        [[1, 2]],
        {},
        "E-TIME-NAT",
        "1 time of series 0 missing, with a value: step 1",
    ),
    "two kinds of times": (
        [[1], np.array(["2024-01-01"], "M8[s]")],
        [[1], [2]],
        {},
        "E-TIME-KIND",
        "datetime64[s] in series 1",
    ),
    "no series": ([], [], {}, "E-EMPTY", "no series"),
    "no rows": ([[]], [[]], {}, "E-EMPTY", "no row"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_arrays_that_do_not_fit_together_are_refused(case):
    times, values, options, code, words = REFUSED[case]
    with pytest.raises(FrameError) as caught:
        from_arrays(times, values, **options)
    assert caught.value.code == code
    assert words in str(caught.value)
