"""The continuous ranked probability score of a forecast, from its distribution."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from latentode.nn.likelihood import QuantileDistribution
from latentode.nn.student import Student


def crps(p: Distribution, x: Tensor) -> Tensor | None:
    """Give the continuous ranked probability score of each value x under p.

    Parameters
    ----------
    p : Distribution
        Forecasts of one number each, of batch shape (...).
    x : Tensor of shape (...)
        What came.

    Returns
    -------
    Tensor of shape (...) or None
        In the units of the values; that of a point forecast is the absolute error. None for a
        distribution of another kind than those of `LIKELIHOODS`.

    References
    ----------
    Gneiting and Raftery (2007), Strictly proper scoring rules, equation 21. Jordan, Krueger and
    Lerch (2019), Evaluating probabilistic forecasts with scoringRules, appendix A, for Student's
    t.

    Examples
    --------
    >>> import torch
    >>> crps(Normal(0.0, 1.0), torch.tensor([0.0, 3.0]))
    tensor([0.2337, 2.4366])
    """
    if isinstance(p, Normal):
        return _of_normal(p, x)
    if isinstance(p, Student):
        return _of_student(p, x)
    if isinstance(p, QuantileDistribution):
        return _of_quantiles(p, x)
    return None


def _of_normal(p: Normal, x: Tensor) -> Tensor:
    z = (x - p.loc) / p.scale
    within = torch.erf(z / math.sqrt(2))  # 2 Phi(z) - 1
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)
    return p.scale * (z * within + 2 * density - 1 / math.sqrt(math.pi))


def _of_student(p: Student, x: Tensor) -> Tensor:
    df, z = p.df, (x - p.loc) / p.scale
    density = torch.exp(p.log_prob(x)) * p.scale
    spread = _log_beta(df - 0.5) - 2 * _log_beta(df / 2)
    tail = 2 * df.sqrt() / (df - 1) * spread.exp()
    return p.scale * (z * (2 * p.cdf(x) - 1) + 2 * density * (df + z.square()) / (df - 1) - tail)


def _log_beta(b: Tensor) -> Tensor:
    """Give the logarithm of the beta function of 1/2 and b."""
    return math.lgamma(0.5) + torch.lgamma(b) - torch.lgamma(b + 0.5)


def _of_quantiles(p: QuantileDistribution, x: Tensor) -> Tensor:
    """Integrate twice the pinball loss over all levels u, piece by piece."""
    q, levels = p.quantiles, p.levels
    q0, q1, a, b = q[..., :-1], q[..., 1:], levels[:-1], levels[1:]
    x_ = x[..., None]
    below = ((x_ - q0) / (q1 - q0)).clamp(0, 1)  # part of the piece
    v = a + (b - a) * below

    def distance(u: Tensor) -> Tensor:
        return q0 + (u - a) / (b - a) * (q1 - q0) - x_

    inner = _integral(lambda u: -u * distance(u), a, v)
    inner = inner + _integral(lambda u: (1 - u) * distance(u), v, b)
    low, high = p.tails()
    first = _of_tail(x - q[..., 0], levels[0], low)
    last = _of_tail(q[..., -1] - x, 1 - levels[-1], high)
    return 2 * (inner.sum(dim=-1) + first + last)


def _integral(f: Callable[[Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
    """Integrate a polynomial of degree 3 at most, by Simpson's rule."""
    return (b - a) / 6 * (f(a) + 4 * f((a + b) / 2) + f(b))


def _of_tail(x: Tensor, p: Tensor, length: Tensor) -> Tensor:
    """Integrate the pinball loss over the levels u < p, whose quantiles are length log(u / p)."""
    w = (x / length).clamp(max=0)  # the logarithm of v / p, where v is the level of x
    v = p * w.exp()
    below = v.square() / 2 * (x - length * w + length / 2)

    def log_integral(u: Tensor, log: Tensor | float) -> Tensor:
        return u * log - u - u.square() / 2 * log + u.square() / 4

    above = -x * ((p - p.square() / 2) - (v - v.square() / 2))
    return below + above + length * (log_integral(p, 0.0) - log_integral(v, w))
