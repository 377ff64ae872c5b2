"""Scales of values and times, learned from the training rows only."""

from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from latentode.data.knots import Knots
from latentode.data.known import filled
from latentode.data.normal_scores import NormalScores
from latentode.data.panel import Panel

# Scaled values beyond this are as good as this: float32 could not square them.
_LARGEST = 1e15


class Scale(NamedTuple):
    """Mean and standard deviation of each of some columns; the latter is 0 for a constant one."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray | None) -> Self | None:
        """Learn them of values (N, D), without the NaN entries; None of None."""
        if values is None:
            return None
        scales = [location_and_scale(column) for column in values.T]
        mean, std = np.array(scales).reshape(-1, 2).T
        return cls(mean, std)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Give values (N, D) in standard deviations from the mean, and 0 for NaN."""
        scaled = (values - self.mean) / np.where(self.std > 0, self.std, 1.0)
        return np.nan_to_num(np.clip(scaled, -_LARGEST, _LARGEST))


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
    scores : tuple of NormalScores
        Of each target, in its own units: what networks read of it.
    known, static : Scale or None
        Of the known and of the static covariates, if there are any.
    """

    mean: np.ndarray
    std: np.ndarray
    time_unit: float
    scores: tuple[NormalScores, ...] = ()
    known: Scale | None = None
    static: Scale | None = None

    @classmethod
    def fit(cls, panel: Panel, whole: Panel) -> Self:
        """Learn the scales of the panel that is trained on; NaN entries are left out.

        A target that is constant there, but not in the whole panel, has the scale of the latter;
        and so have times, if no series has two of them there.
        """
        scales = [location_and_scale(column) for column in panel.values.T]
        wider = [location_and_scale(column) for column in whole.values.T]
        chosen = [b if a[1] == 0 else a for a, b in zip(scales, wider, strict=True)]
        mean, std = np.array(chosen).reshape(-1, 2).T
        scores = tuple(NormalScores.fit(column) for column in panel.values.T)
        known = None if panel.known is None else Scale.fit(panel.known.values)
        time_unit = _median_span(panel) or _median_span(whole) or _spread(panel) or _spread(whole)
        return cls(mean, std, time_unit or 1.0, scores, known, Scale.fit(panel.static))

    def scale(self, values: np.ndarray) -> np.ndarray:
        """Give values (N, D) in standard deviations from the mean; NaN stays NaN."""
        return (values - self.mean) / np.where(self.std > 0, self.std, 1.0)

    def unscale(self, scaled: np.ndarray) -> np.ndarray:
        """Give scaled values (..., D) in their own units."""
        return self.mean + self.std * scaled


def location_and_scale(column: np.ndarray) -> tuple[float, float]:
    """Give the mean and the standard deviation of a column; if it is constant, that, and 0."""
    observed = column[np.isfinite(column)]
    if len(observed) == 0:
        return 0.0, 0.0
    if observed.min() == observed.max():
        return float(observed[0]), 0.0
    # Around the middle and in units of the largest distance from it: values around 1e9 keep their
    # digits, and no square is too large or too small.
    middle = observed.min() / 2 + observed.max() / 2
    unit = np.abs(observed - middle).max()
    parts = (observed - middle) / unit
    return float(middle + unit * parts.mean()), float(unit * parts.std())


def _median_span(panel: Panel) -> float:
    """Give the median time from the first to the last row of a series; 0 if no time passes."""
    spans = spans_of(panel)
    return float(np.median(spans[spans > 0])) if (spans > 0).any() else 0.0


def spans_of(panel: Panel) -> np.ndarray:
    """Give the time from the first to the last row of each series that has any."""
    filled = np.diff(panel.offsets) > 0
    first, last = panel.offsets[:-1][filled], panel.offsets[1:][filled] - 1
    spans: np.ndarray = difference(panel.times[last], panel.times[first])
    return spans


def _spread(panel: Panel) -> float:
    """Give the time from the first to the last row of all series."""
    return float(difference(panel.times.max(), panel.times.min())) if len(panel.times) else 0.0


def difference(later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """Subtract times as float64: exactly as integers, unless these do not hold the difference.

    Examples
    --------
    >>> float(difference(np.int64(2**62 + 3), np.int64(2**62)))
    3.0
    >>> float(difference(np.int64(2**62), np.int64(-(2**62))))
    9.223372036854776e+18
    """
    roughly = np.asarray(later).astype(np.float64) - np.asarray(earlier).astype(np.float64)
    with np.errstate(over="ignore"):
        exact = np.subtract(later, earlier)
    return np.where(np.abs(roughly) < 2.0**62, exact.astype(np.float64), roughly)[()]


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
    scores : Tensor of shape (N + 1, D)
        Normal scores of the values, 0 where nothing was observed.
    mask : Tensor of shape (N + 1, D), dtype=torch.bool
        True where there was something. Behind the last row stands one of no series, in which
        nothing was observed: what a series without rows can point at.
    known : Knots or None
        Known covariates, in the same times.
    static : Tensor of shape (S, E), or None
        Static covariates.
    noise : Tensor of shape (N + 1, D), or None
        Known standard deviations of measurements, 0 where there is none.
    """

    offsets: Tensor
    t: Tensor
    x: Tensor
    scores: Tensor
    mask: Tensor
    known: Knots | None = None
    static: Tensor | None = None
    noise: Tensor | None = None

    @property
    def n_series(self) -> int:
        """Number of series S."""
        return len(self.offsets) - 1

    @property
    def n_features(self) -> int:
        """Number of targets and past covariates D."""
        return self.x.shape[1]


