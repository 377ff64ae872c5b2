"""Where functions of time rise to zero."""

from collections.abc import Callable

import torch
from torch import Tensor

# Rounds in which to locate a zero: a smooth g takes ten, one that jumps as many as time has bits.
_MOST_ROUNDS = 64


def first_zero(
    h: Callable[[Tensor], Tensor], lo: Tensor, hi: Tensor, h_lo: Tensor, h_hi: Tensor
) -> Tensor:
    """Find where functions of time rise to zero, to the rounding of time or state.

    Parameters
    ----------
    h : callable
        ``h(s)`` of shape (B,), a function of each entry of s (B,) alone.
    lo, hi : Tensor of shape (B,)
        Times between which it rises to zero; both 0 where there is nothing to find.
    h_lo, h_hi : Tensor of shape (B,)
        The values there, below 0 and at least 0.

    Returns
    -------
    Tensor of shape (B,)
        Of the nearest times found on both sides of zero, the one with the smaller value.

    References
    ----------
    Chandrupatla (1997), A new hybrid quadratic/bisection algorithm for finding the zero of a
    nonlinear function without using derivatives.
    """
    time, state = torch.finfo(lo.dtype), torch.finfo(h_lo.dtype)
    tolerance = torch.maximum(time.eps * hi, 2 * state.eps * (hi - lo)).clamp(min=time.tiny)
    # The newest time, the one on the other side of zero, and the one before.
    a, b, c = hi, lo, lo
    h_a, h_b, h_c = (x.to(lo.dtype) for x in (h_hi, h_lo, h_lo))
    part = torch.full_like(a, 0.5)
    for _ in range(_MOST_ROUNDS):
        open_ = (b - a).abs() > 2 * tolerance
        if not bool(open_.any()):
            break
        x = torch.where(open_, a + part * (b - a), a)
        h_x = h(x).to(lo.dtype)
        stays = (h_x >= 0) == (h_a >= 0)
        c, h_c = torch.where(stays, a, b), torch.where(stays, h_a, h_b)
        b, h_b = torch.where(stays, b, a), torch.where(stays, h_b, h_a)
        a, h_a = x, h_x
        part = _quadratic_part((a, b, c), (h_a, h_b, h_c))
        least = (tolerance / (b - a).abs()).clamp(max=0.5)
        part = torch.minimum(torch.maximum(part, least), 1 - least)
    return torch.where(h_a.abs() < h_b.abs(), a, b)


def _quadratic_part(
    times: tuple[Tensor, Tensor, Tensor], values: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Give how far from a to b the zero is, of the parabola through three points or a half."""
    (a, b, c), (h_a, h_b, h_c) = times, values
    xi, phi = (a - b) / (c - b), (h_a - h_b) / (h_c - h_b)
    is_good = (phi.square() < xi) & ((1 - phi).square() < 1 - xi)
    part = h_a / (h_b - h_a) * h_c / (h_b - h_c)
    part = part + (c - a) / (b - a) * h_a / (h_c - h_a) * h_b / (h_c - h_b)
    return part.where(is_good & part.isfinite(), 0.5)
