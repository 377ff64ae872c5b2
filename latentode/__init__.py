"""Forecasting of irregular time series with latent ordinary differential equations."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latentode.data import FrameError as FrameError
    from latentode.data import LatentODEWarning as LatentODEWarning
    from latentode.datasets import load_icu as load_icu
    from latentode.datasets import load_pbcseq as load_pbcseq
    from latentode.forecaster import LatentODEForecaster as LatentODEForecaster
    from latentode.forecaster import ModelFileError as ModelFileError
    from latentode.models import LatentODE as LatentODE
    from latentode.models import SeriesDataModule as SeriesDataModule
    from latentode.solvers import Event as Event
    from latentode.solvers import SolverError as SolverError
    from latentode.solvers import odeint as odeint
    from latentode.versions import show_versions as show_versions

__version__ = "0.1.0"

# Importing Lightning takes three times as long as importing torch, and the solvers do not
# need it, so each public name is loaded when it is first asked for (PEP 562).
_HOMES = {
    "Event": "latentode.solvers",
    "FrameError": "latentode.data",
    "LatentODE": "latentode.models",
    "LatentODEForecaster": "latentode.forecaster",
    "LatentODEWarning": "latentode.data",
    "ModelFileError": "latentode.forecaster",
    "SeriesDataModule": "latentode.models",
    "SolverError": "latentode.solvers",
    "load_icu": "latentode.datasets",
    "load_pbcseq": "latentode.datasets",
    "odeint": "latentode.solvers",
    "show_versions": "latentode.versions",
}
__all__ = [
    "Event",
    "FrameError",
    "LatentODE",
    "LatentODEForecaster",
    "LatentODEWarning",
    "ModelFileError",
    "SeriesDataModule",
    "SolverError",
    "load_icu",
    "load_pbcseq",
    "odeint",
    "show_versions",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'latentode' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
