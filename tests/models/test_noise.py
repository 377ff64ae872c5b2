"""Known errors of measurements are not taken for what a series does."""

import numpy as np
import pandas as pd
import pytest
import torch

from latentode import LatentODE, LatentODEForecaster, SeriesDataModule
from latentode.models import ELBO, IWAE, Direct, own_torch_state
from latentode.nn import Decoder, Encoder
from latentode.solvers import MLP

SMALL = {"max_epochs": 12, "latent_size": 4, "hidden_size": 16, "verbose": 0, "random_state": 0}


@pytest.fixture(scope="module")
def stars():
    rng = np.random.default_rng(0)
    rows = []
    for s in range(60):
        t = np.sort(rng.uniform(0, 6, 14))
        err = np.where(rng.uniform(size=14) < 0.5, 0.05, 1.5)
        rows.append(
            pd.DataFrame({"id": s, "t": t, "y": np.sin(t + s) + err * rng.normal(size=14)})
        )
        rows[-1]["err"] = err
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize(
    "objective", [Direct(), ELBO(0.1), IWAE(2)], ids=["direct", "elbo", "iwae"]
)
def test_the_likelihood_of_a_value_is_that_with_its_error(stars, objective):
    data = SeriesDataModule(stars, noise_cols={"y": "err"}, val_fraction=0)
    batch = next(iter(data.train_dataloader()))
    with own_torch_state(0):
        model = LatentODE(Encoder(1, 4, 8), MLP([4, 8, 4]), Decoder(4, 1)).eval()
    means = []
    for noise in (batch.noise, torch.zeros_like(batch.noise), 1e3 * torch.ones_like(batch.noise)):
        with own_torch_state(0):
            losses, _ = objective(model, batch._replace(noise=noise), progress=1.0)
        means.append(losses.fit.item())
    with own_torch_state(0):
        without, _ = objective(model, batch._replace(noise=None), progress=1.0)
    assert means[1] == pytest.approx(without.fit.item(), rel=1e-5)
    # With an error far beyond all values, nothing is left but its own density.
    assert means[2] == pytest.approx(np.log(1e3 * np.sqrt(2 * np.pi)), rel=0.01)
    assert means[0] != pytest.approx(means[1], rel=1e-3)


def test_a_model_that_is_told_of_errors_is_surer_of_what_lies_behind_them(stars):
    told = LatentODEForecaster(**SMALL, noise_cols={"y": "err"}).fit(stars)
    blind = LatentODEForecaster(**SMALL).fit(stars.drop(columns="err"))
    stds = [model.predict(horizon=0.5, return_std=True).y_std.mean() for model in (told, blind)]
    assert stds[0] < 0.8 * stds[1]


def test_errors_that_are_not_known_change_nothing(stars):
    settings = SMALL | {"max_epochs": 2}
    unknown = LatentODEForecaster(**settings, noise_cols={"y": "err"}).fit(
        stars.assign(err=np.nan)
    )
    without = LatentODEForecaster(**settings).fit(stars.drop(columns="err"))
    pd.testing.assert_frame_equal(unknown.predict(7.0), without.predict(7.0), atol=1e-4)


def test_a_model_with_errors_is_saved_with_them(stars, tmp_path):
    model = LatentODEForecaster(**SMALL | {"max_epochs": 1}, noise_cols={"y": "err"}).fit(stars)
    model.save(tmp_path / "m.lode")
    again = LatentODEForecaster.load(tmp_path / "m.lode")
    np.testing.assert_array_equal(again.context_.noise, model.context_.noise)
    pd.testing.assert_frame_equal(again.predict(7.0), model.predict(7.0))


def test_quantiles_take_no_known_errors(stars):
    model = LatentODEForecaster(**SMALL, noise_cols={"y": "err"}, likelihood="quantiles")
    with pytest.raises(ValueError, match="noise_cols goes with likelihood=gaussian"):
        model.fit(stars)
