"""One explicit Runge-Kutta step."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.tableau import Row, Tableau

Field = Callable[[Tensor, Tensor], Tensor]


Floats = tuple[float, ...]


class Coefficients(NamedTuple):
    """The same as `Method`, as plain numbers, which a compiler can take as known."""

    a: tuple[Floats, ...]
    errors: tuple[Floats, ...]
    dense: tuple[Floats, ...]


class Method(NamedTuple):
    """A tableau as tensors, of the dtype and on the device of a state.

    The R stages are the S stages of the step and those that its dense output needs besides.

    Attributes
    ----------
    name : str
        Name of the tableau.
    error_order : int
        The error estimate grows as the step size to this power.
    c : Tensor of shape (R,)
        Nodes, as precise as time is.
    a : tuple of R Tensors
        Row i has shape (i,), or (i + 1,) where the stage is implicit.
    columns : tuple of R Tensors
        What the stages after stage i make of it: column i, of shape (R - 1 - i,).
    errors : tuple of Tensors of shape (S,)
        Weights of the error estimates, the best one first.
    dense : Tensor of shape (Q, R)
        Weights of the powers theta, theta^2, ... in the state within a step.
    end : int
        Stage that is evaluated at the end of the step, S - 1.
    is_implicit : bool
        Whether a stage depends on itself.
    coefficients : Coefficients
        The weights as plain numbers.
    between : Tensor of shape (S - 1,) or None
        Weights of the difference of the states of the last two stages of a step, at the same time,
        if it is to be watched how stiff the equation is.
    """

    name: str
    error_order: int
    c: Tensor
    a: tuple[Tensor, ...]
    columns: tuple[Tensor, ...]
    errors: tuple[Tensor, ...]
    dense: Tensor
    end: int
    is_implicit: bool
    coefficients: Coefficients
    between: Tensor | None = None


class Step(NamedTuple):
    """A step of every sample.

    Attributes
    ----------
    y1 : Tensor of shape (B, D)
        State at the end of the step.
    k1 : Tensor of shape (B, D)
        Field there.
    powers : Tensor of shape (Q, B, D)
        The state at theta, from 0 to 1, is ``y0 + sum_q powers[q] theta^(q + 1)``.
    errors : tuple of Tensors of shape (B, D)
        Estimates of the error of y1, the best one first; none where there is none.
    evals : int or Tensor of shape (B,)
        Evaluations of the field that a sample needed.
    stiffness : Tensor of shape (B,) or None
        Step size times the size of df/dy, if it is watched.
    """

    y1: Tensor
    k1: Tensor
    powers: Tensor
    errors: tuple[Tensor, ...]
    evals: int | Tensor
    stiffness: Tensor | None = None


class Workspace(NamedTuple):
    """Memory for the increments of one step after another, and the views of it that steps need.

    Attributes
    ----------
    stages : tuple of R Tensors of shape (B, D)
        Increment of every stage.
    before : tuple of R Tensors of shape (B D, i)
        The increments before stage i, as a matrix.
    end : Tensor of shape (B D, S)
        The increments of the step.
    all : Tensor of shape (R, B D)
        All increments.
    """

    stages: tuple[Tensor, ...]
    before: tuple[Tensor, ...]
    end: Tensor
    all: Tensor


def method_for(tableau: Tableau, y: Tensor, time_dtype: torch.dtype) -> Method:
    """Convert the exact coefficients once for a whole solve of states like ``y``."""
    return _method(tableau, y.dtype, time_dtype, y.device)


@functools.lru_cache(maxsize=64)
def _method(
    tableau: Tableau, dtype: torch.dtype, time_dtype: torch.dtype, device: torch.device
) -> Method:
    def tensor(row: Floats, dtype: torch.dtype = dtype) -> Tensor:
        return torch.tensor(row, dtype=dtype, device=device)

    exact = Coefficients(
        tuple(_floats(row) for row in tableau.a + tableau.extra),
        tuple(_floats(row) for row in (tableau.error, tableau.error_low) if row is not None),
        tuple(_floats(column) for column in zip(*tableau.dense, strict=True)),
    )
    n_stages = len(exact.a)
    with torch.inference_mode(mode=False):  # they are kept, and may meet a graph later
        return Method(
            tableau.name,
            max(tableau.order, 2),  # no difference of slopes grows as slowly as the step itself
            tensor(_floats(tableau.c + tableau.extra_c), time_dtype),
            tuple(tensor(row) for row in exact.a),
            tuple(tensor(tuple(row[i] for row in exact.a[i + 1 :])) for i in range(n_stages)),
            tuple(tensor(row) for row in exact.errors),
            torch.stack([tensor(column) for column in exact.dense]),
            len(tableau.a) - 1,
            tableau.is_implicit,
            exact,
        )


def _floats(row: Row) -> Floats:
    return tuple(float(x) for x in row)


def workspace_for(method: Method, y: Tensor) -> Workspace:
    """Allocate the memory for steps of states like y (B, D)."""
    increments = y.new_empty(len(method.a), y.numel())
    return Workspace(
        tuple(row.view(y.shape) for row in increments),
        tuple(increments[:i].t() for i in range(len(increments))),
        increments[: method.end + 1].t(),
        increments,
    )


def explicit_step(
    field: Field,
    method: Method,
    ts: Tensor,
    dt: Tensor,
    y: Tensor,
    k: Tensor,
    workspace: Workspace | None = None,
) -> Step:
    """Take one explicit Runge-Kutta step.

    Parameters
    ----------
    field : callable
        dy/ds as a function of t (B,) and y (B, D).
    method : Method
        The method, with R stages.
    ts : Tensor of shape (R, B)
        Time of every stage.
    dt : Tensor of shape (B,)
        Size of each sample's step.
    y, k : Tensor of shape (B, D)
        State at the start of the step, and the field there.
    workspace : Workspace, optional
        Memory to use where no graph is wanted; without it, every operation gives a new tensor.

    Returns
    -------
    Step
        The state after the step, and the polynomial across it.
    """
    h = dt[:, None].to(y.dtype)
    if torch.compiler.is_compiling():
        return _step_to_fuse(field, method, ts, h, y, k)
    if workspace is None:
        return _step_with_graph(field, method, ts, h, y, k)
    return _step_in_place(field, method, ts, h, y, k, workspace)


def _step_with_graph(
    field: Field, method: Method, ts: Tensor, h: Tensor, y: Tensor, k: Tensor
) -> Step:
    increments, y1, k1 = [h * k], y, k
    for i, (t, row) in enumerate(zip(ts[1:], method.a[1:], strict=True), start=1):
        yi = advance(y, row, torch.stack(increments))
        ki = field(t, yi)
        increments.append(h * ki)
        if i == method.end:
            y1, k1 = yi, ki
    stages = torch.stack(increments)
    return Step(
        y1,
        k1,
        powers_of(method, stages),
        errors_of(method, stages),
        len(method.a) - 1,
        _stiffness(method, increments),
    )


def _step_in_place(
    field: Field,
    method: Method,
    ts: Tensor,
    h: Tensor,
    y: Tensor,
    k: Tensor,
    workspace: Workspace,
) -> Step:
    """Do the same with each increment written where the next stage reads it."""
    y1, k1, flat = y, k, y.view(-1)
    torch.mul(k, h, out=workspace.stages[0])
    for i, t in enumerate(ts.unbind()):
        if i == 0:
            continue
        yi = torch.addmv(flat, workspace.before[i], method.a[i]).view(y.shape)
        ki = field(t, yi)
        torch.mul(ki, h, out=workspace.stages[i])
        if i == method.end:
            y1, k1 = yi, ki
    powers = torch.mm(method.dense, workspace.all).view(len(method.dense), *y.shape)
    errors = tuple(torch.mv(workspace.end, weights).view(y.shape) for weights in method.errors)
    stiffness = _stiffness(method, workspace.stages)
    return Step(y1, k1, powers, errors, len(method.a) - 1, stiffness)


def _stiffness(method: Method, increments: Sequence[Tensor]) -> Tensor | None:
    """Estimate the size of df/dy, times the step size, from the last two stages of a step.

    Hairer and Wanner (1996), Solving Ordinary Differential Equations II, eq. (IV.2.26).
    """
    if method.between is None:
        return None
    with torch.no_grad():
        stages = torch.stack(tuple(increments[: method.end + 1]))
        change = torch.tensordot(method.between, stages[:-1], dims=1)
        size = torch.linalg.vector_norm(change, dim=1)
        spread = torch.linalg.vector_norm(stages[-1] - stages[-2], dim=1)
        return spread / size.clamp(min=torch.finfo(size.dtype).tiny)


def _step_to_fuse(
    field: Field, method: Method, ts: Tensor, h: Tensor, y: Tensor, k: Tensor
) -> Step:
    """Do the same for a compiler, which makes one kernel of sums with known weights."""
    weights, ks, y1, k1 = method.coefficients, [k], y, k
    for i in range(1, len(weights.a)):
        yi = y + h * _weighted(weights.a[i], ks)
        ki = field(ts[i], yi)
        ks.append(ki)
        if i == method.end:
            y1, k1 = yi, ki
    powers = torch.stack([h * _weighted(column, ks) for column in weights.dense])
    errors = tuple((h * _weighted(row, ks)).detach() for row in weights.errors)
    return Step(y1, k1, powers, errors, len(ks) - 1)


def _weighted(weights: Floats, ks: list[Tensor]) -> Tensor:
    terms = [w * k for w, k in zip(weights, ks, strict=False) if w]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def advance(y: Tensor, weights: Tensor, increments: Tensor) -> Tensor:
    """Add increments of shape (S, B, D) with weights (S,) to a state (B, D), in one kernel."""
    return torch.addmv(y.flatten(), increments.flatten(1).t(), weights).view(y.shape)


def powers_of(method: Method, increments: Tensor) -> Tensor:
    """Turn the increments of all stages, (R, B, D), into the polynomial across the step."""
    return torch.mm(method.dense, increments.flatten(1)).unflatten(1, increments.shape[1:])


def errors_of(method: Method, increments: Tensor) -> tuple[Tensor, ...]:
    """Estimate the error of a step from its increments (R, B, D), without a graph."""
    stages = increments.detach()[: method.end + 1].flatten(1).t()
    return tuple(torch.mv(stages, row).view(increments.shape[1:]) for row in method.errors)
