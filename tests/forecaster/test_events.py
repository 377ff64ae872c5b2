"""A forecaster of events: its answers fit together, whatever the unit, the order, or the file."""

import math
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold

from latentode import EventForecaster, FrameError, LatentODEForecaster, ModelFileError

TINY = {"latent_size": 3, "hidden_size": 6, "max_epochs": 3, "verbose": 0, "random_state": 0}
END = 8.0


@pytest.fixture(scope="module")
def calls():
    """Give events of two kinds, of which a visit follows each third call."""
    rng = np.random.default_rng(0)
    rows = []
    for key in range(6):
        t = np.cumsum(rng.gamma(4.0, 0.2, 12))
        rows += [{"id": f"s{key}", "time": s, "what": "visit" if i % 3 == 2 else "call"}
                 for i, s in enumerate(t[t < END])]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def fitted(calls):
    return EventForecaster(kind_col="what", **TINY).fit(calls, start=0, end=END)


@pytest.fixture(scope="module")
def plain(calls):
    return EventForecaster(**TINY).fit(calls, start=0, end=END)


class TestAnswers:
    def test_survival_at_a_quantile_of_the_next_event_is_the_rest(self, fitted):
        levels = [0.05, 0.5, 0.99]
        told = fitted.predict_next(levels)
        for level in levels:
            asked = told[["id"]].assign(time=told[f"time_q{level}"])
            left = fitted.predict_survival(asked).survival
            np.testing.assert_allclose(left, 1 - level, atol=1e-4)

    def test_survival_falls_as_the_intensity_of_a_silence_says(self, plain, calls):
        h, at = 1e-3, END + 2
        left = [plain.predict_survival(at + d).survival for d in (-h, h)]
        hazard = (np.log(left[0]) - np.log(left[1])) / (2 * h)
        # The same events, and it is known that none came until later.
        rate = plain.predict_intensity(at, context=calls, start=0, end=at + 1).intensity
        np.testing.assert_allclose(hazard, rate, rtol=1e-3)

    def test_counts_are_those_of_the_draws(self, fitted):
        drawn = fitted.sample(2.0, n=50, random_state=1)
        told = fitted.predict_counts(horizon=2.0, n=50, random_state=1)
        assert told.time.tolist() == [END + 2] * 6
        every = drawn.groupby("id").size() / 50
        visits = drawn[drawn.what == "visit"].groupby("id").size() / 50
        np.testing.assert_allclose(told["count"], every.reindex(told.id, fill_value=0))
        np.testing.assert_allclose(told.count_visit, visits.reindex(told.id, fill_value=0))
        assert (told["count_q0.1"] <= told["count_q0.9"]).all()
        assert ((drawn.time > END) & (drawn.time <= END + 2)).all()

    def test_the_intensity_after_the_end_adds_up_to_the_counts(self, plain):
        n = 200
        steps = plain.predict_intensity(horizon=1.0, step=0.05, n=n, random_state=0)
        rate = steps.intensity.to_numpy().reshape(6, 20).sum(1) * 0.05
        told = plain.predict_counts(horizon=1.0, n=n, random_state=0)["count"]
        assert np.abs(rate - told).max() < 4 * math.sqrt(1.5 / n)

    def test_kinds_add_up_to_all(self, fitted):
        told = fitted.predict_intensity([1.0, 7.5, 9.0], random_state=0)
        np.testing.assert_allclose(told.intensity_call + told.intensity_visit, told.intensity)
        assert (told.intensity > 0).all()

    def test_rows_asked_come_back_in_their_order_with_their_index(self, fitted):
        asked = pd.DataFrame({"id": ["s4", "s0", "s4"], "time": [9.0, 8.5, 8.25]}, index=[7, 3, 5])
        for method in (fitted.predict_counts, fitted.predict_intensity):
            told = method(asked, random_state=0)
            pd.testing.assert_frame_equal(told[["id", "time"]], asked)
            alone = pd.concat([method(asked.iloc[[i]], random_state=0) for i in (1,)])
            np.testing.assert_allclose(alone.iloc[0, 2:], told.iloc[1, 2:], rtol=1e-5)
        left = fitted.predict_survival(asked).survival
        assert left[5] > left[7]

    def test_a_context_is_as_good_as_what_was_fitted(self, fitted, calls):
        again = fitted.predict_next(context=calls, start=0, end=END)
        pd.testing.assert_frame_equal(again, fitted.predict_next())
        new = calls[calls.id == "s2"].assign(id="new")
        told = fitted.predict_next(context=new, start=0, end=END)
        np.testing.assert_allclose(told.iloc[0, 1:].astype(float), again.iloc[2, 1:].astype(float))

    def test_a_series_in_which_nothing_happened_is_told(self, plain, calls):
        none = pd.Series({**dict.fromkeys(calls.id.unique(), END), "quiet": 50.0})
        told = plain.predict_next(context=calls, start=0, end=none)
        assert told.id.iloc[0] == "quiet" and told["time_q0.1"].iloc[0] > 50

    def test_draws_do_not_depend_on_what_else_is_asked(self, fitted, calls):
        every = fitted.sample(1.0, n=5, random_state=3)
        alone = fitted.sample(
            1.0, n=5, random_state=3, context=calls[calls.id == "s3"], start=0, end=END
        )
        mine = every[every.id == "s3"].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, alone, rtol=1e-6)


