"""The network of a forecaster: what its parameters and the columns of a frame make of it."""

import copy
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import nn

from latentode.data import Schema, n_static
from latentode.forecaster.mechanistic import build_mechanistic
from latentode.forecaster.time_limit import seconds_of
from latentode.models import ELBO, LatentODE, feature_weights
from latentode.nn import (
    FAMILIES,
    POSTERIORS,
    Decoder,
    DrivenField,
    Encoder,
    FlowedPosterior,
    Mechanism,
)
from latentode.nn.driven import Driven
from latentode.solvers import ADJOINTS, METHODS, MLP
from latentode.solvers.checks import (
    check_choice,
    check_not_negative,
    check_part,
    check_positive,
    check_whole,
)

if TYPE_CHECKING:
    from latentode.forecaster.latent_ode import LatentODEForecaster


class Design(NamedTuple):
    """What an objective asks of the parts of a model; see `LatentODE`."""

    reader: str
    anchor: str
    rule: str | None
    context_weight: float
    kl_weight: float


DESIGNS = {
    "forecast": Design("gru", "end", "fading", 0.1, 0.01),
    "interpolation": Design("gru-both", "rows", "interpolating", 1.0, 0.01),
    "elbo": Design("gru-backward", "start", None, 1.0, 1.0),
}


def build_latent_ode(forecaster: "LatentODEForecaster", schema: Schema) -> LatentODE:
    """Build the untrained module of a forecaster for the columns of a schema."""
    if isinstance(forecaster.vector_field, Mechanism):
        return build_mechanistic(forecaster, forecaster.vector_field, schema)
    design = DESIGNS[forecaster.objective]
    kl_weight = design.kl_weight if forecaster.kl_weight is None else forecaster.kl_weight
    n_features = len(schema.feature_cols)
    n_controls, n_numbers = len(schema.known_cols), n_static(schema)
    return LatentODE(
        Encoder(
            n_features,
            forecaster.latent_size,
            forecaster.hidden_size,
            reader=design.reader,
            n_hidden=1,
            dropout=forecaster.dropout,
            anchor=design.anchor,
            n_controls=n_controls,
            n_static=n_numbers,
        ),
        _driven(_own_field(forecaster), forecaster.latent_size, schema),
        Decoder(
            forecaster.latent_size,
            n_features,
            likelihood=forecaster.likelihood,
            rule=design.rule,
            n_controls=n_controls,
            n_static=n_numbers,
        ),
        objective=ELBO(kl_weight),
        variable_weights=feature_weights(schema),
        context_weight=design.context_weight,
        learning_rate=forecaster.learning_rate,
        weight_decay=forecaster.weight_decay,
        method=forecaster.method,
        rtol=forecaster.rtol,
        atol=forecaster.atol,
        adjoint=forecaster.adjoint,
        posterior=_posterior(forecaster),
    ).float()  # whatever torch's default is


def _own_field(forecaster: "LatentODEForecaster") -> nn.Module:
    """Give a copy of the field that was handed in, or a network."""
    given = forecaster.vector_field
    size = forecaster.latent_size
    if given is None:
        # Bounded: a solution grows no faster than time, however far a forecast reaches.
        return MLP([size, forecaster.hidden_size, size], activation="tanh")
    if not isinstance(given, nn.Module):
        raise TypeError(
            f"vector_field must be a torch module with forward(t, z), not {type(given).__name__}."
        )
    return copy.deepcopy(given)


def _driven(field: nn.Module, latent_size: int, schema: Schema) -> nn.Module:
    """Give a field that is told the covariates, if there are any."""
    n_controls, n_numbers = len(schema.known_cols), n_static(schema)
    if not (n_controls or n_numbers) or isinstance(field, Driven):
        return field
    return DrivenField(field, latent_size, n_controls=n_controls, n_static=n_numbers)


def _posterior(forecaster: "LatentODEForecaster") -> FlowedPosterior | None:
    if forecaster.posterior == "normal":
        return None
    return FlowedPosterior(forecaster.latent_size, rtol=forecaster.rtol, atol=forecaster.atol)


def check_numbers(forecaster: "LatentODEForecaster") -> None:
    """Refuse what would fail late, or not at all; the rest is checked where it is used."""
    for name in ("latent_size", "hidden_size", "patience", "batch_size", "max_rows", "devices"):
        check_whole(name, getattr(forecaster, name))
    check_whole("n_restarts", forecaster.n_restarts)
    if forecaster.max_epochs is not None:
        check_whole("max_epochs", forecaster.max_epochs)
    seconds_of(forecaster.max_time)  # raises
    for name in ("learning_rate", "rtol", "atol"):
        check_positive(name, getattr(forecaster, name))
    check_not_negative("weight_decay", forecaster.weight_decay)
    if forecaster.kl_weight is not None:
        check_not_negative("kl_weight", forecaster.kl_weight)
    check_part("dropout", forecaster.dropout)


def check_choices(forecaster: "LatentODEForecaster") -> None:
    if not isinstance(forecaster.refit, bool | np.bool_):
        raise TypeError(f"refit={forecaster.refit} must be True or False.")
    check_choice("objective", forecaster.objective, DESIGNS)
    check_choice("likelihood", forecaster.likelihood, FAMILIES)
    check_choice("posterior", forecaster.posterior, POSTERIORS)
    if forecaster.noise_cols is not None and forecaster.likelihood in ("quantiles", "flow"):
        raise ValueError(
            "noise_cols goes with likelihood=gaussian or student-t, not "
            f"{forecaster.likelihood}.\nFix: model.set_params(likelihood='gaussian')"
        )
    methods = [name for name, tableau in METHODS.items() if tableau.error is not None]
    if forecaster.method not in methods:
        raise ValueError(
            f"method={forecaster.method} is not one that chooses its own steps: choose one of "
            f"{', '.join(methods)}."
        )
    if forecaster.adjoint == "none":
        raise ValueError("adjoint=none gives no gradient to train with: choose adjoint=auto.")
    check_choice("adjoint", forecaster.adjoint, ADJOINTS)
