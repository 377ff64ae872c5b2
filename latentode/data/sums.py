"""Scales of values and times, learned of series that come a part at a time."""

import math
from typing import NamedTuple, Self

import numpy as np

from latentode.data.normal_scores import NormalScores
from latentode.data.panel import Panel
from latentode.data.scaling import Scale, Scaler, difference, location_and_scale, spans_of

# Numbers that are kept of each column, and spans of series: up to as many, what is learned of
# them is exact, and beyond that of as many drawn at random.
_KEPT = 2**18


class Moments(NamedTuple):
    """Number, mean, standard deviation and bounds of numbers that were seen so far."""

    n: int = 0
    mean: float = 0.0
    std: float = 0.0
    least: float = math.inf
    most: float = -math.inf

    def with_values(self, values: np.ndarray) -> "Moments":
        """Add numbers, without those that are not finite.

        Examples
        --------
        >>> Moments().with_values(np.array([1.0, 2.0])).with_values(np.array([6.0])).mean
        3.0
        """
        values = values[np.isfinite(values)]
        if not len(values):
            return self
        mean, std = location_and_scale(values)
        other = Moments(len(values), mean, std, float(values.min()), float(values.max()))
        return other if self.n == 0 else self._with(other)

    def _with(self, other: "Moments") -> "Moments":
        """Put two together (Chan, Golub and LeVeque 1979), without squares that overflow."""
        n = self.n + other.n
        a, b = self.n / n, other.n / n
        apart = other.mean - self.mean
        std = math.hypot(
            self.std * math.sqrt(a), other.std * math.sqrt(b), apart * math.sqrt(a * b)
        )
        least, most = min(self.least, other.least), max(self.most, other.most)
        return Moments(n, self.mean + b * apart, std, least, most)

    @property
    def location_and_scale(self) -> tuple[float, float]:
        """Mean and standard deviation; if all numbers are the same, that, and 0."""
        if self.n and self.least == self.most:
            return self.least, 0.0
        return self.mean, self.std


class Drawn:
    """As many numbers as there is room for, drawn at random of all that were seen.

    Parameters
    ----------
    room : int
        How many are kept.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._generator = np.random.default_rng(0)
        self._ranks = self.values = np.zeros(0)

    def add(self, values: np.ndarray) -> None:
        """Add numbers; those with the lowest ranks of all stay, and ranks are random."""
        ranks = np.concatenate([self._ranks, self._generator.random(len(values))])
        values = np.concatenate([self.values, values])
        if len(ranks) > self._room:
            kept = np.argpartition(ranks, self._room)[: self._room]
            ranks, values = ranks[kept], values[kept]
        self._ranks, self.values = ranks, values


class TimeSpans:
    """Spans of series, and the time from the first to the last row of all.

    Attributes
    ----------
    ends : ndarray of shape (2,) or (0,)
        The first and the last time, if there is any.
    """

    def __init__(self) -> None:
        self._spans = Drawn(_KEPT)
        self.ends = np.zeros(0)

    def add(self, panel: Panel) -> None:
        """Add series."""
        spans = spans_of(panel)
        self._spans.add(spans[spans > 0])
        self.ends = bounds(self.ends, panel.times)

    def typical(self) -> float:
        """Give the median span of those in which time passes; 0 if there is none."""
        values = self._spans.values
        return float(np.median(values)) if len(values) else 0.0

    def total(self) -> float:
        """Give the time from the first to the last row of all."""
        return float(difference(self.ends[1], self.ends[0])) if len(self.ends) else 0.0


def bounds(ends: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Give the first and the last of some times, and of those that were there before (2,)."""
    if not len(times):
        return ends
    every = np.concatenate([ends, times]) if len(ends) else times
    return np.array([every.min(), every.max()])


class ScalerSums:
    """What `Scaler.fit` learns of series in memory, of series that come a part at a time.

    Means and standard deviations are those in memory but for rounding; normal scores and the
    unit of time are exact up to 262,144 values of a column and series, and beyond that those of
    as many values and series, drawn at random.

    Parameters
    ----------
    n_features : int
        Number of targets and past covariates.
    """

    def __init__(self, n_features: int) -> None:
        self._trained = [Moments() for _ in range(n_features)]
        self._whole = [Moments() for _ in range(n_features)]
        self._drawn = [Drawn(_KEPT) for _ in range(n_features)]
        self._known: list[Moments] | None = None
        self._static: list[Moments] | None = None
        self._trained_spans, self._whole_spans = TimeSpans(), TimeSpans()

    def add(self, panel: Panel, whole: Panel) -> Self:
        """Add series: the rows of them that are trained on, and all of them."""
        self._trained = _with_columns(self._trained, panel.values)
        self._whole = _with_columns(self._whole, whole.values)
        for drawn, column in zip(self._drawn, panel.values.T, strict=True):
            drawn.add(column[np.isfinite(column)])
        if whole.known is not None:
            self._known = _with_columns(self._known, whole.known.values)
        if whole.static is not None:
            self._static = _with_columns(self._static, whole.static)
        self._trained_spans.add(panel)
        self._whole_spans.add(whole)
        return self

    def scaler(self) -> Scaler:
        """Give the scales."""
        pairs = zip(self._trained, self._whole, strict=True)
        both = [(a.location_and_scale, b.location_and_scale) for a, b in pairs]
        mean, std = np.array([b if a[1] == 0 else a for a, b in both]).reshape(-1, 2).T
        one, two = self._trained_spans, self._whole_spans
        time_unit = one.typical() or two.typical() or one.total() or two.total() or 1.0
        scores = tuple(NormalScores.fit(drawn.values) for drawn in self._drawn)
        return Scaler(mean, std, time_unit, scores, _scale(self._known), _scale(self._static))


def _with_columns(moments: list[Moments] | None, values: np.ndarray) -> list[Moments]:
    before = moments or [Moments()] * values.shape[1]
    return [m.with_values(column) for m, column in zip(before, values.T, strict=True)]


def _scale(moments: list[Moments] | None) -> Scale | None:
    if moments is None:
        return None
    mean, std = np.array([m.location_and_scale for m in moments]).reshape(-1, 2).T
    return Scale(mean, std)
