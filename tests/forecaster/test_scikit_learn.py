"""What scikit-learn asks of an estimator, and does with one."""

import inspect
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    RandomizedSearchCV,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from latentode import (
    DecayedMean,
    LastValue,
    LatentODEForecaster,
    LinearInterpolation,
    SeriesMean,
    TimeCutoffSplit,
    TrainingMean,
)

SMALL = {"max_epochs": 1, "latent_size": 2, "hidden_size": 4, "verbose": 0, "random_state": 0}
BLANK = {
    "LatentODEForecaster": LatentODEForecaster(**SMALL),
    "LastValue": LastValue(),
    "SeriesMean": SeriesMean(),
    "DecayedMean": DecayedMean(),
    "LinearInterpolation": LinearInterpolation(),
    "TrainingMean": TrainingMean(),
}


@pytest.fixture(params=BLANK)
def blank(request):
    return clone(BLANK[request.param])


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"id": np.repeat(np.arange(12), 10), "time": rng.uniform(0, 20, 120)})
    df["y"] = np.sin(df.time + df.id)
    return df


@pytest.fixture(params=[True, False], ids=["by time", "by series"])
def cv(request, waves):
    return TimeCutoffSplit(2, horizon=4) if request.param else GroupKFold(2)


class TestItself:
    @pytest.mark.parametrize(
        "check",
        [
            "check_estimator_cloneable",
            "check_estimator_tags_renamed",
            "check_valid_tag_types",
            "check_estimator_repr",
            "check_no_attributes_set_in_init",
            "check_do_not_raise_errors_in_init_or_set_params",
            "check_mixin_order",
            "check_parameters_default_constructible",
            "check_get_params_invariance",
            "check_set_params",
            "check_estimators_unfitted",
        ],
    )
    def test_its_own_checks_pass(self, check, blank):
        getattr(estimator_checks, check)(type(blank).__name__, blank)

    def test_fit_and_score_take_a_y(self, blank, waves):
        """What check_fit_score_takes_y asks, of a frame."""
        fitted = blank.fit(waves, None)
        assert np.isfinite(fitted.score(waves.assign(time=waves.time + 21), None))
        for method in (fitted.fit, fitted.score):
            assert list(inspect.signature(method).parameters)[1] == "y"

    def test_clone_copies_the_parameters_alone(self, blank, waves):
        copy = clone(blank.fit(waves))
        assert copy.get_params() == blank.get_params()
        with pytest.raises(NotFittedError):
            copy.predict(1.0)

    def test_parameters_are_set_by_name(self, blank, waves):
        renamed = waves.rename(columns={"id": "who", "time": "when", "y": "what"})
        names = {"id_col": "who", "time_col": "when", "target_cols": "what"}
        model = blank.set_params(**names).fit(renamed)
        assert model.feature_names_in_.tolist() == ["who", "when", "what"]
        assert model.n_features_in_ == 3
        assert {k: model.get_params()[k] for k in names} == names

    @pytest.mark.parametrize(
        "call",
        [
            lambda model, df: model.predict(1.0),
            lambda model, df: model.predict_quantiles(1.0),
            lambda model, df: model.predict_interval(1.0),
            lambda model, df: model.score(df),
            lambda model, df: model.evaluate(df),
            lambda model, df: model.calibrate(df),
        ],
    )
    def test_nothing_is_told_before_fit(self, call, blank, waves):
        with pytest.raises(NotFittedError, match=type(blank).__name__):
            call(blank, waves)

    def test_a_pickle_of_a_fitted_one_tells_the_same(self, blank, waves):
        model = blank.fit(waves)
        again = pickle.loads(pickle.dumps(model))
        pd.testing.assert_frame_equal(
            again.predict_quantiles(22.0), model.predict_quantiles(22.0), rtol=0, atol=0
        )

    def test_it_is_shown_as_a_diagram(self, blank, waves):
        name = type(blank).__name__
        assert name in blank._repr_html_()
        assert name in blank.fit(waves)._repr_html_()
        assert re.match(rf"{name}\(", repr(blank))


class TestSearches:
    def test_cross_validation_by_time_and_by_series(self, blank, cv, waves):
        out = cross_validate(blank, waves, groups=waves.id, cv=cv, error_score="raise")
        assert np.isfinite(out["test_score"]).all()
        assert (out["test_score"] < 0).all()

    def test_a_grid_search_without_y(self, cv, waves):
        grid = {"latent_size": [2, 3]}
        search = GridSearchCV(BLANK["LatentODEForecaster"], grid, cv=cv, error_score="raise")
        search.fit(waves, groups=waves.id)
        assert search.best_params_["latent_size"] in {2, 3}
        assert search.predict(22.0).columns.tolist() == ["id", "time", "y"]
        assert search.score(waves.assign(time=waves.time + 21)) < 0

    @pytest.mark.slow
    def test_a_grid_search_in_two_processes_finds_the_same(self, waves):
        grid, cv = {"latent_size": [2, 3]}, TimeCutoffSplit(2, horizon=4)
        alone, together = (
            GridSearchCV(
                BLANK["LatentODEForecaster"], grid, cv=cv, n_jobs=n, error_score="raise"
            ).fit(waves)
            for n in (None, 2)
        )
        np.testing.assert_allclose(
            together.cv_results_["mean_test_score"],
            alone.cv_results_["mean_test_score"],
            rtol=1e-6,
        )

    def test_a_randomized_search(self, waves):
        search = RandomizedSearchCV(
            BLANK["LatentODEForecaster"],
            {"learning_rate": [0.01, 0.03], "max_time": [60, "1h"], "n_restarts": [1, 2]},
            n_iter=2,
            cv=TimeCutoffSplit(1, horizon=4),
            random_state=0,
            error_score="raise",
        ).fit(waves)
        assert len(search.cv_results_["params"]) == 2

    def test_a_pipeline_changes_the_frame_first(self, blank, waves):
        double = FunctionTransformer(_doubled)
        pipeline = make_pipeline(double, blank).fit(waves)
        later = waves.assign(time=waves.time + 21)
        assert pipeline.score(later) == pytest.approx(blank.score(_doubled(later)))
        name = pipeline.steps[-1][0]
        search = GridSearchCV(
            pipeline, {f"{name}__target_cols": ["y", None]}, cv=TimeCutoffSplit(1, horizon=4),
            error_score="raise",
        )  # fmt: skip
        assert np.isfinite(search.fit(waves).best_score_)


def _doubled(df):
    return df.assign(y=2 * df.y)
