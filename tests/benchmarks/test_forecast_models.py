"""Our models on tiny tasks: every recipe trains, and every row asked has its forecast."""

import numpy as np
import pytest
from forecast_models import Recipe, balanced, fit, predict, regime_of
from forecast_recipes import RECIPES, ablations
from forecast_tasks import Cut, values_of
from tiny_tasks import series_frame, task_of

from latentode.data import Forecast, Interpolation

SMALL = {
    "latent_size": 4,
    "hidden_size": 8,
    "field_size": 8,
    "head_size": 8,
    "n_epochs": 1,
    "batch_size": 8,
}
AHEAD, BETWEEN = Cut(6.0), Cut(None, n_observed=5)


def tiny(cut):
    draws = np.random.default_rng(0)
    frame = series_frame(draws.normal(size=16), draws.normal(size=16), np.arange(9.0))
    return task_of(frame, cut, 8)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_and_its_ablations_train_and_forecast(name):
    recipe = RECIPES[name]._replace(**SMALL)
    task = tiny(BETWEEN if recipe.context_weight == 1.0 else AHEAD)
    for variant in ablations(recipe).values():
        fitted = fit(task, variant, seed=0)
        mean, std = predict(fitted, task.test)
        assert mean.shape == values_of(task.test.asked, task.features).shape
        assert np.isfinite(mean).all() and (std > 0).all()
        assert task.metrics(mean, task.test)


def test_forecasts_stand_in_the_rows_they_were_asked_in():
    task = tiny(AHEAD)
    fitted = fit(task, Recipe(**SMALL), seed=0)
    mean, _ = predict(fitted, task.test)
    order = np.random.default_rng(1).permutation(len(task.test.asked))
    shuffled = task.test._replace(asked=task.test.asked.iloc[order].reset_index(drop=True))
    np.testing.assert_allclose(predict(fitted, shuffled).mean, mean[order], rtol=1e-9)


def test_training_is_asked_what_the_protocol_asks():
    assert isinstance(regime_of(tiny(BETWEEN), Recipe()), Interpolation)
    fixed = regime_of(tiny(AHEAD), Recipe())
    assert isinstance(fixed, Forecast) and fixed.cut == 6.0
    some = regime_of(tiny(AHEAD._replace(n_observed=3)), Recipe(random_cut=True))
    assert isinstance(some, Forecast) and some.cut is None and some.n_observed == 0.5


def test_weights_make_variables_count_as_their_protocol_does():
    task = tiny(AHEAD)
    weight = balanced(task, np.array([1.0, 3.0]), 1.0).double().numpy()
    asked = task.train[task.train.time >= 6.0]
    count = np.isfinite(values_of(asked, task.features)).sum(axis=0)
    assert weight[1] * count[1] / (weight[0] * count[0]) == pytest.approx(9.0, rel=1e-5)
    assert (weight * count).sum() == pytest.approx(count.sum(), rel=1e-5)
