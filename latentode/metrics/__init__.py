"""Measures of forecasts: of single values, by name, and as tables.

All but shares and log densities are in the units of what they are given.
"""

from latentode.metrics.losses import (
    CRPS_LEVELS,
    absolute_error,
    covered,
    crps_from_quantiles,
    crps_normal,
    energy_score,
    nll_normal,
    pinball_loss,
    squared_error,
)
from latentode.metrics.named import Forecasts, in_units_of, levels_for, losses
from latentode.metrics.table import lead_groups, measure

__all__ = [
    "CRPS_LEVELS",
    "Forecasts",
    "absolute_error",
    "covered",
    "crps_from_quantiles",
    "crps_normal",
    "energy_score",
    "in_units_of",
    "lead_groups",
    "levels_for",
    "losses",
    "measure",
    "nll_normal",
    "pinball_loss",
    "squared_error",
]
