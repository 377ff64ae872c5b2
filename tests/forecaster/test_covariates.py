"""Covariates through the whole forecaster: told or held, in one frame or two, saved and split."""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold

from latentode import (
    FrameError,
    LastValue,
    LatentODEForecaster,
    LatentODEWarning,
    TimeCutoffSplit,
)

SMALL = {"max_epochs": 1, "latent_size": 3, "hidden_size": 6, "verbose": 0, "random_state": 0}
VARYING = {"target_cols": "y", "past_cols": "pulse", "known_cols": ["rate", "bolus"]}
STATIC = ["class", "age"]
KINDS = ["predict", "predict_quantiles", "predict_interval", "latent"]

every_kind = pytest.mark.parametrize("kind", KINDS)


def same(one, other):
    pd.testing.assert_frame_equal(one, other, rtol=0, atol=0)


@pytest.fixture(scope="module")
def stays():
    """Give series with covariates of all kinds; known ones are stated now and then."""
    rng = np.random.default_rng(0)
    return pd.DataFrame([
        {
            "id": s,
            "t": t,
            "y": np.sin(t + s) if i % 3 else np.nan,
            "pulse": rng.normal() if i % 2 else np.nan,
            "rate": float(rng.integers(0, 3)) if i % 4 == 0 else np.nan,
            "bolus": i % 5 == 0,
            "class": "low" if s % 2 else "high",
            "age": 40.0 + s,
        }
        for s in range(10)
        for i, t in enumerate(np.sort(rng.uniform(0, 6, 12)))
    ])


@pytest.fixture(scope="module")
def bare(stays):
    return stays.drop(columns=STATIC)


@pytest.fixture(scope="module")
def patients(stays):
    return stays.groupby("id")[STATIC].first().reset_index()


@pytest.fixture(scope="module")
def fitted(stays):
    return LatentODEForecaster(**SMALL, **VARYING, static_cols=STATIC).fit(stays)


@pytest.fixture(scope="module")
def fitted_apart(bare, patients):
    return LatentODEForecaster(**SMALL, **VARYING).fit(bare, static=patients)


@pytest.fixture
def ahead():
    return pd.DataFrame(
        {
            "id": [0, 3, 0],
            "t": [6.5, 8.0, 7.0],
            "rate": [1.0, 0.0, 2.0],
            "bolus": [True, True, False],
        },
        index=["u", "v", "w"],
    )


class TestKnown:
    @every_kind
    def test_what_is_asked_with_the_rows_matters(self, kind, fitted, ahead):
        tell = getattr(fitted, kind)
        out, other = tell(ahead), tell(ahead.assign(rate=[9.0, 0.0, 9.0]))
        pd.testing.assert_frame_equal(out[["id", "t"]], ahead[["id", "t"]])
        moved = (out.iloc[:, 2:] != other.iloc[:, 2:]).any(axis=1)
        # A state is where its path has come to, which no change at that very time can have moved.
        assert moved.tolist() == [kind != "latent", False, True]

    @every_kind
    def test_without_it_the_last_is_held_with_one_warning(self, kind, fitted, ahead):
        for question in ({"at": 7.0}, {"horizon": 1.0, "step": 0.5}, {"at": ahead[["id", "t"]]}):
            with pytest.warns(LatentODEWarning, match="'rate', 'bolus' are taken to stay") as seen:
                getattr(fitted, kind)(**question)
            assert len(seen) == 1

    def test_holding_is_the_same_as_saying_so(self, fitted, stays):
        own = stays[stays.id == 4]
        rate, bolus = own.rate.dropna().iloc[-1], own.bolus.iloc[-1]
        asked = pd.DataFrame({"id": [4, 4], "t": [6.5, 7.0]})
        with pytest.warns(LatentODEWarning, match="taken to stay"):
            held = fitted.predict(asked)
        told = fitted.predict(asked.assign(rate=rate, bolus=bolus))
        pd.testing.assert_frame_equal(held, told, rtol=0, atol=1e-9)

    @every_kind
    def test_what_is_known_after_a_time_does_not_matter_to_it(self, kind, fitted, stays, ahead):
        later = pd.DataFrame({"id": [0, 3], "t": [9.0, 9.5], "rate": [50.0, 50.0]})
        later = later.assign(**{"bolus": True, "class": ["high", "low"], "age": [40.0, 43.0]})
        alone = getattr(fitted, kind)(ahead)
        more = getattr(fitted, kind)(ahead, context=pd.concat([stays, later]))
        pd.testing.assert_frame_equal(alone, more, rtol=0, atol=1e-9)

    def test_rows_of_the_future_in_the_context_are_what_is_asked(self, fitted, stays, ahead):
        asked = ahead[["id", "t"]]
        future = ahead.assign(**{"class": ["high", "low", "high"], "age": [40.0, 43.0, 40.0]})
        out = fitted.predict(asked, context=pd.concat([stays, future]))
        pd.testing.assert_frame_equal(out, fitted.predict(ahead), rtol=0, atol=1e-9)

    def test_draws_of_a_seed_feel_it_too(self, fitted, ahead):
        draws = fitted.sample(ahead, 2, random_state=0)
        same(draws, fitted.sample(ahead, 2, random_state=0))
        other = fitted.sample(ahead.assign(rate=0.0), 2, random_state=0)
        assert (draws.y != other.y).any()


