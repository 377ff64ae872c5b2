"""What a config file and the command line say of a model."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from latentode.cli.parser import nearest
from latentode.forecaster import LatentODEForecaster

# Parameters that are live objects, which no text can name.
_LIVE = {"logger", "vector_field"}


class Config(NamedTuple):
    """What a config file says.

    Attributes
    ----------
    model : dict
        Parameters of `LatentODEForecaster`.
    time_format : str, optional
        How times are written, where not by ISO 8601.
    """

    model: dict[str, Any] = {}  # noqa: RUF012  a new one is made of it, see `read_config`
    time_format: str | None = None


def read_config(path: str | None, changes: Sequence[str] = ()) -> Config:
    """Read a config file, and what stands beside it on the command line.

    Parameters
    ----------
    path : str, optional
        The file; without one all is as by default.
    changes : sequence of str
        Parameters of the model as ``name=value``; the value is read as YAML.

    Returns
    -------
    Config
        With parameters that are known.

    Raises
    ------
    ValueError
        If a key or a parameter is not known; the nearest is named.
    OSError
        If the file cannot be read.
    """
    content = {} if path is None else _read(path)
    where = path or "--set"
    _check_names(content, Config._fields, where, "key")
    config = Config(**content)
    model = dict(config.model or {})
    for change in changes:
        name, sign, value = change.partition("=")
        if not sign:
            raise ValueError(f"--set {change}: give a name and a value, as max_epochs=20.")
        model[name] = yaml.safe_load(value)
    known = [name for name in parameters() if name not in _LIVE]
    _check_names(model, known, where, "parameter of the model")
    return config._replace(model=model)


def parameters() -> list[str]:
    """Give the names of the parameters of a model."""
    return list(inspect.signature(LatentODEForecaster).parameters)


def _read(path: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from None
    if not isinstance(content, Mapping | None):
        raise TypeError(f"{path} must be a mapping, as\nmodel:\n  max_epochs: 20")
    return dict(content or {})


def _check_names(given: Mapping[str, object], known: Sequence[str], where: str, noun: str) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"{where}: {name} is no {noun}{nearest(str(name), known)}")
