"""Trained further: from where it was, with the scales of the first fit, and again the same."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from latentode import FrameError, LatentODEForecaster
from latentode.data import Scaler


def assert_equal(one, other):
    pd.testing.assert_frame_equal(one, other, rtol=0, atol=0)


@pytest.fixture
def model(fitted_early):
    return copy.deepcopy(fitted_early)


class TestPartialFit:
    def test_the_first_call_is_a_fit(self, small, early, fitted_early):
        model = LatentODEForecaster(**small).partial_fit(early)
        assert_equal(model.predict(7.0), fitted_early.predict(7.0))
        assert_equal(model.history_, fitted_early.history_)

    def test_the_epochs_of_the_first_call_are_those_of_fit(self, small, early):
        model = LatentODEForecaster(**small).partial_fit(early, epochs=1)
        assert model.history_.stage.tolist() == ["fit", "refit"]
        assert model.max_epochs == small["max_epochs"]

    def test_later_rows_are_added_and_trained_on(self, model, fitted_early, late, ripples):
        assert model.partial_fit(late, epochs=3) is model
        assert len(model.context_.times) == len(ripples)
        assert model.history_.stage.tolist()[-3:] == ["further"] * 3
        told = fitted_early.predict(7.0, context=ripples)[["a", "b"]]
        assert (model.predict(7.0)[["a", "b"]] != told).all(axis=None)

    def test_scales_are_those_of_the_first_fit(self, model, fitted_early, late):
        model.partial_fit(late.assign(a=late.a * 100), epochs=1)
        assert model.scaler_ is fitted_early.scaler_ or _same(model.scaler_, fitted_early.scaler_)

    def test_it_starts_from_the_weights_that_are_there(self, model, fitted_early, late):
        """With a learning rate of almost nothing, they stay."""
        model.set_params(learning_rate=1e-12, weight_decay=0.0).partial_fit(late, epochs=1)
        old = fitted_early.module_.state_dict()
        for name, weight in model.module_.state_dict().items():
            torch.testing.assert_close(weight, old[name], rtol=0, atol=1e-8)

    def test_it_is_the_same_again(self, fitted_early, late):
        one, other = (copy.deepcopy(fitted_early).partial_fit(late, epochs=2) for _ in range(2))
        assert_equal(one.predict(7.0), other.predict(7.0))

    def test_every_call_draws_anew(self, model, late):
        for day in (0, 10):
            model.partial_fit(late.assign(time=late.time + day), epochs=1)
        further = model.history_[model.history_.stage == "further"]
        assert further.train_loss.nunique() == 2

    def test_the_model_that_was_handed_out_is_not_changed(self, model, late):
        before = copy.deepcopy(model.module_.state_dict())
        module = model.module_
        model.partial_fit(late, epochs=1)
        assert all(torch.equal(w, before[k]) for k, w in module.state_dict().items())

    def test_a_known_row_is_refused_before_anything_changes(self, model, ripples, fitted_early):
        with pytest.raises(FrameError, match="at a time that the model has a row of") as error:
            model.partial_fit(ripples)
        assert error.value.code == "E-TIME-DUP"
        assert_equal(model.predict(7.0), fitted_early.predict(7.0))
        assert_equal(model.history_, fitted_early.history_)

    def test_training_that_fails_changes_nothing(self, model, late, fitted_early):
        model.set_params(learning_rate=1e30)
        with pytest.raises((FloatingPointError, ValueError)):
            model.partial_fit(late, epochs=20)
        assert_equal(model.predict(7.0), fitted_early.predict(7.0))

    def test_its_quantiles_are_no_longer_calibrated(self, model, late):
        model.calibrate(late).partial_fit(late, epochs=1)
        assert model.calibration_ is None

    @pytest.mark.parametrize("epochs", [0, -1, 1.5, True])
    def test_epochs_are_a_whole_number(self, model, late, epochs):
        with pytest.raises(ValueError, match=f"epochs={epochs} must be a whole number"):
            model.partial_fit(late, epochs=epochs)


def _same(one: Scaler, other: Scaler) -> bool:
    return bool(np.array_equal(one.mean, other.mean)) and one.time_unit == other.time_unit


class TestWarmStart:
    def test_fit_goes_on_from_the_weights_before(self, model, early, fitted_early):
        model.set_params(warm_start=True, learning_rate=1e-12, weight_decay=0.0).fit(early)
        old = fitted_early.module_.state_dict()
        for name, weight in model.module_.state_dict().items():
            torch.testing.assert_close(weight, old[name], rtol=0, atol=1e-8)

    def test_the_first_fit_is_as_without_it(self, small, early, fitted_early):
        model = LatentODEForecaster(**small, warm_start=True).fit(early)
        assert_equal(model.predict(7.0), fitted_early.predict(7.0))

    def test_without_it_fit_begins_anew(self, model, early, fitted_early):
        assert_equal(model.fit(early).predict(7.0), fitted_early.predict(7.0))

    def test_other_columns_are_refused(self, model, early):
        model.set_params(warm_start=True)
        with pytest.raises(
            ValueError, match=r"of the columns .*'a', 'b'\]; these are .*'c'\]"
        ) as e:
            model.fit(early.rename(columns={"b": "c"}))
        exec(str(e.value).split("Fix: ")[1], {"model": model})
        model.fit(early.rename(columns={"b": "c"}))

    def test_other_sizes_are_refused(self, model, early):
        model.set_params(warm_start=True, hidden_size=9)
        with pytest.raises(ValueError, match=r"of other sizes: encoder\.\S+ is of shape \(\d+"):
            model.fit(early)


class TestLogger:
    def test_losses_of_every_epoch_are_logged(self, small, early, tmp_path):
        logger = CSVLogger(tmp_path, name="logs")
        model = LatentODEForecaster(**small, logger=logger).fit(early)
        logged = pd.read_csv(next(tmp_path.rglob("metrics.csv")))
        assert logged.val_loss.dropna().tolist() == pytest.approx(
            model.history_.val_loss.dropna().tolist(), rel=1e-6
        )

    def test_by_default_nothing_is_written(self, small, early, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        LatentODEForecaster(**small).fit(early)
        assert list(tmp_path.iterdir()) == []

    def test_another_object_is_refused(self, small, early):
        with pytest.raises(
            TypeError, match=r"logger must be one of Lightning's, or None, not str"
        ):
            LatentODEForecaster(**small, logger="logs").fit(early)


def test_parameters_are_counted(model):
    assert model.n_parameters_ == sum(w.numel() for w in model.module_.parameters())
    assert not hasattr(LatentODEForecaster(), "n_parameters_")
