"""Samples that cannot start, and who stands in for them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentode.solvers.clock import start_time
from latentode.solvers.failure import NOT_FINITE_AT_START, failure
from latentode.solvers.solution import SolverError
from latentode.solvers.solve import Task, problem_for


class Begin(NamedTuple):
    """What the samples of a batch begin with.

    Attributes
    ----------
    y0 : Tensor of shape (B, D)
        State at the start.
    ts : Tensor of shape (B, T)
        Times, the first of them that of the start.
    sign : Tensor of shape (B,)
        1 where time runs forward, -1 where it runs backward.
    args : tuple
        Further arguments of the field.
    """

    y0: Tensor
    ts: Tensor
    sign: Tensor
    args: tuple[Any, ...]


class Living(NamedTuple):
    """A batch that can start.

    Attributes
    ----------
    begin : Begin
        What it begins with.
    stillborn : dict of int to SolverError
        The samples for which others stand in, and why.
    n_evals : int
        Evaluations of the field that it took to find them.
    """

    begin: Begin
    stillborn: dict[int, SolverError]
    n_evals: int


def living(begin: Begin, task_for: Callable[[Begin], Task]) -> Living:
    """Let another sample stand in, at rest, for each at whose start the field is not finite.

    Nothing that is not finite may enter a graph, even masked: its gradient is not zero. So a
    stand-in has the state and the time of a sample that can start, and, if these are not enough,
    its rows of those arguments that are not finite in the rows replaced.

    Raises
    ------
    SolverError
        If no sample can start, or the field is not finite even for the stand-ins.
    """
    task = task_for(begin)
    k = _slope(task, begin)
    bad = ~_is_finite(k)
    problem, s = problem_for(task, begin.y0), torch.zeros_like(begin.sign)
    errors = {
        sample: failure(NOT_FINITE_AT_START, s=s, sample=sample, problem=problem)
        for sample in bad.nonzero()[:, 0].tolist()
    }
    if bool(bad.all()):
        raise errors[0] from None
    mate = int((~bad).nonzero()[0])
    mates = torch.arange(len(bad), device=bad.device).masked_fill(bad, mate)
    ts = torch.where(bad[:, None], begin.ts[mate, 0], begin.ts)
    stand_ins = Begin(begin.y0[mates], ts, begin.sign[mates], begin.args)
    if bool(_is_finite(_slope(task_for(stand_ins), stand_ins)).all()):
        return Living(stand_ins, errors, 2)
    stand_ins = stand_ins._replace(args=_rows_of(mates, begin.args, bad))
    k_again = _slope(task_for(stand_ins), stand_ins)
    if bool(_is_finite(k_again).all()) and torch.equal(k_again[~bad], k[~bad]):
        return Living(stand_ins, errors, 3)
    first = min(errors)
    raise failure(
        f"{NOT_FINITE_AT_START}. It is not finite from the start of sample {mate} either, so the "
        "others cannot be solved without it: give what is a sample's own in y0 or, with the batch "
        "axis first, in args",
        s=s,
        sample=first,
        problem=problem,
    ) from None


def _slope(task: Task, begin: Begin) -> Tensor:
    clock = task.clock._replace(t0=task.clock.t0.detach())
    with torch.no_grad():
        return task.f(start_time(clock), begin.y0)


def _is_finite(k: Tensor) -> Tensor:
    return k.isfinite().all(dim=1)


def _rows_of(mates: Tensor, x: Any, bad: Tensor) -> Any:  # noqa: ANN401
    """Give arguments with the rows of mates (B,) in all that is not finite in rows ``bad``."""
    if isinstance(x, Tensor):
        is_own = x.dim() > 0 and len(x) == len(bad) and not bool(x.detach()[bad].isfinite().all())
        return x[mates] if is_own else x
    if isinstance(x, dict):
        return {key: _rows_of(mates, part, bad) for key, part in x.items()}
    if isinstance(x, tuple | list):
        parts = [_rows_of(mates, part, bad) for part in x]
        return type(x)._make(parts) if hasattr(x, "_make") else type(x)(parts)
    return x