class TestStatic:
    def test_a_frame_of_series_equals_columns_of_the_frame_to_the_bit(
        self, fitted, fitted_apart, ahead, bare, patients, stays
    ):
        for kind in KINDS:
            same(getattr(fitted_apart, kind)(ahead), getattr(fitted, kind)(ahead))
        same(
            fitted_apart.predict(ahead, context=bare, static=patients),
            fitted.predict(ahead, context=stays),
        )
        same(fitted_apart.smooth(bare, static=patients), fitted.smooth(stays))

    def test_so_it_does_to_all_that_measures_and_adds(
        self, fitted, fitted_apart, bare, patients, stays, ahead
    ):
        later, later_bare = (df.assign(t=df.t + 10) for df in (stays, bare))
        score = fitted.score(later)
        assert fitted_apart.score(later_bare, static=patients) == score
        same(
            fitted_apart.evaluate(later_bare, static=patients, baselines=False),
            fitted.evaluate(later, baselines=False),
        )
        for change in ("calibrate", "update", "set_context"):
            one = getattr(copy.deepcopy(fitted), change)(later)
            other = getattr(copy.deepcopy(fitted_apart), change)(later_bare, static=patients)
            asked = ahead.assign(t=ahead.t + 10)
            same(other.predict_quantiles(asked), one.predict_quantiles(asked))
        one = copy.deepcopy(fitted).partial_fit(later, epochs=1)
        other = copy.deepcopy(fitted_apart).partial_fit(later_bare, static=patients, epochs=1)
        same(other.predict(asked), one.predict(asked))

    def test_and_to_a_backtest(self, bare, patients, stays):
        apart = LatentODEForecaster(**SMALL, **VARYING)
        within = clone(apart).set_params(static_cols=STATIC)
        options = {"horizon": 1.5, "n_cutoffs": 2}
        table = within.historical_forecasts(stays, **options)
        same(apart.historical_forecasts(bare, static=patients, **options), table)
        LastValue(target_cols="y").backtest(bare, static=patients, **options)

    def test_series_that_it_lacks_and_a_frame_for_nothing_are_refused(
        self, fitted_apart, bare, patients, ahead
    ):
        with pytest.raises(FrameError, match="no row for 1 of 10 series: 3") as error:
            fitted_apart.predict(ahead, context=bare, static=patients[patients.id != 3])
        assert error.value.code == "E-STATIC-MISSING"
        with pytest.raises(FrameError, match="'class', a static covariate in fit"):
            fitted_apart.update(bare.assign(t=bare.t + 10))
        with pytest.raises(ValueError, match="static goes with context") as error:
            fitted_apart.predict(ahead, static=patients)
        scope = {"model": copy.deepcopy(fitted_apart), "df": bare, "static": patients}
        exec(str(error.value).partition("Fix: ")[2], scope)

    @pytest.mark.slow
    def test_it_travels_through_a_search(self, bare, patients):
        with sklearn.config_context(enable_metadata_routing=True):
            model = LatentODEForecaster(**SMALL, **VARYING)
            model.set_fit_request(static=True).set_score_request(static=True)
            for cv in (TimeCutoffSplit(2, horizon=1.5, time_col="t"), GroupKFold(2)):
                search = GridSearchCV(model, {"latent_size": [2]}, cv=cv, error_score="raise")
                groups = {"groups": bare.id} if isinstance(cv, GroupKFold) else {}
                search.fit(bare, static=patients, **groups)
                assert np.isfinite(search.best_score_)


