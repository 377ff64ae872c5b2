"""Scores and tables: what is told, from what, and in which units."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from latentode import FrameError, LastValue, LatentODEForecaster, SeriesMean, TrainingMean
from latentode.metrics import crps_normal

SMALL = {"max_epochs": 2, "latent_size": 3, "hidden_size": 6, "verbose": 0, "random_state": 0}
NAMES = ["LastValue", "SeriesMean", "DecayedMean", "LinearInterpolation", "TrainingMean"]


def make_steps(n_series=30, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": np.repeat(np.arange(n_series), 12)})
    frame["t"] = np.tile(np.arange(12), n_series)
    frame["a"] = rng.normal(size=len(frame)).cumsum()
    frame["b"] = np.where(
        rng.uniform(size=len(frame)) < 0.6, 10 * rng.normal(size=len(frame)), np.nan
    )
    return frame


@pytest.fixture(scope="module")
def steps():
    return make_steps()


@pytest.fixture(scope="module")
def early(steps):
    return steps[steps.t < 8]


@pytest.fixture(scope="module")
def late(steps):
    return steps[steps.t >= 8]


@pytest.fixture(scope="module")
def last(early):
    return LastValue().fit(early)


class TestScore:
    def test_rows_after_those_of_fit_are_told_from_them(self, last, late):
        out = last.predict(late[["id", "t"]])
        z = (late[["a", "b"]] - out[["a", "b"]]) / last.scaler_.std
        assert last.score(late, metric="mse") == pytest.approx(-(z**2).mean().mean())
        assert last.score(late, metric="mae") == pytest.approx(-z.abs().mean().mean())
        assert last.score(late, metric="rmse") == pytest.approx(-np.sqrt((z**2).mean().mean()))

    def test_of_rows_of_fit_and_later_ones_only_these_are_told(self, last, steps, late):
        assert last.score(steps) == last.score(late)

    def test_the_second_half_of_an_unseen_series_is_told_from_the_first(self, last):
        new = make_steps(seed=3).assign(id=lambda df: df.id + 100)
        first, second = new[new.t <= 5.5], new[new.t > 5.5]
        out = last.predict(second[["id", "t"]], context=first)
        z = (second[["a", "b"]] - out[["a", "b"]]) / last.scaler_.std
        assert last.score(new, metric="mse") == pytest.approx(-(z**2).mean().mean())

    def test_by_default_it_is_the_crps_of_the_distribution(self, last, late):
        out = last.predict(late[["id", "t"]], return_std=True)
        exact = [
            np.nanmean(crps_normal(late[c].to_numpy(), out[c], out[f"{c}_std"])) / std
            for c, std in zip("ab", last.scaler_.std, strict=True)
        ]
        assert -last.score(late) == pytest.approx(np.mean(exact), rel=0.02)

    def test_units_of_values_do_not_matter(self, early, late, last):
        model = LastValue().fit(early.assign(a=1000 * early.a + 7))
        assert model.score(late.assign(a=1000 * late.a + 7)) == pytest.approx(last.score(late))

    def test_a_perfect_forecast_has_the_score_0(self, early):
        df = early.assign(a=early.id, b=1.0)
        later = df.assign(t=df.t + 100)
        assert SeriesMean().fit(df).score(later, metric="mae") == 0

    @pytest.mark.parametrize("metric", ["coverage_90", "width_90"])
    def test_what_is_no_loss_is_no_score(self, metric, last, late):
        with pytest.raises(ValueError, match=rf"metric={metric} is no loss"):
            last.score(late, metric=metric)

    def test_nothing_to_tell_is_an_error(self, last, early):
        one = early.groupby("id").first().reset_index().assign(id=lambda df: df.id + 100)
        with pytest.raises(FrameError, match="Fix:") as error:
            last.score(one)
        assert error.value.code == "E-NOTHING-TO-TELL"

    def test_it_must_be_fitted(self, steps):
        with pytest.raises(NotFittedError):
            LastValue().score(steps)
        with pytest.raises(NotFittedError):
            LastValue().evaluate(steps)


class TestEvaluate:
    def test_the_forecaster_comes_first_and_the_naive_ones_after_it(self, early, late):
        model = LatentODEForecaster(**SMALL).fit(early)
        table = model.evaluate(late)
        assert table.index.tolist() == ["LatentODEForecaster", *NAMES]
        assert table.columns.tolist() == ["mse", "mae", "crps", "coverage_90"]
        assert np.isfinite(table).all(axis=None)
        assert -table.crps.iloc[0] == pytest.approx(model.score(late))

    def test_naive_ones_are_those_fitted_on_the_same_rows(self, early, late, last):
        table = TrainingMean().fit(early).evaluate(late, ["mae", "crps"])
        own = last.evaluate(late, ["mae", "crps"])
        pd.testing.assert_frame_equal(table.loc[NAMES], own.loc[NAMES])
        assert len(own) == len(NAMES)

    def test_without_baselines_there_is_one_row(self, last, late):
        assert last.evaluate(late, baselines=False).index.tolist() == ["LastValue"]

    def test_values_of_a_variable_are_scaled_by_its_standard_deviation(self, last, late):
        metrics = ["mse", "mae", "crps", "coverage_90"]
        scaled = last.evaluate(late, metrics, by="variable").loc["LastValue"]
        plain = last.evaluate(late, metrics, by="variable", scaled=False).loc["LastValue"]
        std = last.scaler_.std[:, None]
        np.testing.assert_allclose(plain / scaled, std ** [[2, 1, 1, 0]], rtol=1e-9)

    def test_the_mean_of_variables_is_that_of_their_rows(self, last, late):
        by_variable = last.evaluate(late, by="variable").groupby("forecaster", sort=False).mean()
        pd.testing.assert_frame_equal(by_variable, last.evaluate(late))

    def test_parts_of_the_lead_times_are_named_in_the_units_of_the_frame(self, early, late):
        def dated(df):
            return df.assign(t=pd.Timestamp("2024-01-01") + pd.to_timedelta(df.t, unit="D"))

        model = LastValue(target_cols="a").fit(dated(early))
        table = model.evaluate(dated(late), ["mae"], by="lead", edges=["2D"], baselines=False)
        parts = table.index.get_level_values("lead")
        assert [(part.left, part.right) for part in parts] == [
            (pd.Timedelta("0D"), pd.Timedelta("2D")),
            (pd.Timedelta("2D"), pd.Timedelta("4D")),
        ]
        z = (late.a - model.predict(dated(late)[["id", "t"]]).a).abs() / model.scaler_.std[0]
        expected = z.groupby(late.t > 9).mean()
        np.testing.assert_allclose(table.mae, expected)

    def test_by_default_lead_times_are_split_in_thirds(self, last, late):
        table = last.evaluate(late, by="lead", baselines=False)
        assert len(table) == 3

    def test_quantiles_are_those_that_were_calibrated(self, early, late):
        model = LastValue().fit(early)
        before = model.evaluate(late, ["coverage_50", "width_50"], baselines=False)
        table = model.calibrate(late).evaluate(late, ["coverage_50", "width_50"], baselines=False)
        assert table.coverage_50.item() == pytest.approx(0.5, abs=0.03)
        assert table.width_50.item() != before.width_50.item()

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"metrics": "mse"}, TypeError, r"metrics must be a list: \['mse'\]"),
            ({"metrics": []}, ValueError, "metrics is empty"),
            ({"metrics": ["mape"]}, ValueError, "metric=mape is not known"),
            ({"by": "cutoff"}, ValueError, "by=cutoff is not known: choose one of variable, lead"),
            ({"edges": [1, 2]}, ValueError, "goes with by='lead'"),
            ({"edges": [-1], "by": "lead"}, FrameError, "edges=-1 is not positive"),
        ],
    )
    def test_bad_options_are_named(self, options, error, message, last, late):
        with pytest.raises(error, match=message):
            last.evaluate(late, **options)
