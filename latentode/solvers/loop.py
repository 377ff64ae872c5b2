"""The only loop: a batch of samples, each at its own time and with its own step."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.control import error_ratio, first_step, step_factor
from latentode.solvers.explicit import Field, Method, Step, explicit_step
from latentode.solvers.implicit import Tolerance, implicit_step
from latentode.solvers.solution import SolverError


class Clock(NamedTuple):
    """Time as the user counts it, from time since the start of each sample.

    Solving in the latter keeps steps exact however large the times are.

    Attributes
    ----------
    t0 : Tensor of shape (B,)
        Where each sample starts.
    sign : Tensor of shape (B,)
        1 where time runs forward, -1 where it runs backward.
    dtype : torch.dtype
        Type of the times that a field is given.
    """

    t0: Tensor
    sign: Tensor
    dtype: torch.dtype

    def time(self, s: Tensor) -> Tensor:
        """Give the time at s (..., B) after the start."""
        return self.t0 + self.sign * s

    def time_for_field(self, s: Tensor) -> Tensor:
        """Give the same as a field is given it."""
        return self.time(s).to(self.dtype)

    def since_start(self, ts: Tensor) -> Tensor:
        """Give how long after the start times (B, T) are."""
        return (ts.to(self.t0.dtype) - self.t0[:, None]) * self.sign[:, None]


class Options(NamedTuple):
    """How to step.

    Attributes
    ----------
    rtol, atol : float
        Tolerances of `control.error_ratio`.
    step_size : Tensor of shape (B,) or None
        Size of every step; None to let the error decide.
    first_step : Tensor of shape (B,) or None
        Size of the first step, where the error decides; None to guess it.
    max_steps : int
        Steps after which to give up.
    clip_end : bool
        Whether the last step ends exactly at the end, so that the field is not evaluated past
        it. Otherwise the steps do not depend on where the end is.
    """

    rtol: float
    atol: float
    step_size: Tensor | None
    first_step: Tensor | None
    max_steps: int
    clip_end: bool


class Problem(NamedTuple):
    """What to solve and how: ``field(t, y)`` is dy/ds at time t (B,) and state y (B, D)."""

    field: Field
    method: Method
    clock: Clock
    options: Options


class Position(NamedTuple):
    """Where every sample stands between two steps.

    Attributes
    ----------
    s : Tensor of shape (B,)
        Time since the start of the sample.
    y, k : Tensor of shape (B, D)
        State there, and the field there.
    dt : Tensor of shape (B,)
        Size of the step to try next.
    ratio : Tensor of shape (B,)
        Error ratio of the last accepted step.
    """

    s: Tensor
    y: Tensor
    k: Tensor
    dt: Tensor
    ratio: Tensor


class Counts(NamedTuple):
    """What each sample has cost, each of shape (B,).

    Attributes
    ----------
    tried, accepted : Tensor
        Steps.
    evals : Tensor
        Evaluations of the field.
    """

    tried: Tensor
    accepted: Tensor
    evals: Tensor


class Tried(NamedTuple):
    """A step that was tried, and where it left every sample.

    Attributes
    ----------
    before, after : Position
        A rejected sample stands afterwards where it stood before, with a smaller step to try.
    dt : Tensor of shape (B,)
        Size of the step; 0 for a sample that had already arrived.
    step : Step
        Its stages.
    ratio : Tensor of shape (B,)
        Its error as a multiple of what is tolerated.
    accepted : Tensor of shape (B,), dtype=torch.bool
        Which samples took it.
    all_accepted : bool
        Whether every sample took it; one that had arrived does not.
    """

    before: Position
    after: Position
    dt: Tensor
    step: Step
    ratio: Tensor
    accepted: Tensor
    all_accepted: bool


def start(problem: Problem, s_end: Tensor, y: Tensor) -> tuple[Position, Counts]:
    """Give the position at the start, with state y (B, D), and a size for the first step."""
    field, method, clock, options = problem
    s = torch.zeros_like(s_end)
    k = field(clock.time_for_field(s), y)
    bad = ~k.detach().isfinite().all(dim=1)
    if bool(bad.any()):
        raise failure(
            "the vector field is not finite at the start. Check it there",
            s=s,
            sample=int(bad.nonzero()[0]),
            clock=clock,
            name=method.name,
        )
    evals = torch.ones_like(s, dtype=torch.long)
    dt = options.first_step if options.step_size is None else options.step_size
    if dt is None:
        with torch.no_grad():
            dt = first_step(
                lambda later, y: field(clock.time_for_field(later), y),
                s,
                y,
                k,
                longest=s_end if options.clip_end else torch.full_like(s, torch.inf),
                order=method.order,
                rtol=options.rtol,
                atol=options.atol,
            ).to(s.dtype)
        evals = evals + 1
    none = torch.zeros_like(evals)
    position = Position(s, y, k, dt, torch.ones_like(s, dtype=y.abs().dtype))
    return position, Counts(none, none, evals)


def march(
    problem: Problem,
    position: Position,
    counts: Counts,
    s_end: Tensor,
    observe: Callable[[Tried], None],
) -> tuple[Position, Counts]:
    """Step every sample until it has reached its own end.

    Parameters
    ----------
    problem : Problem
        What to solve and how.
    position : Position
        Where to start from.
    counts : Counts
        What has been spent so far.
    s_end : Tensor of shape (B,)
        Where each sample may stop.
    observe : callable
        Told of every step tried, in order.

    Returns
    -------
    position : Position
        Where every sample stands: at its end, or up to one step past it.
    counts : Counts
        What has been spent in all.

    Raises
    ------
    SolverError
        If a sample's step shrinks to nothing, or it takes too many of them.
    """
    running = _is_before(position.s, s_end)
    n_rounds = 0
    while bool(running.any()):
        if n_rounds == problem.options.max_steps:
            raise _too_many_steps(problem, position, s_end)
        tried = _try(problem, position, s_end)
        if not tried.all_accepted:
            finite = tried.ratio.isfinite() | ~running
            _check_step_sizes(problem, tried, running, finite)
            if not bool(finite.all()):
                # Nothing of a step that is not finite may enter the graph, for its gradient,
                # zero times infinity, is not zero. The others take the same step again.
                dt = torch.where(finite, position.dt, tried.after.dt)
                position = position._replace(dt=dt)
                counts = _counted(counts, tried.step, ~finite, torch.zeros_like(running))
                continue
        observe(tried)
        position, n_rounds = tried.after, n_rounds + 1
        counts = _counted(counts, tried.step, running, tried.accepted)
        running = _is_before(position.s, s_end)
    return position, counts


def _is_before(s: Tensor, s_end: Tensor) -> Tensor:
    """Say which samples have not arrived, but for the rounding of many small steps."""
    return s < s_end * (1 - 8 * torch.finfo(s_end.dtype).eps)


def _try(problem: Problem, before: Position, s_end: Tensor) -> Tried:
    """Try one step of every sample that has not arrived."""
    method, clock, options = problem.method, problem.clock, problem.options
    running = _is_before(before.s, s_end)
    dt = before.dt.where(running, 0.0)
    if options.clip_end:
        dt = torch.minimum(dt, (s_end - before.s).where(running, 0.0))
    ts = clock.time_for_field(before.s + method.c[:, None] * dt)
    step = take_step(problem, ts, dt, before.y, before.k)
    with torch.no_grad():
        ratio = before.ratio if options.step_size is not None else _ratio(problem, before, step)
        accepted = running & (ratio <= 1)
        all_accepted = bool(accepted.all())
        s1 = torch.where(accepted, before.s + dt, before.s)
        next_dt = before.dt
        if options.step_size is None:
            factor = step_factor(ratio, before.ratio, order=method.order).to(dt.dtype)
            next_dt = torch.where(running, dt * factor, before.dt)
        if options.clip_end:
            clipped = accepted & (before.dt >= s_end - before.s)
            s1 = torch.where(clipped, s_end, s1)
            # A step cut short by the end says nothing against a longer one.
            next_dt = torch.where(clipped, torch.maximum(next_dt, before.dt), next_dt)
        kept = torch.where(accepted, ratio, before.ratio)
    y1, k1 = step.y1, step.k1
    if not all_accepted:
        y1 = torch.where(accepted[:, None], y1, before.y)
        k1 = torch.where(accepted[:, None], k1, before.k)
    return Tried(
        before, Position(s1, y1, k1, next_dt, kept), dt, step, ratio, accepted, all_accepted
    )


def take_step(problem: Problem, ts: Tensor, dt: Tensor, y: Tensor, k: Tensor) -> Step:
    """Take one step of the problem's method; see `explicit_step`."""
    field, method, _, options = problem
    if not method.is_implicit:
        return explicit_step(field, method, ts, dt, y, k)
    tolerance = Tolerance(options.rtol, options.atol)
    if options.step_size is not None:  # steps of one size are to be those of the method itself
        rounding = 1e4 * torch.finfo(y.dtype).eps
        tolerance = Tolerance(rounding, rounding)
    return implicit_step(field, method, ts, dt, y, k, tolerance)