class TestScores:
    def test_those_of_the_rules_are_closed_forms(self, plain, calls):
        table = plain.evaluate(calls, start=0, end=END)
        n = len(calls)
        rate = n / (6 * END)
        assert table.log_likelihood["TrainingRate"] == pytest.approx(math.log(rate) - 1)
        assert plain.score(calls, start=0, end=END) == table.log_likelihood["EventForecaster"]
        assert (table.n_events == n).all() and table.ks.between(0, 1).all()

    def test_what_was_fitted_goes_on_where_it_ended(self, plain, calls):
        later = pd.concat([calls, pd.DataFrame({"id": ["s0", "s0"], "time": [9.0, 10.0]})])
        whole = plain.evaluate(later, start=0, end=12)
        rows = plain.evaluate(later[later.time > END].drop(columns="what"), start=8.5, end=12)
        assert whole.n_events.iloc[0] == 2
        other = plain.evaluate(
            pd.DataFrame({"id": ["s0", "s0"], "time": [9.0, 10.0]}), end=pd.Series({"s0": 12.0})
        )
        assert rows.n_events.iloc[0] == other.n_events.iloc[0] == 2
        assert rows.log_likelihood.iloc[0] == pytest.approx(other.log_likelihood.iloc[0])

    def test_training_is_ahead_of_a_constant_rate(self):
        regular = pd.DataFrame({
            "id": np.repeat(range(8), 20),
            "time": np.tile(np.arange(20), 8),
        })
        regular["time"] += np.random.default_rng(0).uniform(-0.1, 0.1, 160)
        model = EventForecaster(**{
            **TINY,
            "max_epochs": 15,
            "val_fraction": 0,
            "learning_rate": 0.1,
        }).fit(regular)
        table = model.evaluate(regular)
        gained = table.log_likelihood["EventForecaster"] - table.log_likelihood["TrainingRate"]
        assert gained > 0.3
        assert table.ks["EventForecaster"] < table.ks["TrainingRate"]

    def test_a_grid_search_scores_by_likelihood(self, calls):
        search = GridSearchCV(
            EventForecaster(**{**TINY, "max_epochs": 1}),
            {"hidden_size": [2, 4]},
            cv=GroupKFold(2),
            error_score="raise",
        )
        search.fit(calls, groups=calls.id)
        assert search.best_params_["hidden_size"] in {2, 4}


class TestWhatDoesNotMatter:
    def test_the_unit_of_time(self, fitted, calls):
        unit = 1024.0  # so that scaling rounds nothing
        scaled = calls.assign(time=unit * calls.time)
        other = EventForecaster(kind_col="what", **TINY).fit(scaled, start=0, end=unit * END)
        told = other.score(scaled, start=0, end=unit * END)
        assert told == pytest.approx(fitted.score(calls, start=0, end=END) - math.log(unit))
        one, two = (m.predict_next().drop(columns="id") for m in (fitted, other))
        np.testing.assert_allclose(two, unit * one)
        rate = other.predict_intensity([unit * 5.0], per=unit).intensity
        np.testing.assert_allclose(rate, fitted.predict_intensity([5.0]).intensity)

    def test_the_order_of_rows(self, fitted, calls):
        other = EventForecaster(kind_col="what", **TINY).fit(
            calls.sample(frac=1, random_state=0), start=0, end=END
        )
        pd.testing.assert_frame_equal(other.predict_next(), fitted.predict_next())

    def test_states_of_the_process_are_left_alone(self, calls):
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        model = EventForecaster(**{**TINY, "random_state": None, "max_epochs": 1})
        model.fit(calls).sample(0.5, n=2)
        assert torch.equal(before[0], torch.get_rng_state())
        assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002

    def test_nothing_is_printed(self, calls, capfd):
        EventForecaster(**{**TINY, "max_epochs": 1}).fit(calls)
        assert capfd.readouterr() == ("", "")


