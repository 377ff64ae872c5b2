"""Events: the times at which a function of time and state is zero, and what they depend on."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.adjoint import is_transformed, solve_with_adjoint
from latentode.solvers.captured import tensors_behind
from latentode.solvers.clock import Clock, start_time
from latentode.solvers.course import Position, Tried
from latentode.solvers.dense import Piece, polynomial
from latentode.solvers.failure import failure
from latentode.solvers.loop import slope_at_start
from latentode.solvers.problem import Problem
from latentode.solvers.pullback import evaluate, product
from latentode.solvers.solution import SolverError
from latentode.solvers.solve import Answer, Task, inner, problem_for, solve
from latentode.solvers.state import Layout

# Parts of a step at whose ends the sign of g is looked at.
_N_PARTS = 4
# Rounds in which to locate a zero: a smooth g takes ten, one that jumps as many as time has bits.
_MOST_ROUNDS = 64

EventFunction = Callable[..., Tensor]


class Event(NamedTuple):
    """Times at which ``g(t, y)`` reaches zero.

    It is found where g becomes zero or changes its sign, also by a jump, between the ends of the
    four parts of a step: of two changes within one part, as of a ball that barely touches the
    floor, nothing is seen. A zero at the start of a sample is no event, so that a solve can go on
    from an event; as g is zero there to rounding only, give the ``direction`` as well.

    Attributes
    ----------
    g : callable
        ``g(t, y)`` with t of shape (B,) and y of shape (B, ...) gives shape (B,): a function of
        each sample alone. It is not evaluated past the last time of a sample.
    direction : int, default=0
        1 where g rises through zero, -1 where it falls, 0 for both, in the direction in which the
        solve runs.
    terminal : bool, default=False
        Whether a sample stops at its first such event. It rests there: its states at later times
        are the state at the event.

    Examples
    --------
    >>> import torch
    >>> from latentode.solvers import Event, odeint
    >>> def fall(t, y):
    ...     return torch.stack([y[:, 1], -9.81 * torch.ones_like(t)], dim=1)
    >>> height = torch.tensor(5.0, requires_grad=True)
    >>> y0 = torch.stack([height, torch.zeros(())])[None]
    >>> lands = Event(lambda t, y: y[:, 0], direction=-1, terminal=True)
    >>> (landed,) = odeint(fall, y0, torch.tensor([0.0, 3.0]), events=[lands]).events
    >>> round(landed.ts.item(), 4)  # sqrt(2 * 5 / 9.81)
    1.0096
    >>> landed.ts.sum().backward()
    >>> height.grad  # 1 / sqrt(2 * 5 * 9.81)
    tensor(0.1010)
    """

    g: EventFunction
    direction: int = 0
    terminal: bool = False


class Occurrences(NamedTuple):
    """When an event occurred, and the states there.

    Times and states have the gradient of the exact event: for the state at the start, the time
    of the start, and every tensor that ``f`` or ``g`` uses. It is infinite where g only touches
    zero. There is no second derivative.

    Attributes
    ----------
    n : Tensor of shape (B,), dtype=torch.long
        How often it occurred.
    ts : Tensor of shape (B, N)
        When, in order; NaN where a sample has fewer than N.
    ys : Tensor of shape (B, N, ...)
        The states there; NaN where a sample has fewer.
    """

    n: Tensor
    ts: Tensor
    ys: Tensor


class _Crossings(NamedTuple):
    """Where g of one event changes its sign, M times.

    Attributes
    ----------
    samples : Tensor of shape (M,)
        Whose.
    lo, hi : Tensor of shape (M,)
        Times since the start before and after the change.
    g_lo, g_hi : Tensor of shape (M,)
        g there; the latter may be zero.
    pieces : Piece
        The steps they lie in, as if of M samples.
    """

    samples: Tensor
    lo: Tensor
    hi: Tensor
    g_lo: Tensor
    g_hi: Tensor
    pieces: Piece


class _Places(NamedTuple):
    """Where one event occurs; filled up with the start of the sample where it occurs less often.

    Attributes
    ----------
    there : Tensor of shape (B, N), dtype=torch.bool
        Whether it occurs.
    s, ts : Tensor of shape (B, N)
        Time since the start, and time.
    ys : Tensor of shape (B, N, D)
        State.
    """

    there: Tensor
    s: Tensor
    ts: Tensor
    ys: Tensor


class _Search(NamedTuple):
    """What a solve without a graph found.

    Attributes
    ----------
    places : list of _Places
        For each event.
    s_rest, s_fail : Tensor of shape (B,)
        Time since the start where a terminal event stops the sample, and where a g is NaN;
        infinite where there is none.
    """

    places: list[_Places]
    s_rest: Tensor
    s_fail: Tensor


def flattened_events(
    events: Sequence[Event], layout: Layout, dtype: torch.dtype
) -> tuple[Event, ...]:
    """Give events whose g takes states (B, D), and check what they are and what they return.

    Parameters
    ----------
    events : sequence of Event
        Events for states of any structure.
    layout : Layout
        How these lie in a row of D numbers.
    dtype : torch.dtype
        Type of real numbers in which to give g.

    Returns
    -------
    tuple of Events
        The same for states (B, D).

    Raises
    ------
    TypeError, ValueError
        If one of them is not an event, or its g does not return real numbers of shape (B,).
    """
    if isinstance(events, Event):  # a named tuple is a sequence too
        raise TypeError("events must be a sequence: [Event(g, ...)].")
    for i, event in enumerate(events):
        if not isinstance(event, Event):
            raise TypeError(f"events[{i}] must be an Event(g, ...), not {type(event).__name__}.")
        if not callable(event.g):
            raise TypeError(
                f"g of events[{i}] must be callable as g(t, y), not {type(event.g).__name__}."
            )
        if event.direction not in (-1, 0, 1):
            raise ValueError(f"direction={event.direction} of events[{i}] must be -1, 0 or 1.")
    return tuple(
        event._replace(g=_flattened(event.g, i, layout, dtype)) for i, event in enumerate(events)
    )


def _flattened(g: EventFunction, i: int, layout: Layout, dtype: torch.dtype) -> EventFunction:
    def flat(t: Tensor, y: Tensor) -> Tensor:
        value = g(t, layout.unpacked(y))
        if not isinstance(value, Tensor):
            raise TypeError(f"g of events[{i}] must return a Tensor, not {type(value).__name__}.")
        if value.shape != t.shape:
            raise ValueError(
                f"g of events[{i}] must return one number for each sample, shape "
                f"{tuple(t.shape)}, but it returned {tuple(value.shape)}."
            )
        if not value.is_floating_point():
            raise ValueError(f"g of events[{i}] must return real numbers, not {value.dtype}.")
        return value.to(dtype)

    return flat


def solve_with_events(
    adjoint: str,
    task: Task,
    y0: Tensor,
    ts: Tensor,
    events: Sequence[Event],
    *,
    evals_backward: Tensor,
    keep_steps: bool = False,
    checkpoint_every: int = 1,
) -> tuple[Answer, tuple[Occurrences, ...]]:
    """Solve, and find at least one event on the way.

    The events are found without a graph. If the solution has a gradient, the states are those of a
    second solve, to the times asked for and those found, which is differentiated as any other.

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
    events : sequence of Event
        For states (B, D).
    evals_backward : Tensor of shape (B,), dtype=torch.long
        Where to add up the evaluations of a backward pass.
    keep_steps : bool, default=False
        Whether to keep the steps in any case.
    checkpoint_every : int, default=1
        "replay" keeps the state of every so many rounds of steps.

    Returns
    -------
    answer : Answer
        The states at ts, and what both solves cost; the steps are those of one.
    occurrences : tuple of Occurrences
        For each event.

    Raises
    ------
    SolverError
        If a sample cannot be solved or a g is NaN, and the options do not say otherwise.
    RuntimeError
        If the solve is differentiated by torch.func or in forward mode.

    References
    ----------
    Chen, Amos and Nickel (2021), Learning neural event functions for ordinary differential
    equations.
    """
    has_gradients = adjoint != "none" and torch.is_grad_enabled()
    if has_gradients and is_transformed():
        raise RuntimeError(
            "events have gradients by torch.autograd, not by torch.func or in forward mode."
        )
    answer, search, depends = _searched(task, y0, ts, events, has_gradients=has_gradients)
    places = search.places
    if depends or keep_steps:
        solve_again = functools.partial(
            solve_with_adjoint,
            adjoint,
            task,
            y0,
            keep_steps=keep_steps,
            evals_backward=evals_backward,
            checkpoint_every=checkpoint_every,
        )
        answer, places = _solved_to_places(solve_again, task.clock, ts, answer, search)
    if has_gradients:
        answer, places = _followed(task, events, answer, places)
    ys = _at_rest(answer.ys, task.clock.since_start(ts.detach()), events, places, search)
    return answer._replace(ys=ys), tuple(_occurrences(each) for each in places)


def _searched(
    task: Task, y0: Tensor, ts: Tensor, events: Sequence[Event], *, has_gradients: bool
) -> tuple[Answer, _Search, bool]:
    """Solve without a graph, find the events, and say whether the solution has a gradient."""
    task = task._replace(clock=task.clock._replace(t0=task.clock.t0.detach()))
    problem, depends = problem_for(task, y0), False
    if has_gradients:
        first = evaluate(problem.field, start_time(task.clock), y0, moving=False)
        used = tensors_behind(task.f, first)
        depends = y0.requires_grad or ts.requires_grad or bool(used)
        k0 = first.k.detach()
    else:
        k0 = slope_at_start(problem, y0)
    with torch.no_grad():
        y0, ts = y0.detach(), ts.detach()
        watch = _Watch(problem, events, y0, ts)
        answer = solve(task, problem, y0, k0, ts, observe=watch.observe)
        answer.failures.update(watch.failures)
        return answer, watch.search(), depends


class _Watch:
    """Looks at every step for changes of the sign of g, and stops samples at terminal events.

    Attributes
    ----------
    failures : dict of int to SolverError
        Samples for which a g was NaN, if samples may fail.
    """

    def __init__(self, problem: Problem, events: Sequence[Event], y0: Tensor, ts: Tensor) -> None:
        self.failures: dict[int, SolverError] = {}
        self._problem, self._events, self._y0, self._ts = problem, events, y0, ts
        self._s_end = problem.clock.since_start(ts)[:, -1]
        self._s_fail = torch.full_like(self._s_end, torch.inf)
        self._crossings: list[list[_Crossings]] = [[] for _ in events]
        ends = torch.arange(1, _N_PARTS + 1, dtype=ts.dtype, device=ts.device)
        self._parts = ends[:, None] / _N_PARTS
        self._last = self._values(torch.zeros_like(ts[:, :1]).t(), y0[None])[:, 0]

        def each(values: list[bool]) -> Tensor:
            return torch.tensor(values, device=ts.device)[:, None, None]

        self._may_rise = each([event.direction >= 0 for event in events])
        self._may_fall = each([event.direction <= 0 for event in events])
        self._is_terminal = each([event.terminal for event in events])

    def observe(self, tried: Tried, after: Position) -> Tensor | None:
        """Look at a step, as far as it leads to the last time; say which samples stop."""
        before, moved = tried.before, after.s > tried.before.s
        piece = Piece(before.s, tried.dt, after.s, before.y, tried.step.powers)
        end = torch.minimum(after.s, self._s_end)
        s = torch.minimum(before.s + self._parts * (end - before.s), end)
        ys = torch.where(moved[:, None], _state(piece, s), before.y)
        values = torch.cat([self._last[:, None], self._values(s, ys)], dim=1)
        self._last = torch.where(moved, values[:, -1], self._last)
        changed = self._changed(values) & moved
        stops = (changed & self._is_terminal).any(dim=0)
        n_stops = stops.cumsum(dim=0)
        changed &= n_stops == stops  # nothing is there past the part with the first stop
        # Where a sample is past its end, g need not exist.
        alive = torch.cat([moved[None], moved & (n_stops == 0)])
        broken = values.isnan() & alive
        if not bool(changed.any() | broken.any()):
            return None
        s = torch.cat([before.s[None], s])
        self._record(changed, s, values, piece)
        return stops.any(dim=0) | self._failing(broken, s, ys)

    def _values(self, s: Tensor, ys: Tensor) -> Tensor:
        """Give g (E, P, B) of every event at times s (P, B) and states (P, B, D)."""
        times = [self._problem.clock.time_for_field(each) for each in s]
        return torch.stack([
            torch.stack([event.g(t, y) for t, y in zip(times, ys, strict=True)])
            for event in self._events
        ])

    def _changed(self, values: Tensor) -> Tensor:
        """Say in which parts (E, P, B) the sign changes between ends (E, P + 1, B).

        It does where g reaches zero, and not where it leaves it.
        """
        begin, end = values[:, :-1], values[:, 1:]
        rises = self._may_rise & (begin < 0) & (end >= 0)
        falls = self._may_fall & (begin > 0) & (end <= 0)
        return rises | falls

    def _record(self, changed: Tensor, s: Tensor, values: Tensor, piece: Piece) -> None:
        for i, crossings in enumerate(self._crossings):
            part, sample = changed[i].nonzero(as_tuple=True)
            if len(sample):
                s0, dt, s1, y0 = (x[sample] for x in piece[:4])
                crossings.append(
                    _Crossings(
                        sample,
                        s[part, sample],
                        s[part + 1, sample],
                        values[i, part, sample],
                        values[i, part + 1, sample],
                        Piece(s0, dt, s1, y0, piece.powers[:, sample]),
                    )
                )

    def _failing(self, broken: Tensor, s: Tensor, ys: Tensor) -> Tensor:
        """Say for which samples (B,) a g is NaN, though the state is finite."""
        broken = broken & ys.isfinite().all(dim=2).all(dim=0)
        failing = broken.any(dim=0).any(dim=0)
        for sample in failing.nonzero()[:, 0].tolist():
            i, place = broken[:, :, sample].nonzero()[0].tolist()
            self._fail(i, sample, s[place])
        self._s_fail = torch.where(failing, s[0], self._s_fail)
        return failing

    def _fail(self, i: int, sample: int, s: Tensor) -> None:
        error = failure(
            f"g of events[{i}] is NaN there. Check it at that time and state",
            s=s,
            sample=sample,
            problem=self._problem,
        )
        if not self._problem.options.forgiving:
            raise error
        self.failures[sample] = error

    def search(self) -> _Search:
        """Locate what was found."""
        all_places = [self._located(i) for i in range(len(self._events))]
        s_rest = torch.full_like(self._s_end, torch.inf)
        for event, places in zip(self._events, all_places, strict=True):
            if event.terminal and places.s.shape[1]:
                first = places.s[:, 0].where(places.there[:, 0], torch.inf)
                s_rest = torch.minimum(s_rest, first)
        last = torch.minimum(s_rest, self._s_fail)
        kept = [self._until(last, each) for each in all_places]
        return _Search(kept, s_rest, self._s_fail)

    def _located(self, i: int) -> _Places:
        """Give the places of event i, to the rounding of the time."""
        turns = [self._refined(i, each) for each in _by_turn(self._crossings[i])]
        if not turns:
            none = self._ts[:, :0]
            return _Places(none.bool(), none, none, self._y0[:, None][:, :0])
        there, s, ys = (torch.stack(column, dim=1) for column in zip(*turns, strict=True))
        times = self._problem.clock.time(s.t()).t()
        # The sum may end one rounding past the last time.
        return _Places(there, s, times.where(s < self._s_end[:, None], self._ts[:, -1:]), ys)

    def _refined(self, i: int, crossings: _Crossings) -> tuple[Tensor, Tensor, Tensor]:
        """Say which samples have one of these crossings, at most one each, when, and the state."""
        samples, lo, hi, g_lo, g_hi, pieces = crossings
        clock, none = self._problem.clock, torch.zeros_like(self._s_end)

        def of_all(values: Tensor, others: Tensor) -> Tensor:
            return others.index_copy(0, samples, values)

        powers = pieces.powers.new_zeros(len(pieces.powers), *self._y0.shape)
        piece = Piece(
            of_all(pieces.s0, none),
            of_all(pieces.dt, none + 1),
            of_all(pieces.s1, none),
            of_all(pieces.y0, self._y0),
            powers.index_copy(1, samples, pieces.powers),
        )
        there = of_all(torch.ones_like(samples, dtype=torch.bool), torch.zeros_like(none).bool())
        upward = of_all(-g_lo.sign(), none.to(g_lo.dtype))

        broken = torch.full_like(none, torch.nan)

        def rising(s: Tensor) -> Tensor:
            value = self._events[i].g(clock.time_for_field(s), _state(piece, s[None])[0])
            broken.copy_(torch.where(there & value.isnan(), s, broken))
            return upward * value

        bracket = (of_all(x, none.to(x.dtype)) for x in (lo, hi, -g_lo.abs(), g_hi.abs()))
        s = _first_zero(rising, *bracket)
        for sample in (~broken.isnan()).nonzero()[:, 0].tolist():
            self._fail(i, sample, broken)
            self._s_fail[sample] = torch.minimum(self._s_fail, piece.s0)[sample]
        return there, s, _state(piece, s[None])[0]

    def _until(self, last: Tensor, places: _Places) -> _Places:
        """Keep the places up to a time since the start (B,)."""
        there = places.there & (places.s <= last[:, None])
        n = int(there.sum(dim=1).amax()) if there.numel() else 0
        there, s, ts, ys = (x[:, :n] for x in places._replace(there=there))
        return _Places(
            there,
            s.where(there, 0.0),
            ts.where(there, self._ts[:, :1]),
            torch.where(there[..., None], ys, self._y0[:, None]),
        )


def _state(piece: Piece, s: Tensor) -> Tensor:
    """Give the states (P, B, D) at times s (P, B) of one step."""
    theta = (s - piece.s0) / piece.dt.where(piece.dt > 0, torch.inf)
    return piece.y0 + polynomial(piece.powers, theta[..., None].to(piece.y0.dtype))


def _by_turn(crossings: Sequence[_Crossings]) -> list[_Crossings]:
    """Give the first crossing of every sample that has one, then the second ones, and so on."""
    if not crossings:
        return []
    together = _joined(crossings)
    ordered, order = together.samples.sort(stable=True)
    places = torch.arange(len(order), device=order.device)
    turn = torch.empty_like(order)
    turn[order] = places - torch.searchsorted(ordered, ordered)
    return [_rows(together, turn == k) for k in range(int(turn.max()) + 1)]


def _joined(crossings: Sequence[_Crossings]) -> _Crossings:
    *columns, pieces = zip(*crossings, strict=True)
    samples, lo, hi, g_lo, g_hi = map(torch.cat, columns)
    *columns, powers = zip(*pieces, strict=True)
    s0, dt, s1, y0 = map(torch.cat, columns)
    piece = Piece(s0, dt, s1, y0, torch.cat(powers, dim=1))
    return _Crossings(samples, lo, hi, g_lo, g_hi, piece)


def _rows(crossings: _Crossings, wanted: Tensor) -> _Crossings:
    samples, lo, hi, g_lo, g_hi, (s0, dt, s1, y0, powers) = crossings
    piece = Piece(s0[wanted], dt[wanted], s1[wanted], y0[wanted], powers[:, wanted])
    return _Crossings(samples[wanted], lo[wanted], hi[wanted], g_lo[wanted], g_hi[wanted], piece)


def _first_zero(
    h: Callable[[Tensor], Tensor], lo: Tensor, hi: Tensor, h_lo: Tensor, h_hi: Tensor
) -> Tensor:
    """Find where functions of time rise to zero, to the rounding of time or state.

    Parameters
    ----------
    h : callable
        ``h(s)`` of shape (B,), a function of each entry of s (B,) alone.
    lo, hi : Tensor of shape (B,)
        Times between which it rises to zero; both 0 where there is nothing to find.
    h_lo, h_hi : Tensor of shape (B,)
        The values there, below 0 and at least 0.

    Returns
    -------
    Tensor of shape (B,)
        Of the nearest times found on both sides of zero, the one with the smaller value.

    References
    ----------
    Chandrupatla (1997), A new hybrid quadratic/bisection algorithm for finding the zero of a
    nonlinear function without using derivatives.
    """
    time, state = torch.finfo(lo.dtype), torch.finfo(h_lo.dtype)
    tolerance = torch.maximum(time.eps * hi, 2 * state.eps * (hi - lo)).clamp(min=time.tiny)
    # The newest time, the one on the other side of zero, and the one before.
    a, b, c = hi, lo, lo
    h_a, h_b, h_c = (x.to(lo.dtype) for x in (h_hi, h_lo, h_lo))
    part = torch.full_like(a, 0.5)
    for _ in range(_MOST_ROUNDS):
        open_ = (b - a).abs() > 2 * tolerance
        if not bool(open_.any()):
            break
        x = torch.where(open_, a + part * (b - a), a)
        h_x = h(x).to(lo.dtype)
        stays = (h_x >= 0) == (h_a >= 0)
        c, h_c = torch.where(stays, a, b), torch.where(stays, h_a, h_b)
        b, h_b = torch.where(stays, b, a), torch.where(stays, h_b, h_a)
        a, h_a = x, h_x
        part = _quadratic_part((a, b, c), (h_a, h_b, h_c))
        least = (tolerance / (b - a).abs()).clamp(max=0.5)
        part = torch.minimum(torch.maximum(part, least), 1 - least)
    return torch.where(h_a.abs() < h_b.abs(), a, b)


def _quadratic_part(
    times: tuple[Tensor, Tensor, Tensor], values: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Give how far from a to b the zero is, of the parabola through three points or a half."""
    (a, b, c), (h_a, h_b, h_c) = times, values
    xi, phi = (a - b) / (c - b), (h_a - h_b) / (h_c - h_b)
    is_good = (phi.square() < xi) & ((1 - phi).square() < 1 - xi)
    part = h_a / (h_b - h_a) * h_c / (h_b - h_c)
    part = part + (c - a) / (b - a) * h_a / (h_c - h_a) * h_b / (h_c - h_b)
    return part.where(is_good & part.isfinite(), 0.5)


