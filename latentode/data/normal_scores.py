"""Normal scores: values by their rank, so that no outlier and no skew hides the others."""

from statistics import NormalDist
from typing import NamedTuple, Self

import numpy as np

# Ranks that are kept; between them, scores are interpolated.
_N_RANKS = 201


class NormalScores(NamedTuple):
    """A rising, piecewise linear function of a variable whose values are as if normal.

    Attributes
    ----------
    values, scores : ndarray of shape (K,)
        Where the function bends, and what it is there; beyond, it is constant.
    """

    values: np.ndarray
    scores: np.ndarray

    @classmethod
    def fit(cls, column: np.ndarray) -> Self:
        """Learn the ranks of a column; NaN entries are left out.

        Examples
        --------
        >>> scores = NormalScores.fit(np.array([1.0, 2.0, 3.0, 1000.0, np.nan]))
        >>> scores(np.array([2.5, 1e9])).round(2).tolist()
        [0.0, 1.15]
        """
        observed = np.sort(column[np.isfinite(column)])
        if len(observed) == 0:
            return cls(np.zeros(1), np.zeros(1))
        # The n-th of N values has the probability (n - 1/2) / N, and equal ones that between.
        values, first, counts = np.unique(observed, return_index=True, return_counts=True)
        normal = NormalDist()
        scores = np.array([normal.inv_cdf(p) for p in (first + counts / 2) / len(observed)])
        if len(values) > _N_RANKS:
            # Evenly by score, so that an outlier and what lies below it are told apart.
            grid = np.linspace(scores[0], scores[-1], _N_RANKS)
            at = np.round(np.interp(grid, scores, np.arange(len(values))))
            kept = np.unique(at.astype(np.int64))
            values, scores = values[kept], scores[kept]
        return cls(values, scores)

    def __call__(self, column: np.ndarray) -> np.ndarray:
        """Give the scores of a column; NaN stays NaN."""
        return np.interp(column, self.values, self.scores)
