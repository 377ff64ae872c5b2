"""The only loop: a batch of samples, each at its own time and with its own step."""

from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.attempt import after_step, attempt, lean, next_round
from latentode.solvers.clock import start_time
from latentode.solvers.compiled import compiled, compiling
from latentode.solvers.control import first_step
from latentode.solvers.course import Course, Observer, Position, Tried
from latentode.solvers.failure import (
    cannot_go_on,
    check_start,
    stuck,
    too_many_steps,
    without,
)
from latentode.solvers.methods import Switching
from latentode.solvers.problem import Problem
from latentode.solvers.solution import SolverError
from latentode.solvers.tally import Counts, Tally

# Rounds between two looks at whether all samples have arrived: each makes an accelerator wait.
_LOOK_EVERY = 8
# Rounds of a compiled solve without gradients that are one graph.
_ROUNDS_A_GRAPH = 2
# Rejected steps between two looks at whether they have become too short. It takes many to do so.
_CHECK_EVERY = 8


class Outcome(NamedTuple):
    """How a march ended.

    Attributes
    ----------
    position : Position
        Where every sample stands: at its end, up to one step past it, or where it failed.
    counts : Counts
        What it cost.
    failures : dict of int to SolverError
        Why samples failed, by their rows.
    """

    position: Position
    counts: Counts
    failures: dict[int, SolverError]


def slope_at_start(problem: Problem, y0: Tensor) -> Tensor:
    """Evaluate the field at the start, with state y0 (B, D)."""
    return problem.field(start_time(problem.clock), y0)


def start(problem: Problem, s_end: Tensor, y: Tensor, k: Tensor) -> tuple[Position, Counts]:
    """Give the position at the start, with a size for the first step.

    The state there is y (B, D), and k the field, whose evaluation counts.
    """
    field, method, clock, options, _ = problem
    s = torch.zeros_like(s_end)
    state = y, k
    check_start(problem, s, k.detach())
    evals = torch.ones_like(s, dtype=torch.long)
    dt = options.first_step if options.step_size is None else options.step_size
    if options.step_size is None and dt is not None:
        dt = dt.clamp(options.min_step, options.max_step)
    if dt is None:
        y, k = y.detach(), k.detach()
        with torch.no_grad():
            dt = first_step(
                lambda later, y: field(clock.time_from(s, later), y),
                s,
                y,
                k,
                longest=s_end if options.clip_end else torch.full_like(s, torch.inf),
                order=method.error_order,
                tolerance=options.tolerance,
            ).to(s.dtype)
            dt = dt.clamp(options.min_step, options.max_step)
            if options.joint and len(dt):
                dt = dt.min().expand_as(dt)
        evals = evals + 1
    none = torch.zeros_like(evals)
    streak = torch.zeros_like(evals) if isinstance(method, Switching) else None
    position = Position(s, *state, dt, torch.ones_like(s, dtype=y.abs().dtype), streak)
    return position, Counts(none, none, evals)


def march(
    problem: Problem,
    position: Position,
    course: Course,
    observe: Observer,
) -> Outcome:
    """Step every sample until it has reached its own end.

    Parameters
    ----------
    problem : Problem
        What to solve and how.
    position : Position
        Where to start from.
    course : Course
        Where each sample may stop.
    observe : callable
        Told of every step tried, in order. What it is told of lasts until the next one.

    Returns
    -------
    Outcome
        Where every sample stands, and what it cost.

    Raises
    ------
    SolverError
        If a sample's step shrinks to nothing, or it takes too many of them, and the options do
        not say otherwise.
    """
    if not problem.options.compiled:
        return _march(problem, position, course, observe)
    with compiling():
        return _march(problem, position, course, observe)


