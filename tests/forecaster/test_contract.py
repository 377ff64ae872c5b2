"""What every forecaster keeps: laws of frames, context, cutoffs and distributions."""

import pickle

import numpy as np
import pandas as pd
import pytest

from latentode import (
    DecayedMean,
    FrameError,
    LastValue,
    LatentODEForecaster,
    LatentODEWarning,
    LinearInterpolation,
    SeriesMean,
    TrainingMean,
)

SMALL = {"max_epochs": 2, "latent_size": 3, "hidden_size": 6, "verbose": 0, "random_state": 0}
NAIVE = [LastValue, SeriesMean, DecayedMean, LinearInterpolation, TrainingMean]
BLANK = {"LatentODEForecaster": LatentODEForecaster(**SMALL)} | {
    naive.__name__: naive() for naive in NAIVE
}
# A solver's sums over a batch are rounded otherwise when other pairs are in it.
EXACT = {name: 1e-9 if name == "LatentODEForecaster" else 0 for name in BLANK}


def make_waves(n_series=20, seed=0):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(5, 14, n_series)
    series = np.repeat(np.arange(n_series), sizes)
    time = rng.uniform(0, 6, sizes.sum())
    waves = pd.DataFrame({"id": series, "time": time, "a": np.sin(time + series)})
    waves["b"] = np.where(rng.uniform(size=len(waves)) < 0.7, np.cos(time + series), np.nan)
    return waves.sort_values(["id", "time"], ignore_index=True)


@pytest.fixture(scope="module")
def waves():
    return make_waves()


@pytest.fixture(scope="module")
def fit():
    """Fit a forecaster by name; the same frame is fitted once."""
    known = {}

    def fitted(name, df):
        key = name, hash(pickle.dumps(df))
        if key not in known:
            known[key] = pickle.loads(pickle.dumps(BLANK[name])).fit(df)
        return known[key]

    return fitted


@pytest.fixture
def asked():
    return pd.DataFrame(
        {"id": [3, 11, 3, 7], "time": [9.0, 6.1, 2.5, -1.0]}, index=["w", "x", "y", "z"]
    )


@pytest.fixture(params=BLANK)
def name(request):
    return request.param


@pytest.fixture
def fitted(name, fit, waves):
    return fit(name, waves)


class TestRows:
    def test_they_come_back_in_order_with_their_index(self, fitted, asked):
        for out in (fitted.predict(asked), fitted.predict_quantiles(asked)):
            pd.testing.assert_frame_equal(out[["id", "time"]], asked)
            assert np.isfinite(out).all(axis=None)

    def test_their_order_in_fit_does_not_matter_to_the_bit(self, name, fit, fitted, waves, asked):
        again = fit(name, waves.sample(frac=1, random_state=1))
        pd.testing.assert_frame_equal(again.predict(asked), fitted.predict(asked), rtol=0, atol=0)
        pd.testing.assert_frame_equal(
            again.predict_quantiles(asked), fitted.predict_quantiles(asked), rtol=0, atol=0
        )

    def test_their_order_in_a_context_does_not_matter_to_the_bit(self, fitted, waves, asked):
        out = fitted.predict(asked, context=waves.sample(frac=1, random_state=1))
        pd.testing.assert_frame_equal(out, fitted.predict(asked), rtol=0, atol=0)

    def test_those_without_a_value_change_nothing(self, fitted, waves, asked):
        empty = pd.DataFrame({"id": [3, 3], "time": [6.9, 7.5]})
        out = fitted.predict(asked, context=pd.concat([waves, empty]))
        pd.testing.assert_frame_equal(out, fitted.predict(asked), rtol=0, atol=0)

    def test_a_frame_is_not_changed(self, fitted, waves, asked):
        copies = waves.copy(deep=True), asked.copy(deep=True)
        fitted.predict_quantiles(asked, context=waves)
        fitted.evaluate(waves.assign(time=waves.time + 10))
        pd.testing.assert_frame_equal(waves, copies[0])
        pd.testing.assert_frame_equal(asked, copies[1])


class TestWhatElseIsAsked:
    def test_other_times_do_not_matter(self, name, fitted, asked):
        together = fitted.predict_quantiles(asked)
        alone = pd.concat([fitted.predict_quantiles(asked.iloc[[i]]) for i in range(len(asked))])
        pd.testing.assert_frame_equal(alone, together, rtol=0, atol=EXACT[name])

    def test_other_series_do_not_matter(self, name, fitted, waves, asked):
        together = fitted.predict_quantiles(asked, context=waves)
        for key in (3, 7, 11):
            own = asked[asked.id == key]
            alone = fitted.predict_quantiles(own, context=waves[waves.id == key])
            pd.testing.assert_frame_equal(
                alone, together[together.id == key], rtol=0, atol=EXACT[name]
            )


