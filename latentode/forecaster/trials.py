"""Trials of rules on training series: later rows are told from earlier ones."""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np

from latentode.data import Panel, first_rows, keep_where, time_holdout
from latentode.forecaster.rules import age_since_last_row

Rule = Callable[[Panel, np.ndarray, np.ndarray], np.ndarray]
"""Gives values (P, D) from what is known, and the series and times of P pairs."""

# Parts of the time span of a series after which its rows are told from those before.
_CUTS = (0.25, 0.5, 0.75)
# Bins of lead times at most, and pairs that each needs.
_MOST_BINS, _BIN_SIZE = 8, 150
# Values that the training variance counts as, beside all errors of a variable; and that these
# count as, beside the errors of a bin.
_PRIOR, _POOLED = 1.0, 10.0


class Trial(NamedTuple):
    """What is known of S series, and P pairs of a series and a time with the values that came.

    Attributes
    ----------
    known : Panel
        The rows before the cut.
    series, times : ndarray of shape (P,)
        The pairs.
    lead : ndarray of shape (P,)
        Time since the last row before the cut.
    truth : ndarray of shape (P, D)
        NaN where nothing came.
    """

    known: Panel
    series: np.ndarray
    times: np.ndarray
    lead: np.ndarray
    truth: np.ndarray


def trials_of(panel: Panel) -> list[Trial]:
    """Cut every series at parts of its own time span, and tell what follows; none of no rows."""
    trials = (_trial(panel, time_holdout(panel, 1 - cut)) for cut in _CUTS)
    return [trial for trial in trials if len(trial.times)]


def _trial(panel: Panel, n_known: np.ndarray) -> Trial:
    sizes = np.diff(panel.offsets)
    number = np.arange(len(panel.times)) - np.repeat(panel.offsets[:-1], sizes)
    asked = keep_where(panel, number >= np.repeat(n_known, sizes))
    known = first_rows(panel, n_known)
    series = asked.row_series
    lead = age_since_last_row(known, series, asked.times)
    return Trial(known, series, asked.times, lead, asked.values)


class Spread(NamedTuple):
    """How far a rule misses, by lead time, in standard deviations of the training values.

    Attributes
    ----------
    leads : ndarray of shape (M,)
        Lead times, rising, in the unit of the panel.
    std : ndarray of shape (M, D)
        Root of the mean squared error there.
    """

    leads: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, rule: Rule, trials: list[Trial], mean: np.ndarray, std: np.ndarray) -> Self:
        """Learn from how a rule misses the values of trials.

        Parameters
        ----------
        rule : callable
            The rule; where it tells nothing, nothing is learned.
        trials : list of Trial
            Trials, possibly none.
        mean, std : ndarray of shape (D,)
            Of the training values.

        Returns
        -------
        Spread
            With 1 for a variable that was never told.
        """
        if not trials:
            return cls(np.zeros(1), np.ones((1, len(mean))))
        unit = np.where(std > 0, std, 1.0)
        misses = [(t.truth - rule(t.known, t.series, t.times)) / unit for t in trials]
        squares = np.square(np.concatenate(misses))
        lead = np.concatenate([trial.lead for trial in trials])
        n_bins = int(np.clip(len(lead) // _BIN_SIZE, 1, _MOST_BINS))
        edges = np.quantile(lead, np.linspace(0, 1, n_bins + 1)[1:-1])
        bin_of = np.searchsorted(edges, lead)
        pooled = _mean_square(squares, np.ones(len(mean)), _PRIOR)
        bins = [bin_of == b for b in np.unique(bin_of)]
        variance = [_mean_square(squares[own], pooled, _POOLED) for own in bins]
        return cls(np.array([np.median(lead[own]) for own in bins]), np.sqrt(variance))

    def __call__(self, lead: np.ndarray) -> np.ndarray:
        """Give the spread (P, D) at lead times (P,): held beyond the first and the last."""
        columns = [np.interp(lead, self.leads, column) for column in self.std.T]
        return np.stack(columns, axis=1)


def _mean_square(squares: np.ndarray, prior: np.ndarray, worth: float) -> np.ndarray:
    """Give the mean (D,) of squares (P, D), with a prior that is worth some of them."""
    seen = np.isfinite(squares)
    total = np.where(seen, squares, 0.0).sum(axis=0)
    mean: np.ndarray = (total + worth * prior) / (seen.sum(axis=0) + worth)
    return mean
