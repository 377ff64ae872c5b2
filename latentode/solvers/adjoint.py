"""How a solve is differentiated: the one place that knows the choices."""

import torch
from torch import Tensor

from latentode.solvers.backsolve import Backsolve
from latentode.solvers.captured import tensors_behind
from latentode.solvers.dense import Track
from latentode.solvers.explicit import Field
from latentode.solvers.loop import Counts
from latentode.solvers.replay import Replay
from latentode.solvers.solve import Task, solve

# Gradients that keep no graph of the solve, and compute it again.
_FUNCTIONS: dict[str, type[Replay] | type[Backsolve]] = {"replay": Replay, "backsolve": Backsolve}
ADJOINTS = ("direct", *_FUNCTIONS)


def solve_with_adjoint(
    adjoint: str, task: Task, y0: Tensor, ts: Tensor, *, keep_steps: bool, evals_backward: Tensor
) -> tuple[Tensor, Counts, Track]:
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
        Whether to keep the steps in any case; "direct" alone can.
    evals_backward : Tensor of shape (B,), dtype=torch.long
        Where to add up the evaluations of a backward pass.

    Returns
    -------
    ys : Tensor of shape (B, T, D)
        States there.
    counts : Counts
        What it cost.
    track : Track
        The steps, if they were kept.
    """
    if adjoint == "direct":
        return solve(task, y0, ts, keep_steps=keep_steps)
    clock = task.clock._replace(t0=task.clock.t0.detach())
    task = task._replace(clock=clock, f=_as_precise_as_now(task.f, y0))
    tensors = []
    if torch.is_grad_enabled():
        ends = (clock.t0.to(clock.dtype), ts[:, -1].detach().to(clock.dtype))
        tensors = tensors_behind(task.f, ends, y0)
    report: dict[str, Counts] = {}
    ys = _FUNCTIONS[adjoint].apply(report, evals_backward, task, y0, ts, *tensors)
    return ys, report["counts"], Track()


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