class TestContext:
    def test_the_rows_of_fit_as_context_change_nothing(self, fitted, waves, asked):
        pd.testing.assert_frame_equal(fitted.predict(asked, context=waves), fitted.predict(asked))

    def test_an_unseen_series_is_told_as_one_with_the_same_rows(self, name, fitted, waves):
        new = fitted.predict_quantiles(8.0, context=waves[waves.id == 5].assign(id=999))
        old = fitted.predict_quantiles(pd.DataFrame({"id": [5], "time": [8.0]}))
        assert new.id.tolist() == [999]
        np.testing.assert_allclose(new.iloc[:, 1:], old.iloc[:, 1:], rtol=0, atol=EXACT[name])

    def test_a_single_observation_is_enough(self, fitted):
        one = pd.DataFrame({"id": [1], "time": [0.0], "a": [0.5], "b": [np.nan]})
        assert np.isfinite(fitted.predict_quantiles([0.0, 1.0], context=one)).all(axis=None)

    def test_a_series_without_a_value_is_told(self, fitted):
        none = pd.DataFrame({"id": [1], "time": [0.0], "a": [np.nan], "b": [np.nan]})
        with pytest.warns(LatentODEWarning, match="nothing was observed of 1"):
            out = fitted.predict_quantiles(1.0, context=none)
        assert np.isfinite(out).all(axis=None)

    def test_an_unknown_series_is_named(self, fitted):
        with pytest.raises(FrameError, match="999"):
            fitted.predict(pd.DataFrame({"id": [999], "time": [1.0]}))

    def test_what_comes_after_a_cutoff_does_not_matter_to_the_bit(self, fitted, waves, asked):
        late = waves.time > 4.0
        other = waves.assign(a=waves.a.where(~late, 1e3), b=waves.b.where(~late))
        told = fitted.predict_quantiles(asked, context=waves, cutoff=4.0)
        for frame in (other, waves[~late]):
            again = fitted.predict_quantiles(asked, context=frame, cutoff=4.0)
            pd.testing.assert_frame_equal(told, again, rtol=0, atol=0)


class TestValues:
    def test_quantiles_rise_around_the_mean(self, fitted, asked):
        out = fitted.predict_quantiles(asked, [0.05, 0.5, 0.95])
        std = fitted.predict(asked, return_std=True)
        for target in "ab":
            lower, middle, upper = (out[f"{target}_q{q}"] for q in (0.05, 0.5, 0.95))
            assert ((lower < middle) & (middle < upper)).all()
            assert (std[f"{target}_std"] > 0).all()

    def test_a_constant_target_is_forecast_as_that_constant(self, name, fit, waves):
        model = fit(name, waves.assign(b=0.1))
        assert (model.predict([7.0, 9.0]).b == 0.1).all()
        out = model.predict_quantiles(9.0, [0.1, 0.9])
        assert (out.filter(like="b_") == 0.1).all(axis=None)

    def test_an_affine_change_of_values_changes_forecasts_alike(
        self, name, fit, fitted, waves, asked
    ):
        model = fit(name, waves.assign(a=1e6 * waves.a + 1e9))
        out, expected = model.predict_quantiles(asked), fitted.predict_quantiles(asked)
        for column in ("a_q0.1", "a_q0.5", "a_q0.9"):
            scaled = (out[column] - 1e9) / 1e6
            np.testing.assert_allclose(scaled, expected[column], rtol=0, atol=1e-3)

    def test_the_largest_floats_do_not_overflow(self, name, fit, waves):
        out = fit(name, waves.assign(a=waves.a * 1e300)).predict_quantiles(7.0)
        assert np.isfinite(out).all(axis=None)

    def test_intervals_hold_about_their_share_after_calibration(self, name, fit, waves):
        model = pickle.loads(pickle.dumps(fit(name, waves)))
        test = make_waves(60, seed=2).assign(id=lambda df: df.id + 100)
        model.calibrate(test)
        table = model.evaluate(test, ["coverage_80"], baselines=False)
        assert table.coverage_80.item() == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_times_may_be_dates_of_any_unit(name, fit, unit, waves, asked):
    def dated(frame):
        seconds = (frame.time * 1e6).round().astype("int64").to_numpy()
        stamps = np.datetime64("2024-01-01", "s") + seconds.astype("timedelta64[s]")
        return frame.assign(time=stamps.astype(f"datetime64[{unit}]"))

    out = fit(name, dated(waves)).predict(dated(asked))
    assert out.time.dtype == f"datetime64[{unit}]"
    expected = fit(name, waves).predict(asked)
    np.testing.assert_allclose(out[["a", "b"]], expected[["a", "b"]], rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda df: df.assign(a=df.a.astype(str)), "E-TARGET-DTYPE"),
        (lambda df: df.assign(a=df.a.where(df.index != 7, np.inf)), "E-VALUE-INF"),
        (lambda df: pd.concat([df, df.iloc[[7]]]), "E-TIME-DUP"),
        (lambda df: df.iloc[:0], "E-EMPTY"),
        (lambda df: df.assign(time=3.0).groupby("id", as_index=False).first(), "E-TIME-FLAT"),
    ],
)
def test_a_bad_frame_is_refused_by_fit(name, spoil, code, waves):
    blank = pickle.loads(pickle.dumps(BLANK[name])).set_params(target_cols=["a", "b"])
    with pytest.raises(FrameError, match="Fix:") as error:
        blank.fit(spoil(waves))
    assert error.value.code == code


def test_one_row_of_each_series_is_enough_to_fit(name):
    df = pd.DataFrame({"id": range(9), "time": np.arange(9.0), "y": np.arange(9.0) ** 2})
    model = pickle.loads(pickle.dumps(BLANK[name])).fit(df)
    assert np.isfinite(model.predict_quantiles(20.0)).all(axis=None)
