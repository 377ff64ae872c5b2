"""Forecasts with a spread: those of the best naive rule, and intervals that keep their word."""

from typing import NamedTuple

import numpy as np
from forecast_rules import column_means, rules_for
from forecast_scores import covered, gaussian_crps, macro
from forecast_tasks import Array, Part, Task, values_of

Z90 = 1.6449  # the 95 % quantile of a normal distribution


class Gaussian(NamedTuple):
    """Mean and standard deviation of every variable of every asked row, each (N, D)."""

    mean: Array
    std: Array


def best_rule(task: Task, part: Part) -> tuple[str, Gaussian, Gaussian]:
    """Give the naive rule with the least first measure on validation, and what it forecasts.

    Its standard deviation is that of its errors on validation, one for each variable. The
    forecasts are those of the validation part and of the part asked.
    """
    fitted = {name: fit(task) for name, fit in rules_for(task).items()}
    forecasts = {name: predict(task.val) for name, predict in fitted.items()}
    first = {name: first_measure(task, forecast) for name, forecast in forecasts.items()}
    name = min(first, key=lambda name: first[name])
    errors = forecasts[name] - values_of(task.val.asked, task.features)
    pooled = np.nanmean(np.square(errors))
    std = np.maximum(np.sqrt(column_means(np.square(errors), otherwise=pooled)), 1e-6)
    asked = forecasts[name] if part is task.val else fitted[name](part)
    return name, *(
        Gaussian(mean, np.broadcast_to(std, mean.shape)) for mean in (forecasts[name], asked)
    )


def first_measure(task: Task, forecast: Array) -> float:
    """Give the measure that a protocol names first, of forecasts of the validation part."""
    return next(iter(task.metrics(forecast, task.val).values()))


def widening(p: Gaussian, part: Part, features: tuple[str, ...]) -> Array:
    """Give by what to widen the 90 % intervals of each variable (D,), so that 90 % are covered.

    A variable with fewer than 20 values takes the factor of all.
    """
    z = np.abs(values_of(part.asked, features) - p.mean) / p.std
    every = np.nanquantile(z, 0.9)
    factors = [
        np.quantile(column[np.isfinite(column)], 0.9) if np.isfinite(column).sum() >= 20 else every
        for column in z.T
    ]
    return np.array(factors) / Z90


def spread_scores(
    p: Gaussian, part: Part, factor: Array, features: tuple[str, ...]
) -> list[float]:
    """Give the CRPS, and the cover of 90 % intervals as they are and widened."""
    values = values_of(part.asked, features)
    crps = macro(gaussian_crps(p.mean, p.std, values))
    covers = [
        float(np.nanmean(covered(p.mean - Z90 * std, p.mean + Z90 * std, values)))
        for std in (p.std, factor * p.std)
    ]
    return [crps, *covers]
