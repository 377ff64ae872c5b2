"""Scales of values and times."""

import numpy as np
import pandas as pd
import pytest

from latentode.data import Scaler, first_rows, infer_schema, scale_panel, to_panel


def panel_of(**columns):
    df = pd.DataFrame(columns)
    return to_panel(df, infer_schema(df, time_col="time"))


@pytest.fixture
def panel():
    return panel_of(
        id=["a", "a", "a", "b", "b"],
        time=[10, 11, 14, 100, 102],
        u=[1.0, 2.0, np.nan, 4.0, 5.0],
        v=[7.0, 7.0, 7.0, np.nan, 7.0],
    )


def test_scaled_values_have_mean_0_and_deviation_1(panel):
    scaled = Scaler.fit(panel, panel).scale(panel.values)[:, 0]
    assert np.nanmean(scaled) == pytest.approx(0, abs=1e-12)
    assert np.nanstd(scaled) == pytest.approx(1)


def test_unscaling_undoes_scaling(panel):
    scaler = Scaler.fit(panel, panel)
    np.testing.assert_allclose(scaler.unscale(scaler.scale(panel.values)), panel.values)


def test_a_constant_target_comes_back_exactly(panel):
    scaler = Scaler.fit(panel, panel)
    assert scaler.std[1] == 0
    assert (scaler.unscale(np.array([[0.3, 0.3], [-5.0, -5.0]]))[:, 1] == 7.0).all()


def test_the_time_unit_is_the_median_span(panel):
    assert Scaler.fit(panel, panel).time_unit == 3.0


def test_series_of_one_row_have_the_spread_of_all_times_as_unit():
    panel = panel_of(id=["a", "b"], time=[0.0, 8.0], y=[1.0, 2.0])
    assert Scaler.fit(panel, panel).time_unit == 8.0


def test_large_offsets_cost_no_precision():
    near = panel_of(id=[1] * 4, time=[0, 1, 2, 3], y=[0.0, 1.0, 2.0, 4.0])
    far = panel_of(id=[1] * 4, time=[0, 1, 2, 3], y=[1e9, 1e9 + 1, 1e9 + 2, 1e9 + 4])
    assert Scaler.fit(far, far).std == pytest.approx(Scaler.fit(near, near).std, rel=1e-9)


def test_nanoseconds_of_centuries_are_subtracted_before_they_are_rounded():
    stamps = np.array([0, 1, 7], dtype="int64") + 9_000_000_000_000_000_000
    scaled = scale_panel(
        panel := panel_of(id=[1] * 3, time=stamps, y=[1.0, 2.0, 3.0]), Scaler.fit(panel, panel)
    )
    np.testing.assert_allclose(scaled.t[:3].numpy() * 7, [0, 1, 7])


def test_what_was_not_observed_is_masked_and_zero(panel):
    scaled = scale_panel(panel, Scaler.fit(panel, panel))
    assert scaled.mask[:-1].tolist() == np.isfinite(panel.values).tolist()
    assert not scaled.mask[-1].any()
    assert (scaled.x[~scaled.mask] == 0).all()


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_values_of_any_size_have_a_scale(size):
    panel = panel_of(id=[1] * 4, time=[0, 1, 2, 3], y=size * np.array([0.0, 1.0, 2.0, 5.0]))
    scaler = Scaler.fit(panel, panel)
    assert scaler.std[0] == pytest.approx(size * np.std([0, 1, 2, 5]), rel=1e-12)
    assert np.abs(scaler.scale(panel.values)).max() < 2


def test_a_target_that_changes_only_where_it_was_held_out_is_not_constant():
    whole = panel_of(id=[1] * 4, time=[0, 1, 2, 3], y=[5.0, 5.0, 5.0, 9.0])
    scaler = Scaler.fit(first_rows(whole, np.array([3])), whole)
    assert scaler.mean[0] == 6.0
    assert scaler.std[0] > 0


def test_what_float32_cannot_hold_stays_finite():
    panel = panel_of(id=[1] * 3, time=[0, 1, 2], y=[1.0, 2.0, 3.0])
    huge = panel_of(id=[1] * 3, time=[0, 1, 2], y=[1.0, 1e300, -1e300])
    assert scale_panel(huge, Scaler.fit(panel, panel)).x.square().isfinite().all()


def test_times_further_apart_than_integers_reach_are_subtracted_as_floats():
    panel = panel_of(id=[1] * 3, time=np.array([-(2**62), 0, 2**62]), y=[1.0, 2.0, 3.0])
    scaler = Scaler.fit(panel, panel)
    assert scaler.time_unit == 2.0**63
    np.testing.assert_allclose(scale_panel(panel, scaler).t[:3].numpy(), [0, 0.5, 1])


def test_the_unit_of_time_is_that_of_the_whole_where_the_part_has_one_row_of_a_series(panel):
    first = first_rows(panel, np.array([1, 1]))
    assert Scaler.fit(first, panel).time_unit == Scaler.fit(panel, panel).time_unit == 3.0


def test_the_unit_of_time_is_the_spread_where_each_series_has_one_row():
    lone = panel_of(id=["a", "b", "c"], time=[10, 12, 17], u=[1.0, 2.0, 4.0])
    assert Scaler.fit(lone, lone).time_unit == 7.0
