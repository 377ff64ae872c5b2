"""What each command does; a function for each, by its name."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from latentode import datasets
from latentode.cli.config import Config, read_config
from latentode.cli.parser import nearest
from latentode.cli.tables import parse_time, read_table, write_table
from latentode.forecaster import LatentODEForecaster
from latentode.forecaster.summary import describe
from latentode.models import SeriesDataModule
from latentode.versions import show_versions

# Parameters of a model that say which columns there are.
_COLUMNS = (
    "id_col",
    "time_col",
    "target_cols",
    "past_cols",
    "known_cols",
    "static_cols",
    "known_interpolation",
    "noise_cols",
    "on_duplicates",
)


def run(asked: argparse.Namespace) -> None:
    """Run the command that is asked."""
    _COMMANDS[asked.command](asked)


def fit(asked: argparse.Namespace) -> None:
    """Learn from a table, and write a model."""
    config = read_config(asked.config, asked.set)
    model = LatentODEForecaster(**config.model)
    model.fit(_table(asked.data, config), resume=asked.resume)
    model.save(asked.out)
    _say(model.summary(), f"written to {asked.out}")


def validate(asked: argparse.Namespace) -> None:
    """Say what a table holds, or what is wrong with it."""
    config = read_config(asked.config, asked.set)
    columns = {name: config.model[name] for name in _COLUMNS if name in config.model}
    data = SeriesDataModule(_table(asked.data, config), **columns)
    _say(asked.data, describe(data.panel, data.scaler), "can be fitted")


def predict(asked: argparse.Namespace) -> None:
    """Forecast with a model."""
    model = LatentODEForecaster.load(asked.model)
    told: Callable[..., pd.DataFrame] = model.predict
    options = {"horizon": _span(asked.horizon, model), "step": _span(asked.step, model)}
    if asked.quantiles:
        told, options["quantiles"] = model.predict_quantiles, asked.quantiles
    if asked.context is not None:
        options["context"] = _table_like(asked.context, model)
    write_table(told(_at(asked, model), **options), asked.out)


def evaluate(asked: argparse.Namespace) -> None:
    """Measure a model on a table, beside naive rules."""
    model = LatentODEForecaster.load(asked.model)
    write_table(model.evaluate(_table_like(asked.data, model)).reset_index(), asked.out)


def backtest(asked: argparse.Namespace) -> None:
    """Fit and forecast from earlier times of a table, and measure."""
    config = read_config(asked.config, asked.set)
    model = LatentODEForecaster(**config.model)
    frame = _table(asked.data, config)
    table = model.backtest(
        frame, horizon=_number_or_text(asked.horizon), n_cutoffs=asked.n_cutoffs
    )
    write_table(table.reset_index(), asked.out)


def data_sets(asked: argparse.Namespace) -> None:
    """List the data sets, tell about one, or write it as a table."""
    names = [name.removeprefix("load_") for name in datasets.__all__ if name.startswith("load_")]
    if asked.what == "list":
        _say(*(f"{name:16s} {_doc(name).splitlines()[0]}" for name in names))
        return
    if asked.name not in names:
        raise ValueError(f"there is no data set {asked.name}{nearest(asked.name, names)}")
    if asked.what == "info":
        frame = _loader(asked.name)()
        _say(_doc(asked.name), f"{len(frame):,} rows: {', '.join(map(str, frame.columns))}")
        return
    write_table(_loader(asked.name)(), asked.out)


def doctor(_: argparse.Namespace) -> None:
    """Say what is installed, and try a fit, a forecast and a file."""
    show_versions()
    times = np.arange(20.0)
    frame = pd.DataFrame({"time": times, "y": np.sin(times)})
    model = LatentODEForecaster(max_epochs=1, random_state=0, verbose=0).fit(frame)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.lode")
        model.save(path)
        again = LatentODEForecaster.load(path)
    if not again.predict(25.0).equals(model.predict(25.0)):
        raise ValueError(
            "a model forecasts otherwise after it was saved and loaded: please report this, with "
            "the lines above."
        )
    _say("fit, predict, save and load work")


def _table(path: str, config: Config) -> pd.DataFrame:
    return read_table(
        path,
        ids=config.model.get("id_col"),
        time=config.model.get("time_col"),
        time_format=config.time_format,
    )


def _table_like(path: str, model: LatentODEForecaster) -> pd.DataFrame:
    """Read a table with the columns of a model."""
    schema = model.schema_
    return read_table(path, ids=list(schema.id_cols), time=schema.time_col)


def _at(asked: argparse.Namespace, model: LatentODEForecaster) -> object:
    """Give the rows or times that are asked, if any are."""
    if asked.at is not None:
        return _table_like(asked.at, model)
    if asked.times is None:
        return None
    if model.schema_.time_unit is None:
        return [float(time) for time in asked.times]
    return parse_time(pd.Series(asked.times, name="--times"), "the command line", None).to_list()


def _span(text: str | None, model: LatentODEForecaster) -> object:
    """Read a length of time: a number where times are numbers, else as pandas reads it."""
    if text is None:
        return None
    return float(text) if model.schema_.time_unit is None else text


def _number_or_text(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _loader(name: str) -> Callable[[], pd.DataFrame]:
    loader: Callable[[], pd.DataFrame] = getattr(datasets, f"load_{name}")
    return loader


def _doc(name: str) -> str:
    """Give what the loader says of the data, without its examples."""
    text = (_loader(name).__doc__ or "").partition("Examples\n")[0]
    return "\n".join(line.removeprefix("    ") for line in text.rstrip().splitlines())


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "fit": fit,
    "validate": validate,
    "predict": predict,
    "evaluate": evaluate,
    "backtest": backtest,
    "datasets": data_sets,
    "doctor": doctor,
}
