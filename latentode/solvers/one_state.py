"""States of one system, of any shape, as a batch of one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# A Tensor of any shape, or a tuple of them.
OneState = Any
Function = Callable[[Tensor, OneState], Any]


def batched(func: Function, y0: OneState) -> Callable[[Tensor, Any], Any]:
    """Give func as a field of a batch of one."""
    shapes = [part.shape for part in parts(y0)]

    def field(t: Tensor, y: OneState) -> OneState:
        slope = func(t[0], each(without_batch_axis, y))
        if isinstance(slope, list):
            slope = tuple(slope)
        if [getattr(part, "shape", None) for part in parts(slope)] != shapes:
            raise ValueError(
                f"func must return dy/dt of the shape of y0, {described(y0)}, but it returned "
                f"{described(slope)}."
            )
        return each(with_batch_axis, slope)

    return field


def parts(state: OneState) -> tuple[Any, ...]:
    """Give the parts of a state, one if it is a tensor."""
    return state if isinstance(state, tuple) else (state,)


def each(function: Callable[[Tensor], Tensor], state: OneState) -> OneState:
    """Map the parts of a state, and give them as they came."""
    return tuple(map(function, state)) if isinstance(state, tuple) else function(state)


def number(x: Tensor) -> float:
    """Give a number without its graph."""
    return float(x.detach())


def with_batch_axis(y: Tensor) -> Tensor:
    """Give a system as a batch of one."""
    return y[None]


def without_batch_axis(ys: Tensor) -> Tensor:
    """Give the one system of a batch."""
    return ys[0]


def stacked(states: list[OneState]) -> OneState:
    """Stack states part by part."""
    if isinstance(states[0], tuple):
        return tuple(torch.stack(same) for same in zip(*states, strict=True))
    return torch.stack(states)


def described(state: object) -> str:
    """Say what shape a state has, or what it is instead."""
    if isinstance(state, tuple):
        return f"({', '.join(map(described, state))})"
    return f"{tuple(state.shape)}" if isinstance(state, Tensor) else type(state).__name__