def _solved_to_places(
    solve_again: Callable[[Tensor], Answer],
    clock: Clock,
    ts: Tensor,
    answer: Answer,
    search: _Search,
) -> tuple[Answer, list[_Places]]:
    """Solve with a graph to the times asked for and to the places found."""
    s_last = torch.minimum(search.s_rest, search.s_fail)[:, None]
    late = clock.since_start(ts.detach()) > s_last
    t_last = clock._replace(t0=clock.t0.detach()).time(s_last.t()).t()
    parts = [torch.where(late, t_last, ts), *(places.ts for places in search.places)]
    times = torch.cat(parts, dim=1)
    order = clock.since_start(times.detach()).argsort(dim=1, stable=True)
    again = solve_again(times.gather(1, order))
    places_in_order = order.argsort(dim=1)[..., None].expand_as(again.ys)
    ys, *states = again.ys.gather(1, places_in_order).split([x.shape[1] for x in parts], dim=1)
    evals = again.counts.evals + answer.counts.evals
    again = again._replace(ys=ys, counts=again.counts._replace(evals=evals))
    again.failures.update(answer.failures)
    found = zip(search.places, states, strict=True)
    return again, [places._replace(ys=y) for places, y in found]


def _followed(
    task: Task, events: Sequence[Event], answer: Answer, all_places: list[_Places]
) -> tuple[Answer, list[_Places]]:
    """Make times and states functions of all that moves the events."""
    moving = []
    for event, places in zip(events, all_places, strict=True):
        turns = zip(*(x.unbind(dim=1) for x in places), strict=True)
        moved = [_moving(task, event.g, t, y, there) for there, _, t, y in turns]
        if moved:
            ts, ys = (torch.stack(column, dim=1) for column in zip(*moved, strict=True))
            places = places._replace(ts=ts, ys=ys)
        moving.append(places)
    # The field was evaluated where an event moves.
    evals = answer.counts.evals
    for places in moving:
        if places.ts.requires_grad:
            evals = evals + places.there.sum(dim=1)
    return answer._replace(counts=answer.counts._replace(evals=evals)), moving


