"""One explicit Runge-Kutta step."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.tableau import Row, Tableau

Field = Callable[[Tensor, Tensor], Tensor]


class Method(NamedTuple):
    """A tableau as tensors, of the dtype and on the device of a state.

    Attributes
    ----------
    name : str
        Name of the tableau.
    order : int
        Order of the method.
    c : Tensor of shape (S,)
        Nodes, as precise as time is.
    a : tuple of S Tensors
        Row i has shape (i,), or (i + 1,) where the stage is implicit.
    error : Tensor of shape (S,) or None
        Weights of the error estimate.
    dense : Tensor of shape (Q, S)
        Weights of the powers theta, theta^2, ... in the state within a step.
    is_implicit : bool
        Whether a stage depends on itself.
    """

    name: str
    order: int
    c: Tensor
    a: tuple[Tensor, ...]
    error: Tensor | None
    dense: Tensor
    is_implicit: bool


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
    evals : int or Tensor of shape (B,)
        Evaluations of the field that a sample needed.
    """

    y1: Tensor
    k1: Tensor
    increments: Tensor
    evals: int | Tensor


def method_for(tableau: Tableau, y: Tensor, time_dtype: torch.dtype) -> Method:
    """Convert the exact coefficients once for a whole solve of states like ``y``."""

    def tensor(row: Row, dtype: torch.dtype = y.dtype) -> Tensor:
        return torch.tensor([float(x) for x in row], dtype=dtype, device=y.device)

    return Method(
        tableau.name,
        tableau.order,
        tensor(tableau.c, time_dtype),
        tuple(tensor(row) for row in tableau.a),
        None if tableau.error is None else tensor(tableau.error),
        torch.stack([tensor(row) for row in tableau.dense], dim=1),
        tableau.is_implicit,
    )


def explicit_step(
    field: Field, method: Method, ts: Tensor, dt: Tensor, y: Tensor, k: Tensor
) -> Step:
    """Take one explicit Runge-Kutta step.

    Parameters
    ----------
    field : callable
        dy/ds as a function of t (B,) and y (B, D).
    method : Method
        The method, with S stages.
    ts : Tensor of shape (S, B)
        Time of every stage.
    dt : Tensor of shape (B,)
        Size of each sample's step.
    y, k : Tensor of shape (B, D)
        State at the start of the step, and the field there.

    Returns
    -------
    Step
        The state after the step, and its stages.
    """
    h = dt[:, None].to(y.dtype)
    if torch.is_grad_enabled():
        return _step_with_graph(field, method, ts, h, y, k)
    return _step_in_place(field, method, ts, h, y, k)


def _step_with_graph(
    field: Field, method: Method, ts: Tensor, h: Tensor, y: Tensor, k: Tensor
) -> Step:
    increments = [h * k]
    for t, row in zip(ts[1:], method.a[1:], strict=True):
        y1 = advance(y, row, torch.stack(increments))
        k1 = field(t, y1)
        increments.append(h * k1)
    return Step(y1, k1, torch.stack(increments), len(method.a) - 1)


def _step_in_place(
    field: Field, method: Method, ts: Tensor, h: Tensor, y: Tensor, k: Tensor
) -> Step:
    """Do the same with one buffer for all stages, each written where the next one reads it."""
    increments = y.new_empty(len(method.c), *y.shape)
    torch.mul(h, k, out=increments[0])
    for i in range(1, len(method.c)):
        y1 = advance(y, method.a[i], increments[:i])
        k1 = field(ts[i], y1)
        torch.mul(h, k1, out=increments[i])
    return Step(y1, k1, increments, len(method.a) - 1)


def advance(y: Tensor, weights: Tensor, increments: Tensor) -> Tensor:
    """Add increments of shape (S, B, D) with weights (S,) to a state (B, D), in one kernel."""
    return torch.addmv(y.flatten(), increments.flatten(1).t(), weights).view(y.shape)