def test_a_saved_model_tells_the_same_to_the_bit_and_goes_on(
    fitted_apart, bare, patients, ahead, tmp_path
):
    fitted_apart.save(tmp_path / "model.lode")
    again = LatentODEForecaster.load(tmp_path / "model.lode")
    for kind in KINDS:
        same(getattr(again, kind)(ahead), getattr(fitted_apart, kind)(ahead))
    same(again.sample(ahead, 2, random_state=0), fitted_apart.sample(ahead, 2, random_state=0))
    later = bare.assign(t=bare.t + 10)
    models = [m.update(later, static=patients) for m in (again, copy.deepcopy(fitted_apart))]
    asked = ahead.assign(t=ahead.t + 10)
    same(*(m.predict(asked) for m in models))


def test_past_covariates_are_read_and_not_told(fitted, stays, ahead):
    out = fitted.predict(ahead)
    assert list(out.columns) == ["id", "t", "y"]
    louder = stays.assign(pulse=stays.pulse * 3)
    assert (fitted.predict(ahead, context=louder).y != out.y).all()
    with pytest.raises(FrameError, match="'pulse', a past covariate in fit") as error:
        fitted.predict(ahead, context=stays.drop(columns="pulse"))
    scope = {"df": stays.drop(columns="pulse")}
    exec(error.value.fix, scope)
    assert np.isfinite(fitted.predict(ahead, context=scope["df"]).y).all()


def test_nothing_of_the_caller_changes(fitted_apart, bare, patients, ahead):
    frames = [bare, patients, ahead]
    before = [df.copy(deep=True) for df in frames]
    fitted_apart.predict(ahead, context=bare, static=patients)
    copy.deepcopy(fitted_apart).update(bare.assign(t=bare.t + 10), static=patients)
    for df, old in zip(frames, before, strict=True):
        pd.testing.assert_frame_equal(df, old)


def doses(n_series, seed):
    """Simulate dz/dt = u - z under a rate u that changes once, in the part to be told."""
    rng = np.random.default_rng(seed)
    rows = []
    for s in range(n_series):
        change, rate = rng.uniform(2, 3), rng.choice([0.0, 2.0])
        rows.append({"id": s, "t": change, "y": np.nan, "rate": rate})
        for t in np.sort(rng.uniform(0, 4, 12)):
            past = max(t - change, 0.0)
            level = 1.0 + (rate - 1.0) * (1 - np.exp(-past))
            rows.append({"id": s, "t": t, "y": level, "rate": 1.0 if t < change else np.nan})
    return pd.DataFrame(rows)


@pytest.mark.slow  # tests/models/test_covariates.py says as much of the model alone
def test_telling_the_model_helps():
    train, test = doses(40, seed=0), doses(40, seed=1)
    test["id"] += 100
    settings = SMALL | {
        "latent_size": 6,
        "hidden_size": 24,
        "max_epochs": 15,
        "learning_rate": 0.02,
        "refit": False,
        "target_cols": "y",
    }
    early, late = test[test.t <= 2], test[(test.t > 2) & test.y.notna()]
    errors = []
    for columns in (["id", "t", "y", "rate"], ["id", "t", "y"]):
        known = {"known_cols": "rate"} if "rate" in columns else {}
        model = LatentODEForecaster(**settings, **known).fit(train[columns].dropna(how="all"))
        changes = test[test.t > 2].assign(y=np.nan)
        context = pd.concat([early, changes])[columns]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LatentODEWarning)
            out = model.predict(late[["id", "t"]], context=context)
        errors.append(float(np.sqrt(((out.y - late.y) ** 2).mean())))
    assert errors[0] < 0.7 * errors[1], errors
