import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentode.data import FrameError, infer_schema, to_panel

WORDS = ["mean", "last", "merge"]
NUMBERS = st.one_of(
    st.none(), st.sampled_from([0.0, -0.0, 0.1, 0.7]), st.floats(allow_infinity=False)
)


def log(**columns):
    """Give five rows of two series, the first four of which stand at two times."""
    df = pd.DataFrame({"id": list("aabbb"), "t": [1.5, 1.5, 0.5, 0.5, 2.0]})
    return df.assign(**(columns or {"hr": [70.0, None, 1, 2, 3], "bp": [None, 120.0, 7, 9, 8]}))


def values(df, on_duplicates, **names):
    return to_panel(df, infer_schema(df, **names), on_duplicates=on_duplicates).values


@st.composite
def repeated(draw):
    """Draw a frame in which times of a series repeat, and another order of its rows."""
    keys = st.tuples(st.sampled_from("ab"), st.integers(0, 2), NUMBERS, NUMBERS)
    rows = [("c", 9, 1.0, 1.0), *draw(st.lists(keys, min_size=1, max_size=20))]
    df = pd.DataFrame(rows, columns=["id", "t", "x", "z"]).astype({"x": float, "z": float})
    return df, df.iloc[draw(st.permutations(range(len(df))))]


@given(repeated())
def test_means_do_not_depend_on_the_order_of_rows_to_the_last_bit(frames):
    one, other = (values(df, "mean") for df in frames)
    assert one.tobytes() == other.tobytes()


@given(repeated())
def test_means_are_of_what_was_measured(frames):
    df, _ = frames
    panel = to_panel(df, infer_schema(df), on_duplicates="mean")
    cells = df.groupby(["id", "t"])[["x", "z"]]
    with np.errstate(over="ignore"):  # of huge numbers
        parts = cells.transform("count")
        expected = (df[["x", "z"]] / parts).groupby([df["id"], df["t"]]).sum(min_count=1)
    np.testing.assert_allclose(panel.values, expected, rtol=1e-12, atol=1e-300)
    low, high = cells.min().to_numpy(), cells.max().to_numpy()
    measured = ~np.isnan(low)
    assert (panel.values >= low)[measured].all()
    assert (panel.values <= high)[measured].all()


def test_the_mean_of_equal_numbers_is_that_number_and_of_none_is_none():
    df = log(hr=[0.1, 0.1, None, None, 3.0])
    np.testing.assert_array_equal(values(df, "mean")[:, 0], [0.1, np.nan, 3.0])
    thrice = pd.DataFrame({"t": [1.0] * 3 + [2.0], "y": [0.7] * 3 + [1e308]})
    np.testing.assert_array_equal(values(thrice, "mean")[:, 0], [0.7, 1e308])


def test_the_mean_of_huge_numbers_does_not_overflow():
    df = pd.DataFrame({"t": [1, 1, 2], "y": [1.5e308, 1.7e308, 0.0]})
    np.testing.assert_allclose(values(df, "mean")[:, 0], [1.6e308, 0.0])


def test_the_last_row_of_the_frame_is_kept_whole():
    np.testing.assert_array_equal(values(log(), "last"), [[np.nan, 120], [2, 9], [3, 8]])
    np.testing.assert_array_equal(values(log()[::-1], "last"), [[70, np.nan], [1, 7], [3, 8]])


@given(st.permutations(range(5)))
def test_rows_that_complete_each_other_are_merged_in_any_order(order):
    df = log(hr=[70.0, None, None, None, 3], bp=[None, 120.0, None, 9, 8]).iloc[order]
    expected = np.array([[70.0, 120.0], [np.nan, 9.0], [3.0, 8.0]])
    assert values(df, "merge").tobytes() == expected.tobytes()


@pytest.mark.parametrize("word", WORDS)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(), NUMBERS), min_size=1))
def test_without_duplicates_every_word_gives_the_same(word, rows):
    unique = {row[:2]: row for row in rows if abs(row[1]) < 2**63}
    df = pd.DataFrame([("c", 9, 1.0), *unique.values()], columns=["id", "t", "y"])
    df = df.astype({"y": float}).drop_duplicates(["id", "t"])
    assert values(df, word).tobytes() == values(df, "raise").tobytes()


def test_two_values_in_a_column_are_not_merged():
    scope = {"df": log().set_axis(list("vwxyz"))}
    words = (
        r"2 times there are several: 'hr': series b at 0\.5 \(rows x and y\); "
        r"'bp': series b at 0\.5 \(rows x and y\)\."
    )
    with pytest.raises(FrameError, match=words) as caught:
        values(scope["df"], "merge")
    assert caught.value.code == "E-DUP-MERGE"
    exec(caught.value.fix, scope)
    assert len(values(scope["df"], "merge")) == 3


def test_the_rows_that_clash_are_named_and_not_those_between_them():
    df = pd.DataFrame({"t": [1, 1, 1, 2], "hr": [None, 5, 6, 7.0], "bp": [1, None, None, 2.0]})
    with pytest.raises(FrameError, match=r"1 time there .* 'hr': at 1 \(rows 1 and 2\)"):
        values(df, "merge")


def test_several_id_columns_tell_duplicates_apart():
    df = log().assign(ward=[1, 2, 1, 2, 2])
    panel = to_panel(df, infer_schema(df, id_col=["id", "ward"], target_cols=["hr", "bp"]))
    assert len(panel.times) == 5


def test_another_word_is_refused_before_anything_is_read():
    with pytest.raises(ValueError, match="on_duplicates=first is not known: choose one of raise"):
        values(log(), "first")
