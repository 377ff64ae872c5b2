"""The scikit-learn face: ``fit(df)`` and ``predict(times)``."""

from latentode.forecaster.base import Forecaster
from latentode.forecaster.density import FlowDensity
from latentode.forecaster.events import EventForecaster
from latentode.forecaster.latent_ode import LatentODEForecaster
from latentode.forecaster.model_file import ModelFileError
from latentode.forecaster.naive import (
    DecayedMean,
    LastValue,
    LinearInterpolation,
    SeriesMean,
    TrainingMean,
)
from latentode.forecaster.resume import ResumeError
from latentode.forecaster.splits import TimeCutoffSplit
from latentode.forecaster.trained import TrainedForecaster

__all__ = [
    "DecayedMean",
    "EventForecaster",
    "FlowDensity",
    "Forecaster",
    "LastValue",
    "LatentODEForecaster",
    "LinearInterpolation",
    "ModelFileError",
    "ResumeError",
    "SeriesMean",
    "TimeCutoffSplit",
    "TrainedForecaster",
    "TrainingMean",
]
