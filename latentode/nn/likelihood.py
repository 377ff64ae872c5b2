"""Likelihoods: from the numbers of a decoder to a distribution over a variable."""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, constraints
from torch.nn.functional import softplus

from latentode.nn.student import Student
from latentode.solvers.checks import check_choice

# Least scale, in scaled units: data are never known better.
_LEAST_SCALE = 0.01


class Likelihood(Protocol):
    """Give the distribution of values from ``n_parameters`` numbers for each of them.

    The first of the numbers is the location, to which what is known is added.
    """

    n_parameters: int

    def __call__(self, raw: Tensor, variable: Tensor, noise: Tensor | None = None) -> Distribution:
        """Give p(x), with the batch shape of ``raw[..., 0]``.

        Parameters
        ----------
        raw : Tensor of shape (..., n_parameters)
            The numbers.
        variable : Tensor of dtype torch.long
            Which variable each is of; it broadcasts with ``raw[..., 0]``.
        noise : Tensor, optional
            Known standard deviation of the measurement, in scaled units, added to the model's.
        """
        ...


class Gaussian(nn.Module):
    """A normal distribution, of one noise for each variable or of one for each value.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    noise : {"each", "variable"}, default="each"
        Whether the decoder gives the standard deviation of every value, or each variable has one.

    Examples
    --------
    >>> import torch
    >>> p = Gaussian(2)(torch.zeros(5, 2), torch.tensor([0, 1, 0, 1, 1]))
    >>> p.mean.shape
    torch.Size([5])
    """

    def __init__(self, n_features: int, *, noise: str = "each") -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((n_features,), 0.5))
        self.n_parameters = _n_parameters(noise)

    def forward(self, raw: Tensor, variable: Tensor, noise: Tensor | None = None) -> Normal:
        """Give p(x)."""
        scale = _scale(raw, self.log_scale[variable], noise)
        return Normal(raw[..., 0], scale, validate_args=False)


class StudentTNoise(nn.Module):
    """Student's t distribution, for values with outliers; each variable has its own tail.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    noise : {"each", "variable"}, default="each"
        Whether the decoder gives the scale of every value, or each variable has one.

    Examples
    --------
    >>> import torch
    >>> p = StudentTNoise(2)(torch.zeros(5, 2), torch.tensor([0, 1, 0, 1, 1]))
    >>> bool((p.df > 2).all())
    True
    """

    def __init__(self, n_features: int, *, noise: str = "each") -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((n_features,), 0.5))
        self.raw_df = nn.Parameter(torch.full((n_features,), 2.0))
        self.n_parameters = _n_parameters(noise)

    def forward(self, raw: Tensor, variable: Tensor, noise: Tensor | None = None) -> Student:
        """Give p(x); its variance is finite."""
        df = 2.1 + softplus(self.raw_df[variable])
        return Student(
            df.expand(raw.shape[:-1]),
            raw[..., 0],
            _scale(raw, self.log_scale[variable], noise),
            validate_args=False,
        )


class Quantiles(nn.Module):
    """A distribution given by quantiles, between which its density is constant.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    n_levels : int, default=9
        Number of quantiles, odd, so that the median is one.

    Examples
    --------
    >>> import torch
    >>> p = Quantiles(2)(torch.zeros(5, 9), torch.tensor([0, 1, 0, 1, 1]))
    >>> p.icdf(torch.tensor(0.5)).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0]
    """

    def __init__(self, n_features: int, *, n_levels: int = 9) -> None:
        super().__init__()
        if n_levels < 3 or n_levels % 2 == 0:
            raise ValueError(f"n_levels={n_levels} must be odd and at least 3.")
        levels = torch.arange(1, n_levels + 1) / (n_levels + 1)
        self.levels: Tensor
        self.register_buffer("levels", levels)
        # The gaps between the quantiles of a normal distribution, to begin with.
        gaps = Normal(0.0, 1.0).icdf(levels).diff()
        self.log_gap = nn.Parameter(_inverse_softplus(gaps).repeat(n_features, 1))
        self.n_parameters = n_levels

    def forward(
        self, raw: Tensor, variable: Tensor, noise: Tensor | None = None
    ) -> "QuantileDistribution":
        """Give p(x); known noise is refused, for it cannot be added to quantiles."""
        if noise is not None:
            raise ValueError("known noise needs a Gaussian or StudentTNoise likelihood.")
        gaps = softplus(raw[..., 1:] + self.log_gap[variable]) + 1e-4
        n_below = gaps.shape[-1] // 2
        below, above = gaps[..., :n_below], gaps[..., n_below:]
        median = raw[..., :1]
        lower = median - below.flip(-1).cumsum(-1).flip(-1)
        upper = median + above.cumsum(-1)
        return QuantileDistribution(torch.cat([lower, median, upper], dim=-1), self.levels)


