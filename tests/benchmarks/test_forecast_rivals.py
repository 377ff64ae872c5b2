"""The tabular rivals learn what their features show, and read nothing that is asked."""

import numpy as np
import pytest
from forecast_rivals import RIVALS, ridge, rivals_for
from forecast_rules import training_mean
from forecast_tasks import Cut
from tiny_tasks import series_frame, task_of

TIMES = np.arange(8.0)


@pytest.fixture(scope="module")
def task():
    level = np.random.default_rng(0).normal(size=300)
    # Steps are whole, so that trees can tell the series apart.
    frame = series_frame(level, 0.1 * level, TIMES)
    return task_of(frame, Cut(horizon_from=5.0), 200)


def error(fit, task):
    return task.metrics(fit(task)(task.test), task.test)["MSE"]


def test_ridge_finds_a_drift_in_proportion_to_the_last_value(task):
    assert error(ridge, task) < 1e-4 * error(training_mean, task)


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_beats_the_training_mean(name, task):
    assert error(RIVALS[name], task) < 0.1 * error(training_mean, task)


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_reads_nothing_that_is_asked(name, task):
    predict = RIVALS[name](task)
    asked = task.test.asked
    other = task.test._replace(asked=asked.assign(x=99.0, y=asked["y"] * 0 + 99.0))
    np.testing.assert_array_equal(predict(task.test), predict(other))


def test_there_are_no_rivals_for_interpolation(task):
    assert rivals_for(task._replace(cut=Cut(horizon_from=None))) == {}
