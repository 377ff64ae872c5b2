"""What a fitted forecaster knows: rows added to it are as if they had always been there."""

import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.exceptions import NotFittedError

from latentode import FrameError, LatentODEForecaster


@pytest.fixture
def model(fitted_early):
    return copy.deepcopy(fitted_early)


def assert_equal(one, other):
    pd.testing.assert_frame_equal(one, other, rtol=0, atol=0)


def test_row_by_row_is_as_all_at_once(model, ripples, late):
    asked = {"horizon": 3.0, "step": 1.5}
    for i in range(len(late)):
        known = pd.concat([ripples[ripples.time <= 4], late.iloc[: i + 1]])
        assert model.update(late.iloc[[i]]) is model
        if i % 10 == 0:
            assert_equal(model.predict(**asked), model.predict(**asked, context=known))
    assert_equal(model.predict(**asked), model.predict(**asked, context=ripples))
    quantiles = model.predict_quantiles(**asked)
    assert_equal(quantiles, model.predict_quantiles(**asked, context=ripples))


@pytest.mark.slow
def test_a_thousand_updates_are_as_one(fitted_early, ripples):
    model = copy.deepcopy(fitted_early)
    rng = np.random.default_rng(0)
    feed = pd.DataFrame({"id": rng.integers(0, 30, 1000), "time": rng.uniform(4, 9, 1000)})
    feed = feed.assign(a=rng.normal(size=1000), b=rng.normal(size=1000))
    early = ripples[ripples.time <= 4]
    for i in range(1000):
        row = feed.iloc[[i]]
        now = model.update(row).predict(row[["id"]].assign(time=10.0))
        assert np.isfinite(now[["a", "b"]]).all(axis=None)
    whole = pd.concat([early, feed])
    assert_equal(model.predict(10.0), fitted_early.predict(10.0, context=whole))


def test_the_order_of_updates_does_not_matter(fitted_early, late):
    forth, back = copy.deepcopy(fitted_early), copy.deepcopy(fitted_early)
    for i in range(len(late)):
        forth.update(late.iloc[[i]])
        back.update(late.iloc[[-1 - i]])
    assert_equal(forth.predict(7.0), back.predict(7.0))


def test_a_new_series_is_forecast_from_then_on(model, late):
    new = late[late.id == 3].assign(id=99)
    asked = pd.DataFrame({"id": [99, 3], "time": [7.0, 7.0]})
    with pytest.raises(FrameError, match="99"):
        model.predict(asked)
    out = model.update(new).predict(asked)
    # As close as forecasts are that are made beside others.
    pd.testing.assert_frame_equal(out[:1], model.predict(asked[:1], context=new), rtol=1e-9)


def test_a_context_is_replaced(model, late):
    assert model.set_context(late) is model
    assert_equal(model.predict(7.0), model.predict(7.0, context=late))
    assert set(model.predict(7.0).id) == set(late.id)


def test_known_rows_are_refused_and_the_line_after_fix_mends_it(model, ripples):
    before, df = model.predict(7.0), ripples
    with pytest.raises(FrameError) as error:
        model.update(df)
    assert error.value.code == "E-TIME-DUP"
    assert_equal(model.predict(7.0), before)
    names = {"df": df, "model": model}
    exec(error.value.fix, names)
    model.update(names["df"])
    assert_equal(model.predict(7.0), model.predict(7.0, context=ripples))


def test_it_knows_its_rows(model, ripples):
    assert model.knows(ripples).tolist() == (ripples.time <= 4).tolist()


def test_columns_and_types_are_those_of_fit(model, late):
    with pytest.raises(FrameError, match="df has no column 'a', a target in fit"):
        model.update(late.drop(columns="a"))
    with pytest.raises(FrameError, match="numbers"):
        model.update(late.assign(time=pd.to_datetime(late.time, unit="s")))
    polars = pl.DataFrame(late.to_dict("list")).select("b", "a", "time", "id")
    assert_equal(model.update(polars).predict(7.0), model.predict(7.0))


def test_the_frame_is_not_changed(model, late):
    before = late.copy(deep=True)
    model.update(late)
    pd.testing.assert_frame_equal(late, before)


@pytest.mark.parametrize("method", ["update", "set_context", "knows"])
def test_there_is_nothing_to_add_to_before_fit(method, late):
    with pytest.raises(NotFittedError):
        getattr(LatentODEForecaster(), method)(late)
