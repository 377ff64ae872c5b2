"""The decayed mean: a rule of two numbers for each variable, chosen on training series."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latentode.data import Panel, Scaler, difference
from latentode.forecaster.rules import weighted_sums
from latentode.forecaster.trials import Trial

# How often a value's weight falls to 1/e in the time that series last, and how many values the
# training mean is worth: what is chosen from; and what is taken if there is nothing to choose by.
_RATES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
_WORTHS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_OTHERWISE = (0.0, 1.0)


class Decay(NamedTuple):
    """A mean whose weights fade with age, drawn to the training mean.

    Attributes
    ----------
    time_constant : ndarray of shape (D,)
        Time in which the weight of a value falls to 1/e, in the unit of the panel; may be
        infinite.
    worth : ndarray of shape (D,)
        How many new values the training mean is worth.
    mean : ndarray of shape (D,)
        The training mean.
    """

    time_constant: np.ndarray
    worth: np.ndarray
    mean: np.ndarray

    def __call__(self, known: Panel, series: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Tell the decayed mean; for times within what is known, that at its end."""
        faded = fade(known, self.time_constant, self.mean)
        return self.mean + faded.deviation(series, times, self.worth)


class Faded(NamedTuple):
    """Sums over the values of S series, with the weights at the last value of each variable.

    Attributes
    ----------
    total, weight : ndarray of shape (S, D)
        Sums of weighted deviations from the training mean, and of weights.
    last : ndarray of shape (S, D)
        Time of the last value; any, where there is none.
    time_constant : ndarray of shape (D,)
        Time in which a weight falls to 1/e.
    """

    total: np.ndarray
    weight: np.ndarray
    last: np.ndarray
    time_constant: np.ndarray

    def deviation(self, series: np.ndarray, times: np.ndarray, worth: np.ndarray) -> np.ndarray:
        """Give the deviation (P, D) from the training mean; NaN where nothing is known."""
        age = np.maximum(difference(times[:, None], self.last[series]), 0.0)
        total, weight = self.total[series], self.weight[series]
        # All weights fade alike after the last value: the training mean grows beside them instead.
        with np.errstate(invalid="ignore", over="ignore"):
            grown = np.where(worth > 0, worth * np.exp(age / self.time_constant), 0.0)
            deviation: np.ndarray = total / np.where(weight > 0, weight + grown, np.nan)
        return deviation


def fade(known: Panel, time_constant: np.ndarray, mean: np.ndarray) -> Faded:
    """Sum the values of each series, weighted by their age at the last one of their variable."""
    row_series = known.row_series
    seen = np.isfinite(known.values)
    last = np.zeros((len(known.offsets) - 1, len(mean)), dtype=known.times.dtype)
    for d in range(len(mean)):
        # Rows rise, and of those that are put in one place, the last stays.
        last[row_series[seen[:, d]], d] = known.times[seen[:, d]]
    age = np.maximum(difference(last[row_series], known.times[:, None]), 0.0)
    weights = np.exp(-age / time_constant)
    total, weight = weighted_sums(known._replace(values=known.values - mean), weights)
    return Faded(total, weight, last, time_constant)


def choose_decay(trials: Sequence[Trial], scaler: Scaler) -> Decay:
    """Choose the two numbers of each variable that miss the values of trials least.

    Parameters
    ----------
    trials : sequence of Trial
        Trials on the training series, possibly none.
    scaler : Scaler
        Their mean, and how long they last.

    Returns
    -------
    Decay
        The rule.
    """
    d = len(scaler.mean)
    best, rate, worth = np.full(d, np.inf), *(np.full(d, number) for number in _OTHERWISE)
    for candidate in _RATES:
        faded = [
            fade(t.known, _constant(np.full(d, candidate), scaler), scaler.mean) for t in trials
        ]
        for prior in _WORTHS:
            miss = _squares(trials, faded, np.full(d, prior), scaler)
            better = miss < best
            best, rate, worth = (
                np.where(better, new, old)
                for new, old in ((miss, best), (candidate, rate), (prior, worth))
            )
    return Decay(_constant(rate, scaler), worth, scaler.mean)


def _constant(rate: np.ndarray, scaler: Scaler) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return scaler.time_unit / rate


def _squares(
    trials: Sequence[Trial], faded: Sequence[Faded], worth: np.ndarray, scaler: Scaler
) -> np.ndarray:
    """Give the sum (D,) of squared misses, in training variances; infinite without trials."""
    unit = np.where(scaler.std > 0, scaler.std, 1.0)
    sums = np.zeros(len(unit)) if trials else np.full(len(unit), np.inf)
    for trial, known in zip(trials, faded, strict=True):
        told = scaler.mean + known.deviation(trial.series, trial.times, worth)
        sums += np.nansum(np.square((trial.truth - told) / unit), axis=0)
    return sums
