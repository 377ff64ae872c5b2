"""Known covariates: stated, filled, merged, and brought to the batches that need them."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from latentode.data import (
    FrameError,
    LatentODEWarning,
    RowRange,
    Scaler,
    drop_empty_rows,
    gather_batch,
    in_float64,
    infer_schema,
    keep_rows,
    known_of_query,
    query_at,
    query_horizon,
    question_batches,
    scale_panel,
    select_series,
    to_panel,
)
from latentode.data.batch import Parts
from latentode.data.known import filled, knots_of, merge_known

NAN = np.nan


def frame():
    """Give two series of which one states its rate between and after its observations."""
    return pd.DataFrame({
        "id": ["a"] * 5 + ["b"] * 3,
        "t": [0.0, 1.0, 2.0, 4.0, 9.0, 0.0, 3.0, 4.0],
        "y": [1.0, NAN, 2.0, 3.0, NAN, 5.0, 6.0, 8.0],
        "rate": [NAN, 2.0, NAN, 0.0, 7.0, 1.0, NAN, NAN],
        "on": [True, True, False, False, True, False, True, True],
    })


def panel_of(df, **options):
    options = {"target_cols": "y", "known_cols": ["rate", "on"], **options}
    return to_panel(df, infer_schema(df, **options))


def scaled_of(panel):
    observed = drop_empty_rows(panel)
    return scale_panel(observed, Scaler.fit(observed, observed))


def test_rows_without_a_target_state_a_covariate_and_survive():
    panel = drop_empty_rows(panel_of(frame()))
    assert panel.times.tolist() == [0.0, 2.0, 4.0, 0.0, 3.0, 4.0]
    assert panel.known.offsets.tolist() == [0, 5, 8]
    assert panel.known.times.tolist() == [0.0, 1.0, 2.0, 4.0, 9.0, 0.0, 3.0, 4.0]
    assert panel.known.values[:, 1].tolist() == [1, 1, 0, 0, 1, 0, 1, 1]  # true and false


def test_the_order_of_rows_changes_nothing():
    df = frame()
    one, other = panel_of(df), panel_of(df.sample(frac=1, random_state=1))
    for a, b in zip(one.known, other.known, strict=True):
        np.testing.assert_array_equal(a, b)


def test_polars_and_pandas_state_the_same():
    one, other = panel_of(frame()), panel_of(pl.DataFrame(frame().to_dict("list")))
    np.testing.assert_array_equal(one.known.times, other.known.times)


def test_what_is_not_stated_is_as_before_and_before_the_first_as_at_first():
    values = np.array([[NAN], [2.0], [NAN], [NAN], [NAN], [5.0], [NAN]])
    got = filled(values, np.array([0, 3, 4, 7]), back=True)[:, 0]
    np.testing.assert_array_equal(got, [2, 2, 2, NAN, 5, 5, 5])
    got = filled(values, np.array([0, 3, 4, 7]), back=False)[:, 0]
    np.testing.assert_array_equal(got, [NAN, 2, 2, NAN, NAN, 5, 5])


def test_what_is_stated_later_wins_and_fills_only_what_is_stated():
    codes, times = np.array([0, 0]), np.array([1.0, 2.0])
    before = knots_of(codes, times, np.array([[1.0, 10.0], [2.0, 20.0]]), n_series=1)
    later = knots_of(codes[:1], times[1:], np.array([[9.0, NAN]]), n_series=1)
    both = merge_known(before, later)
    assert both.times.tolist() == [1.0, 2.0]
    assert both.values.tolist() == [[1.0, 10.0], [9.0, 20.0]]


def test_a_selection_keeps_the_knots_of_its_series():
    known = select_series(panel_of(frame()), ["b"]).known
    assert known.offsets.tolist() == [0, 3] and known.times.tolist() == [0.0, 3.0, 4.0]


def test_known_covariates_are_scaled_and_their_mean_is_zero():
    panel = drop_empty_rows(panel_of(frame()))
    knots = scaled_of(panel_of(frame())).known
    values = panel.known.values[:, 0]
    mean, std = np.nanmean(values), np.nanstd(values)
    expected = (np.array([2, 2, 2, 0, 7, 1, 1, 1]) - mean) / std
    np.testing.assert_allclose(knots.values[:, 0], expected, rtol=1e-6)


def test_a_series_of_which_nothing_is_stated_has_the_mean():
    df = frame()
    df["on"] = df["on"].astype("boolean")
    df.loc[df["id"] == "b", "rate"] = NAN
    df.loc[df["id"] == "b", "on"] = pd.NA
    scaled = scaled_of(panel_of(df))
    rows = RowRange(scaled.offsets[:-1], scaled.offsets[1:])
    controls = gather_batch(scaled, Parts(rows, rows)).controls
    assert not controls.at(torch.linspace(-1, 1, 5).repeat(2, 1))[1].any()


@pytest.mark.parametrize("interpolation", ["previous", "linear"])
def test_a_batch_has_the_controls_of_its_series_in_its_own_times(interpolation):
    rng = np.random.default_rng(0)
    df = pd.DataFrame([
        {"id": s, "t": t, "y": rng.normal() if i % 3 else NAN, "rate": rng.normal()}
        for s in range(5)
        for i, t in enumerate(np.sort(rng.uniform(s, s + 40, 60)))
    ])
    panel = panel_of(df, known_cols="rate", known_interpolation=interpolation)
    scaled, scaler = scaled_of(panel), Scaler.fit(drop_empty_rows(panel), drop_empty_rows(panel))
    first = scaled.offsets[:-1]
    parts = Parts(RowRange(first + 10, first + 14), RowRange(first + 12, first + 17))
    batch = gather_batch(scaled, parts)
    assert batch.controls.t.shape[1] < 20  # and not the whole series
    observed = drop_empty_rows(panel)
    for i in range(5):
        end = observed.times[int(parts.context.end[i]) - 1]
        real = end + batch.ts[i].double().numpy() * scaler.time_unit
        own = df[df["id"] == i]
        if interpolation == "linear":
            value = np.interp(real, own["t"], own["rate"])
        else:
            at = np.searchsorted(own["t"], real + 1e-5, side="right") - 1
            value = own["rate"].to_numpy()[at]
        expected = (value - scaler.known.mean) / scaler.known.std
        got = batch.controls.at(batch.ts + 1e-6)[i, :, 0]
        np.testing.assert_allclose(got, expected, atol=2e-3)


def test_leaving_rows_out_moves_the_controls_with_the_times():
    scaled = scaled_of(panel_of(frame()))
    rows = RowRange(scaled.offsets[:-1], scaled.offsets[1:])
    batch = gather_batch(scaled, Parts(rows, rows))
    kept = torch.tensor([[True, True, False], [True, False, False]])
    less = keep_rows(batch, kept)
    torch.testing.assert_close(less.controls.at(less.ts), batch.controls.at(batch.ts))
    assert less.context.controls is less.controls


def test_controls_are_repeated_and_widened_with_the_batch():
    scaled = scaled_of(panel_of(frame()))
    rows = RowRange(scaled.offsets[:-1], scaled.offsets[1:])
    batch = gather_batch(scaled, Parts(rows, rows))
    twice = in_float64(batch.repeated(2))
    assert twice.controls.values.dtype == torch.float64 and len(twice.controls.t) == 4
    torch.testing.assert_close(twice.controls.t[2:].float(), batch.controls.t)


def test_questions_know_what_either_frame_states():
    df = frame()
    panel = panel_of(df)
    context, asked = df[df["t"] < 3], df[(df["t"] >= 3)].assign(y=1.0)
    schema, observed = panel.schema, drop_empty_rows(panel)
    scaler = Scaler.fit(observed, observed)
    read, told = to_panel(context, schema), to_panel(asked, schema)
    (batch,) = question_batches(drop_empty_rows(read), told, scaler, max_rows=9)
    rate = batch.controls.at(batch.ts)[..., 0] * scaler.known.std[0] + scaler.known.mean[0]
    i = int((batch.ts[:, 0] * scaler.time_unit).argmin())  # "a", asked 2 after its context
    np.testing.assert_allclose(rate[i], [0.0, 7.0], atol=1e-5)
    np.testing.assert_allclose(rate[1 - i], [1.0, 1.0], atol=1e-5)


class TestQueries:
    def test_a_frame_states_what_will_be(self):
        panel = panel_of(frame())
        asked = pd.DataFrame({"id": ["b", "a"], "t": [8, 11], "rate": [4, 5], "on": [True, NAN]})
        asked["on"] = asked["on"].astype("boolean")
        known = known_of_query(asked, query_at(asked, panel.schema, panel.ids), panel).known
        assert known.times[known.offsets[1] - 1] == 11 and known.times[-1] == 8
        assert known.values[-1].tolist() == [4.0, 1.0]

    @pytest.mark.parametrize("missing", [["rate"], ["rate", "on"]])
    def test_without_it_the_last_value_is_held_and_a_warning_says_so(self, missing):
        panel = panel_of(frame())
        asked = pd.DataFrame({"id": ["b", "a"], "t": [8, 11], "rate": [4, 5], "on": [True, True]})
        asked = asked.drop(columns=missing)
        query = query_at(asked, panel.schema, panel.ids)
        with pytest.warns(LatentODEWarning, match="stay as they were last stated, at 2 of the 2"):
            known = known_of_query(asked, query, panel).known
        assert np.isnan(known.values[-1][0]) or len(missing) == 2

    def test_times_and_horizons_hold_the_last_value(self):
        panel = panel_of(frame())
        with pytest.warns(LatentODEWarning, match=r"'rate', 'on' .* first of series b"):
            known_of_query(5.0, query_at(5.0, panel.schema, panel.ids), panel)
        query = query_horizon(9.0, None, {"a": 4.0, "b": 4.0}, panel.schema)
        with pytest.warns(LatentODEWarning, match="ask with a frame that has these columns"):
            held = known_of_query(None, query, panel)
        for one, other in zip(held.known, panel.known, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_what_is_known_already_needs_no_warning(self):
        panel = panel_of(frame())
        known_of_query(3.0, query_at(3.0, panel.schema, panel.ids), panel)

    def test_a_covariate_of_which_nothing_is_known_is_refused(self):
        panel = panel_of(frame())
        nothing = frame().assign(rate=NAN)
        context = to_panel(nothing, panel.schema)
        with pytest.raises(FrameError, match="no row states a value: 'rate'") as caught:
            known_of_query(5.0, query_at(5.0, panel.schema, context.ids), context)
        assert caught.value.code == "E-KNOWN-EMPTY"


@pytest.mark.parametrize(
    ("change", "options", "code", "message"),
    [
        ({"rate": "fast"}, {}, "E-KNOWN-DTYPE", r"pd.get_dummies\(df, columns=\['rate'\]"),
        ({"rate": np.inf}, {}, "E-VALUE-INF", "infinite"),
        ({"rate": pd.Timestamp(0)}, {}, "E-TARGET-DTYPE", "must hold numbers"),
        ({}, {"known_cols": ["rates"]}, "E-KNOWN-COL", r"known_cols=\['rate'\]"),
        ({}, {"known_cols": ["y"]}, "E-ROLE-DUP", "'y' was given 2 roles: target_cols, known"),
        ({}, {"past_cols": ["on"], "known_cols": ["on"]}, "E-ROLE-DUP", "past_cols, known_cols"),
        ({}, {"past_cols": "o"}, "E-PAST-COL", "past_cols: df has no column 'o'"),
    ],
)
def test_what_cannot_be_a_covariate_is_refused(change, options, code, message):
    with pytest.raises(FrameError, match=message) as caught:
        panel_of(frame().assign(**change), **options)
    assert caught.value.code == code


@pytest.mark.parametrize(("column", "code"), [("rate", "E-KNOWN-COL"), ("on", "E-PAST-COL")])
def test_a_later_frame_has_the_same_covariates(column, code):
    df = frame().assign(on=1.0)
    schema = infer_schema(df, target_cols="y", known_cols="rate", past_cols="on")
    with pytest.raises(FrameError, match=f"df has no column '{column}', a ") as caught:
        to_panel(df.drop(columns=column), schema)
    assert caught.value.code == code


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(ValueError, match="known_interpolation=cubic is not known"):
        panel_of(frame(), known_interpolation="cubic")


def test_past_covariates_stand_behind_the_targets():
    df = frame().assign(pulse=np.arange(8.0))
    schema = infer_schema(df, past_cols="pulse", known_cols=["rate", "on"])
    assert schema.target_cols == ("y",) and schema.feature_cols == ("y", "pulse")
    assert to_panel(df, schema).values[:, 1].tolist() == list(range(8))
