"""What a user of data frames may rely on."""

import logging
import math
import pickle
import random
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks

from latentode import FrameError, LatentODEForecaster, LatentODEWarning
from latentode.forecaster.stages import _n_epochs

SMALL = {"max_epochs": 4, "latent_size": 4, "hidden_size": 8, "verbose": 0, "random_state": 0}


def make_waves(n_series=24, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame([
        {"id": s, "time": t, "a": math.sin(t + s), "b": math.cos(t + s) if i % 3 else math.nan}
        for s in range(n_series)
        for i, t in enumerate(np.sort(rng.uniform(0, 6, rng.integers(5, 14))))
    ])


@pytest.fixture(scope="module")
def waves():
    return make_waves()


@pytest.fixture(scope="module")
def fitted(waves):
    return LatentODEForecaster(**SMALL).fit(waves)


@pytest.fixture
def asked():
    return pd.DataFrame(
        {"id": [3, 11, 3, 7], "time": [9.0, 6.1, 2.5, -1.0]}, index=["w", "x", "y", "z"]
    )


class TestWhatComesBack:
    def test_rows_come_back_in_their_order_and_with_their_index(self, fitted, asked):
        out = fitted.predict(asked)
        pd.testing.assert_frame_equal(out[["id", "time"]], asked)
        assert list(out.columns) == ["id", "time", "a", "b"]
        assert np.isfinite(out[["a", "b"]]).all(axis=None)

    def test_a_time_is_asked_of_every_series(self, fitted, waves):
        out = fitted.predict([6.5, 7.0])
        assert out.id.tolist() == np.repeat(waves.id.unique(), 2).tolist()
        assert out.time.tolist() == [6.5, 7.0] * 24
        pd.testing.assert_frame_equal(out, fitted.predict(out[["id", "time"]]))

    def test_a_horizon_starts_at_the_last_observation(self, fitted, waves):
        out = fitted.predict(horizon=1.0, step=0.5)
        last = waves.groupby("id").time.max()
        assert out.time.to_numpy() == pytest.approx((last.to_numpy()[:, None] + [0.5, 1]).ravel())

    def test_quantiles_rise_and_lie_around_the_mean(self, fitted, asked):
        out = fitted.predict_quantiles(asked, [0.05, 0.5, 0.95])
        assert list(out.columns)[2:] == [f"{c}_q{q}" for c in "ab" for q in (0.05, 0.5, 0.95)]
        for c in "ab":
            assert (out[f"{c}_q0.05"] < out[f"{c}_q0.5"]).all()
            assert (out[f"{c}_q0.5"] < out[f"{c}_q0.95"]).all()
        mean = fitted.predict(asked)[["a", "b"]]
        np.testing.assert_allclose(out[["a_q0.5", "b_q0.5"]], mean, atol=0.02)

    def test_a_quantile_is_a_probability(self, fitted, asked):
        with pytest.raises(ValueError, match=r"quantile 1\.5 must be above 0 and below 1"):
            fitted.predict_quantiles(asked, [0.5, 1.5])

    @pytest.mark.parametrize(
        "arguments", [{}, {"at": 7.0, "horizon": 1.0}, {"at": 7.0, "step": 1}]
    )
    def test_times_and_horizon_exclude_each_other(self, fitted, arguments):
        with pytest.raises(ValueError, match=r"either times|step goes with horizon"):
            fitted.predict(**arguments)

    def test_it_learns(self):
        """Better than the mean of a series at waves it has never seen."""
        train, test = make_waves(150, seed=1), make_waves(40, seed=2)
        test["id"] += 1000
        model = LatentODEForecaster(
            max_epochs=25, hidden_size=32, latent_size=8, verbose=0, random_state=0
        ).fit(train)
        early, late = test[test.time <= 4], test[(test.time > 4)]
        late = late[late.id.isin(early.id)]
        error = (model.predict(late[["id", "time"]], context=early).a - late.a) ** 2
        assert error.mean() < 0.5 * late.a.var()


class TestWhatMustNotMatter:
    def test_the_order_of_rows_to_the_bit(self, fitted, waves, asked):
        shuffled = waves.sample(frac=1, random_state=1)
        again = LatentODEForecaster(**SMALL).fit(shuffled)
        pd.testing.assert_frame_equal(again.predict(asked), fitted.predict(asked), rtol=0, atol=0)
        context = fitted.predict(asked, context=shuffled)
        pd.testing.assert_frame_equal(context, fitted.predict(asked), rtol=0, atol=0)

    def test_which_other_series_are_asked(self, fitted, waves):
        many = pd.concat([waves.assign(id=waves.id + 24 * i) for i in range(13)])
        times = pd.DataFrame({"id": range(312), "time": 6.5})
        together = fitted.predict(times, context=many)
        for i in (0, 100, 311):
            alone = fitted.predict(times.iloc[[i]], context=many[many.id == i])
            np.testing.assert_allclose(
                alone[["a", "b"]], together.loc[[i], ["a", "b"]], rtol=0, atol=1e-9
            )

    def test_which_other_times_are_asked(self, fitted, asked):
        together = fitted.predict(asked)
        alone = pd.concat([fitted.predict(asked.iloc[[i]]) for i in range(len(asked))])
        pd.testing.assert_frame_equal(alone, together, rtol=0, atol=1e-9)

    def test_where_time_begins(self, waves, asked, fitted):
        later = LatentODEForecaster(**SMALL).fit(waves.assign(time=waves.time + 1000))
        out = later.predict(asked.assign(time=asked.time + 1000))
        np.testing.assert_allclose(
            out[["a", "b"]], fitted.predict(asked)[["a", "b"]], rtol=0, atol=1e-4
        )

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    def test_the_unit_of_datetimes(self, waves, asked, fitted, unit):
        def dated(frame):
            start = (
                np.datetime64("2999-01-01", "us") if unit != "ns" else np.datetime64("2024-01-01")
            )
            seconds = (frame.time * 1e6).round().astype("int64")
            stamps = start + seconds.to_numpy().astype("timedelta64[s]")
            return frame.assign(time=stamps.astype(f"datetime64[{unit}]"))

        model = LatentODEForecaster(**SMALL).fit(dated(waves))
        out = model.predict(dated(asked))
        assert out.time.dtype == f"datetime64[{unit}]"
        np.testing.assert_allclose(
            out[["a", "b"]], fitted.predict(asked)[["a", "b"]], rtol=0, atol=1e-3
        )

    def test_the_scale_of_values(self, waves, asked, fitted):
        model = LatentODEForecaster(**SMALL).fit(waves.assign(a=1e6 * waves.a + 1e9))
        out = (model.predict(asked).a - 1e9) / 1e6
        np.testing.assert_allclose(out, fitted.predict(asked).a, rtol=0, atol=1e-3)

    def test_how_many_times_are_asked_of_others(self, fitted):
        asked = pd.DataFrame({"id": [5] * 3000 + [7, 8], "time": [*np.linspace(7, 9, 3000), 7, 8]})
        asked = asked.sample(frac=1, random_state=0)
        together = fitted.predict(asked)
        for key in (5, 7, 8):
            alone = fitted.predict(asked[asked.id == key])
            pd.testing.assert_frame_equal(alone, together[together.id == key], rtol=0, atol=1e-9)

    def test_that_rows_without_a_value_are_there(self, fitted, waves, asked):
        empty = pd.DataFrame({"id": [3, 3], "time": [6.9, 7.5]})
        out = fitted.predict(asked, context=pd.concat([waves, empty]))
        pd.testing.assert_frame_equal(out, fitted.predict(asked), rtol=0, atol=0)


class TestContext:
    def test_the_rows_of_fit_as_context_change_nothing(self, fitted, waves, asked):
        pd.testing.assert_frame_equal(fitted.predict(asked, context=waves), fitted.predict(asked))

    def test_a_new_series_is_forecast_as_an_old_one_with_the_same_rows(self, fitted, waves):
        new = waves[waves.id == 5].assign(id=999)
        old = fitted.predict(pd.DataFrame({"id": [5], "time": [8.0]}))
        out = fitted.predict(8.0, context=new)
        np.testing.assert_allclose(out[["a", "b"]], old[["a", "b"]], rtol=0, atol=1e-5)
        assert out.id.tolist() == [999]

    def test_an_unknown_series_is_named(self, fitted):
        with pytest.raises(FrameError, match="999") as error:
            fitted.predict(pd.DataFrame({"id": [3, 999], "time": [1.0, 1.0]}))
        assert error.value.code == "E-ID-UNSEEN"
        assert "Fix:" in str(error.value)

    def test_a_series_with_one_observation_or_none(self, fitted):
        few = pd.DataFrame({"id": [1, 2], "time": [0.0, 0.0], "a": [0.5, None], "b": [None, None]})
        few = few.astype({"a": float, "b": float})
        with pytest.warns(LatentODEWarning, match="nothing was observed of 1 of the 2 series"):
            out = fitted.predict([1.0, 2.0], context=few)
        assert np.isfinite(out[["a", "b"]]).all(axis=None)


class TestOddFrames:
    def test_a_constant_target_is_forecast_as_that_constant(self, waves):
        model = LatentODEForecaster(**SMALL).fit(waves.assign(b=7.25))
        assert (model.predict(9.0).b == 7.25).all()
        assert (model.predict_quantiles(9.0, [0.1, 0.9]).filter(like="b_") == 7.25).all(axis=None)

    def test_one_row_per_series(self):
        df = pd.DataFrame({"id": range(9), "time": np.arange(9.0), "y": np.arange(9.0) ** 2})
        assert np.isfinite(LatentODEForecaster(**SMALL).fit(df).predict(20.0).y).all()

    def test_one_series_without_an_id(self, waves):
        df = waves[waves.id == 3].drop(columns="id")
        out = LatentODEForecaster(**SMALL).fit(df).predict([7.0, 8.0])
        assert list(out.columns) == ["time", "a", "b"]
        assert len(out) == 2

    def test_a_series_that_was_never_observed(self, waves):
        ghost = pd.DataFrame({"id": [77, 77], "time": [0.0, 1.0]})
        model = LatentODEForecaster(**SMALL).fit(pd.concat([waves, ghost]))
        with pytest.warns(LatentODEWarning, match="first of series 77"):
            out = model.predict(pd.DataFrame({"id": [77], "time": [3.0]}))
        assert np.isfinite(out.a).all()

    def test_seconds_since_1970(self, waves):
        df = waves.assign(time=1.7e9 + 5 * waves.time)
        model = LatentODEForecaster(**SMALL).fit(df)
        out = model.predict(1.7e9 + np.array([31.0, 32.0, 33.0]))
        assert out.groupby("id").a.nunique().min() == 3

    @pytest.mark.filterwarnings("ignore::latentode.data.errors.LatentODEWarning")
    def test_a_series_far_longer_than_the_others_does_not_spoil_them(self, waves):
        long = pd.DataFrame({"id": 99, "time": [0.0, 300.0, 600.0], "a": [0, 0.5, 1], "b": 0.0})
        model = LatentODEForecaster(**SMALL).fit(pd.concat([waves, long]))
        assert model.history_.train_loss.max() < 5
        out = model.predict(pd.DataFrame({"id": [99, 3], "time": [550.0, 7.0]}))
        assert out[["a", "b"]].abs().max(axis=None) < 5

    def test_nanoseconds_further_apart_than_integers_reach(self):
        times = pd.to_datetime(["1700-01-01", "1700-06-01", "1701-01-01", "1702-01-01"])
        df = pd.DataFrame({"time": times.astype("datetime64[ns]"), "y": [1.0, 2.0, 3.0, 4.0]})
        with pytest.warns(LatentODEWarning, match="times asked"):
            out = LatentODEForecaster(**SMALL).fit(df).predict("2200-01-01")
        assert 0 < out.y.item() < 6

    def test_values_near_the_largest_floats(self, waves):
        df = waves.assign(a=waves.a * 1e300)
        out = LatentODEForecaster(**SMALL).fit(df).predict(7.0)
        assert np.isfinite(out.a).all()
        assert out.a.abs().max() > 1e298

    def test_more_rows_than_are_read(self, waves):
        model = LatentODEForecaster(**SMALL, max_rows=3).fit(waves)
        recent = waves.sort_values("time").groupby("id").tail(3)
        np.testing.assert_allclose(
            model.predict(8.0)[["a", "b"]],
            model.predict(8.0, context=recent)[["a", "b"]],
            rtol=0, atol=1e-5,
        )  # fmt: skip


class TestSettings:
    @pytest.mark.parametrize(
        "settings",
        [
            {"objective": "elbo"},
            {"adjoint": "backsolve"},
            {"method": "dopri5", "rtol": 1e-2},
            {"refit": False},
            {"val_fraction": 0.0},
            {"kl_weight": 0.0, "dropout": 0.0},
        ],
    )
    def test_they_all_train(self, settings, waves, asked):
        model = LatentODEForecaster(**SMALL | {"max_epochs": 2} | settings).fit(waves)
        assert np.isfinite(model.predict(asked)[["a", "b"]]).all(axis=None)
        assert np.isfinite(model.history_.train_loss).all()

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"latent_size": 0}, "latent_size=0 must be a whole number of at least 1"),
            ({"dropout": 1.0}, r"dropout=1\.0 must be"),
            ({"learning_rate": -1.0}, r"learning_rate=-1\.0 must be a positive number"),
            ({"method": "rk45"}, "method=rk45 is not one that chooses its own steps"),
            ({"method": "rk4"}, "method=rk4 is not one .*: choose one of euler"),
            ({"batch_size": 1.5}, r"batch_size=1\.5 must be a whole number"),
            ({"weight_decay": -1.0}, r"weight_decay=-1\.0 must be a number of at least 0"),
            ({"refit": "no"}, "refit=no must be True or False"),
            ({"adjoint": "no"}, "adjoint=no is not known"),
            ({"adjoint": "none"}, "adjoint=none gives no gradient to train with"),
            ({"objective": "no"}, "objective=no is not known"),
            ({"val_fraction": 1.5}, r"val_fraction=1\.5 must be"),
        ],
    )
    def test_bad_ones_are_refused_by_fit(self, settings, message, waves):
        with pytest.raises((ValueError, TypeError), match=message):
            LatentODEForecaster(**SMALL | settings).fit(waves)

    def test_the_history_names_every_epoch(self, fitted):
        assert fitted.history_.stage.unique().tolist() == ["fit", "refit"]
        assert fitted.history_.val_loss[fitted.history_.stage == "fit"].notna().all()


