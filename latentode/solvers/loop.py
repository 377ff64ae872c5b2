"""The only loop: a batch of samples, each at its own time and with its own step."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.compiled import compiled, compiling
from latentode.solvers.control import Tolerance, error_ratio, first_step, step_factor
from latentode.solvers.explicit import Field, Method, Step, Workspace, explicit_step
from latentode.solvers.implicit import implicit_step
from latentode.solvers.methods import AnyMethod, Switching, chosen, next_streak
from latentode.solvers.rosenbrock import RosenbrockMethod, rosenbrock_step
from latentode.solvers.solution import SolverError

# Rounds between two looks at whether all samples have arrived: each makes an accelerator wait.
_LOOK_EVERY = 8
# Rounds of a compiled solve without gradients that are one graph.
_ROUNDS_A_GRAPH = 2
# Rejected steps between two looks at whether they have become too short. It takes many to do so.
_CHECK_EVERY = 8
# Rounds whose counts are kept apart, before they are added up.
_FOLD_EVERY = 64


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
    runs_back : bool
        Whether time runs backward for some samples.
    """

    t0: Tensor
    sign: Tensor
    dtype: torch.dtype
    runs_back: bool

    def time(self, s: Tensor) -> Tensor:
        """Give the time at s (..., B) after the start."""
        return self.t0 + (self.sign * s if self.runs_back else s)

    def time_for_field(self, s: Tensor) -> Tensor:
        """Give the same as a field is given it."""
        return self.time(s).to(self.dtype)

    def stage_times(self, s: Tensor, dt: Tensor, c: Tensor) -> Tensor:
        """Give the times (S, B) of the stages of a step from s, of size dt, as the field."""
        return self.time(torch.addcmul(s, c[:, None], dt)).to(self.dtype)

    def time_after(self, s: Tensor) -> Tensor:
        """Give the next time after s (B,) as a field is given it."""
        t = self.time_for_field(s)
        shift = torch.nextafter(t.detach(), t.detach() + self.sign.to(t.dtype)) - t.detach()
        return t + shift

    def inner_times(self, s: Tensor, dt: Tensor, c: Tensor) -> Tensor:
        """Give the same, but on the inner side of the ends of the step."""
        ends = self.time_for_field(torch.stack([s, s + dt])).detach()
        begin, end = torch.nextafter(ends, ends.flip(0))
        rests = ends[0] == ends[1]
        after = self.time_after(s).detach()
        begin, end = torch.where(rests, after, begin), torch.where(rests, after, end)
        low, high = torch.minimum(begin, end), torch.maximum(begin, end)
        times = self.stage_times(s, dt, c)
        return times + (times.detach().clamp(low, high) - times.detach())

    def since_start(self, ts: Tensor) -> Tensor:
        """Give how long after the start times (B, T) are."""
        return (ts.to(self.t0.dtype) - self.t0[:, None]) * self.sign[:, None]


class Options(NamedTuple):
    """How to step.

    Attributes
    ----------
    tolerance : Tolerance
        What error is tolerated.
    step_size : Tensor of shape (B,) or None
        Size of every step; None to let the error decide.
    first_step : Tensor of shape (B,) or None
        Size of the first step, where the error decides; None to guess it.
    min_step, max_step : float
        Where the error decides, no step is chosen shorter or longer.
    max_steps : int
        Steps after which to give up.
    clip_end : bool
        Whether the last step ends exactly at the end, so that the field is not evaluated past
        it. Otherwise the steps do not depend on where the end is.
    joint : bool
        Whether the batch shares the size of its steps, by the error of all its entries.
    forgiving : bool
        Whether a sample that fails rests, and the others go on; otherwise it raises.
    has_jumps : bool
        Whether the field may jump between two steps: then it is evaluated on the inner side of
        both ends of a step, and anew at its start.
    compiled : bool
        Whether to compile a round of steps to one graph.
    """

    tolerance: Tolerance
    step_size: Tensor | None
    first_step: Tensor | None
    min_step: float
    max_step: float
    max_steps: int
    clip_end: bool
    joint: bool
    forgiving: bool
    has_jumps: bool
    compiled: bool


class Problem(NamedTuple):
    """What to solve and how.

    Attributes
    ----------
    field : callable
        ``field(t, y)`` is dy/ds at time t (B,) and state y (B, D).
    method : Method, RosenbrockMethod or Switching
        The method.
    clock : Clock
        How s becomes t.
    options : Options
        How to step.
    workspace : Workspace or None
        Memory for the stages, where no graph of the steps is wanted.
    """

    field: Field
    method: AnyMethod
    clock: Clock
    options: Options
    workspace: Workspace | None


