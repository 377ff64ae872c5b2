"""Forecasts in the shapes of other packages."""

import pandas as pd
import pytest

from latentode import SeriesMean
from latentode.adapters import to_nixtla

DF = pd.DataFrame({
    "shop": ["b", "a", "a", "b"],
    "day": pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-04", "2024-01-09"]),
    "sold": [3.0, 5.0, 2.0, 4.0],
    "left": [1.0, 2.0, 3.0, 4.0],
})
LEVELS = [0.05, 0.1, 0.5, 0.9, 0.95]


@pytest.fixture
def model():
    return SeriesMean(id_col="shop", target_cols="sold").fit(DF)


def test_intervals_are_named_by_their_percent(model):
    forecast = model.predict_quantiles("2024-02-01", LEVELS)
    out = to_nixtla(forecast, "mean")
    bounds = ["mean-lo-80", "mean-hi-80", "mean-lo-90", "mean-hi-90"]
    assert out.columns.tolist() == ["unique_id", "ds", "mean", *bounds]
    assert out.unique_id.tolist() == ["a", "b"]
    assert (out.ds == "2024-02-01").all()
    pd.testing.assert_series_equal(out["mean-lo-90"], forecast["sold_q0.05"], check_names=False)
    pd.testing.assert_series_equal(out["mean-hi-80"], forecast["sold_q0.9"], check_names=False)
    pd.testing.assert_series_equal(out["mean"], forecast["sold_q0.5"], check_names=False)


def test_a_mean_is_taken_before_the_median(model):
    forecast = model.predict_quantiles("2024-02-01", LEVELS)
    both = model.predict("2024-02-01").join(forecast.filter(like="_q") + 100)
    assert to_nixtla(both, "mean")["mean"].tolist() == [3.5, 3.5]


def test_a_quantile_without_a_partner_is_left_out(model):
    forecast = model.predict_quantiles("2024-02-01", [0.2, 0.5, 0.9])
    assert to_nixtla(forecast).columns.tolist() == ["unique_id", "ds", "latentode"]


def test_one_series_has_the_id_0():
    forecast = SeriesMean(target_cols="sold").fit(DF.drop(columns="shop"))
    out = to_nixtla(forecast.predict_quantiles("2024-02-01"))
    assert out.unique_id.tolist() == [0]


def test_of_several_targets_one_is_named():
    model = SeriesMean(id_col="shop", target_cols=["sold", "left"]).fit(DF)
    forecast = model.predict_quantiles("2024-02-01")
    with pytest.raises(ValueError, match=r"targets \['sold', 'left'\]: pass target='sold'"):
        to_nixtla(forecast)
    assert to_nixtla(forecast, "m", target="left")["m"].tolist() == [2.5, 2.5]
    with pytest.raises(ValueError, match="target=gone has no quantiles"):
        to_nixtla(forecast, target="gone")


def test_what_has_no_quantiles_is_refused(model):
    with pytest.raises(ValueError, match="no columns of quantiles"):
        to_nixtla(model.predict("2024-02-01"))
    with pytest.raises(ValueError, match="no point forecast of sold"):
        to_nixtla(model.predict_quantiles("2024-02-01", [0.1, 0.9]))