def _ratio(problem: Problem, before: Position, step: Step) -> Tensor:
    weights, options = problem.method.error, problem.options
    assert weights is not None  # odeint asks for a step size where there is no error estimate
    error = torch.mv(step.increments.flatten(1).t(), weights).view(before.y.shape)
    return error_ratio(error, before.y, step.y1, rtol=options.rtol, atol=options.atol)


def _counted(counts: Counts, step: Step, running: Tensor, accepted: Tensor) -> Counts:
    return Counts(
        counts.tried + running,
        counts.accepted + accepted,
        counts.evals + step.evals * running,
    )


def _check_step_sizes(problem: Problem, tried: Tried, running: Tensor, finite: Tensor) -> None:
    """Raise where the next step of a rejected sample is too small to move it."""
    s, dt = tried.before.s, tried.after.dt
    moves = (s + dt > s) & (dt > torch.finfo(dt.dtype).tiny)
    stuck = running & ~tried.accepted & ~moves
    if not bool(stuck.any()):
        return
    sample = int(stuck.nonzero()[0])
    cause = (
        "its steps shrank to nothing, as where a solution grows without bound or jumps. "
        "Check the field near that time, or loosen rtol and atol"
        if finite[sample]
        else "the vector field or the state is not finite there, however short the step. "
        "Check the field near that time and state"
    )
    raise failure(
        cause,
        s=s,
        sample=sample,
        clock=problem.clock,
        name=problem.method.name,
    )


def _too_many_steps(problem: Problem, position: Position, s_end: Tensor) -> SolverError:
    late = _is_before(position.s, s_end)
    sample = int(late.nonzero()[0])
    end = float(problem.clock.time(s_end)[sample].detach())
    return failure(
        f"max_steps={problem.options.max_steps} steps do not reach its end at t={end:.6g} "
        f"({int(late.sum())} of {len(late)} samples are late). Raise max_steps, loosen rtol and "
        "atol, or take a longer step_size",
        s=position.s,
        sample=sample,
        clock=problem.clock,
        name=problem.method.name,
    )


def failure(cause: str, *, s: Tensor, sample: int, clock: Clock, name: str) -> SolverError:
    """Name the sample, the time it had reached, the method and the cause."""
    t = float(clock.time(s)[sample].detach())
    message = f"{name} cannot solve sample {sample} of {len(s)} past t={t:.6g}: {cause}."
    return SolverError(message, sample=sample, t=t)
