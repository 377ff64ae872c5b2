"""Draws of what comes after the events of a point process."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.nn.event_reader import Events
from latentode.nn.point_process import PointProcess

# How many draws are wanted for each series; gives (B, S) numbers between 0 and 1, other ones in
# each call.
Uniform = Callable[[], Tensor]

# Events of one draw after which it is given up: its intensity has grown beyond all bounds.
_MOST = 100_000


class Simulated(NamedTuple):
    """Events that were drawn, in the order of series, draw and time.

    Attributes
    ----------
    series, draw : Tensor of shape (N,), dtype=torch.long
        What each is an event of.
    t : Tensor of shape (N,)
        Time since the beginning of the series.
    kinds : Tensor of shape (N,), dtype=torch.long
        Its kind.
    """

    series: Tensor
    draw: Tensor
    t: Tensor
    kinds: Tensor


class _Running(NamedTuple):
    """Draws that have not reached their end: R rows."""

    row: Tensor
    memory: Tensor
    origin: Tensor
    owed: Tensor
    until: Tensor

    def some(self, kept: Tensor) -> "_Running":
        return _Running(*(part[kept] for part in self))


@torch.no_grad()
def simulate(process: PointProcess, events: Events, until: Tensor, uniform: Uniform) -> Simulated:
    """Draw what comes after the windows of B series, by the inverse of the compensator.

    The integral of the intensity from one event to the next is exponentially distributed with
    mean one, whatever the process: it is drawn, and waited for.

    Parameters
    ----------
    process : PointProcess
        The process.
    events : Events
        What is known of the series: none comes between the last event and the end of the window.
    until : Tensor of shape (B,)
        When to end, in times since the beginning.
    uniform : callable
        Gives numbers (B, S) between 0 and 1 for S draws of each series, other ones in each call.

    Returns
    -------
    Simulated
        The events after the windows.

    Raises
    ------
    RuntimeError
        If a draw has 100,000 events before it ends.

    Examples
    --------
    >>> from latentode.nn import GRUEventReader, Intensity, MLPField
    >>> process = PointProcess(GRUEventReader(4), MLPField(4), Intensity(4))
    >>> t, kinds = torch.tensor([[0.5, 2.0]]), torch.zeros(1, 2, dtype=torch.long)
    >>> events = Events(t, kinds, torch.tensor([2]), torch.zeros(1), torch.tensor([3.0]))
    >>> drawn = simulate(process, events, torch.tensor([9.0]), lambda: torch.rand(1, 5))
    >>> bool((drawn.t > 3).all() and (drawn.t <= 9).all())
    True
    """
    waits, picks = uniform(), uniform()
    n_draws = waits.shape[1]
    running = _started(process, events, until, n_draws)
    running = running.some(running.until > events.end.repeat_interleave(n_draws))
    found = []
    for _ in range(_MOST):
        if not len(running.row):
            break
        amount = running.owed - torch.log1p(-waits.flatten()[running.row]).to(running.owed)
        limit = (running.until - running.origin).to(running.owed)
        waited = process.wait(process.reader.state(running.memory), amount, limit)
        came = waited.t.isfinite()
        running, gap, z = running.some(came), waited.t[came], waited.z[came]
        if not len(gap):
            break
        t = running.origin + gap
        kinds = _kinds(process.intensity(z), picks.flatten()[running.row])
        found.append((running.row, t, kinds))
        memory = process.reader.advance(running.memory, t, gap, kinds)
        running = running._replace(memory=memory, origin=t, owed=torch.zeros_like(running.owed))
        waits, picks = uniform(), uniform()
    else:
        raise RuntimeError(
            f"a draw has {_MOST:,} events before it ends: ask for a shorter horizon."
        )
    return _in_order(found, events, n_draws)


def _started(process: PointProcess, events: Events, until: Tensor, n_draws: int) -> _Running:
    """Set out from the end of the windows, each with what was waited for there already."""
    at = torch.arange(len(events.t), device=events.t.device)
    memory = process.reader(events)[at, events.lengths]
    origin = torch.nn.functional.pad(events.t, (1, 0))[at, events.lengths]
    z = process.reader.state(memory)
    owed = process.integral(z, (events.end - origin).to(z.dtype)[:, None])[:, 0]
    every = (memory, origin, owed, until)
    rows = (part.repeat_interleave(n_draws, dim=0) for part in every)
    return _Running(torch.arange(len(at) * n_draws, device=at.device), *rows)


def _kinds(log_intensity: Tensor, u: Tensor) -> Tensor:
    """Draw the kind (R,) of each event, by what its intensity (R, K) is of them all."""
    up_to = log_intensity.softmax(dim=-1).cumsum(dim=-1)
    above: Tensor = (u[:, None] > up_to[:, :-1]).sum(dim=-1)
    return above


def _in_order(
    found: list[tuple[Tensor, Tensor, Tensor]], events: Events, n_draws: int
) -> Simulated:
    none = torch.zeros(0, dtype=torch.long, device=events.t.device)
    row, t, kinds = (
        torch.cat(parts) for parts in zip((none, events.t.new_zeros(0), none), *found, strict=True)
    )
    order = row.argsort(stable=True)  # those of a draw were found in their order
    row = row[order]
    return Simulated(row // n_draws, row % n_draws, t[order], kinds[order])
