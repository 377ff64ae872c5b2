"""Losses: exact values, and what must hold between them."""

from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from latentode.metrics import (
    CRPS_LEVELS,
    absolute_error,
    covered,
    crps_from_quantiles,
    crps_normal,
    energy_score,
    nll_normal,
    pinball_loss,
    squared_error,
)

NORMAL = NormalDist()


def test_errors_are_distances_and_their_squares():
    truth, mean = np.array([1.0, -2.0, np.nan]), np.array([3.0, -2.5, 0.0])
    np.testing.assert_array_equal(absolute_error(truth, mean), [2.0, 0.5, np.nan])
    np.testing.assert_array_equal(squared_error(truth, mean), [4.0, 0.25, np.nan])


@pytest.mark.parametrize("level", [0.1, 0.5, 0.8])
def test_the_mean_pinball_loss_is_least_at_the_quantile(level):
    values = np.random.default_rng(0).gamma(2.0, size=4001)
    best = np.quantile(values, level)
    at = [pinball_loss(values, best + shift, level).mean() for shift in (-0.1, 0.0, 0.1)]
    assert at[1] < min(at[0], at[2])


def test_half_the_absolute_error_is_the_pinball_loss_of_the_median():
    truth, median = np.array([1.0, 4.0]), np.array([2.0, 2.0])
    np.testing.assert_array_equal(
        2 * pinball_loss(truth, median, 0.5), absolute_error(truth, median)
    )


@pytest.mark.parametrize("truth", [-3.0, -0.5, 0.0, 1.7])
def test_crps_of_quantiles_is_about_that_of_the_normal_they_are_of(truth):
    quantiles = np.array([2.0 + 3.0 * NORMAL.inv_cdf(level) for level in CRPS_LEVELS])
    came = np.array([2.0 + 3.0 * truth])
    exact = crps_normal(came, np.array([2.0]), np.array([3.0]))
    assert crps_from_quantiles(came, quantiles[None]) == pytest.approx(exact, rel=0.02)


def test_crps_of_a_normal_is_the_integral_of_its_squared_distance_from_a_step():
    grid = np.linspace(-12, 12, 240_001)
    cdf = stats.norm(0.4, 1.3).cdf(grid)
    integral = np.trapezoid((cdf - (grid >= 1.1)) ** 2, grid)
    score = crps_normal(np.array([1.1]), np.array([0.4]), np.array([1.3]))
    assert score == pytest.approx(integral, abs=1e-4)


def test_crps_of_quantiles_that_are_all_the_same_is_the_absolute_error():
    truth = np.array([[1.0, 5.0]])
    point = np.full((1, 2, 39), 2.0)
    np.testing.assert_allclose(crps_from_quantiles(truth, point), [[1.0, 3.0]])


def test_crps_levels_are_evenly_spaced_and_symmetric():
    np.testing.assert_allclose(np.diff(CRPS_LEVELS), 1 / 39)
    np.testing.assert_allclose(CRPS_LEVELS + CRPS_LEVELS[::-1], 1.0)


def test_the_nll_of_a_normal_is_that_of_scipy():
    truth, mean, std = np.array([1.0, -2.0]), np.array([0.5, 0.0]), np.array([2.0, 0.1])
    np.testing.assert_allclose(
        nll_normal(truth, mean, std), -stats.norm(mean, std).logpdf(truth), rtol=1e-12
    )


def test_the_ends_of_an_interval_belong_to_it():
    truth = np.array([0.0, 2.0, 2.0001, np.nan])
    np.testing.assert_array_equal(covered(truth, np.zeros(4), np.full(4, 2.0)), [1, 1, 0, np.nan])


class TestEnergyScore:
    def test_that_of_a_point_is_the_distance_to_what_came(self):
        truth = np.array([[0.0, 0.0], [1.0, np.nan], [np.nan, np.nan]])
        score = energy_score(truth, np.full((7, 3, 2), [3.0, 4.0]))
        np.testing.assert_allclose(score, [5.0, 2.0, np.nan])

    def test_that_of_one_variable_is_the_crps(self):
        rng = np.random.default_rng(0)
        truth, draws = np.array([[0.7]]), 2 + 3 * rng.normal(size=(2000, 1, 1))
        exact = crps_normal(truth[0], np.array([2.0]), np.array([3.0]))
        assert energy_score(truth, draws) == pytest.approx(exact, rel=0.05)

    def test_few_draws_are_no_disadvantage(self):
        rng = np.random.default_rng(0)
        truth, draws = rng.normal(size=(20_000, 2)), rng.normal(size=(20, 20_000, 2))
        few, many = energy_score(truth, draws[:2]).mean(), energy_score(truth, draws).mean()
        assert few == pytest.approx(many, abs=0.03)

    def test_it_is_least_for_the_dependence_that_there_is(self):
        rng = np.random.default_rng(0)

        def drawn(correlation, *shape):
            covariance = [[1.0, correlation], [correlation, 1.0]]
            return rng.multivariate_normal(np.zeros(2), covariance, size=shape)

        truth = drawn(0.9, 4000)
        of = {c: energy_score(truth, drawn(c, 30, 4000)).mean() for c in (0.9, 0.0, -0.9)}
        assert of[0.9] < of[0.0] < of[-0.9]

    def test_one_draw_is_refused(self):
        with pytest.raises(ValueError, match="at least 2 draws, not 1"):
            energy_score(np.zeros((3, 2)), np.zeros((1, 3, 2)))
