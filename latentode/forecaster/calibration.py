"""Conformal calibration: the levels at which forecasts hold what they say, by lead time."""

from typing import NamedTuple

import numpy as np
import torch

# Normal scores between which a calibrated level is interpolated, and beyond which it is shifted.
_KNOTS = np.linspace(-3.0, 3.0, 61)
# Bins of lead times at most, and values that each needs; fewer than these say too little of a
# variable, which is then calibrated over all lead times, or like all variables.
_MOST_BINS, _BIN_SIZE, _FEWEST = 6, 150, 30
# No probability is so small that its normal score lies beyond this.
_FARTHEST = 8.0


class Calibration(NamedTuple):
    """For each level, the level of the model that held so much of what came.

    Attributes
    ----------
    leads : ndarray of shape (M,)
        Lead times, rising, in the unit of the panel.
    scores : ndarray of shape (M, D, K)
        Normal scores of the model's levels: those that a share of the values that came stayed
        below, for K shares.
    """

    leads: np.ndarray
    scores: np.ndarray

    @classmethod
    def fit(cls, cdf: np.ndarray, lead: np.ndarray) -> "Calibration":
        """Learn from forecasts of P values of D variables that came.

        Parameters
        ----------
        cdf : ndarray of shape (P, D)
            Forecast probability of at most the value that came; NaN where none did.
        lead : ndarray of shape (P,)
            Lead time of each.

        Returns
        -------
        Calibration
            What it takes for the forecasts to hold what they say.

        References
        ----------
        Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World: a share of
        n values that can be exchanged stays below their order statistic of that share of n + 1.
        """
        scores = np.clip(ndtri(cdf), -_FARTHEST, _FARTHEST)
        seen = np.isfinite(scores).any(axis=1)
        if not seen.any():  # constant targets have no levels to learn
            return cls(np.zeros(1), np.tile(_KNOTS, (1, scores.shape[1], 1)))
        scores, lead = scores[seen], lead[seen]
        n_bins = int(np.clip(len(lead) // _BIN_SIZE, 1, _MOST_BINS))
        edges = np.quantile(lead, np.linspace(0, 1, n_bins + 1))
        bin_of = np.clip(np.searchsorted(edges, lead, side="right") - 1, 0, n_bins - 1)
        filled = [b for b in range(n_bins) if (bin_of == b).any()]
        parts = [_shares(scores[bin_of == b], scores) for b in filled]
        leads = np.array([np.median(lead[bin_of == b]) for b in filled])
        return cls(leads, np.stack(parts))

    def levels(self, asked: np.ndarray, lead: np.ndarray) -> np.ndarray:
        """Give the model's levels (P, D, K) for levels asked (K,), at lead times (P,).

        A higher level stays one: quantiles do not cross.
        """
        z = ndtri(asked)
        inner = np.clip(z, _KNOTS[0], _KNOTS[-1])
        at = np.apply_along_axis(lambda s: np.interp(inner, _KNOTS, s), 2, self.scores)
        at = at + (z - inner)
        return ndtr(np.clip(self._between(lead, at), -_FARTHEST, _FARTHEST))

    def _between(self, lead: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Interpolate (M, D, K) between lead times, held beyond the first and last."""
        place = np.interp(lead, self.leads, np.arange(len(self.leads)))
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, len(self.leads) - 1)
        part = (place - below)[:, None, None]
        return (1 - part) * at[below] + part * at[above]


def _shares(own: np.ndarray, every: np.ndarray) -> np.ndarray:
    """Give the scores (D, K) below which each share of those of each variable stays."""
    shares = ndtr(_KNOTS)
    pooled = every[np.isfinite(every)]
    rows = []
    for d in range(own.shape[1]):
        candidates = (column[np.isfinite(column)] for column in (own[:, d], every[:, d]))
        chosen = next((c for c in candidates if len(c) >= _FEWEST), pooled)
        rows.append(_order_statistics(chosen, shares))
    return np.stack(rows)


def _order_statistics(scores: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Give the order statistics of shares of n + 1; beyond the outermost, as a normal would go."""
    n = len(scores)
    inner = np.clip(shares, 1 / (n + 1), n / (n + 1))
    at = np.quantile(scores, inner, method="weibull")
    return np.maximum.accumulate(at + (ndtri(shares) - ndtri(inner)))


def ndtr(z: np.ndarray) -> np.ndarray:
    """Give the standard normal probability of at most z."""
    probability: np.ndarray = torch.special.ndtr(torch.tensor(z)).numpy()
    return probability


def ndtri(probability: np.ndarray) -> np.ndarray:
    """Give the standard normal score of a probability."""
    z: np.ndarray = torch.special.ndtri(torch.tensor(probability)).numpy()
    return z
