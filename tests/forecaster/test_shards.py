"""A forecast that is shared among processes is that of one, row for row."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from latentode import LatentODEForecaster
from latentode.forecaster import shards
from latentode.forecaster.question import Wanted, question_of
from latentode.models import prediction


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
        some, pairs = question_of(question, series)
        together[pairs] += 1
        pd.testing.assert_frame_equal(some.query.frame, asked.iloc[pairs])
    assert (together == 1).all()


def test_some_of_the_series_are_told_as_among_all(calibrated, question):
    rng = np.random.default_rng(1)
    wanted = Wanted(rng.uniform(0.1, 0.9, (101, 2, 1)), truth=rng.normal(size=(101, 2)))
    whole = calibrated._tell(question, wanted)
    for series in shards.shared_out(question, 2):
        some, pairs = question_of(question, series)
        told = calibrated._tell(some, wanted.of(pairs))
        for part, expected in zip(told, whole, strict=True):
            np.testing.assert_allclose(part, expected[pairs], rtol=0, atol=1e-6)


def test_draws_are_the_same_however_many_are_solved_at_once(calibrated, question, monkeypatch):
    wanted = Wanted(np.array([0.1, 0.5, 0.9]), truth=np.zeros((101, 2)))
    at_once = calibrated._tell(question, wanted)
    monkeypatch.setattr(prediction, "_MOST_DRAWN", 1)
    for part, expected in zip(calibrated._tell(question, wanted), at_once, strict=True):
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-9)


class Ranks:
    """Stands for `run_ranks`: runs one process after the other, here."""

    def __init__(self):
        self.numbers = []

    def __call__(self, tell_all, n_ranks, *, own, backend):
        self.numbers.append(n_ranks)
        return [tell_all.args[0](*pickle.loads(pickle.dumps(shard))[:2]) for shard in own]


@pytest.fixture
def ranks(monkeypatch):
    ranks = Ranks()
    monkeypatch.setattr(shards, "run_ranks", ranks)
    return ranks


@pytest.mark.parametrize(("n_jobs", "expected"), [(1, []), (2, [2]), (3, [3]), (20, [10])])
def test_the_answers_of_processes_are_put_together(n_jobs, expected, calibrated, asked, ranks):
    for tell in (calibrated.predict, calibrated.predict_quantiles, calibrated.predict_interval):
        ranks.numbers.clear()
        together = tell(asked, n_jobs=n_jobs)
        assert ranks.numbers == expected
        pd.testing.assert_frame_equal(together, tell(asked), rtol=0, atol=1e-6)


def test_series_are_shared_with_all_that_is_known_of_them(small, ranks):
    rng = np.random.default_rng(0)
    site, pump = np.divmod(np.arange(120) // 10, 4)
    rows = pd.DataFrame({
        "site": site, "pump": pump, "make": site + pump / 4, "time": np.arange(120.0) % 10,
        "y": rng.normal(size=120), "load": rng.normal(size=120), "heat": rng.normal(size=120),
    })  # fmt: skip
    model = LatentODEForecaster(
        id_col=["site", "pump"], target_cols="y", known_cols=["load"], past_cols=["heat"],
        static_cols=["make"], **small,
    )  # fmt: skip
    model.fit(rows[rows.time < 7])
    ahead = rows[rows.time >= 7].drop(columns=["y", "heat"]).sample(frac=1, random_state=0)
    together = model.predict(ahead, n_jobs=5, return_std=True)
    assert ranks.numbers == [5]
    pd.testing.assert_frame_equal(together, model.predict(ahead, return_std=True), atol=1e-6)


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
