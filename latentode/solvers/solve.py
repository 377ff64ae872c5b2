"""A whole solve: from a field and its times to states, and to the steps they came from."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.dense import Track, piece_of_step
from latentode.solvers.explicit import Field, method_for
from latentode.solvers.loop import Clock, Counts, Options, Position, Problem, Tried, march, start
from latentode.solvers.tableau import Tableau

# Steps kept before the states asked for within them are read off: a constant, so that the memory
# of a solve without a graph does not grow with its steps.
_CHUNK = 64


class Task(NamedTuple):
    """A solve to be done: ``f(t, y)`` is dy/dt at times t (B,) and states y (B, D)."""

    f: Field
    tableau: Tableau
    clock: Clock
    options: Options


def problem_for(task: Task, y: Tensor) -> Problem:
    """Put a field of time on the clock of the solve, for states like y (B, D)."""
    f, clock = task.f, task.clock
    runs_backward = bool((clock.sign < 0).any())
    sign = clock.sign[:, None].to(y.dtype)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return sign * f(t, y)

    method = method_for(task.tableau, y, clock.t0.dtype)
    return Problem(field if runs_backward else f, method, clock, task.options)


def solve(
    task: Task,
    y0: Tensor,
    ts: Tensor,
    *,
    keep_steps: bool,
    observe: Callable[[Tried], None] | None = None,
) -> tuple[Tensor, Counts, Track]:
    """Solve, and keep the steps if a gradient may be asked for through them.

    Parameters
    ----------
    task : Task
        What to solve.
    y0 : Tensor of shape (B, D)
        State at the start.
    ts : Tensor of shape (B, T)
        Times, in the direction of the clock.
    keep_steps : bool
        Whether to keep the steps in any case.
    observe : callable, optional
        Told of every step, if they are not kept.

    Returns
    -------
    ys : Tensor of shape (B, T, D)
        States there.
    counts : Counts
        What it cost.
    track : Track
        The steps, if they were kept.
    """
    problem, s = problem_for(task, y0), task.clock.since_start(ts)
    position, counts = start(problem, s[:, -1].detach(), y0)
    inputs = position.k, y0, s
    has_graph = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    if keep_steps or has_graph:
        return _solve_keeping(problem, position, counts, s)
    return _solve_forgetting(problem, position, counts, s, observe)


def _solve_keeping(
    problem: Problem, position: Position, counts: Counts, s: Tensor
) -> tuple[Tensor, Counts, Track]:
    """Keep every step, and read the states off them at the end."""
    track, begin = Track(), position
    _, counts = march(
        problem, position, counts, s[:, -1].detach(), lambda tried: _keep(track, problem, tried)
    )
    # A sample that never moves has no step to read, but its state moves with its times.
    resting = (s[:, -1] <= 0)[:, None, None]
    still = begin.y[:, None] + begin.k[:, None] * s[..., None].to(begin.y.dtype)
    ys = torch.where(resting, still, track.read(s)) if track.pieces else still
    return ys, counts, track


def _solve_forgetting(
    problem: Problem,
    position: Position,
    counts: Counts,
    s: Tensor,
    also: Callable[[Tried], None] | None,
) -> tuple[Tensor, Counts, Track]:
    """Read the states off some steps at a time, in memory that does not grow with the steps."""
    track = Track()
    ys = position.y[:, None].expand(*s.shape, -1).clone()
    begun = position.s.clone()

    def read_off(until: Tensor) -> None:
        wanted = (s > begun[:, None]) & (s <= until[:, None])
        ys[wanted] = track.read_where(s, wanted)
        begun.copy_(track.reached())
        track.pieces.clear()

    def observe(tried: Tried) -> None:
        _keep(track, problem, tried)
        if also is not None:
            also(tried)
        if len(track.pieces) == _CHUNK:
            read_off(track.reached())

    _, counts = march(problem, position, counts, s[:, -1], observe)
    if track.pieces:
        read_off(s[:, -1])
    return ys, counts, track


def _keep(track: Track, problem: Problem, tried: Tried) -> None:
    before, after = tried.before, tried.after
    increments = tried.step.increments
    track.pieces.append(
        piece_of_step(
            problem.method, increments, s0=before.s, dt=tried.dt, s1=after.s, y0=before.y
        )
    )


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Give the real inner product along the last axis."""
    return (a.conj() * b).real.sum(dim=-1) if a.is_complex() else (a * b).sum(dim=-1)


def add_gradients(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    totals: Sequence[Tensor],
) -> None:
    """Pull cotangents from outputs back to inputs, and add what arrives to the totals in place.

    The graph of a field may go on into one that is not ours, as behind a global: it is kept.
    """
    parts = torch.autograd.grad(outputs, inputs, cotangents, allow_unused=True, retain_graph=True)
    for total, part in zip(totals, parts, strict=True):
        if part is not None:
            total += part


def refuse_second_derivative(adjoint: str) -> None:
    """Raise in a backward pass that is to have a graph itself, which it would not have."""
    if torch.is_grad_enabled():  # create_graph=True
        raise RuntimeError(f"adjoint={adjoint} has no second derivative: use adjoint=direct.")
