"""Metrics by name: what they need, and in which units they are."""

import numpy as np
import pytest

from latentode.metrics import CRPS_LEVELS, Forecasts, in_units_of, levels_for, losses

METRICS = ["mse", "mae", "rmse", "crps", "nll", "pinball_0.9", "coverage_80", "width_80"]


@pytest.fixture
def truth():
    truth = np.random.default_rng(0).normal(size=(50, 2))
    truth[::7, 1] = np.nan
    return truth


@pytest.fixture
def told():
    rng = np.random.default_rng(1)
    mean, levels = rng.normal(size=(50, 2)), levels_for(METRICS)
    quantiles = mean[..., None] + np.sort(rng.normal(size=len(levels)))
    return Forecasts(mean, levels, quantiles, rng.normal(size=(50, 2)))


def test_the_levels_needed_rise_and_are_those_of_all_metrics():
    levels = levels_for(METRICS)
    assert (np.diff(levels) > 0).all()
    assert {*CRPS_LEVELS, 0.9, 0.1} <= set(levels)
    assert levels_for(["mse", "nll"]).tolist() == []


@pytest.mark.parametrize("metric", METRICS)
def test_a_loss_is_missing_where_nothing_came_and_only_there(metric, truth, told):
    np.testing.assert_array_equal(np.isnan(losses(metric, truth, told)), np.isnan(truth))


@pytest.mark.parametrize("metric", METRICS)
def test_what_was_told_of_a_missing_value_does_not_matter(metric, truth, told):
    other = told.mean.copy()
    other[np.isnan(truth)] = 1e6
    again = losses(metric, truth, told._replace(mean=other))
    np.testing.assert_array_equal(again, losses(metric, truth, told))


@pytest.mark.parametrize(
    ("metric", "power"),
    [("mse", 2), ("mae", 1), ("crps", 1), ("pinball_0.9", 1), ("width_80", 1), ("coverage_80", 0)],
)
def test_a_scaled_loss_is_the_loss_over_the_standard_deviation(metric, power, truth, told):
    std = np.array([2.5, 1e-3])
    scaled = losses(metric, *in_units_of(std, truth, told))
    np.testing.assert_allclose(scaled, losses(metric, truth, told) / std**power, rtol=1e-9)


def test_the_density_of_a_scaled_value_is_larger_by_the_standard_deviation(truth, told):
    std = np.array([2.5, 0.5])
    scaled = losses("nll", *in_units_of(std, truth, told))
    np.testing.assert_allclose(scaled, losses("nll", truth, told) - np.log(std), rtol=1e-12)


def test_a_constant_variable_is_not_scaled(truth, told):
    scaled = losses("mae", *in_units_of(np.array([0.0, 2.0]), truth, told))
    np.testing.assert_array_equal(scaled[:, 0], losses("mae", truth, told)[:, 0])


@pytest.mark.parametrize(
    "metric", ["mape", "coverage_0", "coverage_100", "coverage_x", "pinball_1.5", "pinball", ""]
)
def test_an_unknown_metric_is_named_with_those_that_are_known(metric):
    with pytest.raises(ValueError, match=rf"metric={metric} is not known: choose one of mse"):
        levels_for([metric])


def test_quantiles_that_were_not_told_are_named(truth, told):
    with pytest.raises(ValueError, match=r"metric=pinball_0.33 needs quantiles of .*\[0.33\]"):
        losses("pinball_0.33", truth, told)
