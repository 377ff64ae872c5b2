"""Grids of times that torchdiffeq's methods with given steps go along."""

import math
from typing import Any

import torch
from torch import Tensor

from latentode.solvers.one_state import Function, OneState, number


def grid_along(func: Function, y0: OneState, t: Tensor, options: dict[str, Any]) -> Tensor:
    """Give the grid that options ask for; times t (T,) themselves if they ask for none."""
    size, construct = options.get("step_size"), options.get("grid_constructor")
    if size is not None and construct is not None:
        raise ValueError("step_size and grid_constructor exclude each other: give one of them.")
    span = number(t[-1] - t[0])
    if construct is not None and span != 0:
        return _checked_grid(construct(func, y0, t), t)
    if size is None or span == 0:
        return t
    size = _positive_step_size(size)
    # The rounding of a time is not worth a step.
    n_steps = math.ceil(abs(span) / size * (1 - 4 * torch.finfo(t.dtype).eps))
    sizes = torch.arange(1, n_steps, dtype=t.dtype, device=t.device) * size
    return torch.cat([t[:1], t[0].detach() + math.copysign(1, span) * sizes, t[-1:]])


def _checked_grid(grid: object, t: Tensor) -> Tensor:
    if not isinstance(grid, Tensor) or grid.dim() != 1 or len(grid) < 2:
        raise ValueError("grid_constructor must return a Tensor of times, of shape (N,).")
    grid = grid.to(t)
    if bool(grid[0] != t[0]) or bool(grid[-1] != t[-1]):
        raise ValueError(
            f"the grid must go from {number(t[0]):.6g} to {number(t[-1]):.6g}, as t does, but "
            f"grid_constructor returned {number(grid[0]):.6g} to {number(grid[-1]):.6g}."
        )
    steps = grid.detach().diff() * (1 if bool(grid[-1] >= grid[0]) else -1)
    if bool((steps <= 0).any()):
        raise ValueError("the grid of grid_constructor must rise or fall as t does: sort it.")
    return grid


def read_linearly(ys: Tensor, grid: Tensor, t: Tensor) -> Tensor:
    """Give the states at t (T,) on straight lines between those at grid (N,)."""
    ahead = (grid - grid[0]).detach().abs()
    right = torch.searchsorted(ahead, (t - grid[0]).detach().abs()).clamp(1, len(grid) - 1)
    theta = (t - grid[right - 1]) / (grid[right] - grid[right - 1])
    shape = (-1, *(1 for _ in ys.shape[1:]))
    return torch.lerp(ys[right - 1], ys[right], theta.reshape(shape).to(ys.dtype))


def steps_of_one_size(options: dict[str, Any]) -> dict[str, Any]:
    """Give the steps to an event of a method without a choice of its own."""
    for name in ("grid_constructor", "perturb"):
        if options.get(name):
            raise ValueError(f"{name} needs an end, which event_fn has not: leave it out.")
    if options.get("step_size") is None:
        raise ValueError("event_fn with steps of one size needs their size: give step_size.")
    return {"step_size": _positive_step_size(options["step_size"])}


def _positive_step_size(size: float | Tensor) -> float:
    """Give the size of a step as a number; raise if it is not positive."""
    if not 0 < float(size) < math.inf:
        raise ValueError(f"step_size={size} must be positive, also where time runs backward.")
    return float(size)
