"""What a solve that failed gives: NaN, and why."""

import torch
from torch import Tensor

from latentode.solvers.events import Occurrences
from latentode.solvers.failure import NOT_FINITE, failure
from latentode.solvers.solution import SolverError
from latentode.solvers.solve import Answer, Task, problem_for
from latentode.solvers.state import Layout


def of_living(
    found: Occurrences, stillborn: dict[int, SolverError], layout: Layout
) -> Occurrences:
    """Leave out what was found for the stand-ins of samples that could not start."""
    n, ts, ys = found
    if stillborn:
        dead = torch.zeros_like(n, dtype=torch.bool)
        dead[list(stillborn)] = True
        n = n.masked_fill(dead, 0)
        ts = ts.masked_fill(dead[:, None], torch.nan)
        ys = ys.masked_fill(dead[:, None, None], torch.nan)
    return Occurrences(n, ts, layout.unpacked(ys))


def masked(answer: Answer, exact: Tensor, task: Task, stillborn: dict[int, SolverError]) -> Tensor:
    """Give the states, those of samples that failed NaN after the time they had reached.

    Numbers of a solve that failed are never returned, also not those of steps of one size, which
    go wrong without a sign.
    """
    ys, s = answer.ys, task.clock.since_start(exact).detach()
    if answer.failures:
        failed = torch.zeros(len(ys), dtype=torch.bool, device=ys.device)
        failed[list(answer.failures)] = True
        late = failed[:, None] & (s > answer.end.s[:, None])
        late[list(stillborn)] = True
        ys = ys.masked_fill(late[..., None], torch.nan)
    bad = ~ys.detach().isfinite().all(dim=2)
    bad[list(answer.failures)] = False
    if not bool(bad.any()):
        return ys
    for sample in bad.any(dim=1).nonzero()[:, 0].tolist():
        error = _not_finite(sample, s[:, int(bad[sample].nonzero()[0])], task, ys)
        if not task.options.forgiving:
            raise error
        answer.failures[sample] = error
    return ys.masked_fill(bad[..., None], torch.nan)


def _not_finite(sample: int, s: Tensor, task: Task, ys: Tensor) -> SolverError:
    return failure(
        NOT_FINITE,
        s=s,
        sample=sample,
        problem=problem_for(task, ys[:, 0]),
    )