class TestManners:
    def test_the_frame_is_not_changed(self, waves, asked):
        copies = waves.copy(deep=True), asked.copy(deep=True)
        LatentODEForecaster(**SMALL | {"max_epochs": 1}).fit(waves).predict(asked)
        pd.testing.assert_frame_equal(waves, copies[0])
        pd.testing.assert_frame_equal(asked, copies[1])

    def test_the_same_seed_gives_the_same_model(self, waves, asked, fitted):
        again = LatentODEForecaster(**SMALL).fit(waves)
        pd.testing.assert_frame_equal(again.predict(asked), fitted.predict(asked), rtol=0, atol=0)
        other = LatentODEForecaster(**SMALL | {"random_state": 1}).fit(waves)
        assert (other.predict(asked).a != fitted.predict(asked).a).all()

    def test_nothing_global_is_touched(self, waves, asked, tmp_path, monkeypatch, capfd):
        monkeypatch.chdir(tmp_path)
        before = global_state()
        LatentODEForecaster(**SMALL | {"max_epochs": 1}).fit(waves).predict_quantiles(asked)
        assert global_state() == before
        assert list(tmp_path.iterdir()) == []
        assert capfd.readouterr() == ("", "")

    def test_the_grad_mode_of_the_caller_stays(self, waves, asked, fitted):
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                model = LatentODEForecaster(**SMALL).fit(waves)
                assert not torch.is_grad_enabled()
            pd.testing.assert_frame_equal(model.predict(asked), fitted.predict(asked))

    def test_the_default_dtype_of_torch_does_not_matter(self, waves, asked):
        torch.set_default_dtype(torch.float64)
        try:
            model = LatentODEForecaster(**SMALL).fit(waves)
            assert np.isfinite(model.predict_quantiles(asked)).all(axis=None)
        finally:
            torch.set_default_dtype(torch.float32)

    def test_threads_with_the_same_seed_get_the_same_model(self, waves, asked, fitted):
        with ThreadPoolExecutor(3) as pool:
            models = pool.map(lambda _: LatentODEForecaster(**SMALL).fit(waves), range(3))
        for model in models:
            pd.testing.assert_frame_equal(model.predict(asked), fitted.predict(asked))

    def test_without_a_seed_numpys_random_state_stays(self, waves):
        before = np.random.get_state()[1].tolist()  # noqa: NPY002
        LatentODEForecaster(**SMALL | {"random_state": None, "max_epochs": 1}).fit(waves)
        assert np.random.get_state()[1].tolist() == before  # noqa: NPY002

    @pytest.mark.parametrize(
        ("name", "ends"),
        [
            ("SIGINT", {"interrupted"}),
            pytest.param("SIGTERM", {"143", "-15"}, marks=pytest.mark.slow),
        ],
    )
    def test_a_signal_ends_fit_as_it_ends_programs(self, name, ends, waves, tmp_path):
        waves.to_pickle(tmp_path / "waves")
        script = SIGNAL_SCRIPT.format(name=name)
        run = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, timeout=120,
            text=True, check=False,
        )  # fmt: skip
        assert ends & {run.stdout.strip(), str(run.returncode)}, run.stderr

    def test_warnings_of_fit_are_none(self, waves):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            LatentODEForecaster(**SMALL | {"max_epochs": 1}).fit(waves)

    def test_a_pickle_forecasts_the_same_in_a_new_process(self, fitted, asked, tmp_path):
        (tmp_path / "model").write_bytes(pickle.dumps((fitted, asked)))
        code = (
            "import pickle; model, asked = pickle.load(open('model', 'rb')); "
            "model.predict(asked).to_pickle('out')"
        )
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)
        pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / "out"), fitted.predict(asked))


