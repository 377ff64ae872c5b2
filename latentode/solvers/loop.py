"""The only loop: a batch of samples, each at its own time and with its own step."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.control import error_ratio, first_step, step_factor
from latentode.solvers.explicit import Field, Method, Step, explicit_step
from latentode.solvers.solution import SolverError

# A step that is not finite says nothing of its size but that it was too long.
_SHRINK = 0.2


class Clock(NamedTuple):
    """Time as the user counts it, from time since the start of each sample.

    Solving in the latter keeps steps exact however large the times are.

    Attributes
    ----------
    t0 : Tensor of shape (B,)
        Where each sample starts.
    sign : Tensor of shape (B,)
        1 where time runs forward, -1 where it runs backward.
    """

    t0: Tensor
    sign: Tensor

    def time(self, s: Tensor) -> Tensor:
        """Give the time at s (B,) after the start."""
        return self.t0 + self.sign * s

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
    """What to solve and how: ``field(s, y)`` is dy/ds at s (B,) after the start, y (B, D)."""

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
    """What each sample has cost, each of shape (B,): steps tried and accepted, evaluations."""

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
    accepted : Tensor of shape (B,), dtype=torch.bool
        Which samples took it.
    finite : Tensor of shape (B,), dtype=torch.bool
        Which samples it has finite values for.
    """

    before: Position
    after: Position
    dt: Tensor
    step: Step
    accepted: Tensor
    finite: Tensor


def start(problem: Problem, s: Tensor, y: Tensor) -> tuple[Position, Counts]:
    """Give the position at s (B,) with state y (B, D), and a size for the first step."""
    field, method, clock, options = problem
    k = field(s, y)
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
            tolerance = {"rtol": options.rtol, "atol": options.atol}
            dt = first_step(field, s, y, k, order=method.order, **tolerance).to(s.dtype)
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
    adaptive = problem.options.step_size is None
    running = position.s < s_end
    n_rounds = 0
    while bool(running.any()):
        if n_rounds == problem.options.max_steps:
            raise _too_many_steps(problem, position, s_end)
        tried = _try(problem, position, s_end)
        if adaptive and not bool(tried.finite.all()):
            # Nothing of a step that is not finite may enter the graph, for its gradient, zero
            # times infinity, is not zero. The other samples take the same step again.
            position = position._replace(
                dt=torch.where(tried.finite, position.dt, _SHRINK * tried.dt)
            )
            counts = _counted(counts, problem.method, ~tried.finite, torch.zeros_like(running))
            _check_step_sizes(problem, position, ~tried.finite, finite=False)
            continue
        observe(tried)
        position, n_rounds = tried.after, n_rounds + 1
        counts = _counted(counts, problem.method, running, tried.accepted)
        if adaptive:
            _check_step_sizes(problem, position, running & ~tried.accepted, finite=True)
        running = position.s < s_end
    return position, counts


def _try(problem: Problem, before: Position, s_end: Tensor) -> Tried:
    """Try one step of every sample that has not arrived."""
    field, method, _, options = problem
    running = before.s < s_end
    dt = before.dt.where(running, 0.0)
    if options.clip_end:
        dt = torch.minimum(dt, (s_end - before.s).where(running, 0.0))
    step = explicit_step(field, method, before.s, dt, before.y, before.k)
    with torch.no_grad():
        ratio = before.ratio if options.step_size is not None else _ratio(problem, before, step)
        accepted = running & (ratio <= 1)
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
    taken = accepted[:, None]
    after = Position(
        s1,
        torch.where(taken, step.y1, before.y),
        torch.where(taken, step.k1, before.k),
        next_dt,
        torch.where(accepted, ratio, before.ratio),
    )
    return Tried(before, after, dt, step, accepted, ratio.isfinite())


def _ratio(problem: Problem, before: Position, step: Step) -> Tensor:
    weights, options = problem.method.error, problem.options
    assert weights is not None  # odeint asks for a step size where there is no error estimate
    error = torch.mv(step.increments.flatten(1).t(), weights).view(before.y.shape)
    return error_ratio(error, before.y, step.y1, rtol=options.rtol, atol=options.atol)


def _counted(counts: Counts, method: Method, running: Tensor, accepted: Tensor) -> Counts:
    return Counts(
        counts.tried + running,
        counts.accepted + accepted,
        counts.evals + (len(method.c) - 1) * running,
    )


def _check_step_sizes(
    problem: Problem, position: Position, rejected: Tensor, *, finite: bool
) -> None:
    """Raise where a rejected sample's next step is too small to move it."""
    moved = position.s + position.dt > position.s
    stuck = rejected & ~(moved & (position.dt > torch.finfo(position.dt.dtype).tiny))
    if not bool(stuck.any()):
        return
    cause = (
        "its steps shrank to nothing, as where a solution grows without bound or jumps. "
        "Check the field near that time, or loosen rtol and atol"
        if finite
        else "the vector field or the state is not finite there, however short the step. "
        "Check the field near that time and state"
    )
    raise failure(
        cause,
        s=position.s,
        sample=int(stuck.nonzero()[0]),
        clock=problem.clock,
        name=problem.method.name,
    )


def _too_many_steps(problem: Problem, position: Position, s_end: Tensor) -> SolverError:
    late = position.s < s_end
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
