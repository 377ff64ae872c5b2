"""One explicit Runge-Kutta step."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.tableau import Tableau

Field = Callable[[Tensor, Tensor], Tensor]


class Method(NamedTuple):
    """A tableau as tensors, of the dtype and on the device of a state.

    Attributes
    ----------
    name : str
        Name of the tableau.
    order : int
        Order of the method.
    c : tuple of float, length S
        Nodes.
    a : tuple of S Tensors
        Row i has shape (i,).
    error : Tensor of shape (S,) or None
        Weights of the error estimate.
    dense : Tensor of shape (Q, S)
        Weights of the powers theta, theta^2, ... in the state within a step.
    """

    name: str
    order: int
    c: tuple[float, ...]
    a: tuple[Tensor, ...]
    error: Tensor | None
    dense: Tensor


class Step(NamedTuple):
    """A step of every sample.

    Attributes
    ----------
    y1 : Tensor of shape (B, D)
        State at the end of the step.
    k1 : Tensor of shape (B, D)
        Field there.
    increments : Tensor of shape (S, B, D)
        Step size times the field, stage by stage.
    """

    y1: Tensor
    k1: Tensor
    increments: Tensor


def method_for(tableau: Tableau, y: Tensor) -> Method:
    """Convert the exact coefficients once for a whole solve of states like ``y``."""

    def tensor(row: tuple[object, ...]) -> Tensor:
        return torch.tensor([float(x) for x in row], dtype=y.dtype, device=y.device)  # type: ignore[arg-type]

    return Method(
        tableau.name,
        tableau.order,
        tuple(float(c) for c in tableau.c),
        tuple(tensor(row) for row in tableau.a),
        None if tableau.error is None else tensor(tableau.error),
        torch.stack([tensor(row) for row in tableau.dense], dim=1),
    )


def explicit_step(
    field: Field, method: Method, s: Tensor, dt: Tensor, y: Tensor, k: Tensor
) -> Step:
    """Take one explicit Runge-Kutta step from s to s + dt.

    Parameters
    ----------
    field : callable
        dy/ds as a function of s (B,) and y (B, D).
    method : Method
        The method, with S stages.
    s, dt : Tensor of shape (B,)
        Start and size of each sample's step.
    y, k : Tensor of shape (B, D)
        State at ``s``, and the field there.

    Returns
    -------
    Step
        The state after the step, and its stages.
    """
    h = dt[:, None].to(y.dtype)
    increments = [h * k]
    for c, row in zip(method.c[1:], method.a[1:], strict=True):
        y1 = advance(y, row, torch.stack(increments))
        k1 = field(s + c * dt, y1)
        increments.append(h * k1)
    return Step(y1, k1, torch.stack(increments))


def advance(y: Tensor, weights: Tensor, increments: Tensor) -> Tensor:
    """Add increments of shape (S, B, D) with weights (S,) to a state (B, D), in one kernel."""
    return torch.addmv(y.flatten(), increments.flatten(1).t(), weights).view(y.shape)
