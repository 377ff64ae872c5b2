"""A vector field that was handed in is trained, and only a copy of it."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from torch import nn

from latentode import LatentODEForecaster, ModelFileError
from latentode.nn import DrivenField, MLPField, SecondOrderField

SMALL = {"max_epochs": 2, "latent_size": 4, "hidden_size": 8, "verbose": 0, "random_state": 0}


class Decay(nn.Module):
    """Every latent variable decays at a rate of its own."""

    def __init__(self):
        super().__init__()
        self.log_rate = nn.Parameter(torch.zeros(4))

    def forward(self, t, z):
        return -self.log_rate.exp() * z


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(0)
    return pd.DataFrame([
        {"id": s, "time": t, "y": np.exp(-t) + s, "rate": float(s % 2)}
        for s in range(12)
        for t in np.sort(rng.uniform(0, 4, 8))
    ])


def test_it_is_learned_and_can_be_read(waves):
    field = Decay()
    model = LatentODEForecaster(**SMALL, vector_field=field).fit(waves.drop(columns="rate"))
    learned = model.module_.vector_field
    assert isinstance(learned, Decay)
    assert (learned.log_rate != 0).all()
    assert (field.log_rate == 0).all()
    assert np.isfinite(model.predict(5.0).y).all()


def test_an_estimator_with_one_is_cloned(waves):
    model = LatentODEForecaster(**SMALL, vector_field=Decay())
    twin = clone(model)
    df = waves.drop(columns="rate")
    pd.testing.assert_frame_equal(model.fit(df).predict(5.0), twin.fit(df).predict(5.0))


def test_covariates_drive_it(waves):
    model = LatentODEForecaster(**SMALL, vector_field=Decay(), known_cols="rate").fit(waves)
    assert isinstance(model.module_.vector_field, DrivenField)
    assert isinstance(model.module_.vector_field.field, Decay)


def test_it_may_be_of_second_order(waves):
    field = SecondOrderField(Acceleration())
    model = LatentODEForecaster(**SMALL, vector_field=field).fit(waves.drop(columns="rate"))
    assert np.isfinite(model.predict(5.0).y).all()


class Acceleration(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 2)

    def forward(self, t, z):
        return torch.tanh(self.net(z))


def test_an_acceleration_of_another_width_is_refused():
    field = SecondOrderField(MLPField(4))
    with pytest.raises(ValueError, match="of width 4 must be of width 2, not 4"):
        field(torch.zeros(3), torch.zeros(3, 4))


def test_what_is_no_module_is_refused(waves):
    with pytest.raises(TypeError, match="must be a torch module"):
        LatentODEForecaster(**SMALL, vector_field="fast").fit(waves.drop(columns="rate"))


def test_a_model_with_one_is_saved_without_its_code(waves, tmp_path):
    df = waves.drop(columns="rate")
    model = LatentODEForecaster(**SMALL, vector_field=Decay()).fit(df)
    model.save(tmp_path / "m.lode")
    again = LatentODEForecaster.load(tmp_path / "m.lode", vector_field=Decay())
    pd.testing.assert_frame_equal(again.predict(5.0), model.predict(5.0), rtol=0, atol=0)
    torch.testing.assert_close(again.vector_field_.log_rate, model.vector_field_.log_rate)


def test_a_field_that_a_file_does_not_ask_for_is_refused(waves, tmp_path):
    model = LatentODEForecaster(**SMALL).fit(waves.drop(columns="rate"))
    model.save(tmp_path / "m.lode")
    with pytest.raises(ModelFileError, match="without a vector_field of your own, and this Decay"):
        LatentODEForecaster.load(tmp_path / "m.lode", vector_field=Decay())


def test_what_was_handed_in_is_found_within_what_tells_it_of_covariates(waves):
    model = LatentODEForecaster(**SMALL, vector_field=Decay(), known_cols="rate").fit(waves)
    assert isinstance(model.vector_field_, Decay)
