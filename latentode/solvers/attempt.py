"""One step of every sample: taken, judged, and where it leaves them."""

import torch
from torch import Tensor

from latentode.solvers.compiled import compiled, compiling
from latentode.solvers.control import Tolerance, error_ratio, step_factor
from latentode.solvers.course import Course, Position, Tried
from latentode.solvers.explicit import Method, Step, explicit_step
from latentode.solvers.implicit import implicit_step
from latentode.solvers.methods import Switching, chosen, next_streak
from latentode.solvers.problem import Problem, is_iterated
from latentode.solvers.rosenbrock import RosenbrockMethod, rosenbrock_step


def lean(problem: Problem) -> Problem:
    """Leave out what a graph has as numbers: each tensor would be looked at in every call."""
    method = problem.method
    if isinstance(method, Method):
        method = method._replace(a=(), columns=(), errors=())
    return problem._replace(method=method, workspace=None)


def attempt(problem: Problem, before: Position, course: Course) -> Tried:
    """Try one step of every sample that has not arrived."""
    options = problem.options
    dt, gap = before.dt, course.gap(before.s)
    if gap is not None:  # a step that ends a rounding error before a stop ends there
        near = dt + 8 * torch.finfo(dt.dtype).eps * (before.s + dt)
        dt = torch.where((near >= gap) & (dt > 0), gap, dt)
    step = take_step(problem, before, dt)
    with torch.no_grad():
        if options.step_size is not None:
            return Tried(before, dt, step, before.ratio, _can_be_taken(problem, step), before.dt)
        ratio = _ratio(problem, before, step)
        return Tried(before, dt, step, ratio, ratio <= 1, _next_dt(problem, before, dt, ratio))


def _can_be_taken(problem: Problem, step: Step) -> Tensor:
    """Say which samples may take a step of a size that was given, (B,)."""
    finite = torch.ones_like(problem.clock.sign, dtype=torch.bool)
    if not (problem.options.forgiving or is_iterated(problem.method)):
        return finite  # what overflows is seen at the end
    for x in (step.y1, step.k1, *step.powers):
        finite = finite & x.isfinite().all(dim=1)
    return finite


def step_again(problem: Problem, before: Position, dt: Tensor) -> Step:
    """Take a step with a graph, compiled if the rounds are."""
    if not problem.options.compiled:
        return take_step(problem, before, dt)
    with compiling():
        step: Step = compiled(take_step, problem.method.name)(lean(problem), before, dt)
    return step


def take_step(problem: Problem, before: Position, dt: Tensor) -> Step:
    """Take one step of the problem's method, of sizes dt (B,)."""
    method = problem.method
    if not isinstance(method, Switching):
        return _step_by(method, problem, before, dt)
    if before.streak is None:
        raise ValueError("a method that switches needs to know how stiff the last steps were")
    stiff = before.streak < 0
    if bool(stiff.all()):
        return _step_by(method.stiff, problem, before, dt)
    if not bool(stiff.any()):
        return _step_by(method.explicit, problem, before, dt)
    return chosen(
        stiff,
        _step_by(method.stiff, problem, before, dt.where(stiff, 0.0)),
        _step_by(method.explicit, problem, before, dt.where(~stiff, 0.0)),
    )


def _step_by(
    method: Method | RosenbrockMethod, problem: Problem, before: Position, dt: Tensor
) -> Step:
    field, _, clock, options, workspace = problem
    ts, y, k = clock.stage_times(before.s, dt, method.c), before.y, before.k
    if isinstance(method, RosenbrockMethod):
        sign = clock.sign.to(y.abs().dtype) if clock.runs_back else None
        return rosenbrock_step(field, method, ts, dt, y, k, sign)
    if not method.is_implicit:
        return explicit_step(field, method, ts, dt, y, k, workspace)
    if options.step_size is None:
        return implicit_step(field, method, ts, dt, y, k, options.tolerance)
    # Steps of one size are to be those of the method itself.
    rounding = 1e4 * torch.finfo(y.dtype).eps
    tolerance = Tolerance(rounding, rounding)
    return implicit_step(field, method, ts, dt, y, k, tolerance, can_be_shorter=False)


def _ratio(problem: Problem, before: Position, step: Step) -> Tensor:
    ratio = error_ratio(
        step.errors, before.y.detach(), step.y1.detach(), problem.options.tolerance
    )
    if not problem.options.joint:
        return ratio
    moving = before.dt > 0
    total = ratio.square().where(moving, 0.0).sum() / moving.sum().clamp(min=1)
    return total.sqrt().where(moving, 0.0)


def _next_dt(problem: Problem, before: Position, dt: Tensor, ratio: Tensor) -> Tensor:
    options = problem.options
    factor = step_factor(ratio, before.ratio, order=problem.method.error_order)
    size, uncut = dt, before.dt
    if options.joint:  # what one stop cuts short for one sample is not to part the sizes for good
        size, uncut = dt.amax(), before.dt.amax()
    next_dt = size * factor.to(dt.dtype)
    # A step cut short by a stop says nothing against a longer one.
    if dt is not before.dt:
        next_dt = torch.where((size < uncut) & (ratio <= 1), uncut, next_dt)
    is_bounded = options.min_step > 0 or options.max_step < torch.inf
    if is_bounded:
        next_dt = next_dt.clamp(options.min_step, options.max_step)
    return next_dt.where(dt > 0, 0.0) if is_bounded or options.joint else next_dt


def next_round(problem: Problem, position: Position, course: Course) -> tuple[Tried, Position]:
    """Try one step, without looking at how it went, and say where it left the samples."""
    tried = attempt(problem, position, course)
    return tried, after_step(tried, course, all_accepted=False)


def after_step(tried: Tried, course: Course, *, all_accepted: bool) -> Position:
    """Give where every sample stands after a step that was tried."""
    before, step, accepted = tried.before, tried.step, tried.accepted
    with torch.no_grad():
        s1 = before.s + tried.dt
        if course.stops is not None:  # the sum may miss the stop by a rounding error
            ahead = (course.stops - before.s[:, None]).where(before.dt[:, None] > 0, torch.inf)
            met = ahead == tried.dt[:, None]
            stop = course.stops.where(met, -torch.inf).amax(dim=1)
            s1 = torch.where(stop > 0, stop, s1)
        if not all_accepted:
            s1 = torch.where(accepted, s1, before.s)
        dt = tried.next_dt.where(s1 < course.line, 0.0)
        streak = before.streak
        if streak is not None and step.stiffness is not None:
            streak = next_streak(streak, step.stiffness, accepted & (tried.dt > 0))
    if all_accepted:
        return Position(s1, step.y1, step.k1, dt, tried.ratio, streak)
    each = accepted[:, None]
    return Position(
        s1,
        torch.where(each, step.y1, before.y),
        torch.where(each, step.k1, before.k),
        dt,
        torch.where(accepted, tried.ratio, before.ratio),
        streak,
    )
