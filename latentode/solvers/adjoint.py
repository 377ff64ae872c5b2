"""How a solve is differentiated: the one place that knows the choices."""

import math

import torch
from torch import Tensor
from torch.autograd import forward_ad

from latentode.solvers.backsolve import Backsolve
from latentode.solvers.captured import bytes_saved, is_looked_at, tensors_behind
from latentode.solvers.clock import start_time
from latentode.solvers.discrete import Discrete
from latentode.solvers.explicit import Field
from latentode.solvers.loop import slope_at_start
from latentode.solvers.pullback import evaluate
from latentode.solvers.record import Plan
from latentode.solvers.solve import (
    Answer,
    Task,
    problem_for,
    solve,
    solve_keeping,
)

ADJOINTS = ("auto", "direct", "replay", "backsolve", "none")
# Bytes of graphs that "auto" keeps, before it evaluates the field again in the backward pass.
_BUDGET = 2**30


def solve_with_adjoint(
    adjoint: str,
    task: Task,
    y0: Tensor,
    ts: Tensor,
    *,
    keep_steps: bool,
    evals_backward: Tensor,
    checkpoint_every: int = 1,
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
    checkpoint_every : int, default=1
        "replay" keeps the state of every so many rounds of steps, and "auto" is "replay" then.

    Returns
    -------
    Answer
        The states, and what they cost.
    """
    if adjoint == "auto" and checkpoint_every > 1:
        adjoint = "replay"
    is_seen = is_transformed()
    if adjoint == "none" or not torch.is_grad_enabled():
        with torch.no_grad():
            return _solve_without_graph(task, y0, ts, keep_steps=keep_steps or is_seen)
    if keep_steps or is_seen:
        return solve_keeping(task, y0, ts)
    has_graph = task.tableau.is_implicit or task.options.has_jumps or task.options.compiled
    # Taken again alone, a step does not know how its times move against those of the jumps.
    has_moving_jumps = task.options.has_jumps and ts.requires_grad
    if has_moving_jumps or (adjoint in ("auto", "direct") and has_graph):
        return solve_keeping(task, y0, ts)
    moving_clock = task.clock
    clock = task.clock._replace(t0=task.clock.t0.detach())
    task = task._replace(clock=clock, f=_as_precise_as_now(task.f, y0))
    field, moving = problem_for(task, y0).field, ts.requires_grad
    first = evaluate(field, start_time(clock), y0, moving=moving)
    tensors = tensors_behind(task.f, first)
    if not (tensors or y0.requires_grad or moving):
        with torch.no_grad():
            return solve(task, problem_for(task, y0), y0, first.k.detach(), ts)
    if adjoint != "backsolve" and any(map(is_looked_at, tensors)):
        # Somebody looks at the gradient of a tensor, which is to come there once and whole.
        return solve_keeping(task._replace(clock=moving_clock), y0, ts)
    if adjoint == "backsolve":
        report: dict[str, Answer] = {}
        ys = Backsolve.apply(report, evals_backward, task, y0, ts, first.k.detach(), *tensors)
        return report["answer"]._replace(ys=ys)
    n_graphs = math.inf if adjoint == "direct" else 0
    if adjoint == "direct":
        checkpoint_every = 1
    if adjoint == "auto":
        n_graphs = _BUDGET // max(bytes_saved(first), 1)
    plan = Plan(
        task, n_graphs, checkpoint_every, adjoint != "replay", moving, first, evals_backward, {}
    )
    ys = Discrete.apply(plan, y0, ts, *tensors)
    return plan.report.pop("answer")._replace(ys=ys)


def _solve_without_graph(task: Task, y0: Tensor, ts: Tensor, *, keep_steps: bool) -> Answer:
    if keep_steps:
        return solve_keeping(task, y0, ts)
    problem = problem_for(task, y0)
    return solve(task, problem, y0, slope_at_start(problem, y0), ts)


def is_transformed() -> bool:
    """Say whether torch.func or forward mode is at work, which must see every operation.

    Raises
    ------
    RuntimeError
        If it is vmap, for which the steps would have to depend on no number.
    """
    stack = torch._C._functorch.get_interpreter_stack() or ()
    if any(level.key() == torch._C._functorch.TransformType.Vmap for level in stack):
        raise RuntimeError(
            "odeint cannot be mapped by torch.func.vmap, for its steps depend on the numbers. It "
            "solves a batch itself, each sample at its own times: give it the axis as batch axis."
        )
    return bool(stack) or forward_ad._current_level >= 0


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
