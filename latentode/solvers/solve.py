"""A whole solve: from a field and its times to states, and to the steps they came from."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.clock import Clock
from latentode.solvers.course import Course, Observer, Position, Tried, course_to
from latentode.solvers.dense import Track
from latentode.solvers.explicit import Field, Method, workspace_for
from latentode.solvers.loop import Outcome, march, slope_at_start, start
from latentode.solvers.methods import Scheme, tensors_for
from latentode.solvers.problem import Options, Problem
from latentode.solvers.solution import SolverError
from latentode.solvers.tally import Counts
from latentode.solvers.whole import march_in_blocks, marches_in_blocks

# Bytes of steps kept before the states asked for within them are read off: a constant, so that the
# memory of a solve without a graph does not grow with its steps; and how many steps at most.
_HELD, _MOST_HELD = 2**21, 64


class Task(NamedTuple):
    """A solve to be done.

    Attributes
    ----------
    f : callable
        ``f(t, y)`` is dy/dt at times t (B,) and states y (B, D).
    tableau : Tableau, Rosenbrock or Pair
        Method.
    clock : Clock
        How time runs.
    options : Options
        How to step.
    stops : Tensor of shape (B, J) or None
        Times at which steps end.
    jumps : Tensor of shape (J,), dtype=torch.bool, or None
        At which of them the field jumps.
    """

    f: Field
    tableau: Scheme
    clock: Clock
    options: Options
    stops: Tensor | None = None
    jumps: Tensor | None = None

    def course(self, s_end: Tensor) -> Course:
        """Give the course of samples that go to s_end (B,)."""
        clock = self.clock._replace(t0=self.clock.t0.detach())
        stops = None if self.stops is None else clock.since_start(self.stops)
        return course_to(s_end, self.options, stops, self.jumps)


class Answer(NamedTuple):
    """What a solve gives.

    Attributes
    ----------
    ys : Tensor of shape (B, T, D)
        States at the times asked for.
    slopes : Tensor of shape (B, T, D) or None
        dy/ds there, if asked for.
    counts : Counts
        What it cost.
    end : Position
        Where every sample stands at the end.
    failures : dict of int to SolverError
        Why samples failed, by their rows.
    track : Track
        The steps, if they were kept.
    """

    ys: Tensor
    slopes: Tensor | None
    counts: Counts
    end: Position
    failures: dict[int, SolverError]
    track: Track


def problem_for(task: Task, y: Tensor) -> Problem:
    """Put a field of time on the clock of the solve, for states like y (B, D)."""
    f, clock = task.f, task.clock
    sign = clock.sign[:, None].to(y.dtype, copy=True)  # a loop is compiled for no two views

    def field(t: Tensor, y: Tensor) -> Tensor:
        return sign * f(t, y)

    method = tensors_for(task.tableau, y, clock.t0.dtype)
    return Problem(field if clock.runs_back else f, method, clock, task.options, None)


def solve(
    task: Task,
    problem: Problem,
    y0: Tensor,
    k0: Tensor,
    ts: Tensor,
    *,
    observe: Observer | None = None,
    with_slopes: bool = False,
) -> Answer:
    """Solve without a graph, in memory that does not grow with the steps.

    Parameters
    ----------
    task : Task
        What to solve.
    problem : Problem
        The same on the clock of the solve; its field may be one that watches.
    y0, k0 : Tensor of shape (B, D)
        State at the start, and the field there.
    ts : Tensor of shape (B, T)
        Times, in the direction of the clock.
    observe : callable, optional
        Told of every step.
    with_slopes : bool, default=False
        Whether to give dy/ds too.

    Returns
    -------
    Answer
        The states, and what they cost.
    """
    if isinstance(problem.method, Method) and not problem.options.compiled:
        problem = problem._replace(workspace=workspace_for(problem.method, y0))
    s = problem.clock.since_start(ts)
    track, powers = Track(), 4 * y0.numel() * y0.element_size()
    chunk = min(max(_HELD // max(powers, 1), 4), _MOST_HELD)
    ys = y0[:, None].expand(*s.shape, -1).clone()
    slopes = k0[:, None].expand_as(ys).clone() if with_slopes else None
    begun = torch.zeros_like(s[:, 0])

    def read_off(until: Tensor) -> None:
        wanted = (s > begun[:, None]) & (s <= until[:, None])
        states, tangents = track.read_where(s, wanted, with_slopes=with_slopes)
        ys[wanted] = states
        if slopes is not None and tangents is not None:
            slopes[wanted] = tangents
        begun.copy_(track.reached())
        track.pieces.clear()

    def watch(tried: Tried, after: Position) -> Tensor | None:
        track.add(tried, after)
        stopping = None if observe is None else observe(tried, after)
        if len(track.pieces) == chunk:
            read_off(track.reached())
        return stopping

    position, counts = start(problem, s[:, -1], y0, k0)
    course = task.course(s[:, -1])
    done, is_plain = None, observe is None and not with_slopes
    if is_plain and marches_in_blocks(problem):
        f = getattr(task.f, "given", task.f)
        done = march_in_blocks(problem, position, course, s, ys, f)
    if done is None:
        outcome = march(problem, position, course, watch)
    else:
        outcome, ys = done
    if track.pieces:
        read_off(s[:, -1])
    return _answer(ys, slopes, counts, outcome, Track())


def solve_keeping(task: Task, y0: Tensor, ts: Tensor) -> Answer:
    """Solve and keep every step, by operations that autograd records one by one."""
    problem = problem_for(task, y0)
    k0 = slope_at_start(problem, y0)
    if task.options.compiled and k0.requires_grad and not y0.requires_grad:
        y0 = y0.detach().requires_grad_()  # as after every step, so that one graph is for all
    s = problem.clock.since_start(ts)
    s_end = s[:, -1].detach()
    track = Track()
    position, counts = start(problem, s_end, y0, k0)
    outcome = march(problem, position, task.course(s_end), track.add)
    # A sample that never moves has no step to read, but its state moves with its times.
    resting = (s_end <= 0)[:, None, None]
    still = y0[:, None] + k0[:, None] * s[..., None].to(y0.dtype)
    ys = torch.where(resting, still, track.read(s)) if track.pieces else still
    return _answer(ys, None, counts, outcome, track)


def _answer(
    ys: Tensor, slopes: Tensor | None, at_start: Counts, outcome: Outcome, track: Track
) -> Answer:
    counts = Counts(*(x + y for x, y in zip(at_start, outcome.counts, strict=True)))
    return Answer(ys, slopes, counts, outcome.position, outcome.failures, track)


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
