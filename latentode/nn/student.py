"""Student's t distribution with its distribution function, which torch leaves out."""

import math

import torch
from torch import Tensor
from torch.distributions import StudentT

from latentode.nn.invert import invert

# Terms of the continued fraction at most; below its turning point some 30 are enough.
_MOST_TERMS = 200


class Student(StudentT):
    """Student's t distribution, of which torch knows the density alone.

    Parameters
    ----------
    df, loc, scale : Tensor
        Degrees of freedom, location and scale, which broadcast.

    Examples
    --------
    >>> import torch
    >>> p = Student(torch.tensor(4.0), torch.tensor(0.0), torch.tensor(1.0))
    >>> p.cdf(torch.tensor(2.132)), p.icdf(torch.tensor(0.95)).round(decimals=2)
    (tensor(0.9500), tensor(2.1300))
    """

    def cdf(self, value: Tensor) -> Tensor:
        """Give the probability of at most a value."""
        t = (value - self.loc) / self.scale
        # Both tails from the smaller one: neither loses its digits.
        outside = incomplete_beta(self.df / 2, torch.full_like(self.df, 0.5), t) / 2
        return torch.where(t < 0, outside, 1 - outside)

    def icdf(self, value: Tensor) -> Tensor:
        """Give the quantile of a probability."""
        # The tail of df = 2 lies outside of those of all that have a variance, and inverts.
        widest = (2 * value - 1) * math.sqrt(2.0) / (2 * (value * (1 - value)).sqrt())
        widest = widest.expand(torch.broadcast_shapes(value.shape, self.loc.shape)) * self.scale
        zero = torch.zeros_like(widest)
        bounds = self.loc + widest.minimum(zero), self.loc + widest.maximum(zero)
        z = torch.special.ndtri(value)
        start = self.loc + self.scale * (z + (z**3 + z) / (4 * self.df))
        return invert(self.cdf, self.log_prob, value, *bounds, start=start)


def incomplete_beta(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Give I_x(a, b), the regularised incomplete beta function, at x = 2 a / (2 a + t^2).

    The argument is t, so that neither x nor 1 - x loses digits near its end.

    References
    ----------
    NIST Digital Library of Mathematical Functions, 8.17.22 (the continued fraction) and 8.17.4
    (the symmetry).
    """
    square = t.square()
    x, rest = 2 * a / (2 * a + square), square / (2 * a + square)
    log_factor = (
        torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b) + a * x.log() + b * rest.log()
    )
    factor = log_factor.exp()
    direct = x < (a + 1) / (a + b + 2)
    first, second = torch.where(direct, a, b), torch.where(direct, b, a)
    fraction = factor * _fraction(first, second, torch.where(direct, x, rest)) / first
    return torch.where(direct, fraction, 1 - fraction)


def _fraction(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Give the continued fraction of the incomplete beta function, by the method of Lentz."""
    tiny, enough = torch.finfo(x.dtype).tiny ** 0.5, 8 * torch.finfo(x.dtype).eps
    d = 1 / _apart(1 - (a + b) * x / (a + 1), tiny)
    c, result = torch.ones_like(d), d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = result
        for term in (even, odd):
            d = 1 / _apart(1 + term * d, tiny)
            c = _apart(1 + term / c, tiny)
            result = result * c * d
        if bool(((result - before).abs() <= enough * result.abs()).all()):
            break
    return result


def _apart(x: Tensor, tiny: float) -> Tensor:
    """Keep a divisor away from 0."""
    return torch.where(x.abs() < tiny, tiny, x)
