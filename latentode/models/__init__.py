"""Models as Lightning modules, and the data modules that feed them."""

from latentode.models.datamodule import SeriesDataModule, feature_weights
from latentode.models.density import Epoch, Plan, train_flow
from latentode.models.events import EventDataModule, EventModel
from latentode.models.in_time import Clock, Span
from latentode.models.latent_model import LatentModel
from latentode.models.latent_ode import LatentODE
from latentode.models.objectives import ELBO, IWAE, Direct, Objective
from latentode.models.ode_net import ODENet, Rows, RowsDataModule, Supervised
from latentode.models.penalties import (
    Continuity,
    JacobianNorm,
    KineticEnergy,
    Penalty,
    ShiftConsistency,
)
from latentode.models.prediction import Told, forecast, latent_path, sample, unscaled
from latentode.models.ranks import RankError, from_first, run_ranks
from latentode.models.regression import fit_corrections
from latentode.models.rnn import RNN
from latentode.models.series_net import (
    Labelled,
    SeriesNet,
    WholeSeriesDataModule,
    outputs_of,
    whole_series,
)
from latentode.models.training import own_torch_state, train

__all__ = [
    "ELBO",
    "IWAE",
    "RNN",
    "Clock",
    "Continuity",
    "Direct",
    "Epoch",
    "EventDataModule",
    "EventModel",
    "JacobianNorm",
    "KineticEnergy",
    "Labelled",
    "LatentModel",
    "LatentODE",
    "ODENet",
    "Objective",
    "Penalty",
    "Plan",
    "RankError",
    "Rows",
    "RowsDataModule",
    "SeriesDataModule",
    "SeriesNet",
    "ShiftConsistency",
    "Span",
    "Supervised",
    "Told",
    "WholeSeriesDataModule",
    "feature_weights",
    "fit_corrections",
    "forecast",
    "from_first",
    "latent_path",
    "outputs_of",
    "own_torch_state",
    "run_ranks",
    "sample",
    "train",
    "train_flow",
    "unscaled",
    "whole_series",
]
