"""Density estimation in scikit-learn's form: the contract, and that it finds the density."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_moons
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

from latentode import FlowDensity

TINY = {"hidden_size": 4, "n_hidden": 1, "max_epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def moons():
    return make_moons(400, noise=0.1, random_state=0)[0]


@pytest.fixture(scope="module")
def fitted(moons):
    return FlowDensity(hidden_size=16, max_epochs=25, batch_size=128, random_state=0).fit(moons)


def test_it_is_an_estimator_of_scikit_learn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)  # the array API is not switched on
        results = check_estimator(FlowDensity(**TINY))
    assert {result["status"] for result in results} <= {"passed", "skipped"}


def test_it_finds_more_than_a_normal_distribution_would(fitted):
    test = make_moons(1000, noise=0.1, random_state=1)[0]
    covariance = np.cov(test.T)
    normal = -0.5 * (np.log(np.linalg.det(2 * np.pi * covariance)) + 2)
    assert fitted.score(test) > normal + 0.1


def test_its_density_integrates_to_one_in_the_units_of_the_columns(fitted):
    x = np.linspace(-4, 5, 181)
    grid = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    assert np.exp(fitted.score_samples(grid)).sum() * 0.05**2 == pytest.approx(1, abs=1e-3)


def test_its_samples_follow_its_density(fitted):
    drawn = fitted.sample(4000, random_state=0)
    # Mean of log p over samples of p is minus its entropy, which the grid has too.
    x = np.linspace(-4, 5, 181)
    grid = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    log_p = fitted.score_samples(grid)
    entropy = -(np.exp(log_p) * log_p).sum() * 0.05**2
    told = fitted.score_samples(drawn)
    assert -told.mean() == pytest.approx(entropy, abs=4 * told.std() / np.sqrt(4000))


def test_the_score_is_the_mean_of_the_log_densities(fitted, moons):
    assert fitted.score(moons) == pytest.approx(fitted.score_samples(moons).mean())


def test_units_do_not_matter(moons):
    scale, shift = np.array([1e6, 1e-6]), np.array([1e8, -3.0])
    plain = FlowDensity(**TINY).fit(moons).score_samples(moons)
    other = FlowDensity(**TINY).fit(scale * moons + shift).score_samples(scale * moons + shift)
    np.testing.assert_allclose(other + np.log(scale).sum(), plain, atol=1e-3)


def test_the_same_seed_gives_the_same_model_and_leaves_the_random_state(moons):
    before = torch.get_rng_state()
    first, second = (FlowDensity(**TINY).fit(moons) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(first.score_samples(moons), second.score_samples(moons))
    other = FlowDensity(**{**TINY, "random_state": 1}).fit(moons)
    assert not np.array_equal(first.score_samples(moons), other.score_samples(moons))
    assert np.array_equal(first.sample(5, random_state=3), first.sample(5, random_state=3))


def test_without_a_seed_the_random_state_of_numpy_is_left(moons):
    before = np.random.get_state()[1].copy()  # noqa: NPY002

    first, second = (FlowDensity(**{**TINY, "random_state": None}).fit(moons) for _ in range(2))
    assert not np.array_equal(first.sample(5), first.sample(5))

    assert not np.array_equal(first.score_samples(moons), second.score_samples(moons))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_the_best_epoch_is_kept(moons):
    options = {**TINY, "max_epochs": 40, "learning_rate": 0.3, "patience": 3}
    model = FlowDensity(**options).fit(moons)
    best = model.history_.val_loss.idxmin()
    assert model.history_.epoch.iloc[-1] <= 40
    again = FlowDensity(**options).fit(moons)
    assert len(model.history_) - 1 - best <= 3
    assert again.history_.equals(model.history_)


@pytest.mark.parametrize(
    "options",
    [{"trace": "hutchinson"}, {"kinetic": 0.1, "jacobian": 0.1}, {"val_fraction": 0},
     {"n_hidden": 2}, {"n_hidden": 3}, {"steps": "adaptive", "adjoint": "backsolve"},
     {"steps": "adaptive", "method": "bosh3", "kinetic": 0.1}],
)  # fmt: skip
def test_every_way_of_training_learns(options, moons):
    few = {**TINY, "max_epochs": 8, "learning_rate": 0.03, **options}
    history = FlowDensity(**few).fit(moons[:200]).history_
    assert history.train_loss.iloc[-1] < history.train_loss.iloc[0] - 0.02


@pytest.mark.parametrize("n_steps", [1, 2, 3, 10, 20])
def test_any_number_of_steps_will_do(n_steps, moons):
    model = FlowDensity(**{**TINY, "max_epochs": n_steps, "patience": 99}).fit(moons[:50])
    assert len(model.history_) == n_steps


def test_nothing_is_printed(moons, capfd):
    FlowDensity(**TINY).fit(moons)
    assert capfd.readouterr() == ("", "")


def test_a_frame_gives_its_names_and_a_clone_forgets(moons):
    df = pd.DataFrame(moons, columns=["a", "b"])
    model = FlowDensity(**TINY).fit(df)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(NotFittedError):
        clone(model).sample()
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.score_samples(df), model.score_samples(df))


def test_a_grid_search_scores_by_likelihood(moons):
    search = GridSearchCV(FlowDensity(**TINY), {"hidden_size": [2, 4]}, cv=2, error_score="raise")
    assert search.fit(moons[:100]).best_params_["hidden_size"] in {2, 4}


def test_a_column_that_does_not_vary_is_refused(moons):
    with pytest.raises(ValueError, match="1 of 3 columns do not vary, as column 2") as caught:
        FlowDensity(**TINY).fit(np.c_[moons, np.full(len(moons), 0.1)])
    assert "Fix: X = X[:, X.std(axis=0) > 0]" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size=0 must be a whole number"),
        ({"n_hidden": 0}, "n_hidden=0 must be a whole number"),
        ({"trace": "rough"}, "trace=rough is not known"),
        ({"kinetic": -1}, "kinetic=-1 must be a number of at least 0"),
        ({"jacobian": np.nan}, "jacobian=nan must be a number of at least 0"),
        ({"steps": "few"}, "steps=few is not known: choose one of shared, adaptive"),
        ({"rtol": 0}, "rtol=0 must be a positive number"),
        ({"method": "rk4"}, "method=rk4 takes steps of one size"),
        ({"adjoint": "none"}, "adjoint=none gives no gradient"),
        ({"max_epochs": 0}, "max_epochs=0 must be a whole number"),
        ({"learning_rate": -1}, "learning_rate=-1 must be a positive number"),
        ({"val_fraction": 1}, "val_fraction=1 must be at least 0 and less than 1"),
    ],
)
def test_bad_parameters_are_refused(options, message, moons):
    with pytest.raises(ValueError, match=message):
        FlowDensity(**{**TINY, **options}).fit(moons)


def test_no_number_of_samples_but_a_whole_one_is_drawn(fitted):
    with pytest.raises(ValueError, match="n_samples=0 must be a whole number"):
        fitted.sample(0)
