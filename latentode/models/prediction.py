"""Forecasts of many series at once, in memory in proportion to what is asked."""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Generator, Tensor
from torch.distributions import Distribution

from latentode.data import Batch, RowRange, ScaledPanel, gather_context, in_float64
from latentode.models.latent_model import LatentModel

# Series, and pairs of a series and a time, that are forecast at a time at most.
_MOST_SERIES, _MOST_PAIRS = 1024, 50_000


@torch.no_grad()
def forecast_moments(
    module: LatentModel,
    scaled: ScaledPanel,
    series: np.ndarray,
    since: np.ndarray,
    *,
    max_rows: int,
    n_draws: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Give the forecasts of P pairs of a series and a time, in the model's units.

    Parameters
    ----------
    module : LatentModel
        A trained model; it is not changed.
    scaled : ScaledPanel
        What was observed of S series, and what is known of them ahead; see `known_of_query`.
    series : ndarray of shape (P,)
        Position of each pair's series.
    since : ndarray of shape (P,)
        Time of each pair since the last row of its series.
    max_rows : int
        Rows of a series that are read at most, the latest ones.
    n_draws : int
        Draws of the latent state behind the standard deviation; with 0, it is that of an
        observation for a known state.

    Returns
    -------
    mean, std : ndarray of shape (P, D)
        Mean and standard deviation of every target, and of every past covariate behind them.
    """
    # In float64, a forecast does not feel the rounding that its batch mates bring along.
    module = copy.deepcopy(module).double()
    mean = np.empty((len(series), scaled.n_features))
    std = np.empty_like(mean)
    for pairs in _batches_of_pairs(series):
        chosen, row = np.unique(series[pairs], return_inverse=True)
        place, ts = _pad_times(row, since[pairs], len(chosen))
        end = scaled.offsets[torch.tensor(chosen) + 1]
        first = torch.maximum(scaled.offsets[torch.tensor(chosen)], end - max_rows)
        rows, numbers = RowRange(first, end), torch.tensor(chosen)
        batch = in_float64(gather_context(scaled, rows, ts, numbers))
        batch_mean, batch_std = _moments(module, batch, n_draws)
        mean[pairs], std[pairs] = batch_mean[row, place], batch_std[row, place]
    return mean, std


def _batches_of_pairs(series: np.ndarray) -> Iterator[np.ndarray]:
    """Split pairs of a series and a time into batches in which no series has far more than others.

    A batch is padded to the most times of a series, so series with about as many go together.
    """
    counts = np.bincount(series)
    size = counts[series]
    order = np.lexsort((np.arange(len(series)), series, -size))
    start = 0
    while start < len(order):
        widest = size[order[start]]
        n_series = int(min(_MOST_SERIES, max(_MOST_PAIRS // widest, 1)))
        own = series[order[start : start + n_series * widest]]
        number = np.cumsum(np.diff(own, prepend=own[0]) != 0)
        n_pairs = int(np.searchsorted(number, n_series))
        for part in range(start, start + n_pairs, _MOST_PAIRS):
            yield order[part : min(part + _MOST_PAIRS, start + n_pairs)]
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


def _moments(module: LatentModel, batch: Batch, n_draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the mean and the standard deviation (B, P, D) of a forecast.

    The draws are the same for every series, so that no forecast depends on what else is asked,
    and come in pairs of opposite ones.
    """
    context = batch.context
    q, known = module.encode(context), module.decoder.read(context)

    def forecast(z0: Tensor) -> Distribution:
        p: Distribution = module.decoder(module.carry(z0, context, batch.ts), batch.ts, known)
        return p

    p = forecast(q.mean)
    mean, variance = p.mean, p.variance
    if n_draws:
        shape = n_draws // 2, q.mean.shape[-1]
        draws = torch.randn(*shape, generator=Generator().manual_seed(0)).to(q.mean)
        states = [q.mean + q.stddev * e for e in torch.cat([draws, -draws])]
        paths = [forecast(z0) for z0 in states]
        means = torch.stack([path.mean for path in paths])
        variance = torch.stack([path.variance for path in paths]).mean(dim=0)
        variance = variance + (means - mean).square().mean(dim=0)
    return mean.numpy(), variance.sqrt().numpy()
