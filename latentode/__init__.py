"""Forecasting of irregular time series with latent ordinary differential equations."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latentode.data import FrameError as FrameError
    from latentode.data import LatentODEWarning as LatentODEWarning
    from latentode.data import ParquetFiles as ParquetFiles
    from latentode.data import from_arrays as from_arrays
    from latentode.data import from_events as from_events
    from latentode.data import write_parquet as write_parquet
    from latentode.datasets import load_epica as load_epica
    from latentode.datasets import load_hare_lynx as load_hare_lynx
    from latentode.datasets import load_icu as load_icu
    from latentode.datasets import load_macho as load_macho
    from latentode.datasets import load_mauna_loa_co2 as load_mauna_loa_co2
    from latentode.datasets import load_pbcseq as load_pbcseq
    from latentode.datasets import load_remifentanil as load_remifentanil
    from latentode.forecaster import DecayedMean as DecayedMean
    from latentode.forecaster import EventForecaster as EventForecaster
    from latentode.forecaster import FlowDensity as FlowDensity
    from latentode.forecaster import LastValue as LastValue
    from latentode.forecaster import LatentODEForecaster as LatentODEForecaster
    from latentode.forecaster import LinearInterpolation as LinearInterpolation
    from latentode.forecaster import ModelFileError as ModelFileError
    from latentode.forecaster import ResumeError as ResumeError
    from latentode.forecaster import SeriesMean as SeriesMean
    from latentode.forecaster import TimeCutoffSplit as TimeCutoffSplit
    from latentode.forecaster import TrainingMean as TrainingMean
    from latentode.models import LatentODE as LatentODE
    from latentode.models import SeriesDataModule as SeriesDataModule
    from latentode.solvers import Event as Event
    from latentode.solvers import SolverError as SolverError
    from latentode.solvers import odeint as odeint
    from latentode.supervised import ODENetClassifier as ODENetClassifier
    from latentode.supervised import ODENetRegressor as ODENetRegressor
    from latentode.supervised import SeriesClassifier as SeriesClassifier
    from latentode.supervised import SeriesRegressor as SeriesRegressor
    from latentode.versions import show_versions as show_versions

__version__ = "0.1.0"

# Importing Lightning takes three times as long as importing torch, and the solvers do not
# need it, so each public name is loaded when it is first asked for (PEP 562).
_HOMES = {
    "DecayedMean": "latentode.forecaster",
    "Event": "latentode.solvers",
    "EventForecaster": "latentode.forecaster",
    "FlowDensity": "latentode.forecaster",
    "FrameError": "latentode.data",
    "LastValue": "latentode.forecaster",
    "LatentODE": "latentode.models",
    "LatentODEForecaster": "latentode.forecaster",
    "LatentODEWarning": "latentode.data",
    "LinearInterpolation": "latentode.forecaster",
    "ModelFileError": "latentode.forecaster",
    "ODENetClassifier": "latentode.supervised",
    "ODENetRegressor": "latentode.supervised",
    "ParquetFiles": "latentode.data",
    "ResumeError": "latentode.forecaster",
    "SeriesClassifier": "latentode.supervised",
    "SeriesDataModule": "latentode.models",
    "SeriesMean": "latentode.forecaster",
    "SeriesRegressor": "latentode.supervised",
    "SolverError": "latentode.solvers",
    "from_arrays": "latentode.data",
    "from_events": "latentode.data",
    "TimeCutoffSplit": "latentode.forecaster",
    "TrainingMean": "latentode.forecaster",
    "load_icu": "latentode.datasets",
    "load_pbcseq": "latentode.datasets",
    "load_epica": "latentode.datasets",
    "load_hare_lynx": "latentode.datasets",
    "load_macho": "latentode.datasets",
    "load_mauna_loa_co2": "latentode.datasets",
    "load_remifentanil": "latentode.datasets",
    "odeint": "latentode.solvers",
    "show_versions": "latentode.versions",
    "write_parquet": "latentode.data",
}
# Parts of the package that are found without an import of their own: latentode.datasets.make_...
_PARTS = ("adapters", "data", "datasets", "metrics", "models", "nn", "plotting", "solvers")
__all__ = [
    "DecayedMean",
    "Event",
    "EventForecaster",
    "FlowDensity",
    "FrameError",
    "LastValue",
    "LatentODE",
    "LatentODEForecaster",
    "LatentODEWarning",
    "LinearInterpolation",
    "ModelFileError",
    "ODENetClassifier",
    "ODENetRegressor",
    "ParquetFiles",
    "ResumeError",
    "SeriesClassifier",
    "SeriesDataModule",
    "SeriesMean",
    "SeriesRegressor",
    "SolverError",
    "TimeCutoffSplit",
    "TrainingMean",
    "from_arrays",
    "from_events",
    "load_epica",
    "load_hare_lynx",
    "load_icu",
    "load_macho",
    "load_mauna_loa_co2",
    "load_pbcseq",
    "load_remifentanil",
    "odeint",
    "show_versions",
    "write_parquet",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _PARTS:
        return import_module(f"latentode.{name}")
    raise AttributeError(f"module 'latentode' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_PARTS, "__version__"]
