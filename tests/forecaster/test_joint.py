"""A forecaster of values that depend on each other: likelihood="flow"."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from latentode import LatentODEForecaster
from latentode.forecaster.question import Wanted

TIMES = [7.0, 8.0]


@pytest.fixture(scope="module")
def fitted(small, ripples):
    return LatentODEForecaster(**small, likelihood="flow").fit(ripples)


@pytest.fixture(scope="module")
def bent(fitted):
    """Give a forecaster whose flow draws variables together, as dz/dt = W tanh(z) does."""
    bent = copy.deepcopy(fitted)
    flow = bent.module_.decoder.likelihood.flow
    with torch.no_grad():
        for p in flow.parameters():
            p.zero_()
        flow.inner.weight[:2] = torch.eye(2)
        flow.outer.weight[:, :2] = torch.tensor([[0.0, 1.5], [1.5, 0.0]])
    return bent


def test_draws_are_joint_and_their_moments_are_those_told(bent):
    draws = bent.sample(7.0, n=400, random_state=0)
    noise = draws[["a", "b"]] - draws.groupby("id")[["a", "b"]].transform("mean")
    assert noise.a.corr(noise.b) > 0.6
    told, of_draws = bent.predict(7.0, return_std=True), draws.groupby("id")[["a", "b"]]
    spread = of_draws.std()
    for target in "ab":
        off = (told.set_index("id")[target] - of_draws.mean()[target]) / spread[target]
        assert off.abs().max() < 0.2
        ratio = told.set_index("id")[f"{target}_std"] / spread[target]
        assert ratio.between(0.85, 1.15).all()


def test_a_constant_target_says_nothing_of_the_others(bent):
    model = copy.deepcopy(bent)
    model.scaler_ = model.scaler_._replace(std=model.scaler_.std * [1, 0])
    question = model._question(7.0, None, None, None, None, None)
    came = np.full((len(question.query.times), 2), 1.0)
    together = model._tell(question, Wanted(truth=came)).log_density
    alone = model._tell(question, Wanted(truth=came * [1, np.nan])).log_density
    np.testing.assert_array_equal(together, alone)
    assert np.isfinite(together[:, 0]).all()


def test_quantiles_are_those_of_draws(bent):
    levels = [0.1, 0.5, 0.9]
    told = bent.predict_quantiles(7.0, levels).set_index("id")
    of_draws = bent.sample(7.0, n=400, random_state=0).groupby("id")["a"]
    for level in levels:
        off = (told[f"a_q{level}"] - of_draws.quantile(level)) / of_draws.std()
        assert off.abs().mean() < 0.15


def test_forecasts_do_not_depend_on_what_else_is_asked(bent):
    together = bent.predict_quantiles(TIMES)
    alone = bent.predict_quantiles(8.0)
    shared = together[together.time == 8.0].reset_index(drop=True)
    pd.testing.assert_frame_equal(shared, alone, rtol=1e-9)
    first, second = (bent.sample(TIMES, n=3, random_state=5) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_it_is_saved_with_its_flow_and_comes_again_with_the_seed(
    fitted, bent, small, ripples, tmp_path
):
    bent.save(tmp_path / "model.lode")
    loaded = LatentODEForecaster.load(tmp_path / "model.lode")
    pd.testing.assert_frame_equal(
        bent.sample(7.0, n=2, random_state=0), loaded.sample(7.0, n=2, random_state=0)
    )
    again = LatentODEForecaster(**small, likelihood="flow").fit(ripples)
    pd.testing.assert_frame_equal(again.predict_quantiles(7.0), fitted.predict_quantiles(7.0))


def test_it_is_calibrated_measured_and_told_more_as_others_are(fitted, ripples):
    model = copy.deepcopy(fitted)
    later = ripples.assign(time=ripples.time + 6.5)
    model.calibrate(later).update(later)
    after = later.assign(time=later.time + 7)
    table = model.evaluate(after, ["crps", "nll", "coverage_90"], baselines=False)
    assert np.isfinite(table).all(axis=None)
    assert np.isfinite(model.smooth(ripples)[["a", "b"]]).all(axis=None)


@pytest.mark.slow
def test_it_is_trained_further_and_looks_back_as_others_do(fitted, ripples):
    model = copy.deepcopy(fitted)
    model.partial_fit(ripples.assign(time=ripples.time + 30), epochs=1)
    assert model.history_.stage.iloc[-1] == "further"
    past = fitted.backtest(ripples, horizon=1.0, n_cutoffs=1, baselines=False)
    assert np.isfinite(past[["mse", "crps"]]).all(axis=None)


def test_past_covariates_are_apart(small, ripples):
    model = LatentODEForecaster(
        **small | {"max_epochs": 1}, likelihood="flow", target_cols="a", past_cols="b"
    ).fit(ripples)
    assert model.module_.decoder.likelihood.bends.tolist() == [True, False]
    assert model.sample(7.0, n=2, random_state=0).columns.tolist() == ["draw", "id", "time", "a"]


def test_known_errors_are_refused(small, ripples):
    model = LatentODEForecaster(**small, likelihood="flow", noise_cols={"a": "b"})
    with pytest.raises(ValueError, match=r"not flow\.\nFix: model\.set_params\(likelihood="):
        model.fit(ripples)
