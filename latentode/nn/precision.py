"""What stays in float32 where a trainer computes in half precision.

A step of a solver is judged by the difference of two results: half precision leaves noise there
that a tolerance takes for an error, and steps become small for nothing.
"""

import torch
from torch import Tensor


def widened(x: Tensor) -> Tensor:
    """Give numbers that autocast has made coarse as float32, and any others as they are."""
    kind = x.device.type
    if not torch.is_autocast_enabled(kind) or x.dtype != torch.get_autocast_dtype(kind):
        return x
    return x.float()


def without_autocast(x: Tensor) -> torch.autocast:
    """Give a context in which what is computed where x is has the precision of its inputs."""
    return torch.autocast(x.device.type, enabled=False)
