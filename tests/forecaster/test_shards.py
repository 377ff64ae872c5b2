"""A forecast that is shared among processes is that of one, row for row."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from latentode import LatentODEForecaster
from latentode.forecaster import shards
from latentode.forecaster.question import some_series


@pytest.fixture(scope="module")
def calibrated(ripples, small):
    model = LatentODEForecaster(**small).fit(ripples[ripples.time <= 4])
    return model.calibrate(ripples[ripples.time > 4])


@pytest.fixture
def asked(ripples):
    """Give 101 rows of ten series, in no order."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"id": rng.integers(1, 11, 101), "time": rng.uniform(0, 9, 101)})
    return rows.set_index(rng.permutation(101))


@pytest.fixture
def question(calibrated, asked):
    return calibrated._question(asked, None, None, None, None, None)


@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_every_pair_is_asked_of_one_process(n, question, asked):
    shares = shards.shared_out(question, n)
    assert len(shares) == min(n, 10)  # none is without a series
    together = np.zeros(101)
    for series in shares:
        some, pairs = some_series(question, series)
        together[pairs] += 1
        pd.testing.assert_frame_equal(some.query.frame, asked.iloc[pairs])
    assert (together == 1).all()


def test_some_of_the_series_are_told_as_among_all(calibrated, question):
    levels = np.random.default_rng(1).uniform(0.1, 0.9, (101, 2, 1))
    whole = calibrated._tell(question, levels=levels)
    for series in shards.shared_out(question, 2):
        some, pairs = some_series(question, series)
        told = calibrated._tell(some, levels=levels[pairs])
        for part, expected in zip(told, whole, strict=True):
            np.testing.assert_allclose(part, expected[pairs], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_two_processes_tell_what_one_does_row_for_row(calibrated, asked):
    alone = calibrated.predict_interval(asked)
    together = calibrated.predict_interval(asked, n_jobs=2)
    assert len(together) == 101
    pd.testing.assert_frame_equal(together, alone, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_forecast_that_fails_on_one_says_why(calibrated, asked):
    model = copy.deepcopy(calibrated)
    model.module_.path = Refusing()
    with pytest.raises(ZeroDivisionError, match="of 2 ranks") as raised:
        model.predict(asked, n_jobs=2)
    assert "in forward" in str(raised.value.__cause__)


class Refusing(torch.nn.Module):
    """A path that no process can go."""

    def forward(self, *_):
        raise ZeroDivisionError(f"of {torch.distributed.get_world_size()} ranks")


@pytest.mark.parametrize("n_jobs", [0, 1.5, True])
def test_n_jobs_is_a_whole_number(n_jobs, calibrated):
    with pytest.raises(ValueError, match=f"n_jobs={n_jobs} must be a whole number"):
        calibrated.predict(7.0, n_jobs=n_jobs)
