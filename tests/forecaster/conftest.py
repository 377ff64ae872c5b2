"""A small set of series, and a small forecaster of them."""

import math

import numpy as np
import pandas as pd
import pytest

from latentode import LatentODEForecaster

SMALL = {"max_epochs": 2, "latent_size": 4, "hidden_size": 8, "verbose": 0, "random_state": 0}


@pytest.fixture(scope="session")
def small():
    """Give the parameters of a forecaster that is fitted at once."""
    return SMALL


@pytest.fixture(scope="session")
def ripples():
    rng = np.random.default_rng(0)
    return pd.DataFrame([
        {"id": s, "time": t, "a": math.sin(t + s), "b": math.cos(t + s) if i % 3 else math.nan}
        for s in range(12)
        for i, t in enumerate(np.sort(rng.uniform(0, 6, rng.integers(5, 14))))
    ])


@pytest.fixture
def early(ripples):
    return ripples[ripples.time <= 4]


@pytest.fixture
def late(ripples):
    return ripples[ripples.time > 4]


@pytest.fixture(scope="session")
def fitted_early(ripples):
    """Give a forecaster of the early rows; a test that changes it takes a copy."""
    return LatentODEForecaster(**SMALL).fit(ripples[ripples.time <= 4])