def scale_panel(panel: Panel, scaler: Scaler) -> ScaledPanel:
    """Give a panel in the model's units; times are subtracted exactly before they are scaled."""
    start = np.repeat(panel.offsets[:-1], np.diff(panel.offsets))
    t = difference(panel.times, panel.times[start]) / scaler.time_unit
    # A context may hold what float32 cannot, many times the scale of what was fitted.
    x = np.clip(scaler.scale(panel.values), -_LARGEST, _LARGEST)
    nothing = np.full((1, x.shape[1]), np.nan)
    t, x = np.append(t, 0.0), np.vstack([x, nothing])
    scores = np.empty_like(x)
    for d, score in enumerate(scaler.scores):
        scores[:, d] = np.append(score(panel.values[:, d]), np.nan)
    # torch.tensor copies: pandas 3 hands out read-only arrays that must not be kept.
    return ScaledPanel(
        torch.tensor(panel.offsets),
        torch.tensor(t),
        torch.tensor(np.nan_to_num(x), dtype=torch.float32),
        torch.tensor(np.nan_to_num(scores), dtype=torch.float32),
        torch.tensor(np.isfinite(x)),
        scale_known(panel, starts_of(panel), scaler),
        scale_static(panel, scaler),
        scale_noise(panel, scaler),
    )


def scale_noise(panel: Panel, scaler: Scaler) -> Tensor | None:
    """Give known standard deviations in the model's units, 0 where there is none."""
    if panel.noise is None:
        return None
    unit = np.where(scaler.std > 0, scaler.std, 1.0)
    noise = np.clip(np.nan_to_num(panel.noise) / unit, 0.0, _LARGEST)
    return torch.tensor(np.vstack([noise, np.zeros((1, len(unit)))]), dtype=torch.float32)


def starts_of(panel: Panel) -> np.ndarray:
    """Give the time (S,) of the first row of each series; without rows, of its first knot."""
    first = _first(panel.times, panel.offsets)
    if panel.known is None:
        return first
    has_rows = np.diff(panel.offsets) > 0
    return np.where(has_rows, first, _first(panel.known.times, panel.known.offsets))


def scale_known(panel: Panel, start: np.ndarray, scaler: Scaler) -> Knots | None:
    """Give known covariates in the model's units, at times since a start (S,) of each series.

    One that is NaN is as before, and before its first value it is that.
    """
    if panel.known is None or scaler.known is None:
        return None
    offsets, times, values = panel.known
    t = difference(times, np.repeat(start, np.diff(offsets))) / scaler.time_unit
    scaled = scaler.known.scaled(filled(values, offsets[:-1], back=True))
    return Knots(
        torch.tensor(offsets),
        torch.tensor(t),
        torch.tensor(scaled, dtype=torch.float32),
        panel.schema.known_interpolation,
    )


def scale_static(panel: Panel, scaler: Scaler) -> Tensor | None:
    """Give static covariates in the model's units, 0 where one is missing."""
    if panel.static is None or scaler.static is None:
        return None
    return torch.tensor(scaler.static.scaled(panel.static), dtype=torch.float32)


def _first(times: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    if not len(times):
        return np.zeros(len(offsets) - 1, times.dtype)
    return times[np.minimum(offsets[:-1], len(times) - 1)]
