"""Measures of forecasts: losses of single values, and two ways to average them.

Every loss has the shape (N, D) of the values and is NaN where a value is: there nothing was
measured, and nothing is asked.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]


def squared_error(prediction: Array, values: Array) -> Array:
    return np.square(_masked(prediction, values) - values)


def absolute_error(prediction: Array, values: Array) -> Array:
    return np.abs(_masked(prediction, values) - values)


def gaussian_crps(mean: Array, std: Array, values: Array) -> Array:
    """Give the continuous ranked probability score of a normal distribution.

    Gneiting and Raftery (2007), Strictly proper scoring rules, equation 21.
    """
    z = (values - _masked(mean, values)) / std
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return std * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))


def covered(lower: Array, upper: Array, values: Array) -> Array:
    """Give 1 where a value lies in its interval, 0 where it does not."""
    inside = (lower <= values) & (values <= upper)
    return np.where(np.isfinite(values), inside, np.nan)


def micro(loss: Array) -> float:
    """Average over all values alike."""
    return float(np.nansum(loss) / np.isfinite(loss).sum())


def macro(loss: Array) -> float:
    """Average over the values of each variable, then over the variables that have any."""
    count = np.isfinite(loss).sum(axis=0)
    measured = count > 0
    return float((np.nansum(loss, axis=0)[measured] / count[measured]).mean())


def rmse(loss: Array) -> float:
    """Give the root of the mean squared error, of all values alike."""
    return math.sqrt(micro(loss))


def point_scores(prediction: Array, values: Array) -> dict[str, float]:
    """Give mean squared and absolute errors, over variables and over all values."""
    squares, distances = squared_error(prediction, values), absolute_error(prediction, values)
    return {
        "MSE": macro(squares),
        "MAE": macro(distances),
        "micro MSE": micro(squares),
        "micro MAE": micro(distances),
    }


def micro_scores(prediction: Array, values: Array) -> dict[str, float]:
    """Give mean squared and absolute errors, over all values alike."""
    return {
        "MSE": micro(squared_error(prediction, values)),
        "MAE": micro(absolute_error(prediction, values)),
    }


def _masked(prediction: Array, values: Array) -> Array:
    """Refuse a prediction that is missing where a value is asked."""
    if prediction.shape != values.shape:
        raise ValueError(f"shapes differ: {prediction.shape} forecast, {values.shape} asked.")
    n_missing = int((np.isfinite(values) & ~np.isfinite(prediction)).sum())
    if n_missing:
        raise ValueError(f"{n_missing} values that were asked have no finite forecast.")
    return prediction
