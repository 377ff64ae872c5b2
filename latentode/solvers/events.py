"""Events: functions of time and state that are zero at times to be found."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.state import Layout

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
