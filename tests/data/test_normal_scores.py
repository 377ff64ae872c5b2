"""Normal scores: what outliers, skew and ties do to them."""

import numpy as np
import pytest

from latentode.data.normal_scores import NormalScores


def test_they_are_normal_whatever_the_distribution():
    values = np.exp(np.random.default_rng(0).normal(size=5000)) ** 3
    scores = NormalScores.fit(values)(values)
    assert abs(scores.mean()) < 0.01
    assert scores.std() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(np.quantile(scores, [0.1, 0.5, 0.9]), [-1.28, 0, 1.28], atol=0.02)


def test_they_rise_with_the_value_and_stay_bounded():
    values = np.random.default_rng(0).standard_cauchy(2000)
    score = NormalScores.fit(values)
    grid = np.linspace(-1e6, 1e6, 1001)
    assert (np.diff(score(grid)) >= 0).all()
    assert np.abs(score(np.array([-np.inf, np.inf]))).max() < 4.5


def test_they_do_not_depend_on_units_or_outliers():
    values = np.random.default_rng(0).normal(size=999)
    plain = NormalScores.fit(values)(values)
    np.testing.assert_allclose(NormalScores.fit(3e5 * values - 7)(3e5 * values - 7), plain)
    with_outlier = NormalScores.fit(np.append(values, 1e9))(values)
    middle = np.abs(plain) < 2
    np.testing.assert_allclose(with_outlier[middle], plain[middle], atol=0.05)
    np.testing.assert_allclose(with_outlier, plain, atol=0.7)


def test_equal_values_have_the_score_between_their_ranks():
    score = NormalScores.fit(np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0]))
    expected = [-0.4307, 0.9674]  # of the probabilities 1/3 and 5/6
    np.testing.assert_allclose(score(np.array([0.0, 1.0])), expected, atol=1e-3)


@pytest.mark.parametrize("column", [[], [np.nan], [4.0], [4.0, 4.0, np.nan]])
def test_a_constant_or_empty_column_scores_nothing(column):
    score = NormalScores.fit(np.array(column))
    assert score(np.array([4.0, 1e9, -1e9])).tolist() == [0.0, 0.0, 0.0]


def test_what_is_missing_stays_missing():
    score = NormalScores.fit(np.array([1.0, 2.0, np.nan]))
    assert np.isnan(score(np.array([np.nan]))).all()
