"""Panels put together: as if all rows had come at once."""

import numpy as np
import pandas as pd
import pytest

from latentode import FrameError
from latentode.data import infer_schema, merge_panels, to_panel

IDS = {
    "numbers": list(range(6)),
    "text": list("cafedb"),
    # Put by their numbers while only numbers are there, and by type and text with the others.
    "mixed": [10, 9, 2, "x", "b", (1, "c")],
}


def make_frame(ids, seed=0):
    rng = np.random.default_rng(seed)
    rows = [(key, t) for key in ids for t in rng.choice(50, rng.integers(1, 9), replace=False)]
    df = pd.DataFrame({"id": [key for key, _ in rows], "time": [t for _, t in rows]})
    df["id"] = df["id"].astype(object)
    return df.assign(a=rng.normal(size=len(df)), b=np.nan).sample(frac=1, random_state=seed)


def assert_same(one, other):
    assert one.ids == other.ids
    for field in ("offsets", "times", "values"):
        a, b = getattr(one, field), getattr(other, field)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("n_first", [1, 7, 15])
def test_parts_put_together_are_the_whole(kind, n_first):
    df = make_frame(IDS[kind])
    schema = infer_schema(df.assign(b=0.0), target_cols=["a", "b"])
    first, second = to_panel(df[:n_first], schema), to_panel(df[n_first:], schema)
    assert_same(merge_panels(first, second), to_panel(df, schema))
    assert_same(merge_panels(second, first), to_panel(df, schema))


@pytest.mark.parametrize("kind", IDS)
def test_rows_put_in_one_by_one_are_the_whole(kind):
    df = make_frame(IDS[kind], seed=1)
    schema = infer_schema(df.assign(b=0.0), target_cols=["a", "b"])
    panel = to_panel(df[:1], schema)
    for i in range(1, len(df)):
        panel = merge_panels(panel, to_panel(df[i : i + 1], schema))
    assert_same(panel, to_panel(df, schema))


def test_whole_numbers_and_others_are_put_together():
    df = pd.DataFrame({"id": ["a", "a"], "time": [1, 3], "y": [0.0, 1.0]})
    schema = infer_schema(df)
    later = df.assign(time=[0.5, 2.5])
    merged = merge_panels(to_panel(df, schema), to_panel(later, schema))
    assert merged.times.tolist() == [0.5, 1, 2.5, 3]


def test_what_was_there_is_not_changed():
    df = make_frame(IDS["text"])
    schema = infer_schema(df.assign(b=0.0), target_cols=["a", "b"])
    first, second = to_panel(df[:9], schema), to_panel(df[9:], schema)
    merge_panels(first, second)
    assert_same(first, to_panel(df[:9], schema))
    assert_same(second, to_panel(df[9:], schema))


def test_a_time_that_is_there_is_refused_and_named():
    df = pd.DataFrame({"id": ["a", "b", "b"], "time": [1, 2, 3], "y": [0.0, 1.0, 2.0]})
    panel = to_panel(df, infer_schema(df))
    with pytest.raises(FrameError, match=r"2 of the new rows .* series b at 2\.\nFix:") as error:
        merge_panels(panel, to_panel(df[1:], panel.schema))
    assert error.value.code == "E-TIME-DUP"
