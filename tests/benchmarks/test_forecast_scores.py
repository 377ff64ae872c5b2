"""Measures are those one would work out by hand."""

import math

import numpy as np
import pytest
from forecast_scores import (
    absolute_error,
    covered,
    gaussian_crps,
    macro,
    micro,
    micro_scores,
    point_scores,
    rmse,
    squared_error,
)
from scipy.stats import norm

NAN = math.nan
VALUES = np.array([[1.0, NAN, NAN], [2.0, 5.0, NAN], [4.0, NAN, NAN]])
FORECAST = np.array([[1.0, NAN, 0.0], [4.0, 6.0, 0.0], [1.0, 0.0, NAN]])


def test_errors_are_nan_where_nothing_was_measured():
    expected = np.array([[0.0, NAN, NAN], [4.0, 1.0, NAN], [9.0, NAN, NAN]])
    np.testing.assert_array_equal(squared_error(FORECAST, VALUES), expected)
    np.testing.assert_array_equal(absolute_error(FORECAST, VALUES), np.sqrt(expected))


def test_macro_averages_variables_and_micro_averages_values():
    losses = squared_error(FORECAST, VALUES)
    assert macro(losses) == pytest.approx((13 / 3 + 1) / 2)
    assert micro(losses) == pytest.approx(14 / 4)
    assert rmse(losses) == pytest.approx(math.sqrt(14 / 4))
    scores = point_scores(FORECAST, VALUES)
    assert scores["MAE"] == pytest.approx((5 / 3 + 1) / 2)
    assert scores["micro MAE"] == pytest.approx(6 / 4)
    assert micro_scores(FORECAST, VALUES) == {
        "MSE": pytest.approx(14 / 4),
        "MAE": pytest.approx(6 / 4),
    }


def test_a_forecast_may_not_be_missing_where_a_value_is_asked():
    with pytest.raises(ValueError, match="1 values that were asked"):
        squared_error(np.array([[NAN]]), np.array([[1.0]]))


def test_crps_of_a_normal_distribution_is_the_integral_it_is_defined_by():
    x = np.linspace(-30, 30, 200_001)
    integrand = (norm(1, 2).cdf(x) - (x >= 0.3)) ** 2
    crps = gaussian_crps(np.array([[1.0]]), np.array([[2.0]]), np.array([[0.3]]))
    assert crps[0, 0] == pytest.approx(np.trapezoid(integrand, x), abs=1e-4)


def test_coverage_counts_measured_values_only():
    lower, upper = np.full((3, 3), 1.5), np.full((3, 3), 4.5)
    assert micro(covered(lower, upper, VALUES)) == pytest.approx(2 / 4)
