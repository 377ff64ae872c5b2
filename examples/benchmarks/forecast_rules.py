"""Naive rules of forecasting: what a model must beat to be of use.

A rule is fitted to a task, and then is a function that forecasts a part: an array of shape (N, D),
a row for each asked row. Where nothing is known of a variable, all rules give its training mean.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from forecast_summaries import Context, Summaries, context_of, decayed_totals, summarise
from forecast_tasks import Array, Part, Task, part_of, values_of
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator

Predictor = Callable[[Part], Array]

# Of the decayed mean: the share of its weight that a value loses in the time that series last,
# and how many values the training mean is worth.
RATES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
WORTHS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Known(NamedTuple):
    """What is known of the B series of a part when its forecast starts.

    Attributes
    ----------
    context : Context
    summaries : Summaries
    row_series : ndarray of shape (N,)
        Which series each asked row belongs to.
    lead : ndarray of shape (N,)
        Its time since the forecast starts.
    """

    context: Context
    summaries: Summaries
    row_series: NDArray[np.int64]
    lead: Array


def known_of(task: Task, part: Part) -> Known:
    """Summarise what may be read of the series that are asked about."""
    codes, series = pd.factorize(part.asked["series"])
    now = forecast_start(task)
    context = context_of(part.context, series, task.features, now)
    lead = part.asked["time"].to_numpy(np.float64) - now
    return Known(context, summarise(context), codes, lead)


def forecast_start(task: Task) -> float:
    """Give the time at which forecasts start: for interpolation, the end of the series."""
    if task.cut.horizon_from is not None:
        return task.cut.horizon_from
    return float(task.train["time"].max())


def duration(task: Task) -> float:
    """Give the time from the first training row to the last."""
    times = task.train["time"]
    return float(times.max() - times.min())


def training_part(task: Task, seed: int = 0) -> Part:
    """Divide the training series as the protocol divides the others."""
    return part_of(task.train, task.cut, seed=seed)


def means_asked(task: Task) -> Array:
    """Give the mean of what is asked in training, or of all values where nothing is."""
    asked = values_of(training_part(task).asked, task.features)
    return column_means(asked, otherwise=column_means(values_of(task.train, task.features)))


def column_means(x: Array, otherwise: Array | float = 0.0) -> Array:
    count = np.isfinite(x).sum(axis=0)
    return np.where(count > 0, np.nansum(x, axis=0) / np.maximum(count, 1), otherwise)


def training_mean(task: Task) -> Predictor:
    mean = means_asked(task)
    return lambda part: np.broadcast_to(mean, (len(part.asked), len(mean)))


def last_value(task: Task) -> Predictor:
    mean = means_asked(task)
    return one_for_all_rows(task, lambda known: _filled(known.summaries.last, mean))


def series_mean(task: Task) -> Predictor:
    mean = means_asked(task)
    return one_for_all_rows(task, lambda known: _filled(known.summaries.mean, mean))


def shrunk_mean(task: Task) -> Predictor:
    """Weigh the mean of n values with n against the training mean with 2."""
    mean = means_asked(task)
    return one_for_all_rows(
        task, lambda known: shrunk(*decayed_totals(known.context, 0.0), mean, 2.0)
    )


def one_for_all_rows(task: Task, level: Callable[[Known], Array]) -> Predictor:
    """Forecast all rows of a series alike: by its row of the levels, which have shape (B, D)."""

    def predict(part: Part) -> Array:
        known = known_of(task, part)
        return level(known)[known.row_series]

    return predict


def _filled(x: Array, otherwise: Array) -> Array:
    return np.where(np.isfinite(x), x, otherwise)


def shrunk(total: Array, weight: Array, mean: Array, worth: Array | float) -> Array:
    """Give a weighted mean of what was measured and the training mean."""
    whole = weight + worth
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 1e-9, (total + worth * mean) / whole, mean)


class Decay(NamedTuple):
    """The decayed mean's two numbers of each variable, and its training mean; all of shape (D,).

    Attributes
    ----------
    rate : ndarray
        How fast a value loses weight as it ages, per unit of time.
    worth : ndarray
        How many new values the training mean is worth.
    mean : ndarray
    """

    rate: Array
    worth: Array
    mean: Array


def decayed_mean(task: Task) -> Predictor:
    """Weigh values by their age, and shrink their mean to the training mean."""
    decay = fitted_decay(task)
    return one_for_all_rows(task, lambda known: decayed_means(known.context, decay))


def decayed_means(context: Context, decay: Decay) -> Array:
    """Give the decayed mean of every series and variable, of shape (B, D)."""
    out = np.empty((context.n_series, len(decay.mean)))
    for rate in np.unique(decay.rate):
        chosen = decay.rate == rate
        total, weight = decayed_totals(context._replace(values=context.values[:, chosen]), rate)
        out[:, chosen] = shrunk(total, weight, decay.mean[chosen], decay.worth[chosen])
    return out


def fitted_decay(task: Task) -> Decay:
    """Choose the two numbers of each variable that forecast the training series best."""
    part, mean = training_part(task), means_asked(task)
    known = known_of(task, part)
    asked = _asked_sums(known, values_of(part.asked, task.features))
    rates = np.array(RATES) / duration(task)
    errors = np.array([_errors_of(known.context, asked, mean, rate) for rate in rates])
    n_variables = errors.shape[-1]
    rate, worth = np.unravel_index(
        errors.reshape(-1, n_variables).argmin(axis=0), (len(RATES), len(WORTHS))
    )
    return Decay(rates[rate], np.array(WORTHS)[worth], mean)


def _asked_sums(known: Known, values: Array) -> tuple[Array, Array]:
    """Give how many values are asked of each series and variable, and their sum."""
    measured = np.isfinite(values)
    n_series = known.context.n_series
    columns = [
        [
            np.bincount(known.row_series, weights=column, minlength=n_series)
            for column in np.where(measured, what, 0.0).T
        ]
        for what in (1.0, values)
    ]
    return np.array(columns[0]).T, np.array(columns[1]).T


def _errors_of(context: Context, asked: tuple[Array, Array], mean: Array, rate: float) -> Array:
    """Give the squared error for each worth and variable, less what no forecast can change."""
    count, total_asked = asked
    total, weight = decayed_totals(context, rate)
    errors = []
    for worth in WORTHS:
        forecast = shrunk(total, weight, mean, worth)
        errors.append((forecast * (count * forecast - 2 * total_asked)).sum(axis=0))
    return np.array(errors)


Curve = Callable[[Array, Array, Array], Array]


def linear_interpolation(task: Task) -> Predictor:
    """Interpolate between the nearest values on either side; past the ends, give the end."""
    return _interpolation(task, np.interp)


def akima_interpolation(task: Task) -> Predictor:
    """Interpolate smoothly, without overshooting much; past the ends, give the end.

    Akima (1970), A new method of interpolation and smooth curve fitting based on local procedures.
    """
    return _interpolation(task, _akima)


def _akima(at: Array, times: Array, values: Array) -> Array:
    if len(times) < 2:
        return np.full(len(at), values[0])
    return Akima1DInterpolator(times, values)(np.clip(at, times[0], times[-1]))


def _interpolation(task: Task, curve: Curve) -> Predictor:
    mean = means_asked(task)

    def predict(part: Part) -> Array:
        known = known_of(task, part)
        context = known.context
        out = np.tile(mean, (len(part.asked), 1))
        order = np.argsort(known.row_series, kind="stable")
        bounds = np.searchsorted(known.row_series[order], np.arange(context.n_series + 1))
        for series, (start, end) in zip(context.has_rows, context.row_of, strict=True):
            rows = order[bounds[series] : bounds[series + 1]]
            times, values = -context.age[start:end], context.values[start:end]
            for column in np.flatnonzero(np.isfinite(values).any(axis=0)):
                found = np.isfinite(values[:, column])
                out[rows, column] = curve(known.lead[rows], times[found], values[found, column])
        return out

    return predict


RULES: dict[str, Callable[[Task], Predictor]] = {
    "training mean": training_mean,
    "last value": last_value,
    "series mean": series_mean,
    "shrunk series mean": shrunk_mean,
    "decayed mean": decayed_mean,
}
INTERPOLATION_RULES: dict[str, Callable[[Task], Predictor]] = {
    "training mean": training_mean,
    "series mean": series_mean,
    "linear interpolation": linear_interpolation,
    "Akima interpolation": akima_interpolation,
}


def rules_for(task: Task) -> dict[str, Callable[[Task], Predictor]]:
    """Give the rules that suit a task."""
    return INTERPOLATION_RULES if task.cut.horizon_from is None else RULES