def _march(problem: Problem, position: Position, course: Course, observe: Observer) -> Outcome:
    options = problem.options
    with torch.no_grad():
        dt = position.dt.where(position.s < course.line, 0.0)
    position, tally, failures = position._replace(dt=dt), Tally(dt), dict[int, SolverError]()
    look_every = 1 if dt.device.type == "cpu" else _LOOK_EVERY
    n_rounds = n_rejections = 0
    ahead: list[tuple[Tried, Position | None]] = []
    while ahead or n_rounds % look_every or bool(position.dt.any()):
        if n_rounds == options.max_steps:
            failing = too_many_steps(problem, position, course)
            position = without(failing, position, failures, options)
            break
        ahead = ahead or _rounds(problem, position, course)
        (tried, settled), *ahead = ahead
        all_accepted = bool(tried.accepted.all())
        if not all_accepted:
            n_rejections += 1
            is_due = options.step_size is not None or n_rejections % _CHECK_EVERY == 0
            if is_due and bool((bad := cannot_go_on(problem, tried)).any()):
                failing = stuck(problem, tried.before.s, bad, tried.ratio)
                # The others take the same step again, so that nothing of the failed one is kept.
                position, ahead = without(failing, position, failures, options), []
                tally.add(tried.dt.where(position.dt == 0, 0.0), tried.accepted, tried.step.evals)
                continue
            if torch.is_grad_enabled() and not bool((finite := _finite(tried)).all()):
                # Nothing of a step that is not finite may enter the graph, for its gradient,
                # zero times infinity, is not zero. The others take the same step again.
                tally.add(tried.dt.where(~finite, 0.0), finite, tried.step.evals)
                dt = torch.where(finite, position.dt, tried.next_dt)
                position = position._replace(dt=dt)
                continue
        position = settled or after_step(tried, course, all_accepted=all_accepted)
        evals = tried.step.evals
        if options.has_jumps:
            position, anew = _past_jumps(problem, tried, position, course)
            evals = evals + anew
        stopping = observe(tried, position)
        if stopping is not None:
            dt = position.dt.masked_fill(stopping, 0.0)
            position, ahead = position._replace(dt=dt), []
        tally.add(tried.dt, tried.accepted, evals)
        n_rounds += 1
    return Outcome(position, tally.counts(), failures)


def _rounds(
    problem: Problem, position: Position, course: Course
) -> list[tuple[Tried, Position | None]]:
    """Try a step, or some one after another; with each, where it left the samples if known."""
    if not problem.options.compiled:
        return [(attempt(problem, position, course), None)]
    is_alone = torch.is_grad_enabled() or problem.options.has_jumps
    rounds = compiled(_one_round if is_alone else _some_rounds, problem.method.name)
    tried: list[tuple[Tried, Position | None]] = rounds(lean(problem), position, course)
    return tried


def _one_round(
    problem: Problem, position: Position, course: Course
) -> list[tuple[Tried, Position]]:
    return [next_round(problem, position, course)]


def _some_rounds(
    problem: Problem, position: Position, course: Course
) -> list[tuple[Tried, Position]]:
    rounds: list[tuple[Tried, Position]] = []
    for _ in range(_ROUNDS_A_GRAPH):
        rounds.append(next_round(problem, position, course))
        position = rounds[-1][1]
    return rounds


def _past_jumps(
    problem: Problem, tried: Tried, position: Position, course: Course
) -> tuple[Position, Tensor]:
    """Evaluate the field anew where it jumps, for the samples that have just come there."""
    there = course.at_jump(position.s) & (position.s > tried.before.s)
    if bool(there.any()):
        k = problem.field(problem.clock.time_from(position.s, position.s), position.y)
        y, t0 = position.y, problem.clock.t0
        if t0.requires_grad:
            # The jump stays where it is when the start moves: what lies between is solved with
            # the slope before it instead of the slope after it.
            moved = (problem.clock.sign * (t0.detach() - t0)).where(there, 0.0)
            y = y + (position.k - k) * moved[:, None].to(k.dtype)
            k = problem.field(problem.clock.time_from(position.s, position.s), y)
        position = position._replace(y=y, k=torch.where(there[:, None], k, position.k))
    return position, there


def _finite(tried: Tried) -> Tensor:
    return tried.ratio.isfinite() | (tried.dt == 0)
