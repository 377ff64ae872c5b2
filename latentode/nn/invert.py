"""Quantiles of a distribution that only gives its distribution function."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

# Steps at most: halving alone would need about 30; and how small the last one is, as a part of the
# bracket. Where Newton's method takes it, the error is the square of that.
_MOST_STEPS, _SMALL = 60, 1e-9
_LOG_ROOT = 0.5 * math.log(2 * math.pi)


def invert(
    cdf: Callable[[Tensor], Tensor],
    log_prob: Callable[[Tensor], Tensor],
    level: Tensor,
    low: Tensor,
    high: Tensor,
    start: Tensor | None = None,
) -> Tensor:
    """Give where a distribution function reaches a level, between two bounds.

    Steps of Newton's method for normal scores, and a halving of the bracket where one would leave
    it.

    Parameters
    ----------
    cdf, log_prob : callable
        The distribution function, and the logarithm of the density.
    level : Tensor
        Probabilities, which broadcast with the bounds.
    low, high : Tensor
        Where the function is at most and at least the level.
    start : Tensor, optional
        A guess; by default the middle.

    Returns
    -------
    Tensor
        The quantiles.

    Examples
    --------
    >>> from torch.distributions import Normal
    >>> p, bound = Normal(0.0, 1.0), torch.tensor(9.0)
    >>> invert(p.cdf, p.log_prob, torch.tensor(0.975), -bound, bound)
    tensor(1.9600)
    """
    shape = torch.broadcast_shapes(level.shape, low.shape)
    low, high = low.expand(shape), high.expand(shape)
    x = (low + high) / 2 if start is None else start.clamp(low, high)
    tolerance = max(_SMALL, 4 * torch.finfo(x.dtype).eps) * (high - low)
    z = torch.special.ndtri(level)
    for _ in range(_MOST_STEPS):
        score = torch.special.ndtri(cdf(x))
        excess = score - z
        low, high = torch.where(excess < 0, x, low), torch.where(excess > 0, x, high)
        # Normal scores are nearly linear in x, where probabilities are flat in the tails.
        step = x - excess * torch.exp(-score.square() / 2 - _LOG_ROOT - log_prob(x))
        inside = (step > low) & (step < high)
        nearer = torch.where(inside, step, (low + high) / 2)
        moved, x = (nearer - x).abs(), torch.where(excess == 0, x, nearer)
        if bool((moved <= tolerance).all()):
            break
    return x
