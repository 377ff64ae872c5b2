from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentode.data import FrameError, infer_schema, to_panel
from latentode.data.ids import canonical


def visits(**columns):
    """Give five rows of two series, with some columns replaced."""
    stamps = pd.date_range("2024-01-01", periods=5, freq="31h")
    df = pd.DataFrame({"id": list("aaabb"), "time": stamps, "y": np.arange(5.0)})
    return df.assign(**columns)


def objects(*values):
    return pd.Series(values, dtype=object)


def read(df):
    return to_panel(df, infer_schema(df))


IDS = {
    "integers and text": (objects(1, "1", 1, "1", 2), (1, 2, "1")),
    "tuples": (objects(*[("a", 1), ("b", 2), ("a", 1), ("b", 2), ("b", 10)]), None),
    "categories with unused levels": (pd.Categorical(list("babab"), list("cba")), ("a", "b")),
    "nullable integers": (pd.array([2, 1, 2, 1, 3], "Int64"), (1, 2, 3)),
    "floats": ([0.5, 0.25, 0.5, 0.25, 7.0], (0.25, 0.5, 7.0)),
    "bools": ([True, False, True, False, True], (False, True)),
    "stamps": (pd.to_datetime(["2024-01-02", "2024-01-01"] * 2 + ["2024-01-03"]), None),
    "sparse": (pd.arrays.SparseArray([1, 0, 1, 0, 2]), (0, 1, 2)),
    "numpy scalars": (objects(*np.array([3, 1, 3, 1, 2])), (1, 2, 3)),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_any_type_are_told_apart_and_sorted(kind):
    column, expected = IDS[kind]
    panel = read(visits(id=column))
    assert panel.ids == (tuple(sorted(set(column))) if expected is None else expected)
    assert not any(isinstance(key, np.generic) for key in panel.ids)


@given(st.permutations([1, "1", 2.5, ("a", 1), frozenset({1}), frozenset({2}), None]))
def test_the_order_of_ids_depends_on_the_ids_alone(ids):
    assert canonical(ids) == canonical(ids[::-1])
    assert canonical(ids[4:]) == canonical(ids[:3:-1])


VALUES = {
    "small integers": np.array([1, 2, 3, 4, 5], "int8"),
    "nullable integers": pd.array([1, None, 3, 4, 5], "Int64"),
    "nullable floats": pd.array([1, None, 3, 4, 5], "Float32"),
    "objects of numbers": objects(1, None, 3.0, Decimal(4), np.int64(5)),
    "sparse": pd.arrays.SparseArray([1, np.nan, 3, 4, 5]),
    "one number in five": [np.nan, np.nan, 3, np.nan, np.nan],
    "constant": [7, 7, 7, 7, 7],
    "far away": [1e9, 1e9 + 1, 1e9, 1e9, 1e9],
}


@pytest.mark.parametrize("kind", VALUES)
def test_numbers_of_any_dtype_become_floats_with_nan_for_missing(kind):
    column = VALUES[kind]
    expected = [np.nan if pd.isna(value) else float(value) for value in column]
    values = read(visits(y=column)).values
    np.testing.assert_array_equal(values[:, 0], expected)


def test_a_whole_number_too_large_for_a_float_is_refused_as_infinite():
    with pytest.raises(FrameError, match="infinite") as error:
        read(visits(y=objects(1, 2**1100, None, 4, 5)))
    assert error.value.code == "E-VALUE-INF"