class TestTimes:
    def test_stamps_with_a_zone_come_back_and_rates_are_per_day(self, plain, calls):
        epoch = pd.Timestamp("2024-01-01", tz="Europe/Paris").as_unit("us")
        stamped = calls.assign(time=epoch + pd.to_timedelta(calls.time.to_numpy(), "D"))
        end = epoch + pd.Timedelta(days=END)
        model = EventForecaster(**TINY).fit(stamped, start=epoch, end=end)
        told, same = model.predict_next(), plain.predict_next()
        days = (told["time_q0.5"] - epoch) / pd.Timedelta("1D")
        np.testing.assert_allclose(days, same["time_q0.5"], rtol=1e-4)
        rate = model.predict_intensity(epoch + pd.Timedelta("5D")).intensity
        np.testing.assert_allclose(rate, plain.predict_intensity(5.0).intensity, rtol=1e-3)
        assert model.score(stamped, start=epoch, end=end) == pytest.approx(
            plain.score(calls, start=0, end=END), rel=1e-4
        )
        drawn = model.sample("36h", n=3, random_state=0)
        assert drawn.time.dt.tz is not None and (drawn.time > end).all()

    def test_what_is_too_far_is_never(self, plain):
        process, plain = plain.process_, pickle.loads(pickle.dumps(plain))
        for p in plain.process_.intensity.parameters():
            p.data.zero_()
        plain.process_.intensity.outer.bias.data -= 30
        assert plain.predict_next([0.5])["time_q0.5"].tolist() == [math.inf] * 6
        assert process is not plain.process_

    def test_polars_gives_polars(self, calls):
        polars = pytest.importorskip("polars")
        table = polars.DataFrame(calls.to_dict("list"))
        model = EventForecaster(**{**TINY, "max_epochs": 1}).fit(table, start=0, end=END)
        for told in (model.predict_next(), model.predict_counts(9.0), model.sample(1.0, n=2)):
            assert isinstance(told, polars.DataFrame)


class TestFiles:
    def test_a_saved_forecaster_is_the_same_to_the_bit(self, fitted, tmp_path):
        path = tmp_path / "events.lode"
        fitted.save(path)
        again = EventForecaster.load(path)
        pd.testing.assert_frame_equal(again.predict_next(), fitted.predict_next(), rtol=0)
        one, two = (m.predict_counts(9.0, random_state=0) for m in (fitted, again))
        pd.testing.assert_frame_equal(one, two, rtol=0)
        assert again.get_params() == fitted.get_params()
        assert again.history_.equals(fitted.history_)
        with pytest.raises(ModelFileError, match="holds a EventForecaster, not a LatentODEF"):
            LatentODEForecaster.load(path)

    def test_a_damaged_file_is_refused(self, fitted, tmp_path):
        path = tmp_path / "events.lode"
        fitted.save(path)
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match="checksum"):
            EventForecaster.load(path)

    def test_a_clone_is_not_fitted(self, fitted):
        with pytest.raises(NotFittedError):
            clone(fitted).predict_next()


class TestRefusals:
    def test_times_before_what_is_told(self, fitted):
        with pytest.raises(FrameError, match=r"6 of the 6 times asked lie before the end .* s0"):
            fitted.predict_counts(7.0)
        with pytest.raises(FrameError, match="lie before what is known of their series"):
            fitted.predict_intensity(-0.5)

    def test_windows_without_a_context(self, fitted):
        with pytest.raises(ValueError, match="start and end go with context"):
            fitted.predict_next(end=9)

    def test_events_of_which_none_is_told(self, fitted, calls):
        single = calls.drop_duplicates("id")
        with pytest.raises(FrameError, match="none of the 6 events lies within a window"):
            EventForecaster(**TINY).fit(single)
        with pytest.raises(FrameError, match="none of the 6 events lies within a window"):
            fitted.score(single.assign(id=single.id + "x"))

    def test_columns_that_are_not_there_name_this_class(self, calls):
        with pytest.raises(FrameError, match=r"Fix: EventForecaster\(time_col='time'\)"):
            EventForecaster(time_col="tim", **TINY).fit(calls)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"latent_size": 0}, "latent_size=0 must be a whole number"),
            ({"max_epochs": 0}, "max_epochs=0 must be a whole number"),
            ({"patience": 0}, "patience=0 must be a whole number"),
            ({"learning_rate": -1}, "learning_rate=-1 must be a positive number"),
            ({"weight_decay": -1}, "weight_decay=-1 must be a number of at least 0"),
            ({"rtol": 0}, "rtol=0 must be a positive number"),
            ({"method": "rk4"}, "method=rk4 is not known"),
            ({"adjoint": "none"}, "adjoint=none is not known"),
            ({"val_fraction": 1}, "val_fraction=1 must be at least 0 and less than 1"),
        ],
    )
    def test_bad_parameters(self, options, message, calls):
        with pytest.raises(ValueError, match=message):
            EventForecaster(**{**TINY, **options}).fit(calls)
