"""What each rule says, and how wide."""

import numpy as np
import pandas as pd
import pytest

from latentode import DecayedMean, LastValue, LinearInterpolation, SeriesMean, TrainingMean

NAIVE = [LastValue, SeriesMean, DecayedMean, LinearInterpolation, TrainingMean]
nan = np.nan

FEW = pd.DataFrame({
    "id": ["a", "a", "a", "b", "b", "c"],
    "t": [1, 2, 4, 2, 3, 5],
    "u": [1.0, nan, 3.0, 10.0, 20.0, nan],
    "v": [nan, 5.0, nan, nan, nan, 7.0],
})
MEANS = {"u": 34 / 4, "v": 6.0}


def told(rule, times, column="u", key="a"):
    asked = pd.DataFrame({"id": [key] * len(times), "t": times})
    return rule().fit(FEW).predict(asked)[column].tolist()


class TestRules:
    def test_the_last_value_is_that_at_or_before_a_time(self):
        assert told(LastValue, [0, 1, 3, 4, 9]) == [1, 1, 1, 3, 3]

    def test_a_line_joins_values_and_goes_on_level(self):
        out = told(LinearInterpolation, [0, 1, 3, 4, 9])
        assert out == pytest.approx([1, 1, 1 + 2 * 2 / 3, 3, 3], rel=1e-15)

    def test_each_variable_has_neighbours_of_its_own(self):
        assert told(LastValue, [0, 9], "v") == [5, 5]
        assert told(LinearInterpolation, [0, 9], "v") == [5, 5]

    def test_the_mean_of_a_series_leaves_out_what_is_missing(self):
        assert told(SeriesMean, [0, 9]) == [2, 2]

    def test_the_training_mean_is_of_all_values(self):
        assert told(TrainingMean, [0, 9]) == [MEANS["u"]] * 2

    @pytest.mark.parametrize("rule", NAIVE)
    def test_a_variable_that_a_series_lacks_has_the_training_mean_and_spread(self, rule):
        model = rule().fit(FEW)
        out = model.predict(pd.DataFrame({"id": ["b"], "t": [9]}), return_std=True)
        assert out.v.item() == MEANS["v"]
        assert out.v_std.item() == pytest.approx(FEW.v.std(ddof=0))

    @pytest.mark.parametrize("rule", NAIVE)
    def test_times_as_large_as_nanoseconds_since_1970_lose_no_digit(self, rule):
        start = np.datetime64("2024-01-01", "ns").astype("int64")
        df = pd.DataFrame({"t": start + np.arange(0, 12, 2), "y": np.arange(6.0)})
        out = rule().fit(df).predict(pd.DataFrame({"t": start + np.array([3, 5])}))
        expected = {LastValue: [1, 2], LinearInterpolation: [1.5, 2.5]}
        assert out.y.tolist() == expected.get(rule, out.y.iloc[[0, 0]].tolist())


def walks(n_series, n_rows, fade, seed=0):
    """Give series that forget a share of what they were at each step."""
    rng = np.random.default_rng(seed)
    level, rows = rng.normal(size=n_series), []
    for t in range(n_rows):
        rows.append(pd.DataFrame({"id": np.arange(n_series), "t": t, "y": level}))
        level = fade * level + np.sqrt(1 - fade**2) * rng.normal(size=n_series)
    return pd.concat(rows)


class TestDecayedMean:
    def test_series_that_keep_their_level_are_averaged(self):
        rng = np.random.default_rng(0)
        df = pd.DataFrame({"id": np.repeat(np.arange(200), 20), "t": np.tile(np.arange(20), 200)})
        df["y"] = rng.normal(size=200)[df.id] + rng.normal(size=len(df))
        model = DecayedMean().fit(df)
        assert model.rule_.time_constant.item() > 19
        last = LastValue().fit(df)
        later = df.assign(t=df.t + 20)
        assert model.score(later, metric="mse") > last.score(later, metric="mse") + 0.2

    def test_series_that_forget_are_told_by_their_last_values_and_then_by_the_mean(self):
        model = DecayedMean().fit(walks(300, 20, fade=0.8))
        assert model.rule_.time_constant.item() < 10
        at = model.predict([20.0, 60.0])
        near, far = at.y[at.t == 20].to_numpy(), at.y[at.t == 60].to_numpy()
        assert np.abs(far - model.scaler_.mean).max() < 0.1
        assert near.std() > 0.4

    def test_it_is_at_least_as_good_as_its_extremes_on_what_it_was_chosen_on(self):
        df = walks(200, 15, fade=0.9)
        misses = {r: r().fit(df).spread_.std.mean() for r in (DecayedMean, LastValue, SeriesMean)}
        assert misses[DecayedMean] <= 1.02 * min(misses[LastValue], misses[SeriesMean])

    def test_a_value_long_ago_is_still_known(self):
        df = walks(50, 20, fade=0.3)
        later = pd.DataFrame({"id": [0], "t": [50_000], "y": [nan]})
        model = DecayedMean(target_cols="y").fit(df)
        out = model.predict(pd.DataFrame({"id": [0], "t": [19]}), context=pd.concat([df, later]))
        assert out.y.item() == model.predict(pd.DataFrame({"id": [0], "t": [19]})).y.item()


class TestSpread:
    def test_it_is_that_of_the_errors_by_lead_time(self):
        """A random walk moves away from its last value by the root of the time that passed."""
        rng = np.random.default_rng(0)
        df = pd.DataFrame({"id": np.repeat(np.arange(400), 40), "t": np.tile(np.arange(40), 400)})
        df["y"] = rng.normal(size=len(df))
        df["y"] = df.groupby("id").y.cumsum()
        model = LastValue().fit(df)
        asked = pd.DataFrame({"id": [0, 0], "t": [39 + 4, 39 + 25]})
        std = model.predict(asked, return_std=True).y_std
        np.testing.assert_allclose(std, [2.0, 5.0], rtol=0.2)

    @pytest.mark.parametrize("rule", NAIVE)
    def test_intervals_hold_their_share_of_later_values(self, rule):
        df = walks(400, 24, fade=0.9)
        model = rule().fit(df[df.t < 16])
        table = model.evaluate(df[df.t >= 16], ["coverage_90", "coverage_50"], baselines=False)
        assert table.coverage_90.item() == pytest.approx(0.9, abs=0.05)
        assert table.coverage_50.item() == pytest.approx(0.5, abs=0.06)

    @pytest.mark.parametrize("rule", NAIVE)
    def test_errors_of_nothing_still_leave_a_spread(self, rule):
        df = pd.DataFrame({"id": [1, 1, 2, 2], "t": [1, 2, 1, 2], "y": [3.0, 3.0, 4.0, 4.0]})
        out = rule().fit(df).predict(3, return_std=True)
        assert (out.y_std > 0).all()


@pytest.mark.parametrize("rule", NAIVE)
def test_many_series_take_no_loop(rule):
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"id": np.arange(60_000) // 3, "t": rng.uniform(size=60_000), "y": 0.0})
    df["y"] = rng.normal(size=60_000)
    out = rule().fit(df).predict_quantiles(horizon=0.5)
    assert len(out) == 20_000
    assert np.isfinite(out).all(axis=None)
