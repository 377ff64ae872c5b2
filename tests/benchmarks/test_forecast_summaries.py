"""Summaries are what one would work out by hand, for series in any order."""

import math

import numpy as np
import pandas as pd
import pytest
from forecast_summaries import context_of, decayed_totals, summarise

NAN = math.nan


@pytest.fixture
def context():
    rows = [
        *(("b", 0.0, 1.0, NAN), ("b", 2.0, NAN, 7.0), ("b", 3.0, 4.0, NAN)),
        *(("a", 1.0, 5.0, NAN), ("c", 0.0, 9.0, 9.0)),
    ]
    frame = pd.DataFrame(rows, columns=["series", "time", "x", "y"])
    return context_of(frame, ["a", "none", "b"], ["x", "y"], now=4.0)


def test_last_values_and_their_ages(context):
    summaries = summarise(context)
    np.testing.assert_array_equal(summaries.last, [[5.0, NAN], [NAN, NAN], [4.0, 7.0]])
    np.testing.assert_array_equal(summaries.age, [[3.0, NAN], [NAN, NAN], [1.0, 2.0]])


def test_means_spreads_counts_slopes_and_extremes(context):
    summaries = summarise(context)
    np.testing.assert_array_equal(summaries.count, [[1, 0], [0, 0], [2, 1]])
    np.testing.assert_allclose(summaries.mean, [[5.0, NAN], [NAN, NAN], [2.5, 7.0]])
    np.testing.assert_allclose(summaries.spread, [[0.0, NAN], [NAN, NAN], [1.5, 0.0]])
    np.testing.assert_allclose(summaries.slope, [[0.0, NAN], [NAN, NAN], [1.0, 0.0]])
    np.testing.assert_allclose(summaries.low, [[5.0, NAN], [NAN, NAN], [1.0, 7.0]])
    np.testing.assert_allclose(summaries.high, [[5.0, NAN], [NAN, NAN], [4.0, 7.0]])


def test_weights_decay_with_age(context):
    total, weight = decayed_totals(context, math.log(2))
    np.testing.assert_allclose(weight, [[1 / 8, 0], [0, 0], [1 / 2 + 1 / 16, 1 / 4]])
    np.testing.assert_allclose(total, [[5 / 8, 0], [0, 0], [4 / 2 + 1 / 16, 7 / 4]])