def is_pulled_by_hand(method: AnyMethod, options: Options) -> bool:
    """Say whether gradients need no graph of a step: its stages are pulled back one by one."""
    return not (method.is_implicit or options.has_jumps or options.compiled)


class Course(NamedTuple):
    """Where the samples go.

    Attributes
    ----------
    s_end : Tensor of shape (B,)
        Where each sample may stop.
    line : Tensor of shape (B,)
        Where it has arrived: at its end, but for the rounding of many small steps.
    stops : Tensor of shape (B, J) or None
        Where steps end on the way, in any order.
    jumps : Tensor of shape (J,), dtype=torch.bool, or None
        At which of the stops the field jumps.
    """

    s_end: Tensor
    line: Tensor
    stops: Tensor | None
    jumps: Tensor | None

    def gap(self, s: Tensor) -> Tensor | None:
        """Give how far it is to the next stop of each sample, infinite where there is none."""
        if self.stops is None:
            return None
        ahead = self.stops - s[:, None]
        return ahead.where(ahead > 0, torch.inf).amin(dim=1)

    def at_jump(self, s: Tensor) -> Tensor:
        """Say which samples stand where the field jumps."""
        if self.stops is None or self.jumps is None:
            return torch.zeros_like(s, dtype=torch.bool)
        return ((self.stops == s[:, None]) & self.jumps).any(dim=1)


class Position(NamedTuple):
    """Where every sample stands between two steps.

    Attributes
    ----------
    s : Tensor of shape (B,)
        Time since the start of the sample.
    y, k : Tensor of shape (B, D)
        State there, and the field there.
    dt : Tensor of shape (B,)
        Size of the step to try next; 0 for a sample that rests.
    ratio : Tensor of shape (B,)
        Error ratio of the last accepted step.
    streak : Tensor of shape (B,), dtype=torch.long, or None
        Of a method that switches, how stiff the last steps were; see `methods.next_streak`.
    """

    s: Tensor
    y: Tensor
    k: Tensor
    dt: Tensor
    ratio: Tensor
    streak: Tensor | None = None


class Tried(NamedTuple):
    """A step that was tried.

    Attributes
    ----------
    before : Position
        Where it started.
    dt : Tensor of shape (B,)
        Size of the step; 0 for a sample that rests.
    step : Step
        Its result.
    ratio : Tensor of shape (B,)
        Its error as a multiple of what is tolerated.
    accepted : Tensor of shape (B,), dtype=torch.bool
        Which samples took it; of one that rests, it says nothing.
    next_dt : Tensor of shape (B,)
        Size of the step to try next, if there is a next one.
    """

    before: Position
    dt: Tensor
    step: Step
    ratio: Tensor
    accepted: Tensor
    next_dt: Tensor


# Told of a step that was tried, and where it left the samples; says which of them are to stop
# there, or None if none is.
Observer = Callable[[Tried, Position], Tensor | None]


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


class _Tally:
    """Counts, added up some rounds at a time."""

    def __init__(self, like: Tensor) -> None:
        none = torch.zeros_like(like, dtype=torch.long)
        self._counts = Counts(none, none, none)
        self._rounds: list[tuple[Tensor, Tensor]] = []
        self._evals: list[int | Tensor] = []

    def add(self, dt: Tensor, accepted: Tensor, evals: int | Tensor) -> None:
        """Count a step tried by the samples for which dt (B,) is not 0."""
        self._rounds.append((dt, accepted))
        self._evals.append(evals)
        if len(self._rounds) == _FOLD_EVERY:
            self.counts()

    def counts(self) -> Counts:
        """Give the counts so far."""
        if self._rounds:
            dt, accepted = (torch.stack(part) for part in zip(*self._rounds, strict=True))
            moving = dt > 0
            evals = torch.stack([torch.as_tensor(n).expand(dt.shape[1]) for n in self._evals])
            tried, taken, spent = self._counts
            self._counts = Counts(
                tried + moving.sum(dim=0),
                taken + (moving & accepted).sum(dim=0),
                spent + (moving * evals.to(dt.device)).sum(dim=0),
            )
            self._rounds, self._evals = [], []
        return self._counts


def slope_at_start(problem: Problem, y0: Tensor) -> Tensor:
    """Evaluate the field at the start, with state y0 (B, D)."""
    return problem.field(start_time(problem.clock, problem.options), y0)


