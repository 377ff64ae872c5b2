"""The parts of stays, and what rivals are given of them."""

import classify_icu
import numpy as np
import pandas as pd
import pytest
from classify_icu import DESCRIPTORS, MEASURED, RECIPE, Stays, features, measures, split

from latentode import SeriesClassifier


@pytest.fixture
def stays():
    ids = np.arange(100, 120)
    rows = pd.DataFrame({"stay": np.repeat(ids, 2), "hour": [0.0, 3.0] * 20})
    rows[MEASURED] = np.nan
    rows["HR"] = np.tile([80.0, 90.0], 20)
    static = pd.DataFrame({"stay": ids, "Age": 60.0, "Gender": "male", "ICUType": "medical"})
    died = pd.Series(np.arange(20) % 4 == 0, index=ids).astype(int)
    return Stays(rows, static, died)


def test_the_parts_share_no_stay_and_have_as_many_deaths(stays):
    train, val = split(stays.died, 0, test=False)
    seen, test = split(stays.died, 0, test=True)
    assert [len(part) for part in (train, val, seen, test)] == [12, 4, 16, 4]
    assert set(train) | set(val) == set(seen)
    assert set(seen) | set(test) == set(stays.died.index)
    assert [int(stays.died[part].sum()) for part in (train, val, test)] == [3, 1, 1]


def test_rivals_are_given_a_row_for_each_stay_in_the_order_of_labels(stays):
    some = stays.of(np.array([107, 101]))
    numbers = features(some, ["last", "mean", "count"])
    assert numbers.index.tolist() == [107, 101]
    assert numbers.loc[107, ["HR, last", "HR, mean", "HR, count"]].tolist() == [90, 85, 2]
    assert np.isnan(numbers.loc[107, "Temp, last"])
    assert numbers.loc[107, ["Age", "male", "female", "medical"]].tolist() == [60, 1, 0, 1]


def test_a_constant_knows_nothing():
    auroc, precision, loss, brier = measures(np.array([0, 0, 0, 1]), np.full(4, 0.25))
    assert (auroc, precision, brier) == (0.5, 0.25, 0.1875)
    assert loss == pytest.approx(0.5623, abs=1e-4)


def test_the_recipe_is_of_parameters_that_there_are():
    assert set(RECIPE) <= set(SeriesClassifier().get_params())
    assert "Age" in DESCRIPTORS and "Age" not in MEASURED


def test_less_of_the_model_tells_something_else(stays, monkeypatch):
    monkeypatch.setattr(classify_icu, "RECIPE", RECIPE | {"n_members": 1, "max_epochs": 1})
    stays.rows[MEASURED] = np.random.default_rng(0).normal(size=(40, len(MEASURED)))
    models = [classify_icu.latent_ode, *classify_icu.ABLATIONS.values()]
    told = [model(stays, stays, seed=0) for model in models]
    assert all(np.isfinite(p).all() and p.shape == (20,) for p in told)
    assert not np.allclose(told[0], told[1]) and not np.allclose(told[1], told[2])
    assert np.array_equal(classify_icu.latent_ode(stays, stays, seed=0), told[0])  # as it was
