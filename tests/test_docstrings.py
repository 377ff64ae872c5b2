"""What is public is documented: parameters, returns, types, in numpydoc's form."""

import importlib
import inspect
import tomllib
from pathlib import Path

import pytest
from numpydoc.validate import validate

from latentode import (
    EventForecaster,
    LatentODEForecaster,
    SeriesClassifier,
    SeriesRegressor,
)

SETTINGS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
CHECKS = set(SETTINGS["tool"]["numpydoc_validation"]["checks"])
PACKAGES = [
    "latentode",
    "latentode.solvers",
    "latentode.nn",
    "latentode.datasets",
    "latentode.plotting",
    "latentode.adapters",
]
METHODS = [
    LatentODEForecaster.fit,
    LatentODEForecaster.predict,
    LatentODEForecaster.predict_quantiles,
    LatentODEForecaster.predict_parquet,
    LatentODEForecaster.score,
    LatentODEForecaster.evaluate,
    LatentODEForecaster.backtest,
    LatentODEForecaster.historical_forecasts,
    LatentODEForecaster.update,
    LatentODEForecaster.set_context,
    LatentODEForecaster.knows,
    LatentODEForecaster.partial_fit,
    LatentODEForecaster.save,
    LatentODEForecaster.load,
    LatentODEForecaster.summary,
    EventForecaster.fit,
    EventForecaster.predict_intensity,
    EventForecaster.predict_counts,
    EventForecaster.predict_survival,
    EventForecaster.predict_next,
    EventForecaster.sample,
    EventForecaster.score,
    EventForecaster.evaluate,
    EventForecaster.save,
    EventForecaster.load,
    SeriesClassifier.fit,
    SeriesClassifier.predict,
    SeriesClassifier.predict_proba,
    SeriesClassifier.score,
    SeriesClassifier.evaluate,
    SeriesClassifier.save,
    SeriesClassifier.load,
    SeriesRegressor.predict,
    SeriesRegressor.score,
    SeriesRegressor.evaluate,
]


def public_objects():
    """Give what is public by its name, without what is data."""
    modules = [importlib.import_module(package) for package in PACKAGES]
    things = [getattr(module, name) for module in modules for name in module.__all__] + METHODS
    return {
        f"{thing.__module__}.{thing.__qualname__}": thing
        for thing in things
        if inspect.isclass(thing) or inspect.isfunction(thing)
    }


@pytest.mark.parametrize(("name", "thing"), public_objects().items(), ids=public_objects())
def test_a_public_name_is_documented(name, thing):
    # The fields of a named tuple are documented as its attributes.
    asked = CHECKS - {"PR01"} if hasattr(thing, "_fields") else CHECKS
    assert [error for error in validate(name)["errors"] if error[0] in asked] == []
