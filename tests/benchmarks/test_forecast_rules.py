"""Naive rules are exact where they must be, and read nothing that is asked."""

import numpy as np
import pandas as pd
import pytest
from forecast_rules import (
    INTERPOLATION_RULES,
    RULES,
    akima_interpolation,
    decayed_mean,
    last_value,
    linear_interpolation,
    rules_for,
    series_mean,
    shrunk_mean,
    training_mean,
)
from forecast_tasks import Cut
from tiny_tasks import series_frame, task_of

TIMES = np.arange(8.0)


@pytest.fixture
def flat():
    """Series that stay as they are."""
    level = np.random.default_rng(0).normal(size=30)
    return task_of(series_frame(level, 0 * level, TIMES), Cut(horizon_from=5.0), 20)


@pytest.fixture
def lines():
    """Series that are straight lines, a part of whose rows is to be found from the others."""
    level = np.random.default_rng(0).normal(size=30)
    frame = series_frame(level, level + 1, TIMES)
    frame["y"] = -frame["x"]
    return task_of(frame, Cut(horizon_from=None, n_observed=4), 20)


@pytest.mark.parametrize("rule", [last_value, series_mean, decayed_mean])
def test_a_series_that_stays_as_it_is_is_forecast_exactly(rule, flat):
    assert flat.metrics(rule(flat)(flat.test), flat.test)["MSE"] < 1e-20


def test_the_shrunk_mean_lies_between_series_mean_and_training_mean(flat):
    own, shrunk, mean = (
        rule(flat)(flat.test) for rule in (series_mean, shrunk_mean, training_mean)
    )
    np.testing.assert_allclose(shrunk[:, 0], (5 * own[:, 0] + 2 * mean[:, 0]) / 7)


@pytest.mark.parametrize("rule", [linear_interpolation, akima_interpolation])
def test_lines_are_interpolated_exactly_between_rows_that_were_read(rule, lines):
    part = lines.test
    prediction = rule(lines)(part)
    spans = part.context.groupby("series")["time"].agg(["min", "max"]).loc[part.asked["series"]]
    times = part.asked["time"].to_numpy()
    between = (spans["min"].to_numpy() <= times) & (times <= spans["max"].to_numpy())
    np.testing.assert_allclose(prediction[between, 0], part.asked["x"].to_numpy()[between])
    assert between.any()
    assert not between.all()


@pytest.mark.parametrize("name", [*RULES, *INTERPOLATION_RULES])
def test_a_rule_reads_nothing_that_is_asked(name, flat, lines):
    task = flat if name in RULES else lines
    predict = {**RULES, **INTERPOLATION_RULES}[name](task)
    other = task.test._replace(asked=task.test.asked.assign(x=99.0, y=99.0))
    np.testing.assert_array_equal(predict(task.test), predict(other))


def test_a_series_without_context_is_given_the_training_mean(flat):
    empty = flat.test._replace(context=flat.test.context.iloc[:0])
    expected = training_mean(flat)(flat.test)
    for rule in (last_value, series_mean, shrunk_mean, decayed_mean):
        np.testing.assert_allclose(rule(flat)(empty), expected)


def test_a_forecast_does_not_depend_on_what_else_is_asked(flat):
    predict = decayed_mean(flat)
    third = flat.test.asked.iloc[[3]].reset_index(drop=True)
    alone = predict(flat.test._replace(asked=third))
    np.testing.assert_allclose(alone[0], predict(flat.test)[3])


def test_rules_suit_the_task(flat, lines):
    assert "linear interpolation" in rules_for(lines)
    assert "last value" in rules_for(flat)
    assert isinstance(flat.train, pd.DataFrame)