def start_time(clock: Clock, options: Options) -> Tensor:
    """Give the time (B,) at which the field is evaluated at the start."""
    s = torch.zeros_like(clock.sign)
    return clock.time_after(s) if options.has_jumps else clock.time_for_field(s)


def start(problem: Problem, s_end: Tensor, y: Tensor, k: Tensor) -> tuple[Position, Counts]:
    """Give the position at the start, with a size for the first step.

    The state there is y (B, D), and k the field, whose evaluation counts.
    """
    field, method, clock, options, _ = problem
    s = torch.zeros_like(s_end)
    state = y, k
    _check_start(problem, s, k.detach())
    evals = torch.ones_like(s, dtype=torch.long)
    dt = options.first_step if options.step_size is None else options.step_size
    if options.step_size is None and dt is not None:
        dt = dt.clamp(options.min_step, options.max_step)
    if dt is None:
        y, k = y.detach(), k.detach()
        with torch.no_grad():
            dt = first_step(
                lambda later, y: field(clock.time_for_field(later), y),
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


def course_to(
    s_end: Tensor, options: Options, stops: Tensor | None = None, jumps: Tensor | None = None
) -> Course:
    """Give the course of samples that go to s_end (B,), past stops (B, J)."""
    line = s_end * (1 - 8 * torch.finfo(s_end.dtype).eps)
    if options.clip_end:
        end = s_end[:, None]
        stops = end if stops is None else torch.cat([stops, end], dim=1)
        jumps = None if jumps is None else torch.nn.functional.pad(jumps, (0, 1))
    return Course(s_end, line, stops, jumps)


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
    position, tally, failures = position._replace(dt=dt), _Tally(dt), dict[int, SolverError]()
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
            if n_rejections % _CHECK_EVERY == 0 and bool(
                (bad := cannot_go_on(problem, tried)).any()
            ):
                failing = stuck(problem, tried.before.s, bad, tried.ratio)
                position, ahead = without(failing, position, failures, options), []
                continue
            if torch.is_grad_enabled() and not bool((finite := _finite(tried)).all()):
                # Nothing of a step that is not finite may enter the graph, for its gradient,
                # zero times infinity, is not zero. The others take the same step again.
                tally.add(tried.dt.where(~finite, 0.0), finite, tried.step.evals)
                dt = torch.where(finite, position.dt, tried.next_dt)
                position = position._replace(dt=dt)
                continue
        position = settled or _after(tried, course, all_accepted=all_accepted)
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


def lean(problem: Problem) -> Problem:
    """Leave out what a graph has as numbers: each tensor would be looked at in every call."""
    method = problem.method
    if isinstance(method, Method):
        method = method._replace(a=(), columns=(), errors=())
    return problem._replace(method=method, workspace=None)


def _one_round(
    problem: Problem, position: Position, course: Course
) -> list[tuple[Tried, Position]]:
    return [next_round(problem, position, course)]


def next_round(problem: Problem, position: Position, course: Course) -> tuple[Tried, Position]:
    """Try one step, without looking at how it went, and say where it left the samples."""
    tried = attempt(problem, position, course)
    return tried, _after(tried, course, all_accepted=False)


def _some_rounds(
    problem: Problem, position: Position, course: Course
) -> list[tuple[Tried, Position]]:
    rounds: list[tuple[Tried, Position]] = []
    for _ in range(_ROUNDS_A_GRAPH):
        rounds += _one_round(problem, position, course)
        position = rounds[-1][1]
    return rounds


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
            return Tried(before, dt, step, before.ratio, before.ratio <= 1, before.dt)
        ratio = _ratio(problem, before, step)
        return Tried(before, dt, step, ratio, ratio <= 1, _next_dt(problem, before, dt, ratio))


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
    times = clock.inner_times if options.has_jumps else clock.stage_times
    ts, y, k = times(before.s, dt, method.c), before.y, before.k
    if isinstance(method, RosenbrockMethod):
        sign = clock.sign.to(y.abs().dtype) if clock.runs_back else None
        return rosenbrock_step(field, method, ts, dt, y, k, sign)
    if not method.is_implicit:
        return explicit_step(field, method, ts, dt, y, k, workspace)
    tolerance = options.tolerance
    if options.step_size is not None:  # steps of one size are to be those of the method itself
        rounding = 1e4 * torch.finfo(y.dtype).eps
        tolerance = Tolerance(rounding, rounding)
    return implicit_step(field, method, ts, dt, y, k, tolerance)


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
    next_dt = dt * factor.to(dt.dtype)
    # A step cut short by a stop says nothing against a longer one.
    if dt is not before.dt:
        next_dt = torch.where((dt < before.dt) & (ratio <= 1), before.dt, next_dt)
    if options.min_step > 0 or options.max_step < torch.inf:
        next_dt = next_dt.clamp(options.min_step, options.max_step)
    return next_dt


def _after(tried: Tried, course: Course, *, all_accepted: bool) -> Position:
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


def _past_jumps(
    problem: Problem, tried: Tried, position: Position, course: Course
) -> tuple[Position, Tensor]:
    """Evaluate the field anew where it jumps, for the samples that have just come there."""
    there = course.at_jump(position.s) & (position.s > tried.before.s)
    if bool(there.any()):
        k = problem.field(problem.clock.time_after(position.s), position.y)
        y, t0 = position.y, problem.clock.t0
        if t0.requires_grad:
            # The jump stays where it is when the start moves: what lies between is solved with
            # the slope before it instead of the slope after it.
            moved = (problem.clock.sign * (t0.detach() - t0)).where(there, 0.0)
            y = y + (position.k - k) * moved[:, None].to(k.dtype)
            k = problem.field(problem.clock.time_after(position.s), y)
        position = position._replace(y=y, k=torch.where(there[:, None], k, position.k))
    return position, there


def without(
    failing: dict[int, SolverError],
    position: Position,
    failures: dict[int, SolverError],
    options: Options,
) -> Position:
    """Let the samples that fail rest where they stand, or raise the first one's error."""
    if failing and not options.forgiving:
        raise next(iter(failing.values()))
    failures.update(failing)
    dt = position.dt.clone()
    dt[list(failing)] = 0.0
    return position._replace(dt=dt)


def _check_start(problem: Problem, s: Tensor, k: Tensor) -> None:
    bad = ~k.isfinite().all(dim=1)
    if bool(bad.any()):
        raise failure(
            "the vector field is not finite at the start. Check it there",
            s=s,
            sample=int(bad.nonzero()[0]),
            problem=problem,
        )


def _finite(tried: Tried) -> Tensor:
    return tried.ratio.isfinite() | (tried.dt == 0)


def cannot_go_on(problem: Problem, tried: Tried) -> Tensor:
    """Say which samples were rejected, and have a next step too small to move them."""
    s, dt = tried.before.s, tried.next_dt
    moves = (s + dt > s) & (dt > torch.finfo(dt.dtype).tiny)
    least = problem.options.min_step
    if least > 0:
        moves = moves & (tried.dt > least)  # in place, the compiler does not take it
    return ~tried.accepted & ~moves & (tried.dt > 0)


def stuck(problem: Problem, s: Tensor, failing: Tensor, ratio: Tensor) -> dict[int, SolverError]:
    """Say why the samples that are ``failing`` (B,) cannot go on from s, after that ratio."""
    least = problem.options.min_step
    errors = {}
    for sample in failing.nonzero()[:, 0].tolist():
        if not bool(ratio[sample].isfinite()):
            cause = (
                "the vector field or the state is not finite there, however short the step. "
                "Check the field near that time and state"
            )
        elif least > 0:
            cause = (
                f"a step of min_step={least:g} is not accurate enough. Lower min_step, or "
                "loosen rtol and atol"
            )
        else:
            cause = (
                "its steps shrank to nothing, as where a solution grows without bound or jumps. "
                "Check the field near that time, or loosen rtol and atol"
            )
        errors[sample] = failure(cause, s=s, sample=sample, problem=problem)
    return errors


def too_many_steps(problem: Problem, position: Position, course: Course) -> dict[int, SolverError]:
    errors, late = {}, position.dt > 0
    for sample in late.nonzero()[:, 0].tolist():
        end = float(problem.clock.time(course.s_end)[sample].detach())
        errors[sample] = failure(
            f"max_steps={problem.options.max_steps} steps do not reach its end at t={end:.6g} "
            f"({int(late.sum())} of {len(late)} samples are late). Raise max_steps, loosen rtol "
            "and atol, take a longer step_size, or, if the equation is stiff, method=kvaerno5",
            s=position.s,
            sample=sample,
            problem=problem,
        )
    return errors


def failure(cause: str, *, s: Tensor, sample: int, problem: Problem) -> SolverError:
    """Name the sample, the time it had reached, the method and the cause."""
    t = float(problem.clock.time(s)[sample].detach())
    name = problem.method.name
    message = f"{name} cannot solve sample {sample} of {len(s)} past t={t:.6g}: {cause}."
    return SolverError(message, sample=sample, t=t)
