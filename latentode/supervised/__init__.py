"""ODE-Nets with scikit-learn's interface to arrays: ``fit(X, y)`` and ``predict(X)``."""

from latentode.supervised.ode_net import ODENetClassifier, ODENetRegressor

__all__ = ["ODENetClassifier", "ODENetRegressor"]
