"""Frames that other libraries take are fitted as they are, and what comes back is like them."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from latentode import LatentODEForecaster
from tests.data.test_layouts import ASKED, LAYOUTS, STAMPS

SMALL = {"max_epochs": 1, "latent_size": 2, "hidden_size": 4, "verbose": 0, "random_state": 0}

every_layout = pytest.mark.parametrize("name", LAYOUTS)


@pytest.fixture(scope="module")
def fit():
    """Fit a forecaster on a layout, once each."""
    known = {}

    def fitted(name):
        if name not in known:
            known[name] = LatentODEForecaster(**SMALL).fit(LAYOUTS[name].frame)
        return known[name]

    return fitted


def as_pandas(out):
    return pd.DataFrame(out.to_dict(as_series=False)) if isinstance(out, pl.DataFrame) else out


@every_layout
def test_times_alone_give_a_row_for_each_series_in_plain_columns(name, fit):
    frame, ids, time, targets = LAYOUTS[name]
    out = fit(name).predict(ASKED)
    assert isinstance(out, pl.DataFrame) == isinstance(frame, pl.DataFrame)
    out = as_pandas(out)
    assert list(out.columns) == [*ids, time, *targets]
    assert (out[time] == ASKED).all()
    assert np.isfinite(out[list(targets)]).all(axis=None)
    assert list(out[ids[-1]]) == ["a", "b"] if ids else len(out) == 1


@every_layout
def test_rows_come_back_as_they_were_given_and_can_be_asked_again(name, fit):
    frame, ids, time, targets = LAYOUTS[name]
    model = fit(name)
    out = model.smooth(frame)
    if isinstance(frame, pl.DataFrame):
        assert out.columns == [*ids, time, *targets]
        assert out[time].to_list() == list(STAMPS)
        assert model.predict(out).equals(out)
        return
    pd.testing.assert_index_equal(out.index, frame.index)
    columns = [c for c in frame.columns if c in ids or c == time] if frame.ndim == 2 else []
    assert list(out.columns) == [*columns, *targets]
    pd.testing.assert_frame_equal(model.predict(out), out)


@every_layout
def test_all_kinds_of_forecasts_agree_on_the_rows(name, fit):
    frame = LAYOUTS[name].frame
    model = fit(name)
    asked = frame.to_frame() if isinstance(frame, pd.Series) else frame
    n = len(asked)
    for tell, rows in [
        (model.predict_quantiles, n),
        (model.predict_interval, n),
        (model.latent, n),
        (lambda at: model.sample(at, 2, random_state=0), 2 * n),
        (lambda at: model.predict(at, format="long"), n * len(LAYOUTS[name].targets)),
    ]:
        out = tell(asked)
        assert len(out) == rows
        assert isinstance(out, pl.DataFrame) == isinstance(frame, pl.DataFrame)
        if not isinstance(out, pl.DataFrame):
            assert out.columns.is_unique
            assert not set(out.columns) & set(out.index.names)


@every_layout
def test_a_month_later_is_not_far_away(name, fit):
    # One series lost all rows but one to the holdout; a warning would be an error here.
    out = as_pandas(fit(name).predict(ASKED))
    assert len(out) > 0
    assert fit(name).scaler_.time_unit > 1e5


def test_a_frame_with_an_index_joins_its_forecast():
    frame = LAYOUTS["autogluon, indexed"].frame
    out = LatentODEForecaster(**SMALL).fit(frame).smooth(frame)
    joined = frame.join(out.add_suffix("_smooth")).reset_index()
    assert list(joined.columns) == ["item_id", "timestamp", "target", "target_smooth"]
    assert frame.fillna(out).notna().all(axis=None)


def test_a_series_is_smoothed_by_its_index_and_not_by_its_values():
    series = pd.Series([0.5, np.nan, 2.0], index=pd.Index([1.0, 2.5, 4.0], name="t"), name="hr")
    out = LatentODEForecaster(**SMALL).fit(series).smooth(series)
    assert list(out.columns) == ["hr"]
    pd.testing.assert_index_equal(out.index, series.index)
