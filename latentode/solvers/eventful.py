"""Solves with events on the way."""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latentode.solvers.adjoint import is_transformed, solve_with_adjoint
from latentode.solvers.captured import tensors_behind
from latentode.solvers.clock import Clock, start_time
from latentode.solvers.crossings import Places, Search, Watch
from latentode.solvers.events import Event, Occurrences
from latentode.solvers.loop import slope_at_start
from latentode.solvers.moving_events import followed
from latentode.solvers.pullback import evaluate
from latentode.solvers.solve import Answer, Task, problem_for, solve


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
        answer, places = followed(task, events, answer, places)
    ys = _at_rest(answer.ys, task.clock.since_start(ts.detach()), events, places, search)
    return answer._replace(ys=ys), tuple(_occurrences(each) for each in places)


def _searched(
    task: Task, y0: Tensor, ts: Tensor, events: Sequence[Event], *, has_gradients: bool
) -> tuple[Answer, Search, bool]:
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
        watch = Watch(problem, events, y0, ts)
        answer = solve(task, problem, y0, k0, ts, observe=watch.observe)
        answer.failures.update(watch.failures)
        return answer, watch.search(), depends


def _solved_to_places(
    solve_again: Callable[[Tensor], Answer],
    clock: Clock,
    ts: Tensor,
    answer: Answer,
    search: Search,
) -> tuple[Answer, list[Places]]:
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


def _at_rest(
    ys: Tensor, s: Tensor, events: Sequence[Event], all_places: list[Places], search: Search
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


def _occurrences(places: Places) -> Occurrences:
    there = places.there
    return Occurrences(
        there.sum(dim=1),
        places.ts.masked_fill(~there, torch.nan),
        places.ys.masked_fill(~there[..., None], torch.nan),
    )
