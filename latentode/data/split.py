"""Which rows a model reads, which it is asked about, and which are held out."""

import numpy as np
import torch
from torch import Generator

from latentode.data.batch import Parts, RowRange
from latentode.data.panel import Panel
from latentode.data.scaling import difference

# How often a whole series is to be foretold from nothing, so that the prior is trained too.
_NO_CONTEXT = 0.02


def time_holdout(panel: Panel, fraction: float) -> np.ndarray:
    """Hold out the last part of each series' own time span.

    Parameters
    ----------
    panel : Panel
        The series.
    fraction : float
        Part of the time span, at least 0 and less than 1, at the end of each series.

    Returns
    -------
    ndarray of shape (S,), dtype=int64
        How many rows of each series are left: at least one, of a series that has any.
    """
    sizes = np.diff(panel.offsets)
    series = np.repeat(np.arange(len(sizes)), sizes)
    first, last = panel.offsets[:-1][series], panel.offsets[1:][series] - 1
    since_start = difference(panel.times, panel.times[first])
    kept = since_start <= (1 - fraction) * since_start[last]
    return np.bincount(series, weights=kept, minlength=len(sizes)).astype(np.int64)


def first_rows(panel: Panel, n_rows: np.ndarray) -> Panel:
    """Give a panel of the first ``n_rows`` (S,) rows of each series."""
    number = np.arange(len(panel.times)) - np.repeat(panel.offsets[:-1], np.diff(panel.offsets))
    kept = number < np.repeat(n_rows, np.diff(panel.offsets))
    offsets = np.concatenate([[0], np.cumsum(n_rows)])
    return panel._replace(offsets=offsets, times=panel.times[kept], values=panel.values[kept])


def forecast_parts(rows: RowRange, *, generator: Generator, max_rows: int) -> Parts:
    """Cut each series at random: read what is before the cut, be asked about all of it.

    Parameters
    ----------
    rows : RowRange
        Rows of each series that may be used, at least one of each.
    generator : Generator
        Where the cuts are drawn from.
    max_rows : int
        Most rows to read, and most after the cut to be asked about: those nearest to it.

    Returns
    -------
    Parts
        At least one row after the cut of each series; a series of one row has no context.
    """
    n_rows = rows.end - rows.first
    draw = torch.rand(len(n_rows), generator=generator, dtype=torch.float64)
    blind = torch.rand(len(n_rows), generator=generator) < _NO_CONTEXT
    n_read = torch.where(blind, 0, 1 + (draw * (n_rows - 1)).long()).minimum(n_rows - 1)
    cut = rows.first + n_read
    first = torch.maximum(rows.first, cut - max_rows)
    return Parts(RowRange(first, cut), RowRange(first, torch.minimum(rows.end, cut + max_rows)))


def reconstruction_parts(rows: RowRange, *, generator: Generator, max_rows: int) -> Parts:
    """Read a stretch of each series and be asked about the same rows; see `forecast_parts`."""
    excess = (rows.end - rows.first - max_rows).clamp(min=0)
    draw = torch.rand(len(excess), generator=generator, dtype=torch.float64)
    first = rows.first + (draw * (excess + 1)).long()
    stretch = RowRange(first, torch.minimum(rows.end, first + max_rows))
    return Parts(stretch, stretch)


OBJECTIVES = {"forecast": forecast_parts, "elbo": reconstruction_parts}
