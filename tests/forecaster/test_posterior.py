"""A forecaster whose latent state has the distribution that a flow makes."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from latentode import LatentODEForecaster


@pytest.fixture(scope="module")
def fitted(small, ripples):
    return LatentODEForecaster(**small, posterior="flow").fit(ripples)


def test_its_draws_come_again_with_the_seed(fitted):
    first, second = (fitted.sample([7.0, 8.0], n=3, random_state=5) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    other = fitted.sample([7.0, 8.0], n=3, random_state=6)
    assert not np.allclose(first.a, other.a)


def test_a_forecast_does_not_depend_on_what_else_is_asked(fitted):
    together = fitted.predict_quantiles([7.0, 8.0], [0.1, 0.9])
    alone = fitted.predict_quantiles([8.0], [0.1, 0.9])
    shared = together[together.time == 8.0].reset_index(drop=True)
    pd.testing.assert_frame_equal(shared, alone, rtol=1e-9)


def test_it_is_saved_with_its_flow(fitted, tmp_path):
    fitted.save(tmp_path / "model.lode")
    loaded = LatentODEForecaster.load(tmp_path / "model.lode")
    pd.testing.assert_frame_equal(
        fitted.sample([7.0], n=2, random_state=0), loaded.sample([7.0], n=2, random_state=0)
    )


def test_what_the_flow_does_reaches_the_forecast(fitted):
    before = fitted.predict([7.0])
    bent = copy.deepcopy(fitted)
    torch.nn.init.constant_(bent.module_.posterior.flow.field.outer.bias, 2.0)
    assert not np.allclose(before.a, bent.predict([7.0]).a, atol=1e-3)


def test_an_unknown_one_is_refused(small, ripples):
    with pytest.raises(ValueError, match="posterior=bent is not known: choose one of normal"):
        LatentODEForecaster(**small, posterior="bent").fit(ripples)
