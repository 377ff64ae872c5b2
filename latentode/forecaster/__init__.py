"""The scikit-learn face: ``fit(df)`` and ``predict(times)``."""

from latentode.forecaster.base import Forecaster
from latentode.forecaster.latent_ode import LatentODEForecaster
from latentode.forecaster.model_file import ModelFileError
from latentode.forecaster.trained import TrainedForecaster

__all__ = ["Forecaster", "LatentODEForecaster", "ModelFileError", "TrainedForecaster"]
