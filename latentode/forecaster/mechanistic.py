"""The network of a forecaster around a mechanism that was handed in."""

import copy
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from latentode.data import (
    Panel,
    Scaler,
    Schema,
    difference,
    drop_empty_rows,
    n_static,
    unit_scaler,
    units_of,
)
from latentode.data.errors import as_code, plainly, warn
from latentode.models import ELBO, LatentModel, LatentODE, feature_weights
from latentode.nn import DrivenField, Encoder, Mechanism, MechanisticDecoder, MechanisticField

if TYPE_CHECKING:
    from latentode.forecaster.latent_ode import LatentODEForecaster

# What a series has of its own is standard normal: the weight that this prior has by rights.
_KL_WEIGHT = 1.0


def build_mechanistic(
    forecaster: "LatentODEForecaster", mechanism: Mechanism, schema: Schema
) -> LatentODE:
    """Build the untrained module around a copy of a mechanism, in units that change nothing."""
    if forecaster.objective == "interpolation":
        raise ValueError(
            "objective=interpolation has a state at every row, and a mechanism starts once: "
            "choose objective=elbo or forecast."
        )
    n_controls, n_numbers = len(schema.known_cols), n_static(schema)
    units = units_of(schema, unit_scaler(schema), time_unit=mechanism.time_unit)
    field = MechanisticField(copy.deepcopy(mechanism), units)
    kl_weight = _KL_WEIGHT if forecaster.kl_weight is None else forecaster.kl_weight
    return LatentODE(
        Encoder(
            len(schema.feature_cols),
            mechanism.latent_size,
            forecaster.hidden_size,
            reader="gru-backward",
            n_hidden=1,
            dropout=forecaster.dropout,
            anchor="start",
            n_controls=n_controls,
            n_static=n_numbers,
        ),
        field,
        MechanisticDecoder(field, likelihood=forecaster.likelihood),
        objective=ELBO(kl_weight),
        variable_weights=feature_weights(schema),
        context_weight=1.0,
        learning_rate=forecaster.learning_rate,
        weight_decay=forecaster.weight_decay,
        method=forecaster.method,
        rtol=forecaster.rtol,
        atol=forecaster.atol,
        adjoint=forecaster.adjoint,
    ).float()  # whatever torch's default is


def adopt_units(module: LatentModel, scaler: Scaler, schema: Schema) -> None:
    """Tell a mechanism, if there is one, what the model's numbers are in the frame's units."""
    field = getattr(module, "vector_field", None)
    if isinstance(field, MechanisticField):
        field.adopt(units_of(schema, scaler, time_unit=field.mechanism.time_unit))


def own_field(field: nn.Module) -> nn.Module:
    """Give what was handed in, out of what was built around it to tell it of covariates."""
    if isinstance(field, MechanisticField):
        return field.mechanism
    return field.field if isinstance(field, DrivenField) else field


def warn_of_late_starts(panel: Panel) -> None:
    """Warn where a known covariate acts on a series before its first observation.

    The state of a mechanism stands at the first observation, and what acted before is not seen.
    """
    if panel.known is None:
        return
    observed, known = drop_empty_rows(panel), panel.known
    both = np.flatnonzero((np.diff(observed.offsets) > 0) & (np.diff(known.offsets) > 0))
    first, told = observed.offsets[both], known.offsets[both]
    late = difference(observed.times[first], known.times[told]) > 0
    late &= (known.values[told] != 0).any(axis=1)
    if not late.any():
        return
    series = both[np.flatnonzero(late)[0]]
    n, column = int(late.sum()), as_code(panel.schema.target_cols[0])
    warn(
        f"a known covariate acts on {n} of {len(panel.ids)} series before their first "
        f"observation, as on {plainly(panel.ids[series])}, and a mechanism starts there.\nFix: "
        f"df.loc[is_start, {column}] = 0.0  # what is known of the start, as that all is empty"
    )