class QuantileDistribution(Distribution):
    """A continuous distribution whose quantile function is linear between given quantiles.

    Beyond the outermost, its tails are exponential, with the density at the outermost quantile
    that leaves the probability outside of it.

    Parameters
    ----------
    quantiles : Tensor of shape (..., K)
        Rising.
    levels : Tensor of shape (K,)
        Their probabilities, rising, between 0 and 1.

    Examples
    --------
    >>> import torch
    >>> p = QuantileDistribution(torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([0.25, 0.5, 0.75]))
    >>> p.icdf(torch.tensor(0.625)), p.cdf(torch.tensor(1.0))
    (tensor(1.), tensor(0.6250))
    """

    arg_constraints = {}  # noqa: RUF012  torch's own name, read by its base class
    support = constraints.real

    def __init__(self, quantiles: Tensor, levels: Tensor) -> None:
        self.quantiles, self.levels = quantiles, levels
        super().__init__(quantiles.shape[:-1], validate_args=False)

    @property
    def median(self) -> Tensor:
        """The median."""
        return self.icdf(torch.full_like(self.quantiles[..., 0], 0.5))

    @property
    def mean(self) -> Tensor:
        """The mean: that of each piece, weighted by its probability."""
        q, p = self.quantiles, self.levels
        inner = ((q[..., 1:] + q[..., :-1]) / 2 * p.diff()).sum(-1)
        low, high = self.tails()
        return inner + p[0] * (q[..., 0] - low) + (1 - p[-1]) * (q[..., -1] + high)

    @property
    def variance(self) -> Tensor:
        """The variance, of all pieces around the mean."""
        q, p, mean = self.quantiles, self.levels, self.mean
        a, b = q[..., :-1] - mean[..., None], q[..., 1:] - mean[..., None]
        inner = ((a * a + a * b + b * b) / 3 * p.diff()).sum(-1)
        low, high = self.tails()
        first, last = q[..., 0] - mean, q[..., -1] - mean
        below = p[0] * (first.square() - 2 * first * low + 2 * low.square())
        above = (1 - p[-1]) * (last.square() + 2 * last * high + 2 * high.square())
        return inner + below + above

    def log_prob(self, value: Tensor) -> Tensor:
        """Give the logarithm of the density."""
        q, p = self.quantiles, self.levels
        low, high = self.tails()
        density = p.diff() / q.diff(dim=-1)
        piece = self._piece(value)
        inner = _pick(density.log(), piece)
        below = (p[0] / low).log() + (value - q[..., 0]) / low
        above = ((1 - p[-1]) / high).log() - (value - q[..., -1]) / high
        outer = torch.where(value < q[..., 0], below, above)
        return torch.where((value >= q[..., 0]) & (value <= q[..., -1]), inner, outer)

    def cdf(self, value: Tensor) -> Tensor:
        """Give the probability of at most a value."""
        q, p = self.quantiles, self.levels
        low, high = self.tails()
        piece = self._piece(value)
        q0, q1 = _pick(q, piece), _pick(q, piece + 1)
        inner = p[piece] + (p[piece + 1] - p[piece]) * (value - q0) / (q1 - q0)
        below = p[0] * torch.exp(((value - q[..., 0]) / low).clamp(max=0))
        above = 1 - (1 - p[-1]) * torch.exp(-((value - q[..., -1]) / high).clamp(min=0))
        outer = torch.where(value < q[..., 0], below, above)
        return torch.where((value >= q[..., 0]) & (value <= q[..., -1]), inner, outer)

    def icdf(self, value: Tensor) -> Tensor:
        """Give the quantile of a probability."""
        q, p = self.quantiles, self.levels
        value = value.expand(torch.broadcast_shapes(value.shape, q.shape[:-1]))
        low, high = self.tails()
        piece = (torch.searchsorted(p, value.contiguous(), right=True) - 1).clamp(0, len(p) - 2)
        q0, q1 = _pick(q, piece), _pick(q, piece + 1)
        inner = q0 + (q1 - q0) * (value - p[piece]) / (p[piece + 1] - p[piece])
        below = q[..., 0] + low * (value / p[0]).clamp(max=1).log()
        above = q[..., -1] - high * ((1 - value) / (1 - p[-1])).clamp(max=1).log()
        outer = torch.where(value < p[0], below, above)
        return torch.where((value >= p[0]) & (value <= p[-1]), inner, outer)

    def _piece(self, value: Tensor) -> Tensor:
        n_below = (value[..., None] >= self.quantiles).sum(-1)
        return (n_below - 1).clamp(0, len(self.levels) - 2)

    def tails(self) -> tuple[Tensor, Tensor]:
        """Give the mean length of either tail: where the density goes on as it is inside."""
        q, p = self.quantiles, self.levels
        low = p[0] * (q[..., 1] - q[..., 0]) / (p[1] - p[0])
        high = (1 - p[-1]) * (q[..., -1] - q[..., -2]) / (p[-1] - p[-2])
        return low, high


def _pick(x: Tensor, index: Tensor) -> Tensor:
    """Give one entry of the last axis of x for each index; both broadcast."""
    shape = torch.broadcast_shapes(x.shape[:-1], index.shape)
    return x.expand(*shape, -1).gather(-1, index.expand(shape)[..., None]).squeeze(-1)


def _n_parameters(noise: str) -> int:
    check_choice("noise", noise, ("each", "variable"))
    return 2 if noise == "each" else 1


def _scale(raw: Tensor, log_scale: Tensor, noise: Tensor | None) -> Tensor:
    own = log_scale if raw.shape[-1] == 1 else raw[..., 1] + log_scale
    scale = softplus(own).expand(raw.shape[:-1]) + _LEAST_SCALE
    return scale if noise is None else torch.hypot(scale, noise)


def _inverse_softplus(x: Tensor) -> Tensor:
    return x + torch.log(-torch.expm1(-x))


LIKELIHOODS = {"gaussian": Gaussian, "student-t": StudentTNoise, "quantiles": Quantiles}
