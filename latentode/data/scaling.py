"""Scales of values and times, learned from the training rows only."""

from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from latentode.data.panel import Panel


class Scaler(NamedTuple):
    """What a model's numbers mean in the units of the frame.

    Attributes
    ----------
    mean : ndarray of shape (D,)
        Mean of each target.
    std : ndarray of shape (D,)
        Standard deviation of each target; 0 for a constant one, which is given back as it is.
    time_unit : float
        Length of the model's unit of time, in the units of the panel's times: the median span of
        a series, so that a solver never sees seconds since 1970.
    """

    mean: np.ndarray
    std: np.ndarray
    time_unit: float

    @classmethod
    def fit(cls, panel: Panel) -> Self:
        """Learn the scales of a panel; NaN entries are left out."""
        values = panel.values
        n_observed = np.isfinite(values).sum(axis=0).clip(min=1)
        # Centred first: the mean of squares of values around 1e9 has no digits left.
        mean = np.nansum(values, axis=0) / n_observed
        mean += np.nansum(values - mean, axis=0) / n_observed
        std = np.sqrt(np.nansum((values - mean) ** 2, axis=0) / n_observed)
        constant = [_is_constant(column) for column in values.T]
        mean = np.where(constant, [_first_value(column) for column in values.T], mean)
        return cls(mean, np.where(constant, 0.0, std), _median_span(panel))

    def scale(self, values: np.ndarray) -> np.ndarray:
        """Give values (N, D) in standard deviations from the mean; NaN stays NaN."""
        return (values - self.mean) / np.where(self.std > 0, self.std, 1.0)

    def unscale(self, scaled: np.ndarray) -> np.ndarray:
        """Give scaled values (..., D) in their own units."""
        return self.mean + self.std * scaled


def _is_constant(column: np.ndarray) -> bool:
    observed = column[np.isfinite(column)]
    return len(observed) == 0 or bool(observed.min() == observed.max())


def _first_value(column: np.ndarray) -> float:
    observed = column[np.isfinite(column)]
    return float(observed[0]) if len(observed) else 0.0


def _median_span(panel: Panel) -> float:
    filled = np.diff(panel.offsets) > 0
    first, last = panel.offsets[:-1][filled], panel.offsets[1:][filled] - 1
    spans = (panel.times[last] - panel.times[first]).astype(np.float64)
    if (spans > 0).any():
        return float(np.median(spans[spans > 0]))
    spread = float(panel.times.max() - panel.times.min()) if len(panel.times) else 0.0
    return spread or 1.0


class ScaledPanel(NamedTuple):
    """A panel in a model's units: series one after another, rows sorted by time.

    Attributes
    ----------
    offsets : Tensor of shape (S + 1,), dtype=torch.long
        Rows ``offsets[i]`` up to ``offsets[i + 1]`` are those of series i.
    t : Tensor of shape (N + 1,), dtype=torch.float64
        Time since the first row of the series.
    x : Tensor of shape (N + 1, D)
        Scaled values, 0 where nothing was observed.
    mask : Tensor of shape (N + 1, D), dtype=torch.bool
        True where there was something. Behind the last row stands one of no series, in which
        nothing was observed: what a series without rows can point at.
    """

    offsets: Tensor
    t: Tensor
    x: Tensor
    mask: Tensor

    @property
    def n_series(self) -> int:
        """Number of series S."""
        return len(self.offsets) - 1

    @property
    def n_features(self) -> int:
        """Number of targets D."""
        return self.x.shape[1]


def scale_panel(panel: Panel, scaler: Scaler) -> ScaledPanel:
    """Give a panel in the model's units; times are subtracted exactly before they are scaled."""
    first_rows = np.repeat(panel.offsets[:-1], np.diff(panel.offsets))
    starts = panel.times[first_rows]
    t = (panel.times - starts).astype(np.float64) / scaler.time_unit
    x = scaler.scale(panel.values)
    t, x = np.append(t, 0.0), np.vstack([x, np.full((1, x.shape[1]), np.nan)])
    # torch.tensor copies: pandas 3 hands out read-only arrays that must not be kept.
    return ScaledPanel(
        torch.tensor(panel.offsets),
        torch.tensor(t),
        torch.tensor(np.nan_to_num(x), dtype=torch.float32),
        torch.tensor(np.isfinite(x)),
    )
