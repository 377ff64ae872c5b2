"""What torchdiffeq's methods, options and tolerances are called here; what is not here at all."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latentode.solvers.checks import check_choice
from latentode.solvers.methods import METHODS
from latentode.solvers.one_state import OneState

# A number, a Tensor, or one of these for each part of a tuple.
OneTolerance = Any

# In torchdiffeq, these step on a given grid of times; all others choose their steps.
ON_GRID = {
    "euler": "euler",
    "midpoint": "midpoint",
    "heun2": "heun",
    "rk4": "rk4",
    "implicit_euler": "implicit_euler",
    "implicit_midpoint": "implicit_midpoint",
    "trapezoid": "trapezoid",
}
_ADAPTIVE = {name: name for name in METHODS if name not in ON_GRID} | {
    "adaptive_heun": "heun",
    "dopri8": "dop853",
}
_ABSENT = {
    "fehlberg2": "adaptive_heun, of the same order, or bosh3",
    "heun3": "bosh3, of the same order, or rk4 on the same grid",
    "explicit_adams": "rk4, or dopri5 with max_step",
    "implicit_adams": "dopri5, or kvaerno5 for a stiff equation",
    "fixed_adams": "dopri5, or kvaerno5 for a stiff equation",
    "scipy_solver": "dopri5 or dopri8, or kvaerno5 for a stiff equation",
    "gl4": "implicit_midpoint, or kvaerno5",
    "gl6": "implicit_midpoint, or kvaerno5",
    "radauIIA3": "kvaerno3",
    "radauIIA5": "kvaerno5",
    "sdirk2": "trapezoid, or kvaerno3",
    "trbdf2": "trapezoid, or kvaerno3",
}

ADAPTIVE_OPTIONS = (
    "first_step",
    "min_step",
    "max_step",
    "max_num_steps",
    "step_t",
    "jump_t",
    "dtype",
)
GRID_OPTIONS = ("step_size", "grid_constructor", "interp", "perturb", "max_num_steps")
# Options that are arguments of the solve, by our names: theirs, and how to read the value.
PASSED_ON: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "first_step": ("first_step", float),
    "min_step": ("min_step", float),
    "max_step": ("max_step", float),
    "max_steps": ("max_num_steps", int),
    "step_ts": ("step_t", torch.as_tensor),
    "jump_ts": ("jump_t", torch.as_tensor),
}
_ABSENT_OPTIONS = {
    "norm": "The error is its root mean square: weigh it by rtol and atol of the shape of y0.",
    "safety": "The step size is chosen by a controller of its own: leave it out.",
    "ifactor": "The step size is chosen by a controller of its own: leave it out.",
    "dfactor": "The step size is chosen by a controller of its own: leave it out.",
}
_CALLBACKS = ("callback_step", "callback_accept_step", "callback_reject_step")


def tolerance(name: str, value: OneTolerance, y0: OneState) -> OneTolerance:
    """Give a tolerance for y0 as a batch of one."""
    if isinstance(value, int | float) or (isinstance(value, Tensor) and value.dim() == 0):
        return value
    if not isinstance(y0, tuple):
        return _entrywise(name, value, y0)
    if len(value) != len(y0):
        raise ValueError(f"{name} has {len(value)} parts, and y0 has {len(y0)}: give as many.")
    return tuple(_entrywise(name, x, y) for x, y in zip(value, y0, strict=True))


def _entrywise(name: str, value: float | Tensor, y: Tensor) -> Tensor:
    """Give the tolerance of every entry of y, which may lie in a row as in torchdiffeq."""
    given = torch.as_tensor(value, device=y.device)
    if given.numel() == y.numel():
        return given.reshape(1, *y.shape)
    try:
        return given.expand(y.shape)[None]
    except RuntimeError as error:
        raise ValueError(
            f"{name} of shape {tuple(given.shape)} does not fit a state of shape "
            f"{tuple(y.shape)}: give a number, or one for each entry."
        ) from error


def native_method(name: str) -> str:
    """Give our name of a method."""
    known = _ADAPTIVE | ON_GRID
    if name in _ABSENT:
        raise ValueError(f"method={name} of torchdiffeq is not here: use {_ABSENT[name]}.")
    check_choice("method", name, known)
    return known[name]


def check_options(options: dict[str, Any], method: str, known: tuple[str, ...]) -> None:
    """Raise if a method has not one of the options."""
    for name in options:
        if name in _ABSENT_OPTIONS:
            raise ValueError(f"the option {name} is not here. {_ABSENT_OPTIONS[name]}")
        if name not in known:
            raise ValueError(f"method={method} has no option {name}: it has {', '.join(known)}.")


def check_field(func: object) -> None:
    """Raise if the field cannot be called, or wants to be called back."""
    if not callable(func):
        raise TypeError(f"func must be callable as func(t, y), not {type(func).__name__}.")
    for name in _CALLBACKS:
        for full_name in (name, f"{name}_adjoint"):
            if hasattr(func, full_name):
                raise ValueError(
                    f"func.{full_name} would not be called: remove it. The steps are counted in "
                    "the stats of latentode.odeint."
                )


def check_state(y0: object) -> None:
    """Raise if a state is no tensor, and no tuple of them."""
    for part in y0 if isinstance(y0, tuple) else (y0,):
        if not isinstance(part, Tensor):
            raise TypeError(f"y0 must be a Tensor or a tuple of them, not {type(part).__name__}.")


def check_times(t: object) -> None:
    """Raise if times are not a row of floating-point numbers."""
    if not isinstance(t, Tensor) or not t.is_floating_point():
        raise TypeError("t must be a Tensor of floating-point times: t.double().")
    if t.dim() != 1 or not len(t):
        raise ValueError(f"t must have shape (T,) with at least one time, not {tuple(t.shape)}.")