def _moving(
    task: Task, g: EventFunction, t: Tensor, y: Tensor, there: Tensor
) -> tuple[Tensor, Tensor]:
    """Give time (B,) and state (B, D) of an event, unchanged, with their total derivatives.

    With t and y fixed and dg/dt the rate along the solution, they are one step of Newton's method,
    ``t - g(t, y) / (dg/dt)``, and the state then: the implicit function theorem.
    """
    # Where there is no event, nothing may flow back, not even zero times infinity.
    y = torch.where(there[:, None], y, y.detach())
    now = t.to(task.clock.dtype)
    value = g(now, y)
    if not value.requires_grad:
        return t, y
    with torch.no_grad():
        slope = task.f(now, y)
    inverse = (1 / _rate(g, now, y, slope)).where(there, 0.0)
    # An infinite derivative of a value that is 0, as two factors, for 0 times infinity is NaN.
    largest = torch.finfo(inverse.dtype).max
    again = torch.ones_like(inverse).masked_fill(inverse.isinf(), largest)
    shift = (value.detach() - value) * inverse.clamp(-largest, largest) * again
    shift.register_hook(_refuse_second_derivative)
    return t + shift.to(t.dtype), y + slope * shift[:, None].to(y.dtype)


def _rate(g: EventFunction, t: Tensor, y: Tensor, slope: Tensor) -> Tensor:
    """Give dg/dt (B,) along the solution, whose dy/dt is given."""
    at = evaluate(g, t, y, moving=True)
    rate = torch.zeros_like(at.k)
    if not at.k.requires_grad:
        return rate
    by_t, by_y = product(at.k, (at.t, at.y), torch.ones_like(at.k))
    if by_t is not None:
        rate = rate + by_t
    return rate if by_y is None else rate + inner(by_y, slope)


def _refuse_second_derivative(grad: Tensor) -> Tensor:
    if torch.is_grad_enabled():  # create_graph=True
        raise RuntimeError(
            "events have no second derivative: solve to a time that does not move instead."
        )
    return grad


def _at_rest(
    ys: Tensor, s: Tensor, events: Sequence[Event], all_places: list[_Places], search: _Search
) -> Tensor:
    """Put the state at the terminal event in place of later ones, at times s (B, T)."""
    rest = ys[:, 0].detach()
    for event, places in zip(events, all_places, strict=True):
        if event.terminal and places.s.shape[1]:
            is_it = places.there[:, 0] & (places.s[:, 0] == search.s_rest)
            rest = torch.where(is_it[:, None], places.ys[:, 0], rest)
    resting = (s > search.s_rest[:, None])[..., None]
    ys = torch.where(resting, rest[:, None], ys)
    return ys.masked_fill((s > search.s_fail[:, None])[..., None], torch.nan)


def _occurrences(places: _Places) -> Occurrences:
    there = places.there
    return Occurrences(
        there.sum(dim=1),
        places.ts.masked_fill(~there, torch.nan),
        places.ys.masked_fill(~there[..., None], torch.nan),
    )
