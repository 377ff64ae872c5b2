"""A plot of a forecaster shows what is known, and what it foretells."""

import numpy as np
import pandas as pd
import pytest

from latentode import LastValue, LatentODEForecaster
from latentode.plotting import plot_latent


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(0)
    return pd.DataFrame([
        {"id": s, "time": t, "a": np.sin(t + s), "b": 5.0 + s}
        for s in range(8)
        for t in [0.0, *np.sort(rng.uniform(0, 6, 7))]
    ])


@pytest.fixture(scope="module")
def fitted(waves):
    settings = {"max_epochs": 2, "latent_size": 4, "hidden_size": 8}
    return LatentODEForecaster(verbose=0, random_state=0, **settings).fit(waves[waves.time < 4])


def line(panel, label):
    return next(one for one in panel.lines if one.get_label() == label).get_xydata()


def test_each_target_has_a_row_and_each_series_a_panel_in_it(fitted):
    figure = fitted.plot([3, 5])
    titles = [(panel.get_title(loc="left"), panel.get_ylabel()) for panel in figure.axes]
    assert titles == [("id 3", "a"), ("id 5", "a"), ("id 3", "b"), ("id 5", "b")]


def test_it_shows_what_was_observed_and_what_came(fitted, waves):
    later = waves[waves.time >= 4]
    panel = fitted.plot([3], targets=["a"], truth=later).axes[0]
    known = waves[(waves.id == 3) & (waves.time < 4)]
    np.testing.assert_array_equal(line(panel, "observed"), known[["time", "a"]])
    came = later[later.id == 3]
    np.testing.assert_array_equal(line(panel, "observed later"), came[["time", "a"]])


def test_its_line_is_the_median_up_to_the_horizon(fitted):
    panel = fitted.plot([3], targets=["a"], horizon=2.0).axes[0]
    times, values = line(panel, "forecast").T
    asked = pd.DataFrame({"id": 3, "time": times})
    median = fitted.predict_quantiles(asked, [0.5])["a_q0.5"]
    np.testing.assert_allclose(values, median, atol=1e-6)
    assert times[-1] - times[0] == pytest.approx(2.0)


def test_bands_are_the_intervals_asked_for(fitted):
    panel = fitted.plot([3], targets=["a"], horizon=2.0, coverages=[0.8]).axes[0]
    (band,) = panel.collections
    assert band.get_label() == "80 %"
    last = fitted.predict_interval(horizon=2.0, coverage=0.8)
    last = last[last.id == 3]
    edges = band.get_paths()[0].vertices[:, 1]
    assert edges.min() <= last.a_lower.item() + 1e-6
    assert edges.max() >= last.a_upper.item() - 1e-6


def test_one_series_of_datetimes_has_a_panel_without_a_title(waves):
    one = waves[waves.id == 3].drop(columns="id")
    one = one.assign(time=pd.Timestamp("2024-01-01") + pd.to_timedelta(one.time, "D"))
    figure = LastValue().fit(one).plot(horizon="2D")
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["", ""]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ids": [99]}, "ids: 99 is not known; there are 0, 1"),
        ({"targets": ["c"]}, "targets: c is not known; there are 'a', 'b'"),
        ({"ids": []}, "ids is empty"),
        ({"coverages": [1.5]}, "1.5 must be above 0 and below 1"),
    ],
)
def test_what_is_not_there_is_refused_by_name(fitted, wrong, said):
    with pytest.raises(ValueError, match=said):
        fitted.plot(**wrong)


def test_a_latent_path_has_a_line_for_each_latent_variable(fitted):
    latent = fitted.latent([4.0, 5.0, 6.0])
    figure = plot_latent(latent, id_col="id", time_col="time", ids=[3, 5])
    assert [len(panel.lines) for panel in figure.axes] == [4, 4]
