"""Calibrated levels hold their share of what comes, and rise."""

import numpy as np
import pandas as pd
import pytest

from latentode import LastValue, LatentODEForecaster
from latentode.forecaster.calibration import Calibration, ndtr, ndtri

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def held(calibration, cdf, lead):
    """Give the share of values (D, K) below each level that a calibration gives."""
    levels = calibration.levels(LEVELS, lead)
    return (cdf[..., None] <= levels).mean(axis=0)


def forecasts(rng, n):
    """Draw the levels at which values came, of forecasts that are too narrow, and then too low."""
    lead = rng.uniform(0, 4, n)
    z = rng.normal(size=(n, 2))
    too_narrow, too_low = (1 + lead / 2) * z[:, 0], z[:, 1] + lead / 4
    return ndtr(np.stack([too_narrow, too_low], axis=1)), lead


def test_levels_hold_their_share_of_new_values_at_every_lead_time():
    rng = np.random.default_rng(0)
    calibration = Calibration.fit(*forecasts(rng, 6000))
    cdf, lead = forecasts(rng, 20_000)
    for low, high in [(0, 4), (0, 1.3), (1.3, 2.6), (2.6, 4)]:
        part = (lead >= low) & (lead < high)
        shares = held(calibration, cdf[part], lead[part])
        np.testing.assert_allclose(shares, np.tile(LEVELS, (2, 1)), atol=0.035)


def test_forecasts_that_hold_what_they_say_stay():
    cdf = np.random.default_rng(0).uniform(size=(20_000, 1))
    levels = Calibration.fit(cdf, np.ones(len(cdf))).levels(LEVELS, np.ones(1))
    np.testing.assert_allclose(levels[0, 0], LEVELS, atol=0.01)


def test_a_higher_level_stays_one():
    rng = np.random.default_rng(0)
    calibration = Calibration.fit(*forecasts(rng, 200))
    asked = np.linspace(0.0001, 0.9999, 500)
    assert (np.diff(calibration.levels(asked, np.linspace(-1, 9, 30)), axis=2) > 0).all()


def test_values_that_did_not_come_are_left_out():
    rng = np.random.default_rng(0)
    cdf, lead = forecasts(rng, 1000)
    gaps = rng.uniform(size=cdf.shape) < 0.4
    thinned = np.where(gaps, np.nan, cdf)
    empty_rows = np.vstack([thinned, np.full((50, 2), np.nan)])
    more = Calibration.fit(empty_rows, np.append(lead, np.full(50, 1e9)))
    fewer = Calibration.fit(thinned, lead)
    np.testing.assert_array_equal(more.scores, fewer.scores)


def test_a_variable_with_few_values_is_calibrated_like_the_others():
    rng = np.random.default_rng(0)
    cdf = np.full((1000, 2), np.nan)
    cdf[:, 0] = ndtr(2 * rng.normal(size=1000))
    cdf[:5, 1] = 0.5
    levels = Calibration.fit(cdf, np.ones(1000)).levels(np.array([0.05]), np.ones(1))
    assert levels[0, 1, 0] == pytest.approx(levels[0, 0, 0], rel=0.1)


def test_values_out_of_all_proportion_give_levels_that_are_probabilities():
    cdf = np.array([[0.0], [1.0], [0.5], [1.0]])
    levels = Calibration.fit(cdf, np.arange(4.0)).levels(LEVELS, np.array([0.0, 100.0]))
    assert ((levels > 0) & (levels < 1)).all()


def test_a_normal_score_undoes_a_probability():
    p = np.array([1e-12, 0.2, 0.5, 0.999])
    np.testing.assert_allclose(ndtr(ndtri(p)), p, rtol=1e-4)


def test_constant_targets_leave_every_level_as_it_is():
    calibration = Calibration.fit(np.full((50, 2), np.nan), np.arange(50.0))
    levels = calibration.levels(LEVELS, np.array([0.0, 9.0]))
    np.testing.assert_allclose(levels, np.broadcast_to(LEVELS, (2, 2, 5)), rtol=1e-9)


def walks(n_series, seed):
    """Simulate what fades within a series, so that its values tell little of one another."""
    rng = np.random.default_rng(seed)
    rows = []
    for s in range(n_series):
        x, before = rng.normal(), 0.0
        for t in np.sort(rng.uniform(0, 10, rng.integers(8, 16))):
            kept = np.exp(before - t)
            x, before = kept * x + np.sqrt(1 - kept**2) * rng.normal(), t
            row = {"a": x + 0.2 * rng.normal(), "b": np.exp(x / 2 + 0.2 * rng.normal())}
            rows.append({"id": f"{seed}-{s}", "time": t, **row})
    return pd.DataFrame(rows)


SMALL = {"max_epochs": 1, "latent_size": 3, "hidden_size": 6, "verbose": 0, "random_state": 0}
KINDS = {
    "gaussian": LatentODEForecaster(**SMALL),
    "student-t": LatentODEForecaster(**SMALL, likelihood="student-t"),
    "quantiles": LatentODEForecaster(**SMALL, likelihood="quantiles"),
    "naive": LastValue(),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow if k == "quantiles" else ()) for k in KINDS]
)
def test_intervals_hold_their_share_of_new_series_early_and_late(kind):
    model = KINDS[kind].fit(walks(60, seed=0))
    some, others = walks(300, seed=1), walks(300, seed=2)
    shares = []
    # Each calibrates for the other: the chance that one of them is wilder cancels on average,
    # and what is left is what calibration itself gets wrong.
    for held, test in ((some, others), (others, some)):
        model.calibrate(held)
        overall = model.evaluate(test, ["coverage_90"], baselines=False)
        thirds = model.evaluate(test, ["coverage_90"], by="lead", baselines=False)
        shares.append([*overall.coverage_90, *thirds.coverage_90])
    np.testing.assert_allclose(np.mean(shares, axis=0), np.full(4, 0.9), atol=0.02)
