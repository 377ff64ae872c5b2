"""Models as Lightning modules, and the data modules that feed them."""

from latentode.models.datamodule import SeriesDataModule
from latentode.models.latent_model import LatentModel
from latentode.models.latent_ode import LatentODE
from latentode.models.objectives import ELBO, IWAE, Direct, Objective
from latentode.models.penalties import (
    Continuity,
    JacobianNorm,
    KineticEnergy,
    Penalty,
    ShiftConsistency,
)
from latentode.models.prediction import forecast_moments
from latentode.models.regression import fit_corrections
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
    "LatentModel",
    "LatentODE",
    "Objective",
    "Penalty",
    "SeriesDataModule",
    "ShiftConsistency",
    "fit_corrections",
    "forecast_moments",
    "own_torch_state",
    "train",
]
