"""How accurate a step was, and how long the next one should be."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.explicit import Field

SAFETY = 0.9
SMALLEST_FACTOR, LARGEST_FACTOR = 0.2, 10.0
# Gains of the PI controller; of those measured, the least work for a given error.
INTEGRAL, PROPORTIONAL = 0.4, 0.3


class Tolerance(NamedTuple):
    """An error of ``atol + rtol * abs(y)`` is tolerated.

    Attributes
    ----------
    rtol, atol : float or Tensor that broadcasts to (B, D)
        Relative and absolute tolerance; the latter not 0, for else a state of zero would tolerate
        no error at all.
    """

    rtol: float | Tensor
    atol: float | Tensor

    def of(self, size: Tensor) -> Tensor:
        """Give the tolerance of entries of this size, in place."""
        return size.mul_(self.rtol).add_(self.atol)


def error_ratio(errors: Sequence[Tensor], y0: Tensor, y1: Tensor, tolerance: Tolerance) -> Tensor:
    """Give the error of a step as a multiple of what is tolerated.

    Parameters
    ----------
    errors : sequence of Tensors of shape (B, D)
        One or two estimates of the error of the step, the better one first.
    y0, y1 : Tensor of shape (B, D)
        The states before and after it.
    tolerance : Tolerance
        An error of ``atol + rtol * max(abs(y0), abs(y1))`` in every entry gives 1.

    Returns
    -------
    Tensor of shape (B,)
        The step is accepted where this is at most 1.

    References
    ----------
    Hairer, Norsett and Wanner (1993), Solving Ordinary Differential Equations I, eq. (II.4.11),
    and section II.10 for two estimates.

    Examples
    --------
    >>> import torch
    >>> y = torch.tensor([[9.0]])
    >>> error_ratio([torch.tensor([[1e-3]])], y, y, Tolerance(rtol=1e-4, atol=1e-4))
    tensor([1.0000])
    """
    scale = tolerance.of(torch.maximum(y0.abs(), y1.abs()))
    ratio, *low = (rms(error / scale) for error in errors)
    if not low:
        return ratio
    return ratio * ratio / torch.hypot(ratio, 0.1 * low[0]).clamp(min=_smallest(ratio))


def step_factor(ratio: Tensor, previous: Tensor, *, order: int) -> Tensor:
    """Give the factor by which to change the step size, by a PI controller.

    Parameters
    ----------
    ratio, previous : Tensor of shape (B,)
        Error ratio of the step just tried, and of the last step that was accepted.
    order : int
        The error of a step grows as its size to this power.

    Returns
    -------
    Tensor of shape (B,)
        Between 0.2 and 10, and at most 0.9 where the step was rejected.

    References
    ----------
    Hairer and Wanner (1996), Solving Ordinary Differential Equations II, section IV.2.

    Examples
    --------
    >>> import torch
    >>> step_factor(torch.tensor([1.0, 32.0]), torch.tensor([1.0, 1.0]), order=5)
    tensor([0.9000, 0.5540])
    """
    gain = ratio.pow(-(INTEGRAL + PROPORTIONAL) / order).mul_(SAFETY)
    # Hairer and Wanner's floor: a step that was by chance far too good says little of the next.
    memory = previous.clamp(min=1e-4).pow_(PROPORTIONAL / order)
    factor = gain.mul_(memory).clamp_(SMALLEST_FACTOR, LARGEST_FACTOR)
    # A step that is not finite says nothing of its size but that it was too long.
    return factor.nan_to_num_(nan=SMALLEST_FACTOR)


def first_step(
    field: Field,
    s: Tensor,
    y: Tensor,
    k: Tensor,
    *,
    longest: Tensor,
    order: int,
    tolerance: Tolerance,
) -> Tensor:
    """Guess the size of the first step from the size of the field and of its change.

    Parameters
    ----------
    field : callable
        dy/ds as a function of s (B,) and y (B, D); it is evaluated once.
    s : Tensor of shape (B,)
        Where each sample starts.
    y, k : Tensor of shape (B, D)
        State there, and the field there.
    longest : Tensor of shape (B,)
        How far ahead the field may be evaluated.
    order : int
        Order of the method.
    tolerance : Tolerance
        As in `error_ratio`.

    Returns
    -------
    Tensor of shape (B,)
        Positive step sizes, which depend on the equation alone if ``longest`` is infinite.

    References
    ----------
    Hairer, Norsett and Wanner (1993), Solving Ordinary Differential Equations I, section II.4.
    """
    scale = tolerance.of(y.abs())
    size, slope = rms(y / scale), rms(k / scale)
    tiny = (size < 1e-5) | (slope < 1e-5)
    trial = torch.where(tiny, 1e-6, 0.01 * size / slope.where(~tiny, 1.0)).to(s.dtype)
    reach = torch.minimum(trial, longest)
    k1 = field(s + reach, y + reach[:, None].to(scale.dtype) * k)
    curvature = rms((k1 - k) / scale) / reach.clamp(min=_smallest(reach))
    steepest = torch.maximum(slope, curvature)
    flat = steepest <= 1e-15
    guess = (0.01 / steepest.where(~flat, 1.0)) ** (1 / (order + 1))
    guess = torch.where(flat, (trial * 1e-3).clamp(min=1e-6), guess)
    return torch.minimum(100 * trial, guess).nan_to_num(nan=1e-6)


def rms(x: Tensor) -> Tensor:
    """Give the root mean square of every sample's entries (B, D)."""
    return torch.linalg.vector_norm(x, dim=1) * max(x.shape[1], 1) ** -0.5


def _smallest(x: Tensor) -> float:
    return torch.finfo(x.dtype).tiny
