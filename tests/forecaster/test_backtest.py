"""Backtests: strictly causal, and the same as forecasts made by hand at each cutoff."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone

from latentode import DecayedMean, FrameError, LastValue, LatentODEForecaster, TrainingMean

SMALL = {
    "max_epochs": 1,
    "refit": False,
    "latent_size": 2,
    "hidden_size": 4,
    "verbose": 0,
    "random_state": 0,
}
BLANK = {
    "LatentODEForecaster": LatentODEForecaster(**SMALL),
    "DecayedMean": DecayedMean(),
    "LastValue": LastValue(),
}
CUTOFFS = [6, 8.5, 10]
every_forecaster = pytest.mark.parametrize("blank", BLANK.values(), ids=BLANK)
refit_or_not = pytest.mark.parametrize("refit", [False, True])


@pytest.fixture(scope="module")
def steps():
    rng = np.random.default_rng(0)
    sizes = rng.integers(6, 16, 15)
    df = pd.DataFrame({"id": np.repeat(np.arange(15), sizes)})
    df["t"] = rng.uniform(0, 12, len(df))
    df["a"] = np.sin(df.t + df.id)
    df["b"] = np.where(rng.uniform(size=len(df)) < 0.7, 100 * df.a, np.nan)
    return df.sample(frac=1, random_state=1)


def history(blank, df, **options):
    return blank.historical_forecasts(
        df, horizon=2, **{"cutoffs": CUTOFFS, "quantiles": [0.1, 0.9]} | options
    )


class TestCausality:
    @every_forecaster
    @refit_or_not
    @pytest.mark.parametrize("cutoff", CUTOFFS[:2])
    def test_values_after_a_cutoff_change_no_bit(self, blank, refit, cutoff, steps):
        late = steps.t > cutoff
        other = steps.assign(a=steps.a.where(~late, 1e6), b=steps.b.where(~late))
        told, again = (
            made[made.cutoff <= cutoff].drop(columns="b_true")
            for made in (history(blank, df, refit=refit) for df in (steps, other))
        )
        assert (again.a_true == 1e6).any()
        columns = [c for c in told if c != "a_true"]
        pd.testing.assert_frame_equal(told[columns], again[columns], rtol=0, atol=0)

    @every_forecaster
    @refit_or_not
    def test_rows_that_come_after_the_end_of_a_window_change_no_bit(self, blank, refit, steps):
        more = pd.DataFrame({"id": [3, 3, 99], "t": [12.5, 40.0, 13.0], "a": 1e9, "b": -1e9})
        told = history(blank, steps, refit=refit)
        for df in (pd.concat([steps, more]), steps[steps.t <= CUTOFFS[-1] + 2]):
            pd.testing.assert_frame_equal(history(blank, df, refit=refit), told, rtol=0, atol=0)

    @every_forecaster
    def test_rows_that_come_after_the_first_cutoff_do_not_change_what_is_learned(
        self, blank, steps
    ):
        more = pd.DataFrame({"id": [3, 4], "t": [6.5, 6.7], "a": 1e9, "b": -1e9})
        told = history(blank, steps, cutoffs=[6])
        again = history(blank, pd.concat([steps, more]), cutoffs=[6])
        both = told[["id", "t"]].merge(again, on=["id", "t"])
        assert len(again) == len(told) + 2
        columns = ["a", "b", "a_q0.1", "b_q0.9"]
        atol = 1e-9 if isinstance(blank, LatentODEForecaster) else 0
        pd.testing.assert_frame_equal(both[columns], told[columns], rtol=0, atol=atol)

    @every_forecaster
    def test_the_forecaster_itself_is_not_changed(self, blank, steps):
        model = clone(blank).fit(steps)
        before = model.predict(13.0)
        model.backtest(steps, horizon=2)
        pd.testing.assert_frame_equal(model.predict(13.0), before, rtol=0, atol=0)
        fresh = clone(blank)
        fresh.backtest(steps, horizon=2)
        assert not hasattr(fresh, "context_")


class TestForecasts:
    @every_forecaster
    @refit_or_not
    def test_they_are_those_that_would_have_been_made(self, blank, refit, steps):
        told = history(blank, steps, refit=refit)
        assert sorted(told.cutoff.unique()) == CUTOFFS
        for cutoff in CUTOFFS:
            known = steps[steps.t <= cutoff]
            first = known if refit else steps[steps.t <= CUTOFFS[0]]
            part = told[told.cutoff == cutoff]
            model = clone(blank).fit(first)
            out = model.predict(part[["id", "t"]], context=known)
            np.testing.assert_allclose(part[["a", "b"]], out[["a", "b"]], rtol=0, atol=1e-9)

    def test_every_row_of_a_window_is_told_once_beside_what_came(self, steps):
        told = history(LastValue(), steps)
        for cutoff in CUTOFFS:
            known = steps[steps.t <= cutoff].id.unique()
            window = steps[(steps.t > cutoff) & (steps.t <= cutoff + 2) & steps.id.isin(known)]
            part = told[told.cutoff == cutoff].sort_values(["id", "t"])
            window = window.sort_values(["id", "t"])
            assert part.t.tolist() == window.t.tolist()
            np.testing.assert_array_equal(part.a_true, window.a)
            np.testing.assert_array_equal(part.b_true, window.b)

    def test_cutoffs_by_default_are_whole_horizons_before_the_end(self, steps):
        told = LastValue().historical_forecasts(steps, horizon=2, n_cutoffs=3)
        end = steps.t.max()
        assert told.cutoff.unique() == pytest.approx([end - 6, end - 4, end - 2])
        closer = LastValue().historical_forecasts(steps, horizon=2, n_cutoffs=2, step=0.5)
        assert closer.cutoff.unique() == pytest.approx([end - 2.5, end - 2])

    def test_a_series_that_had_not_begun_is_not_told(self, steps):
        late = pd.DataFrame({"id": 77, "t": [7.0, 7.5], "a": 1.0, "b": 1.0})
        told = history(LastValue(), pd.concat([steps, late]))
        assert set(told[told.id == 77].cutoff) <= {8.5, 10}

    @pytest.mark.parametrize(
        "change",
        [
            lambda df: df.set_index(["id", "t"]),
            lambda df: pl.DataFrame(df.to_dict("list")),
            lambda df: df.sample(frac=1, random_state=3),
        ],
        ids=["index", "polars", "order"],
    )
    def test_the_kind_of_frame_and_the_order_of_rows_do_not_matter(self, change, steps):
        pd.testing.assert_frame_equal(
            history(DecayedMean(), change(steps)), history(DecayedMean(), steps), rtol=0, atol=0
        )

    def test_dates_come_back_as_dates(self, steps):
        dated = steps.assign(
            t=pd.Timestamp("2024-01-01", tz="Europe/Paris")
            + pd.to_timedelta((steps.t * 86400).astype("int64"), unit="s")
        )
        cutoffs = [pd.Timestamp(day, tz="Europe/Paris") for day in ("2024-01-07", "2024-01-09")]
        told = DecayedMean().historical_forecasts(dated, horizon="2D", cutoffs=cutoffs)
        assert told.cutoff.dtype == told.t.dtype == dated.t.dtype
        assert told.cutoff.dt.day.unique().tolist() == [7, 9]
        assert (told.t > told.cutoff).all()
        assert (told.t <= told.cutoff + pd.Timedelta("2D")).all()


class TestTable:
    def test_it_measures_the_forecasts(self, steps):
        told = history(LastValue(), steps)
        table = LastValue().backtest(steps, horizon=2, cutoffs=CUTOFFS, scaled=False)
        mae = np.mean([(told[c] - told[f"{c}_true"]).abs().mean() for c in "ab"])
        assert table.mae["LastValue"] == pytest.approx(mae)

    def test_baselines_stand_beside_it(self, steps):
        table = TrainingMean().backtest(steps, horizon=2)
        assert table.index[0] == "TrainingMean"
        assert table.index.name == "forecaster"
        assert len(table) == 5
        alone = LastValue().backtest(steps, horizon=2, baselines=False)
        pd.testing.assert_frame_equal(alone, table.loc[["LastValue"]])

    @pytest.mark.parametrize("by", ["variable", "lead", "cutoff"])
    def test_it_may_have_rows_of_each_part(self, by, steps):
        table = LastValue().backtest(steps, horizon=2, cutoffs=CUTOFFS, by=by, metrics=["mae"])
        assert table.index.names == ["forecaster", by]
        assert len(table) == 5 * {"variable": 2, "lead": 3, "cutoff": 3}[by]
        assert np.isfinite(table).all(axis=None)

    @refit_or_not
    def test_each_cutoff_is_as_if_it_were_alone(self, refit, steps):
        options = {"horizon": 2, "refit": refit}
        table = DecayedMean().backtest(steps, cutoffs=CUTOFFS, by="cutoff", **options)
        alone = DecayedMean().backtest(steps, cutoffs=CUTOFFS[:1], **options)
        first = table.xs(6.0, level="cutoff")
        pd.testing.assert_frame_equal(first, alone, check_names=False)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"cutoffs": [-1]}, FrameError, r"cutoff -1.* leaves nothing to fit"),
            ({"cutoffs": [11.9999]}, FrameError, r"cutoff 11.9999 leaves nothing to tell"),
            ({"n_cutoffs": 9}, FrameError, "leaves nothing to fit"),
            ({"n_cutoffs": 0}, ValueError, "n_cutoffs=0 must be a whole number"),
            ({"horizon": 0}, FrameError, "horizon=0 is not positive"),
            ({"cutoffs": [6], "step": 1}, ValueError, "step=1 goes with n_cutoffs"),
            ({"cutoffs": "2024"}, TypeError, "cutoffs must be a list of times"),
            ({"cutoffs": []}, ValueError, "cutoffs is empty"),
            ({"cutoffs": ["2024-01-01"]}, FrameError, "times holds text"),
            ({"by": "id"}, ValueError, "by=id is not known"),
            ({"metrics": ["r2"]}, ValueError, "metric=r2 is not known"),
        ],
    )
    def test_bad_options_are_named(self, options, error, message, steps):
        with pytest.raises(error, match=message):
            LastValue().backtest(steps, **{"horizon": 2} | options)

    def test_rows_that_cannot_be_fitted_are_named_with_their_cutoff(self, steps):
        late_b = steps.assign(b=steps.b.where(steps.t > 7))
        with pytest.raises(FrameError, match=r"of the rows up to the cutoff 6.*'b'.*no number"):
            LastValue().backtest(late_b, horizon=2, cutoffs=CUTOFFS)

    def test_a_quantile_is_a_probability(self, steps):
        with pytest.raises(ValueError, match=r"quantile 1\.5 must be above 0"):
            LastValue().historical_forecasts(steps, horizon=2, quantiles=[1.5])
