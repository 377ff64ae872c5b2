"""What of a fitted forecaster goes into its file, and how it is made again from there."""

import platform
from collections.abc import Callable, Hashable, Iterable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from latentode.data import Panel, Schema, columns_of, n_static
from latentode.data.errors import as_code, plainly
from latentode.forecaster.handed_in import check_modules, class_as_json, values_of
from latentode.forecaster.model_file import Content, ModelFileError
from latentode.forecaster.records import put_together, take_apart
from latentode.forecaster.tagged import from_json, to_json
from latentode.models import LatentModel, own_torch_state

if TYPE_CHECKING:
    from latentode.forecaster.trained import TrainedForecaster


class Fitted(Protocol):
    """An estimator that was fitted, and remembers how."""

    fitted_with_: dict[str, Any]
    history_: pd.DataFrame

    def get_params(self, *, deep: bool = True) -> dict[str, Any]:
        """Give the parameters."""


F = TypeVar("F", bound="TrainedForecaster")
E = TypeVar("E", bound=BaseEstimator)

# Learned attributes other than the weights, in the order of the file.
_LEARNED = ("context_", "scaler_", "calibration_", "fit_seconds_")
# Live objects, which are None in the file.
_NOT_KEPT = ("logger",)
WEIGHTS = "module/"
AGAIN = "fit the model anew with this version and save it: model.fit(df).save(path)"


def pack(model: "TrainedForecaster") -> Content:
    """Give what a model file is to hold of a fitted forecaster.

    Of a module among the parameters that is the name of its class; its weights are among those of
    the whole.

    Raises
    ------
    TypeError
        If an id, the name of a column or a parameter is of a type that a file has no form for.
    """
    check_labels_of(model.context_)
    tensors = {WEIGHTS + k: v.cpu() for k, v in model.module_.state_dict().items()}
    learned = {name: take_apart(getattr(model, name), name, tensors) for name in _LEARNED}
    return Content({**header_of(model), **learned}, tensors)


def header_of(model: "Fitted") -> dict[str, Any]:
    """Give what a file holds of every estimator, beside what that one has learned."""
    return {
        "class": type(model).__name__,
        "versions": _versions(),
        "parameters": parameters_as_json(model.get_params(deep=False)),
        "fitted_with": parameters_as_json(model.fitted_with_),
        "history": to_json(model.history_.to_dict("list")),
    }


def unpack(
    cls: type[F], content: Content, name: str, modules: Mapping[str, nn.Module | None]
) -> F:
    """Make a forecaster out of what its file holds, and modules among its parameters.

    Raises
    ------
    ModelFileError
        If the file holds a forecaster of another class, has parameters that are not known here,
        or weights and rows that do not fit together; or a module is missing, or another one.
    """
    header, tensors = content
    check_class(cls, header, name)
    check_modules(header, modules, name)
    model = with_parameters(cls, header, "parameters", name, modules)
    for attribute in _LEARNED:
        setattr(model, attribute, put_together(header[attribute], tensors))
    model.history_ = pd.DataFrame(from_json(header["history"]))
    model.fitted_with_ = values_of(header["fitted_with"], modules)
    _check_panel(model.context_, name)
    model.see_columns(model.context_.schema)
    builder = with_parameters(cls, header, "fitted_with", name, modules)
    model.module_ = _built(builder, model.schema_, weights_in(tensors, WEIGHTS), name)
    return model


def weights_in(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Give the weights among the tensors of a file, by their names in the module."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def check_sizes_of(
    build: Callable[[], nn.Module], weights: Mapping[str, Tensor], name: str, fix: str
) -> None:
    """Refuse weights that are not of a module, before it takes more room than the file has.

    Raises
    ------
    ModelFileError
        With the first weight that differs.
    """
    with torch.device("meta"):
        differs = differing(build(), weights)
    if differs is not None:
        raise ModelFileError(f"{name} has weights of another model: {differs}.", fix)


def check_class(cls: type, header: dict[str, Any], name: str) -> None:
    """Refuse a file that holds a forecaster of another class."""
    if header["class"] != cls.__name__:
        raise ModelFileError(
            f"{name} holds a {header['class']}, not a {cls.__name__}.",
            f"model = latentode.{header['class']}.load({as_code(name)})",
        )


