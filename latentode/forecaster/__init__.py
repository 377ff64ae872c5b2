"""The scikit-learn face: ``fit(df)`` and ``predict(times)``."""

from latentode.forecaster.base import Forecaster
from latentode.forecaster.latent_ode import LatentODEForecaster

__all__ = ["Forecaster", "LatentODEForecaster"]
