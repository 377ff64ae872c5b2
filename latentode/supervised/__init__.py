"""Supervised learning: ODE-Nets of arrays, and latent ODEs that tell of whole series."""

from latentode.supervised.ode_net import ODENetClassifier, ODENetRegressor
from latentode.supervised.series import SeriesClassifier, SeriesRegressor

__all__ = ["ODENetClassifier", "ODENetRegressor", "SeriesClassifier", "SeriesRegressor"]
