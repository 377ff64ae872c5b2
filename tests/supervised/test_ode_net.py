"""What users of arrays may rely on."""

import pickle
import random
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris, make_moons
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import parametrize_with_checks

from latentode import ODENetClassifier, ODENetRegressor

SMALL = {"hidden_size": 4, "field_size": 8, "max_epochs": 4, "random_state": 0}
# All rows in one batch and none held out: only then are weights the same as repetitions.
WHOLE = {
    "hidden_size": 8,
    "field_size": 16,
    "max_epochs": 30,
    "learning_rate": 0.05,
    "weight_decay": 0.01,
    "val_fraction": 0.0,
    "batch_size": 1000,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(params=[ODENetClassifier, ODENetRegressor])
def blank(request):
    return request.param(**SMALL)


QUICK = {**WHOLE, "method": "bosh3", "max_epochs": 8, "learning_rate": 0.2}


@parametrize_with_checks([ODENetClassifier(**QUICK), ODENetRegressor(**QUICK)])
def test_scikit_learn_finds_nothing_wrong(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # some checks warn of what they do themselves
        check(estimator)


def answers(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def numpy_state():
    return np.random.get_state()[1].tolist()  # noqa: NPY002  it is the old state that is looked at


class TestLearning:
    def test_two_moons_are_told_apart(self):
        X, y = make_moons(300, noise=0.1, random_state=0)
        model = ODENetClassifier(
            hidden_size=8, learning_rate=0.03, weight_decay=0.01, random_state=0
        )
        assert model.fit(X[:200], y[:200]).score(X[200:], y[200:]) > 0.97
        assert model.history_.train_loss.iloc[-1] < 0.2 * model.history_.train_loss.iloc[0]
        assert model.n_parameters_ == 2 * 8 + 8 + 2 * 8 * 64 + 64 + 8 + 8 * 2 + 2

    def test_values_have_their_units_and_their_shape(self):
        rng = np.random.default_rng(0)
        X = rng.uniform(-2, 2, (300, 1))
        y = np.column_stack([1e6 + 1e3 * np.sin(2 * X[:, 0]), 1e-3 * X[:, 0] ** 2])
        model = ODENetRegressor(
            hidden_size=8, learning_rate=0.03, weight_decay=0.01, random_state=0
        )
        assert model.fit(X[:200], y[:200]).score(X[200:], y[200:]) > 0.97
        assert model.predict(X).shape == (300, 2)
        one = ODENetRegressor(**SMALL).fit(X[:200], y[:200, 0])
        assert one.predict(X).shape == (300,)

    def test_a_constant_target_is_told(self):
        X = np.random.default_rng(0).normal(size=(30, 2))
        told = ODENetRegressor(**SMALL).fit(X, np.full(30, 7.5)).predict(X)
        np.testing.assert_allclose(told, 7.5, rtol=1e-12)

    def test_the_best_epoch_on_what_is_held_out_is_kept(self, iris):
        model = ODENetClassifier(**{**SMALL, "max_epochs": 30, "patience": 1})
        losses = model.fit(*iris).history_.val_loss
        assert len(losses) == 30 or losses.argmin() == len(losses) - 3

    @pytest.mark.parametrize("adjoint", ["direct", "replay", "backsolve"])
    def test_every_gradient_leads_to_about_the_same_network(self, adjoint, iris):
        sharp = {**SMALL, "rtol": 1e-8, "atol": 1e-8}
        usual = ODENetClassifier(**sharp).fit(*iris).predict_proba(iris[0])
        other = ODENetClassifier(**sharp, adjoint=adjoint).fit(*iris).predict_proba(iris[0])
        np.testing.assert_allclose(other, usual, atol=1e-4)

    def test_a_tighter_tolerance_takes_more_evaluations(self, iris):
        loose, tight = (
            ODENetClassifier(**SMALL, rtol=tol, atol=tol).fit(*iris) for tol in (1e-2, 1e-8)
        )
        assert 6 <= loose.n_f_evals_ < tight.n_f_evals_


class TestWeights:
    def test_balanced_classes_weigh_the_same(self):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(220, 1)), np.repeat(["often", "rarely"], [200, 20])
        X[200:] += 1
        shares = [
            (ODENetClassifier(**WHOLE, class_weight=w).fit(X, y).predict(X) == "rarely").mean()
            for w in (None, "balanced")
        ]
        assert shares[0] < 0.1
        assert shares[1] > 0.2

    def test_a_class_may_be_given_a_weight(self, iris):
        X, y = iris
        far, near = (
            ODENetClassifier(**WHOLE, class_weight={0: 1, 1: w, 2: 1}).fit(X, y).predict_proba(X)
            for w in (1, 50)
        )
        assert near[:, 1].mean() > far[:, 1].mean() + 0.02

    @pytest.mark.parametrize(
        ("weight", "message"),
        [
            ([1.0, 2.0], r"shape \(150,\), one for each row, not \(2,\)"),
            (np.r_[1.0, -2.0, np.ones(148)], "1 are not: the first is -2.0, in row 1"),
            (np.zeros(150), "is zero, for 150 rows"),
        ],
    )
    def test_weights_that_cannot_be_used_are_refused(self, weight, message, iris, blank):
        with pytest.raises(ValueError, match=message):
            blank.fit(*iris, sample_weight=weight)


class TestWhatMustNotMatter:
    def test_the_same_seed_gives_the_same_model_and_another_one_another(self, blank, iris):
        first = answers(blank.fit(*iris), iris[0])
        assert np.array_equal(answers(blank.fit(*iris), iris[0]), first)
        blank.set_params(random_state=1)
        assert not np.array_equal(answers(blank.fit(*iris), iris[0]), first)

    def test_nothing_global_is_touched_and_nothing_said(self, blank, iris, capfd):
        blank.set_params(random_state=None)
        before = torch.get_rng_state(), numpy_state(), random.getstate()
        blank.fit(*iris)
        answers(blank, iris[0])
        assert torch.equal(torch.get_rng_state(), before[0])
        assert numpy_state() == before[1]
        assert random.getstate() == before[2]
        assert capfd.readouterr() == ("", "")

    def test_units_of_the_inputs(self, blank, iris):
        X, y = iris
        other = 1e4 + 1e-2 * X
        told, again = answers(blank.fit(X, y), X), answers(blank.fit(other, y), other)
        np.testing.assert_allclose(again, told, atol=1e-6)

    def test_the_other_rows_asked(self, blank, iris):
        X, y = iris
        told = answers(blank.fit(X, y), X)
        alone = np.concatenate([answers(blank, X[[i]]) for i in range(0, 150, 15)])
        np.testing.assert_allclose(alone, told[::15], atol=1e-12)

    def test_a_copy_by_pickle(self, blank, iris):
        told = answers(blank.fit(*iris), iris[0])
        assert np.array_equal(answers(pickle.loads(pickle.dumps(blank)), iris[0]), told)


def test_the_network_has_the_precision_of_the_inputs(blank, iris):
    X, y = iris
    for dtype in (np.float32, np.float64):
        blank.fit(X.astype(dtype), y)
        assert answers(blank, X.astype(dtype)).shape[0] == 150
        assert blank.network_.head.weight.numpy(force=True).dtype == dtype


def test_it_goes_into_pipelines_and_searches(iris):
    pipeline = make_pipeline(PolynomialFeatures(), ODENetClassifier(**SMALL))
    grid = {"odenetclassifier__hidden_size": [2, 3]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(*iris)
    assert search.best_score_ > 0.3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_size": 0}, "hidden_size=0 must be a whole number"),
        ({"rtol": 0.0}, "rtol=0.0 must be a positive number"),
        ({"method": "rk4"}, "method=rk4 is not known: choose one of"),
        ({"adjoint": "none"}, "adjoint=none is not known: choose one of auto, direct"),
        ({"val_fraction": 1.0}, "val_fraction=1.0 must be at least 0 and less than 1"),
        ({"random_state": -1}, "random_state=-1 must be a whole number"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(parameters, message, blank, iris):
    with pytest.raises(ValueError, match=message):
        blank.set_params(**parameters).fit(*iris)


def test_values_that_are_missing_are_named(blank, iris):
    X = pd.DataFrame(iris[0], columns=["a", "b", "c", "d"])
    X.loc[7, "c"] = np.nan
    with pytest.raises(
        ValueError, match=r"1 of 150 rows: the first is in row 7, column 'c'.\nFix"
    ):
        blank.fit(X, iris[1])


def test_a_training_that_diverges_says_so(iris):
    model = ODENetRegressor(**{**SMALL, "learning_rate": 1e30, "weight_decay": 0.0})
    with pytest.raises(FloatingPointError, match=r"diverged in epoch \d+, batch \d+: .* Lower"):
        model.fit(*iris)
