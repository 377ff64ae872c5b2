"""Supervised learning: ODE-Nets of arrays, and latent ODEs that tell of whole series."""

from latentode.supervised.ode_net import ODENetClassifier, ODENetRegressor
from latentode.supervised.series_classifier import SeriesClassifier
from latentode.supervised.series_regressor import SeriesRegressor

__all__ = ["ODENetClassifier", "ODENetRegressor", "SeriesClassifier", "SeriesRegressor"]
