"""How a solve is differentiated: the one place that knows the choices."""

import math

import torch
from torch import Tensor
from torch.autograd import forward_ad

from latentode.solvers.backsolve import Backsolve
from latentode.solvers.captured import bytes_saved, tensors_behind
from latentode.solvers.discrete import Discrete, Plan
from latentode.solvers.explicit import Field
from latentode.solvers.pullback import evaluate
from latentode.solvers.solve import (
    Answer,
    Task,
    problem_for,
    solve,
    solve_with_graph,
)

ADJOINTS = ("auto", "direct", "replay", "backsolve", "none")
# Bytes of graphs that "auto" keeps, before it evaluates the field again in the backward pass.
_BUDGET = 2**30


def solve_with_adjoint(
    adjoint: str, task: Task, y0: Tensor, ts: Tensor, *, keep_steps: bool, evals_backward: Tensor
) -> Answer:
    """Solve so that a gradient comes from where it was asked to come from.

    Parameters
    ----------
    adjoint : str
        One of `ADJOINTS`.
    task : Task
        What to solve.
    y0 : Tensor of shape (B, D)
        State at the start.
    ts : Tensor of shape (B, T)
        Times, in the direction of the clock.
    keep_steps : bool
        Whether to keep the steps in any case; "backsolve" and "replay" cannot.
    evals_backward : Tensor of shape (B,), dtype=torch.long
        Where to add up the evaluations of a backward pass.

    Returns
    -------
    Answer
        The states, and what they cost.
    """
    if adjoint == "none" or not torch.is_grad_enabled():
        with torch.no_grad():
            return _solve_without_graph(task, y0, ts, keep_steps=keep_steps)
    if keep_steps or _is_transformed():
        return solve_with_graph(task, y0, ts)
    if adjoint in ("auto", "direct") and task.tableau.is_implicit:
        return solve_with_graph(task, y0, ts)
    clock = task.clock._replace(t0=task.clock.t0.detach())
    task = task._replace(clock=clock, f=_as_precise_as_now(task.f, y0))
    field, moving = problem_for(task, y0).field, ts.requires_grad
    first = evaluate(field, clock.t0.to(clock.dtype), y0, moving=moving)
    tensors = tensors_behind(task.f, first)
    if not (tensors or y0.requires_grad or moving):
        with torch.no_grad():
            return solve(problem_for(task, y0), y0, first.k.detach(), ts)
    if adjoint == "backsolve":
        report: dict[str, Answer] = {}
        ys = Backsolve.apply(report, evals_backward, task, y0, ts, first.k.detach(), *tensors)
        return report["answer"]._replace(ys=ys)
    n_graphs = math.inf if adjoint == "direct" else 0
    if adjoint == "auto":
        n_graphs = _BUDGET // max(bytes_saved(first), 1)
    plan = Plan(task, n_graphs, adjoint != "replay", moving, first, evals_backward, {})
    ys = Discrete.apply(plan, y0, ts, *tensors)
    return plan.report["answer"]._replace(ys=ys)


def _solve_without_graph(task: Task, y0: Tensor, ts: Tensor, *, keep_steps: bool) -> Answer:
    if keep_steps:
        return solve_with_graph(task, y0, ts)
    problem = problem_for(task, y0)
    k0 = problem.field(problem.clock.time_for_field(torch.zeros_like(ts[:, 0])), y0)
    return solve(problem, y0, k0, ts)


def _is_transformed() -> bool:
    """Say whether torch.func or forward mode is at work, which must see every operation."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _as_precise_as_now(f: Field, y0: Tensor) -> Field:
    """Give a field that is evaluated under the same autocast in the backward pass as now."""
    kind = y0.device.type
    if not torch.is_autocast_enabled(kind):
        return f
    dtype = torch.get_autocast_dtype(kind)

    def precise(t: Tensor, y: Tensor) -> Tensor:
        with torch.autocast(kind, dtype=dtype):
            return f(t, y)

    return precise
