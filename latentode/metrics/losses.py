"""Losses of single values.

A loss is NaN where nothing came: nothing was measured there, so nothing is asked.
"""

import math

import numpy as np

CRPS_LEVELS = (np.arange(1, 40) - 0.5) / 39
"""Evenly spaced levels whose mean pinball loss, doubled, is the CRPS."""


def squared_error(truth: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Give the square of the distance of what came from what was expected.

    >>> squared_error(np.array([1.0, np.nan]), np.array([3.0, 3.0]))
    array([ 4., nan])
    """
    return np.square(truth - mean)


def absolute_error(truth: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Give the distance of what came from what was expected.

    >>> absolute_error(np.array([1.0, np.nan]), np.array([3.0, 3.0]))
    array([ 2., nan])
    """
    return np.abs(truth - mean)


def pinball_loss(truth: np.ndarray, quantile: np.ndarray, level: float | np.ndarray) -> np.ndarray:
    """Give the loss whose expected value is least at the quantile of a level.

    >>> pinball_loss(np.array([1.0, 3.0]), np.array([2.0, 2.0]), 0.9).round(3)
    array([0.1, 0.9])

    References
    ----------
    Koenker and Bassett (1978), Regression quantiles, equation 3.1.
    """
    above = truth - quantile
    return np.maximum(level * above, (level - 1) * above)


def crps_from_quantiles(
    truth: np.ndarray, quantiles: np.ndarray, levels: np.ndarray = CRPS_LEVELS
) -> np.ndarray:
    """Give the continuous ranked probability score: twice the mean pinball loss over levels.

    Parameters
    ----------
    truth : ndarray of shape (...)
        What came.
    quantiles : ndarray of shape (..., K)
        Quantiles that were told.
    levels : ndarray of shape (K,), optional
        Their levels, evenly spaced over (0, 1).

    Returns
    -------
    ndarray of shape (...)
        In the units of the values; that of a point forecast is the absolute error.

    References
    ----------
    Gneiting and Ranjan (2011), Comparing density forecasts using threshold- and quantile-weighted
    scoring rules, equation 15.

    Examples
    --------
    >>> crps_from_quantiles(np.array([3.0]), np.full((1, 39), 1.0)).round(6)
    array([2.])
    """
    return 2 * pinball_loss(truth[..., None], quantiles, levels).mean(axis=-1)


def crps_normal(truth: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Give the continuous ranked probability score of a normal distribution.

    >>> crps_normal(np.zeros(1), np.zeros(1), np.ones(1)).round(4)
    array([0.2337])

    References
    ----------
    Gneiting and Raftery (2007), Strictly proper scoring rules, equation 21.
    """
    z = (truth - mean) / std
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    within = np.vectorize(math.erf, otypes=[float])(z / math.sqrt(2))  # 2 Phi(z) - 1
    score: np.ndarray = std * (z * within + 2 * density - 1 / math.sqrt(math.pi))
    return score


def energy_score(truth: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Give the energy score of draws of several variables together, which sees dependence.

    The mean distance of the draws from what came, less half of that between two of them. Variables
    must be in comparable units, such as standard deviations.

    Parameters
    ----------
    truth : ndarray of shape (P, D)
        What came; variables that are NaN count for nothing.
    draws : ndarray of shape (N, P, D)
        Draws from what was told, at least two.

    Returns
    -------
    ndarray of shape (P,)
        Never less, in expectation, than for draws from the distribution of what came; NaN where
        nothing came. That of draws that are all alike is the distance, and for one variable the
        score is the CRPS.

    Raises
    ------
    ValueError
        If there is only one draw.

    References
    ----------
    Gneiting and Raftery (2007), Strictly proper scoring rules, equation 22, with an exponent of 1;
    two of N draws are two different ones, which leaves no bias for small N: Ferro (2014), Fair
    scores for ensemble forecasts.

    Examples
    --------
    >>> energy_score(np.zeros((1, 2)), np.full((5, 1, 2), [3.0, 4.0]))
    array([5.])
    """
    n = len(draws)
    if n < 2:
        raise ValueError(
            f"the energy score needs at least 2 draws, not {n}: sample(times, n=100)."
        )
    came = np.isfinite(truth)
    draws = np.where(came, draws, 0.0)
    error = np.linalg.norm(draws - np.where(came, truth, 0.0), axis=-1).mean(axis=0)
    apart = sum(np.linalg.norm(draws[:i] - draws[i], axis=-1).sum(axis=0) for i in range(1, n))
    return np.where(came.any(axis=-1), error - apart / (n * (n - 1)), np.nan)


def nll_normal(truth: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Give the negative logarithm of a normal density, in nats.

    >>> nll_normal(np.zeros(1), np.zeros(1), np.ones(1)).round(4)
    array([0.9189])
    """
    loss: np.ndarray = 0.5 * np.square((truth - mean) / std) + np.log(std * math.sqrt(2 * math.pi))
    return loss


def covered(truth: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Give 1 where a value lies in its interval, 0 where it does not.

    >>> covered(np.array([1.0, 5.0, np.nan]), np.zeros(3), np.full(3, 2.0))
    array([ 1.,  0., nan])
    """
    inside = (lower <= truth) & (truth <= upper)
    return np.where(np.isfinite(truth), inside, np.nan)
