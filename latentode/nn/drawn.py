"""Several joint distributions in equal parts, known by draws from them."""

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from latentode.nn.joint import Joint, standard_points
from latentode.nn.likelihood import QuantileDistribution

# Points of all parts together, or nearly so many, and how many neighbours make a quantile.
_N_POINTS, _N_NEIGHBOURS = 256, 4


class Drawn:
    """A mixture in equal parts of joint distributions, with the methods of `Mixture`.

    Densities are those of the mixture. Of single values, whose distributions have no closed form,
    all is told by points that stand for draws, and are always the same.

    Parameters
    ----------
    parts : sequence of Joint
        With the same rows and variables.
    """

    def __init__(self, parts: Sequence[Joint]) -> None:
        self.parts = tuple(parts)

    @property
    def mean(self) -> Tensor:
        """The mean of each value."""
        return self._points.mean(0)

    @property
    def variance(self) -> Tensor:
        """The variance of each value."""
        return self._points.var(dim=0, correction=0)

    def cdf(self, x: Tensor) -> Tensor:
        """Give the probability of at most x, of each value on its own."""
        return self._single.cdf(x)

    def log_prob(self, x: Tensor) -> Tensor:
        """Give the log density of all that came of a row (..., D), in equal parts; see `Joint`."""
        counts = (~x.isnan()).sum(-1, keepdim=True)
        rows = torch.stack([part.log_prob(x) * counts for part in self.parts])
        return (rows.logsumexp(dim=0) - math.log(len(rows))) / counts

    def quantile(self, levels: Tensor) -> Tensor:
        """Give the quantiles (..., K) of K probabilities for each value on its own."""
        level = levels.movedim(-1, 0)
        n_missing = self._points.dim() - level.dim()
        level = level.reshape(len(level), *[1] * n_missing, *level.shape[1:])
        return self._single.icdf(level).movedim(0, -1)

    @cached_property
    def _points(self) -> Tensor:
        """Give the points (M, ...) of all parts."""
        n = len(self.parts)
        n_each = max(_N_POINTS // n // _N_NEIGHBOURS, 1) * _N_NEIGHBOURS
        e = standard_points(n * n_each, self.parts[0].n_features).split(n_each)
        return torch.cat([part.placed(own) for part, own in zip(self.parts, e, strict=True)])

    @cached_property
    def _single(self) -> QuantileDistribution:
        """Give the distribution of each value: neighbours among the points are a quantile."""
        in_order = self._points.sort(dim=0).values
        quantiles = in_order.unflatten(0, (-1, _N_NEIGHBOURS)).mean(1).movedim(0, -1)
        n = quantiles.shape[-1]
        levels = (torch.arange(n, dtype=quantiles.dtype, device=quantiles.device) + 0.5) / n
        return QuantileDistribution(quantiles, levels)
