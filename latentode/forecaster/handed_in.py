"""Modules among the parameters of a forecaster: what a file says of them, and their return."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from latentode.data.errors import as_code
from latentode.forecaster.model_file import ModelFileError
from latentode.forecaster.tagged import from_json

# What stands in a file in place of a module: a name to show, which is never looked up.
_TAG = "module"


def class_as_json(module: nn.Module) -> dict[str, str]:
    """Give what a file holds of a module beside its weights: the name of its class.

    >>> class_as_json(nn.Linear(1, 1))
    {'module': 'Linear'}
    """
    return {_TAG: type(module).__name__}


def values_of(
    parameters: Mapping[str, Any], modules: Mapping[str, nn.Module | None]
) -> dict[str, Any]:
    """Give the parameters of a file, with modules where it has their classes."""
    return {k: modules.get(k) if _class_of(v) else from_json(v) for k, v in parameters.items()}


def check_modules(
    header: Mapping[str, Any], modules: Mapping[str, nn.Module | None], name: str
) -> None:
    """Raise unless the modules are those that a model file was fitted with.

    Parameters
    ----------
    header : mapping
        Of the file.
    modules : mapping of str to Module or None
        What was handed in, by the names of the parameters.
    name : str
        Of the file.

    Raises
    ------
    ModelFileError
        If one is missing, of another class, or of no use.
    """
    for parameter, module in modules.items():
        stated = [header[key].get(parameter) for key in ("fitted_with", "parameters")]
        wanted = next(filter(None, map(_class_of, stated)), None)
        given = None if module is None else type(module).__name__
        if given == wanted:
            continue
        load = f"model = latentode.{header['class']}.load({as_code(name)}"
        if wanted is None:
            what = f"without a {parameter} of your own, and this {given} would be of no use."
            raise ModelFileError(f"{name} was fitted {what}", f"{load})")
        what = f"with {parameter}={wanted}(...), of which a file holds the weights and no code"
        raise ModelFileError(
            f"{name} was fitted {what}; {given or 'no module'} was given to load it with.",
            f"{load}, {parameter}={wanted}(...))  # made as for fit",
        )


def _class_of(value: object) -> str | None:
    """Give the name of the class if JSON stands in place of a module, and None if not."""
    return value[_TAG] if isinstance(value, dict) and set(value) == {_TAG} else None
