"""How fast latent time runs: as real time does near the anchor, slower far from it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# How far from the anchor time runs as it is, and how much of it is left after that, in the model's
# unit: ahead, where solutions are damped, and back, where the same damping lets them grow.
_AHEAD, _BACK = 4.0, 1.0


def far_time(since: Tensor) -> Tensor:
    """Give latent time since the anchor: as it is nearby, and bounded however far it goes.

    Examples
    --------
    >>> far_time(torch.tensor([-1e6, -0.5, 3.0, 6.0, 1e6]))
    tensor([-2.0000, -0.5000,  3.0000,  5.5739,  8.0000])
    """
    near = torch.where(since > 0, _AHEAD, _BACK)
    beyond = (since.abs() - near).clamp(min=0)
    slowed = near * -torch.expm1(-beyond / near)
    return since.sign() * (since.abs().minimum(near) + slowed)


def real_time(latent: Tensor) -> Tensor:
    """Give the time since the anchor at which `far_time` gives a latent time.

    Examples
    --------
    >>> real_time(far_time(torch.tensor([-1.5, 0.0, 3.0, 6.0])))
    tensor([-1.5000,  0.0000,  3.0000,  6.0000])
    """
    near = torch.where(latent > 0, _AHEAD, _BACK)
    # A step may end past the latent time that is never reached.
    most = 1 - torch.finfo(latent.dtype).eps
    slowed = (latent.abs() - near).clamp(min=0) / near
    beyond = -near * torch.log1p(-slowed.clamp(max=most))
    return latent.sign() * (latent.abs().minimum(near) + beyond)


class Clock(NamedTuple):
    """How latent time runs: latent time from the time since the anchor, and back.

    Examples
    --------
    >>> float(STEADY.latent(torch.tensor(1e6))), float(SLOWING.latent(torch.tensor(1e6)))
    (1000000.0, 8.0)
    """

    latent: Callable[[Tensor], Tensor]
    real: Callable[[Tensor], Tensor]


def same_time(since: Tensor) -> Tensor:
    """Give a time as it is."""
    return since


SLOWING = Clock(far_time, real_time)
STEADY = Clock(same_time, same_time)
