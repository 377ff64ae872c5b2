"""Times and states of events as functions of what moves them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from latentode.solvers.crossings import Places
from latentode.solvers.events import Event, EventFunction
from latentode.solvers.pullback import evaluate, product
from latentode.solvers.solve import Answer, Task, inner


def followed(
    task: Task, events: Sequence[Event], answer: Answer, all_places: list[Places]
) -> tuple[Answer, list[Places]]:
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
