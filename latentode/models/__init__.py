"""Models as Lightning modules, and the data modules that feed them."""

from latentode.models.datamodule import SeriesDataModule
from latentode.models.latent_ode import LatentODE
from latentode.models.objectives import ELBO, IWAE, Direct
from latentode.models.penalties import (
    Continuity,
    JacobianNorm,
    KineticEnergy,
    ShiftConsistency,
)
from latentode.models.prediction import forecast_moments
from latentode.models.rnn import RNN
from latentode.models.training import own_torch_state, train

__all__ = [
    "ELBO",
    "IWAE",
    "RNN",
    "Continuity",
    "Direct",
    "JacobianNorm",
    "KineticEnergy",
    "LatentODE",
    "SeriesDataModule",
    "ShiftConsistency",
    "forecast_moments",
    "own_torch_state",
    "train",
]
