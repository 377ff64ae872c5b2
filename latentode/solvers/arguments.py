"""The other arguments of a solve, checked and put in the form that it takes."""

import math

import torch
from torch import Tensor

from latentode.solvers.adjoint import ADJOINTS
from latentode.solvers.checks import check_choice
from latentode.solvers.control import Tolerance
from latentode.solvers.methods import METHODS
from latentode.solvers.state import Layout, State, spread, tensors_of


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """Give the type of the real numbers of a state."""
    return torch.empty((), dtype=dtype).abs().dtype


def check_args(args: object) -> None:
    """Raise if the further arguments of the field are not in a tuple."""
    if isinstance(args, Tensor):
        raise TypeError("args must be a tuple, not a Tensor: write args=(tensor,).")
    if not isinstance(args, tuple | list):
        raise TypeError(
            f"args must be a tuple of further arguments of f, not {type(args).__name__}: write "
            "args=(argument,)."
        )


def check_state(y0: State) -> None:
    """Raise if parts of a state differ in batch, type or device, or are not finite."""
    first, *others = tensors_of(y0)
    for other in others:
        if (other.dtype, other.device, len(other)) != (first.dtype, first.device, len(first)):
            raise ValueError(
                "the parts of y0 must have the same batch size, dtype and device, but they have "
                f"{len(first)}, {first.dtype}, {first.device} and {len(other)}, {other.dtype}, "
                f"{other.device}."
            )
    for part in (first, *others):
        finite = part.detach().isfinite()
        bad = ~(finite.flatten(1).all(dim=1) if finite.dim() > 1 else finite)
        if bool(bad.any()):
            raise ValueError(f"y0 is not finite in sample {int(bad.nonzero()[0])}.")


def check_choices(method: str, adjoint: str, *, has_step_size: bool, dense: bool) -> None:
    """Raise if method, adjoint, steps and dense output do not go together."""
    check_choice("method", method, METHODS)
    check_choice("adjoint", adjoint, ADJOINTS)
    if METHODS[method].error is None and not has_step_size:
        raise ValueError(f"method={method} takes steps of one size: give step_size.")
    if METHODS[method].is_implicit and adjoint == "backsolve":
        raise ValueError(f"method={method} is implicit: use adjoint=direct or adjoint=replay.")
    if dense and adjoint in ("replay", "backsolve"):
        raise ValueError(f"adjoint={adjoint} keeps no graph: use adjoint=direct with dense=True.")


def check_step_range(min_step: float, max_step: float) -> None:
    """Raise if the shortest and the longest step are none."""
    if not 0 <= min_step < math.inf:
        raise ValueError(f"min_step={min_step} must be a number of at least 0.")
    if not max_step > 0 or max_step < min_step:
        raise ValueError(f"max_step={max_step} must be positive, and at least min_step.")


def tolerance_of(
    rtol: float | Tensor, atol: float | Tensor, layout: Layout, rows: Tensor
) -> Tolerance:
    """Give the tolerance for rows (B, D) of a state of this layout."""
    like = torch.empty((), dtype=real_dtype(rows.dtype), device=rows.device)
    values = []
    for name, given in (("rtol", rtol), ("atol", atol)):
        value = spread(given, layout, len(rows), like, name)
        least, most = (value, value) if isinstance(value, float) else _range(value)
        if not 0 <= least <= most < math.inf:
            raise ValueError(f"{name}={given} must be a number of at least 0.")
        values.append(value)
    if not bool((torch.as_tensor(values[0]) + torch.as_tensor(values[1]) > 0).all()):
        raise ValueError("rtol and atol are both 0: no step is without error. Give one of them.")
    # Without atol, a state of zero would tolerate an error of zero.
    smallest = torch.finfo(like.dtype).tiny
    atol = values[1]
    atol = max(atol, smallest) if isinstance(atol, float) else atol.clamp(min=smallest)
    return Tolerance(values[0], atol)


def _range(x: Tensor) -> tuple[float, float]:
    if not x.numel():
        return 0.0, 0.0
    if bool(x.isnan().any()):
        return math.nan, math.nan
    return float(x.min()), float(x.max())


def step_sizes(name: str, size: float | Tensor | None, like: Tensor) -> Tensor | None:
    """Give step sizes (B,) in the precision of time, None if none are given."""
    if size is None:
        return None
    sizes = torch.as_tensor(size, dtype=like.dtype, device=like.device).detach()
    if sizes.shape not in ((), like.shape):
        raise ValueError(
            f"{name} must be a number or have shape (B,) with B={len(like)}, not "
            f"{tuple(sizes.shape)}."
        )
    sizes = sizes.expand_as(like)
    if not bool(((sizes > 0) & sizes.isfinite()).all()):
        raise ValueError(f"{name} must be positive, also where time runs backward.")
    return sizes