def differing(module: nn.Module, weights: Mapping[str, Tensor]) -> str | None:
    """Say which weight of a module is not, or is of another shape, among others; None if none."""
    own = {name: tuple(weight.shape) for name, weight in module.state_dict().items()}
    others = {name: tuple(weight.shape) for name, weight in weights.items()}
    for name in [*own, *others]:
        if own.get(name) != others.get(name):
            return f"{name} is of shape {own.get(name)} in one, {others.get(name)} in the other"
    return None


def _built(
    builder: "TrainedForecaster", schema: Schema, weights: dict[str, Tensor], name: str
) -> LatentModel:
    """Build the module, once it is known that it takes no more room than the file has for it."""
    own = [k for k, v in builder.get_params(deep=False).items() if isinstance(v, nn.Module)]
    fix = f"give {own[0]} the sizes that it had in fit" if own else AGAIN
    with own_torch_state(0):
        check_sizes_of(lambda: builder.build_module(schema), weights, name, fix)
        module = builder.build_module(schema)
    module.load_state_dict(weights)
    return module.eval()


def with_parameters(
    cls: type[E],
    header: dict[str, Any],
    key: str,
    name: str,
    modules: Mapping[str, nn.Module | None],
) -> E:
    """Make an estimator with the parameters that the file names."""
    parameters = values_of(header[key], modules)
    unknown = set(parameters) - set(cls().get_params(deep=False))
    if unknown:
        raise ModelFileError(
            f"{name}, of latentode {header['latentode']}, has parameters that this version does "
            f"not know: {', '.join(sorted(unknown))}.",
            "python -m pip install --upgrade latentode",
        )
    return cls(**parameters)


def parameters_as_json(parameters: Mapping[str, object]) -> dict[str, Any]:
    """Give parameters as JSON, without the live objects among them.

    Raises
    ------
    TypeError
        If one is of a type that a file has no form for; it is named.
    """
    kept = {name: None if name in _NOT_KEPT else value for name, value in parameters.items()}
    return {name: _parameter(name, value) for name, value in kept.items()}


def _parameter(name: str, value: object) -> Any:  # noqa: ANN401  whatever JSON holds
    if isinstance(value, nn.Module):
        return class_as_json(value)
    try:
        return to_json(value)
    except TypeError as error:
        raise TypeError(
            f"parameter {name} cannot be saved: {error}, which a model file has no form for.\n"
            f"Fix: model.set_params({name}=...)  # numbers, text, dates, or tuples of such"
        ) from None


def check_labels_of(panel: Panel) -> None:
    """Refuse ids and names of columns that a file has no form for.

    Raises
    ------
    TypeError
        With the first of them.
    """
    schema = panel.schema
    column = as_code(next(iter(schema.id_cols), None))
    check_labels("series", panel.ids, f"df[{column}] = df[{column}].map(str)")
    check_labels("column", columns_of(schema), "df.columns = df.columns.map(str)")


def check_labels(what: str, labels: Iterable[Hashable], fix: str) -> None:
    """Refuse a label that cannot be written, or would not be the same when read."""
    for label in labels:
        try:
            to_json(label)
        except TypeError as error:
            raise TypeError(
                f"{what} {plainly(label)} cannot be saved: {error}, which a model file has no "
                f"form for.\nFix: {fix}  # and fit again"
            ) from None


def _check_panel(panel: Panel, name: str) -> None:
    """Refuse rows that do not fit together, which no file of ours has."""
    offsets, n_rows, n_series = panel.offsets, len(panel.times), len(panel.ids)
    schema, known, static = panel.schema, panel.known, panel.static
    fits = (
        len(offsets) == n_series + 1
        and offsets[0] == 0
        and offsets[-1] == n_rows
        and bool((np.diff(offsets) >= 0).all())
        and panel.values.shape == (n_rows, len(schema.feature_cols))
        and (known is None) == (not schema.known_cols)
        and (known is None or len(known.offsets) == n_series + 1)
        and (static is None) == (not schema.static_cols)
        and (panel.noise is None) == (not schema.noise_cols)
        and (panel.noise is None or panel.noise.shape == panel.values.shape)
        and (static is None or static.shape == (n_series, n_static(schema)))
    )
    if not fits:
        raise ModelFileError(f"{name} has rows and series that do not fit together.", AGAIN)


def _versions() -> dict[str, str]:
    """Give the versions of Python and of what a model rests on."""
    packages = ("torch", "lightning", "numpy", "pandas", "safetensors", "scikit-learn")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
