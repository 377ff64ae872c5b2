"""Pairs of a series and a time, in batches of bounded size."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentode.data import Batch, RowRange, ScaledPanel, gather_context, in_float64

# Series, and pairs of a series and a time, that are forecast at a time at most.
_MOST_SERIES, MOST_PAIRS = 1024, 50_000


class Some(NamedTuple):
    """Some of the pairs asked, as a batch.

    Attributes
    ----------
    batch : Batch
        The series, and the times asked of each.
    pairs : ndarray of shape (p,)
        Which of the pairs asked these are.
    series : ndarray of shape (b,)
        Which of the series stand in the rows of the batch.
    row, place : ndarray of shape (p,)
        Where each pair stands in the batch.
    """

    batch: Batch
    pairs: np.ndarray
    series: np.ndarray
    row: np.ndarray
    place: np.ndarray

    def of_pairs(self, values: Tensor) -> Tensor:
        """Pick what belongs to each pair (p, ...), out of (b, times, ...)."""
        return values[torch.as_tensor(self.row), torch.as_tensor(self.place)]

    def padded(self, values: np.ndarray) -> np.ndarray:
        """Put what belongs to each pair, out of (P, ...), where its time stands in the batch."""
        shape = *self.batch.ts.shape, *values.shape[1:]
        result = np.full(shape, 0.5)  # a level and a value like others, where nothing is asked
        result[self.row, self.place] = values[self.pairs]
        return result

    def drawn(
        self, generators: Sequence[np.random.Generator], n_draws: int, n_features: int
    ) -> np.ndarray:
        """Draw probabilities (N, b, times, D): of each series as many as it is asked about."""
        result = np.full((n_draws, *self.batch.ts.shape, n_features), 0.5)
        for row, n in enumerate(np.bincount(self.row, minlength=len(generators))):
            result[:, row, :n] = generators[row].uniform(1e-12, 1, (n_draws, n, n_features))
        return result


def batches_of_pairs(
    scaled: ScaledPanel,
    series: np.ndarray,
    since: np.ndarray,
    *,
    max_rows: int,
    most_pairs: int = MOST_PAIRS,
) -> Iterator[Some]:
    """Go through all pairs of a series and a time in batches of bounded size."""
    for pairs in _split(series, most_pairs):
        chosen, row = np.unique(series[pairs], return_inverse=True)
        place, ts = _pad_times(row, since[pairs], len(chosen))
        end = scaled.offsets[torch.tensor(chosen) + 1]
        first = torch.maximum(scaled.offsets[torch.tensor(chosen)], end - max_rows)
        rows, numbers = RowRange(first, end), torch.tensor(chosen)
        batch = in_float64(gather_context(scaled, rows, ts, numbers))
        yield Some(batch, pairs, chosen, row, place)


def _split(series: np.ndarray, most_pairs: int) -> Iterator[np.ndarray]:
    """Split pairs of a series and a time into batches in which no series has far more than others.

    A batch is padded to the most times of a series, so series with about as many go together.
    """
    counts = np.bincount(series)
    size = counts[series]
    order = np.lexsort((np.arange(len(series)), series, -size))
    start = 0
    while start < len(order):
        widest = size[order[start]]
        n_series = int(min(_MOST_SERIES, max(most_pairs // widest, 1)))
        own = series[order[start : start + n_series * widest]]
        number = np.cumsum(np.diff(own, prepend=own[0]) != 0)
        n_pairs = int(np.searchsorted(number, n_series))
        for part in range(start, start + n_pairs, most_pairs):
            yield order[part : min(part + most_pairs, start + n_pairs)]
        start += n_pairs


def _pad_times(series: np.ndarray, since: np.ndarray, n_series: int) -> tuple[np.ndarray, Tensor]:
    """Put the times asked of each series in a row of their own.

    Returns
    -------
    place : ndarray of shape (P,)
        Where in the row of its series each time went.
    ts : Tensor of shape (S, most times of a series)
        The times, 0 behind the last of a row.
    """
    counts = np.bincount(series, minlength=n_series)
    order = np.argsort(series, kind="stable")
    place = np.empty(len(series), dtype=np.int64)
    place[order] = np.arange(len(series)) - np.repeat(np.cumsum(counts) - counts, counts)
    ts = np.zeros((n_series, counts.max()))
    ts[series, place] = since
    return place, torch.tensor(ts)
