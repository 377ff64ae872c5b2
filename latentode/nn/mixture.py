"""Several distributions in equal parts."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from latentode.nn.invert import invert


class Mixture:
    """A mixture in equal parts of distributions of the same batch shape.

    Such as the forecasts from several draws of a latent state.

    Parameters
    ----------
    parts : sequence of Distribution
        Each of one number, with a mean, a variance and a distribution function.

    Examples
    --------
    >>> from torch.distributions import Normal
    >>> p = Mixture([Normal(torch.tensor([-1.0]), 1.0), Normal(torch.tensor([1.0]), 1.0)])
    >>> p.mean, p.variance, p.quantile(torch.tensor([[0.25, 0.5]])).round(decimals=3)
    (tensor([0.]), tensor([2.]), tensor([[-1.0510,  0.0000]]))
    """

    def __init__(self, parts: Sequence[Distribution]) -> None:
        if not parts:
            raise ValueError("a mixture needs at least one part.")
        self.parts = tuple(parts)

    @property
    def mean(self) -> Tensor:
        """The mean of the parts' means."""
        return self._averaged([part.mean for part in self.parts])

    @property
    def variance(self) -> Tensor:
        """The mean of the parts' variances, and the variance of their means."""
        means = torch.stack([part.mean for part in self.parts])
        within = self._averaged([part.variance for part in self.parts])
        return within + means.var(dim=0, correction=0)

    def cdf(self, x: Tensor) -> Tensor:
        """Give the probability of at most x."""
        return self._averaged([part.cdf(x) for part in self.parts])

    def log_prob(self, x: Tensor) -> Tensor:
        """Give the logarithm of the density at x."""
        logs = torch.stack([part.log_prob(x) for part in self.parts])
        return logs.logsumexp(dim=0) - math.log(len(self.parts))

    def quantile(self, levels: Tensor) -> Tensor:
        """Give the quantiles of K probabilities for each value.

        Parameters
        ----------
        levels : Tensor of shape (..., K)
            Probabilities; the axes before the last broadcast with the values.

        Returns
        -------
        Tensor of shape (..., K)
            The quantiles, none below that of a lower level.
        """
        # The levels stand in front, so that they broadcast with the parts.
        level = levels.movedim(-1, 0)
        level = level.reshape(
            len(level), *[1] * (self.mean.dim() + 1 - level.dim()), *level.shape[1:]
        )
        return self._quantile(level).movedim(0, -1)

    def _quantile(self, level: Tensor) -> Tensor:
        if len(self.parts) == 1:
            own: Tensor = self.parts[0].icdf(level)
            return own
        # Cantelli's inequality: no distribution with these moments has its quantile outside.
        mean, std = self.mean, self.variance.sqrt()
        odds = (level / (1 - level)).sqrt()
        start = mean + std * torch.special.ndtri(level)
        return invert(self.cdf, self.log_prob, level, mean - std / odds, mean + std * odds, start)

    def _averaged(self, values: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(values)).mean(dim=0)
