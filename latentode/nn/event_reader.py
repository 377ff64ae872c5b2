"""Readers of events: what is remembered of those that have been, and the state this gives."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad

from latentode.nn.context import within
from latentode.solvers.checks import check_positive, check_sizes

# A gap of so many typical ones is as long as any longer one, and of so few as short as any.
_LONGEST, _SHORTEST = 10.0, 1e-3


class Events(NamedTuple):
    """Events of B series, in times since the beginning of each.

    A series is told within its window, start < t <= end: no event of it is missing there. Events
    up to the start are read, and not told.

    Attributes
    ----------
    t : Tensor of shape (B, T)
        Times of the events, rising; behind the events of a series stands padding.
    kinds : Tensor of shape (B, T), dtype=torch.long
        Kind of each event, from 0.
    lengths : Tensor of shape (B,), dtype=torch.long
        Events of each series.
    start, end : Tensor of shape (B,)
        The window.
    """

    t: Tensor
    kinds: Tensor
    lengths: Tensor
    start: Tensor
    end: Tensor

    def inside(self) -> Tensor:
        """Say of each event whether it is one, and no padding; (B, T)."""
        return within(self.lengths, self.t.shape[1])

    def told(self) -> Tensor:
        """Say of each event whether it lies in the window; (B, T)."""
        return self.inside() & (self.t > self.start[:, None])

    def gaps(self) -> Tensor:
        """Time (B, T) from each event back to the one before, or to the beginning."""
        return self.t.diff(dim=1, prepend=torch.zeros_like(self.t[:, :1]))


class EventReader(Protocol):
    """Remember events, one after another."""

    def __call__(self, events: Events) -> Tensor:
        """Give what is remembered (B, T + 1, H) before the first event, and after each."""
        ...

    def advance(self, memory: Tensor, t: Tensor, gap: Tensor, kinds: Tensor) -> Tensor:
        """Give what is remembered (B, H) after one more event, of what was before it."""
        ...

    def state(self, memory: Tensor) -> Tensor:
        """Give the latent state (..., L) at an event that a memory (..., H) sets anew."""
        ...


class GRUEventReader(nn.Module):
    """Read events with a gated recurrent unit: their gaps, their kinds, and the clock.

    Parameters
    ----------
    latent_size : int, default=16
        Width L of the latent state that is set anew at each event.
    hidden_size : int, default=32
        Width H of what is remembered.
    n_kinds : int, default=1
        Kinds of event.
    span : float, default=1.0
        Time since the beginning from which on the clock is read as standing still: of windows
        longer than those it was trained on, nothing is known of their later part.

    Examples
    --------
    >>> t, kinds = torch.tensor([[0.5, 2.0]]), torch.zeros(1, 2, dtype=torch.long)
    >>> events = Events(t, kinds, torch.tensor([2]), torch.zeros(1), torch.tensor([3.0]))
    >>> reader = GRUEventReader(latent_size=4, hidden_size=8)
    >>> reader.state(reader(events)).shape
    torch.Size([1, 3, 4])
    """

    span: Tensor

    def __init__(
        self,
        latent_size: int = 16,
        hidden_size: int = 32,
        *,
        n_kinds: int = 1,
        span: float = 1.0,
    ) -> None:
        super().__init__()
        check_sizes(latent_size=latent_size, hidden_size=hidden_size, n_kinds=n_kinds)
        check_positive("span", span)
        self.gru = nn.GRU(3 + n_kinds, hidden_size, batch_first=True)
        self.first = nn.Parameter(torch.zeros(hidden_size))
        self.out = nn.Linear(hidden_size, latent_size)
        self.n_kinds = n_kinds
        self.register_buffer("span", torch.tensor(float(span)))

    def forward(self, events: Events) -> Tensor:
        """Give what is remembered (B, T + 1, H) before the first event, and after each."""
        rows = self._rows(events.t, events.gaps(), events.kinds)
        first = self.first.expand(1, len(rows), -1).contiguous()
        if rows.shape[1] == 0:
            return first.transpose(0, 1)
        # Padding stands behind the events, so what a GRU makes of it is never looked at.
        after = self.gru(rows, first)[0]
        return torch.cat([first.transpose(0, 1), after], dim=1)

    def advance(self, memory: Tensor, t: Tensor, gap: Tensor, kinds: Tensor) -> Tensor:
        """Give what is remembered (B, H) after an event at t (B,), a gap (B,) after the former."""
        rows = self._rows(t[:, None], gap[:, None], kinds[:, None])
        after: Tensor = self.gru(rows, memory[None].contiguous())[1][0]
        return after

    def state(self, memory: Tensor) -> Tensor:
        """Give the latent state (..., L) that a memory (..., H) sets anew."""
        z: Tensor = self.out(memory)
        return z

    def _rows(self, t: Tensor, gap: Tensor, kinds: Tensor) -> Tensor:
        """Give what is read of each event (B, T, 3 + K); times may be of greater precision."""
        dtype = self.first.dtype
        gap = gap.to(dtype).clamp(0.0, _LONGEST)
        clock = (t.to(dtype) / self.span).clamp(max=1.0)
        numbers = torch.stack([gap, (gap + _SHORTEST).log(), clock], dim=-1)
        return torch.cat([numbers, one_hot(kinds, self.n_kinds).to(dtype)], dim=-1)


def with_events_after(events: Events, series: Tensor, t: Tensor, kinds: Tensor) -> Events:
    """Give B series with further events, after those that they have.

    Parameters
    ----------
    events : Events
        The series.
    series : Tensor of shape (N,), dtype=torch.long
        Number of the series of each new event, rising.
    t : Tensor of shape (N,)
        Its time, rising within each series.
    kinds : Tensor of shape (N,), dtype=torch.long
        Its kind.

    Returns
    -------
    Events
        All of them, in the same windows.

    Examples
    --------
    >>> t, kinds = torch.tensor([[0.5, 2.0]]), torch.zeros(1, 2, dtype=torch.long)
    >>> events = Events(t, kinds, torch.tensor([2]), torch.zeros(1), torch.tensor([3.0]))
    >>> zero = torch.tensor([0])
    >>> with_events_after(events, zero, torch.tensor([4.0]), zero).t
    tensor([[0.5000, 2.0000, 4.0000]])
    """
    n_new = torch.bincount(series, minlength=len(events.t))
    place = torch.arange(len(series), device=series.device)
    place = place - (n_new.cumsum(0) - n_new)[series] + events.lengths[series]
    lengths = events.lengths + n_new
    width = max(int(lengths.max()) - events.t.shape[1], 0)
    return events._replace(
        t=pad(events.t, (0, width)).index_put((series, place), t),
        kinds=pad(events.kinds, (0, width)).index_put((series, place), kinds),
        lengths=lengths,
    )
