"""The kinds of predictions agree with one another, and read nothing that they must not."""

import math

import numpy as np
import pandas as pd
import pytest

from latentode import FrameError, LatentODEForecaster, LatentODEWarning

SMALL = {"max_epochs": 3, "latent_size": 4, "hidden_size": 8, "verbose": 0, "random_state": 0}


def make_waves(n_series=40, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame([
        {"id": s, "time": t, "a": math.sin(t + s) + 0.2 * rng.normal(), "b": 5 + 3 * math.cos(t)}
        for s in range(n_series)
        for t in [0.0, *np.sort(rng.uniform(0, 6, rng.integers(6, 14)))]
    ])


@pytest.fixture(scope="module")
def waves():
    return make_waves()


@pytest.fixture(scope="module")
def fitted(waves):
    return LatentODEForecaster(**SMALL).fit(waves)


@pytest.fixture
def asked():
    return pd.DataFrame({"id": [3, 11, 3], "time": [9.0, 6.1, 2.5]}, index=["w", "x", "y"])


class TestLayouts:
    def test_a_deviation_stands_beside_each_target(self, fitted, asked):
        out = fitted.predict(asked, return_std=True)
        assert list(out.columns) == ["id", "time", "a", "a_std", "b", "b_std"]
        assert (out[["a_std", "b_std"]] > 0).all(axis=None)
        pd.testing.assert_frame_equal(out[["id", "time", "a", "b"]], fitted.predict(asked))

    def test_long_rows_hold_what_wide_columns_do(self, fitted, asked):
        wide = fitted.predict(asked, return_std=True)
        long = fitted.predict(asked, return_std=True, format="long")
        assert list(long.columns) == ["id", "time", "target", "value", "std"]
        assert long.index.tolist() == ["w", "w", "x", "x", "y", "y"]
        np.testing.assert_array_equal(long.value, wide[["a", "b"]].to_numpy().ravel())
        np.testing.assert_array_equal(long["std"], wide[["a_std", "b_std"]].to_numpy().ravel())

    def test_long_quantiles_have_a_row_each(self, fitted, asked):
        wide = fitted.predict_quantiles(asked, [0.1, 0.9])
        long = fitted.predict_quantiles(asked, [0.1, 0.9], format="long")
        assert list(long.columns) == ["id", "time", "target", "quantile", "value"]
        for _, row in long.iterrows():
            same = (wide.id == row.id) & (wide.time == row.time)
            assert wide.loc[same, f"{row.target}_q{row['quantile']}"].item() == row.value

    def test_an_interval_lies_around_the_mean(self, fitted, asked):
        out = fitted.predict_interval(asked, 0.8)
        quantiles = fitted.predict_quantiles(asked, [0.1, 0.9])
        assert list(out.columns)[2:5] == ["a", "a_lower", "a_upper"]
        np.testing.assert_allclose(out.a_lower, quantiles["a_q0.1"])
        np.testing.assert_allclose(out.b_upper, quantiles["b_q0.9"])

    @pytest.mark.parametrize("wrong", [{"format": "tall"}, {"at": 1.0, "horizon": 2.0}, {}])
    def test_what_is_not_understood_is_refused(self, fitted, wrong):
        with pytest.raises(ValueError, match=r"format|give either"):
            fitted.predict(**wrong)


class TestCutoff:
    def test_nothing_after_it_is_read(self, fitted, waves, asked):
        rng = np.random.default_rng(1)
        later = waves.time > 3
        changed = waves.assign(a=waves.a.where(~later, rng.normal(size=len(waves))))
        told = fitted.predict_quantiles(asked, cutoff=3.0)
        for other in (changed, waves[~later]):
            again = fitted.predict_quantiles(asked, context=other, cutoff=3.0)
            pd.testing.assert_frame_equal(told, again, check_exact=True)

    def test_what_is_at_the_cutoff_is_read(self, fitted, waves):
        one = waves[waves.id == 3]
        cutoff = one.time.iloc[4]
        told = fitted.predict(7.0, context=one, cutoff=cutoff)
        pd.testing.assert_frame_equal(told, fitted.predict(7.0, context=one.iloc[:5]))

    def test_a_horizon_counts_from_it(self, fitted):
        out = fitted.predict(horizon=1.0, step=0.5, cutoff=3.0)
        assert sorted(out.time.unique()) == [3.5, 4.0]

    def test_a_series_that_begins_later_is_unknown(self, waves):
        later = waves.assign(time=waves.time + 5 * (waves.id == 18))
        model = LatentODEForecaster(**SMALL).fit(later)
        with pytest.warns(LatentODEWarning, match=r"nothing was observed of 1 .* series 18"):
            out = model.predict(horizon=1.0, cutoff=3.0)
        assert (out.time == 4.0).all()

    def test_text_may_name_it(self, waves):
        days = pd.Timestamp("2024-01-01") + pd.to_timedelta(waves.time, "D")
        model = LatentODEForecaster(**SMALL).fit(waves.assign(time=days))
        out = model.predict(horizon="1D", cutoff="2024-01-04")
        assert (out.time == pd.Timestamp("2024-01-05")).all()
        with pytest.raises(FrameError, match="yesterday cannot be read as a datetime"):
            model.predict(horizon="1D", cutoff="yesterday")


class TestDraws:
    def test_they_have_the_moments_of_the_forecast(self, fitted, asked):
        draws = fitted.sample(asked, 4000, random_state=0)
        told = fitted.predict(asked, return_std=True)
        for name in "ab":
            by_row = draws[name].to_numpy().reshape(4000, 3)
            error = 5 * told[f"{name}_std"] / math.sqrt(4000)
            assert (np.abs(by_row.mean(axis=0) - told[name]) < error + 0.02).all()
            np.testing.assert_allclose(by_row.std(axis=0), told[f"{name}_std"], rtol=0.1)

    def test_they_have_the_quantiles_of_the_forecast(self, fitted, asked):
        draws = fitted.sample(asked, 4000, random_state=0).a.to_numpy().reshape(4000, 3)
        told = fitted.predict_quantiles(asked, [0.1])["a_q0.1"].to_numpy()
        np.testing.assert_allclose((draws < told).mean(axis=0), 0.1, atol=0.03)

    def test_a_seed_gives_the_same_and_none_gives_others(self, fitted, asked):
        first = fitted.sample(asked, 2, random_state=3)
        pd.testing.assert_frame_equal(first, fitted.sample(asked, 2, random_state=3))
        assert not first.equals(fitted.sample(asked, 2, random_state=4))
        assert not fitted.sample(asked, 2).equals(fitted.sample(asked, 2))

    def test_those_of_a_series_do_not_depend_on_other_series(self, fitted, asked):
        together = fitted.sample(asked, 3, random_state=0)
        alone = fitted.sample(asked[asked.id == 11], 3, random_state=0)
        np.testing.assert_allclose(together[together.id == 11].a, alone.a, atol=1e-9)

    def test_series_are_drawn_apart(self, fitted):
        draws = fitted.sample(7.0, 400, random_state=0)
        table = draws.pivot_table(index="draw", columns="id", values="a")
        between = np.corrcoef(table.to_numpy().T)
        assert np.abs(between[~np.eye(len(between), dtype=bool)]).mean() < 0.1

    def test_draws_of_near_times_share_a_path(self, waves):
        settings = SMALL | {"max_epochs": 2, "kl_weight": 10.0, "objective": "elbo"}
        model = LatentODEForecaster(**settings).fit(waves)
        # Next to the prior, the path is uncertain and the noise of an observation is not all.
        model.module_.decoder.likelihood.log_scale.data.fill_(-9.0)
        draws = model.sample([5.0, 5.01], 300, random_state=0)
        pairs = draws[draws.id == 3].a.to_numpy().reshape(300, 2)
        assert np.corrcoef(pairs.T)[0, 1] > 0.3

    def test_a_number_of_draws_is_whole(self, fitted):
        with pytest.raises(ValueError, match="n=0"):
            fitted.sample(1.0, 0)


class TestWithinASeries:
    def test_smoothing_gives_every_row_of_the_frame(self, fitted, waves):
        shuffled = waves.sample(frac=1, random_state=0)
        out = fitted.smooth(shuffled)
        pd.testing.assert_frame_equal(out[["id", "time"]], shuffled[["id", "time"]])
        assert np.isfinite(out[["a", "b"]]).all(axis=None)

    def test_interpolation_fills_in_better_than_the_mean(self):
        waves = make_waves(60, seed=2).drop(columns="a")
        settings = SMALL | {"objective": "interpolation", "max_epochs": 10}
        model = LatentODEForecaster(**settings).fit(waves)
        assert "val_loss" not in model.history_
        hidden = np.random.default_rng(0).uniform(size=len(waves)) < 0.3
        out = model.smooth(waves.assign(b=waves.b.mask(hidden)))
        error = (out.b - waves.b)[hidden]
        assert (error**2).mean() < 0.5 * waves.b.var()

    def test_a_latent_path_does_not_depend_on_what_else_is_asked(self, fitted, asked):
        zs = fitted.latent(asked)
        assert list(zs.columns) == ["id", "time", "z0", "z1", "z2", "z3"]
        alone = fitted.latent(asked.iloc[[1]])
        np.testing.assert_allclose(zs.iloc[[1], 2:], alone.iloc[:, 2:], atol=1e-6)


class TestCalibration:
    @pytest.mark.parametrize(
        "likelihood",
        ["gaussian", "student-t", "quantiles", pytest.param("flow", marks=pytest.mark.slow)],
    )
    def test_intervals_hold_what_they_say_of_new_series(self, waves, likelihood):
        settings = SMALL | {"max_epochs": 3, "likelihood": likelihood}
        model = LatentODEForecaster(**settings).fit(waves)
        others, test = make_waves(150, seed=5), make_waves(150, seed=6)
        model.calibrate(others)
        early, late = test[test.time <= 3], test[test.time > 3]
        late = late[late.id.isin(early.id)]
        out = model.predict_interval(late, 0.8, context=early)
        held = late.a.between(out.a_lower, out.a_upper).mean()
        assert held == pytest.approx(0.8, abs=0.06)

    def test_the_mean_stays_and_quantiles_rise(self, waves, asked):
        model = LatentODEForecaster(**SMALL).fit(waves)
        before = model.predict(asked)
        model.calibrate(make_waves(30, seed=5))
        pd.testing.assert_frame_equal(before, model.predict(asked))
        levels = np.linspace(0.01, 0.99, 25).round(2)
        quantiles = model.predict_quantiles(asked, levels).filter(like="a_q")
        assert (np.diff(quantiles, axis=1) >= 0).all()

    def test_later_rows_of_known_series_will_do(self, waves):
        early, late = waves[waves.time <= 4], waves[waves.time > 4]
        model = LatentODEForecaster(**SMALL).fit(early)
        assert model.calibrate(late).calibration_.scores.shape[1] == 2

    def test_rows_that_tell_nothing_new_are_refused(self, fitted):
        one_each = pd.DataFrame({
            "id": [100, 101],
            "time": [0.0, 1.0],
            "a": [1.0, 2],
            "b": [1.0, 2],
        })
        with pytest.raises(FrameError, match="follows another one of its series") as error:
            fitted.calibrate(one_each)
        assert error.value.code == "E-NOTHING-TO-TELL"
