"""Spreads of forecasts: those of naive rules, and what widening makes of them."""

import numpy as np
import pytest
from forecast_distributions import Gaussian, best_rule, first_measure, spread_scores, widening
from forecast_rules import rules_for
from forecast_tasks import Cut, values_of
from tiny_tasks import series_frame, task_of


@pytest.fixture
def task():
    draws = np.random.default_rng(0)
    frame = series_frame(draws.normal(size=60), draws.normal(size=60), np.arange(9.0))
    return task_of(frame, Cut(6.0), 30)


def test_the_best_rule_is_that_of_validation_and_has_the_deviation_of_its_errors(task):
    name, val, test = best_rule(task, task.test)
    errors = val.mean - values_of(task.val.asked, task.features)
    np.testing.assert_allclose(val.std[0], np.sqrt(np.nanmean(np.square(errors), axis=0)))
    least = min(first_measure(task, fit(task)(task.val)) for fit in rules_for(task).values())
    assert first_measure(task, val.mean) == least
    np.testing.assert_array_equal(test.mean, rules_for(task)[name](task)(task.test))
    np.testing.assert_array_equal(test.std[0], val.std[0])


def test_widened_intervals_cover_what_they_promise(task):
    values = values_of(task.val.asked, task.features)
    off = np.random.default_rng(1).normal(size=values.shape)
    narrow = Gaussian(values + off, np.full_like(values, 0.1))
    factor = widening(narrow, task.val, task.features)
    _, plain, widened = spread_scores(narrow, task.val, factor, task.features)
    assert plain < 0.3
    assert widened == pytest.approx(0.9, abs=0.02)
    np.testing.assert_allclose(factor, 10, rtol=0.3)
