"""Models as Lightning modules, and the data modules that feed them."""

from latentode.models.datamodule import SeriesDataModule
from latentode.models.latent_ode import LatentODE
from latentode.models.prediction import forecast_moments
from latentode.models.training import own_torch_state, train

__all__ = ["LatentODE", "SeriesDataModule", "forecast_moments", "own_torch_state", "train"]