SIGNAL_SCRIPT = """
import os, signal, threading
import pandas as pd
from latentode import LatentODEForecaster

# A process started in the background may inherit that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
waves = pd.read_pickle("waves")
LatentODEForecaster(max_epochs=1, verbose=0).fit(waves)
threading.Timer(3, os.kill, (os.getpid(), signal.{name})).start()
try:
    LatentODEForecaster(max_epochs=100_000, patience=100_000, verbose=0).fit(waves)
except KeyboardInterrupt:
    print("interrupted")
"""


def global_state():
    return (
        torch.random.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002  the state that is not to be touched
        random.getstate(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        warnings.filters[:],
        [logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric", "")],
    )


class TestScikitLearn:
    def test_clone_copies_the_parameters_alone(self, fitted):
        copy = clone(fitted)
        assert copy.get_params() == fitted.get_params()
        with pytest.raises(NotFittedError):
            copy.predict(1.0)

    def test_set_params_reaches_fit(self, waves):
        model = LatentODEForecaster(**SMALL).set_params(latent_size=2, max_epochs=1).fit(waves)
        assert model.module_.decoder.latent_size == 2

    def test_the_names_of_the_columns_are_known(self, fitted):
        assert fitted.feature_names_in_.tolist() == ["id", "time", "a", "b"]
        assert fitted.n_features_in_ == 4

    @pytest.mark.parametrize(
        "check",
        [
            "check_estimator_cloneable",
            "check_estimator_tags_renamed",
            "check_valid_tag_types",
            "check_estimator_repr",
            "check_no_attributes_set_in_init",
            "check_do_not_raise_errors_in_init_or_set_params",
            "check_mixin_order",
            "check_parameters_default_constructible",
            "check_get_params_invariance",
            "check_set_params",
        ],
    )
    def test_its_own_checks_pass(self, check):
        getattr(estimator_checks, check)("LatentODEForecaster", LatentODEForecaster())


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda df: df.assign(a=df.a.astype(str)), "E-TARGET-DTYPE"),
        (lambda df: df.assign(time=df.time.where(df.index != 7)), "E-TIME"),
        (lambda df: df.assign(a=df.a.where(df.index != 7, np.inf)), "E-VALUE-INF"),
        (lambda df: pd.concat([df, df.iloc[[7]]]), "E-TIME-DUP"),
        (lambda df: df.iloc[:0], "E-EMPTY"),
        (lambda df: df.drop(columns="time"), "E-TIME-COL"),
        (lambda df: df.drop(columns="a"), "E-TARGET-COL"),
        (lambda df: df.assign(time=3.0).groupby("id", as_index=False).first(), "E-TIME-FLAT"),
    ],
)
def test_bad_frames_are_refused_before_training(spoil, code, waves):
    spoiled = spoil(waves)
    copy = spoiled.copy(deep=True)
    with pytest.raises(FrameError, match="Fix:") as error:
        LatentODEForecaster(target_cols=["a", "b"], **SMALL).fit(spoiled)
    assert error.value.code.startswith(code)
    pd.testing.assert_frame_equal(spoiled, copy)


@pytest.mark.parametrize(("n_batches", "n_epochs"), [(1, 100), (15, 67), (50, 20), (5000, 10)])
def test_epochs_are_as_many_as_make_about_a_thousand_steps(n_batches, n_epochs):
    assert _n_epochs(n_batches) == n_epochs


def test_no_forecast_grows_faster_than_time(waves):
    model = LatentODEForecaster(**SMALL).fit(waves)
    with torch.no_grad():
        for p in model.module_.vector_field.parameters():
            p.mul_(30)
    with pytest.warns(LatentODEWarning, match="little more than the mean"):
        forecast = model.predict(1e6)
    assert np.isfinite(forecast[["a", "b"]]).all(axis=None)
