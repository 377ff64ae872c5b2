"""Readers: from the rows of a context to a state for each of them."""

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from latentode.nn.context import (
    Context,
    ages,
    n_row_features,
    reverse,
    row_at,
    row_controls,
    row_features,
    side_by_side,
)
from latentode.nn.summary import CLIP
from latentode.solvers import odeint
from latentode.solvers.checks import check_choice, check_sizes

DIRECTIONS = ("forward", "backward", "both")


class Reading(NamedTuple):
    """What a reader makes of a context.

    Attributes
    ----------
    states : Tensor of shape (B, T, H)
        A state for each row; what stands at padding means nothing.
    final : Tensor of shape (B, H)
        The state after all rows are read.
    """

    states: Tensor
    final: Tensor


class Reader(Protocol):
    """Read a context row by row.

    Attributes
    ----------
    size : int
        Width H of its states.
    """

    size: int

    def __call__(self, context: Context) -> Reading:
        """Read a context."""
        ...


class GRUReader(nn.Module):
    """Read the rows one after another with a gated recurrent unit.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    hidden_size : int, default=32
        Width of its state, for each direction.
    direction : {"forward", "backward", "both"}, default="forward"
        In which order of time to read.
    n_frequencies : int, default=0
        Waves of time that are read with each row, see `row_features`.
    n_controls : int, default=0
        Controls that are read with each row, see `row_controls`.
    n_at_once : int, default=1
        Rows that are read in one step, side by side. A step costs about the same whatever it
        reads, so that reading five at once is nearly five times as fast. The state of a row is
        then that of the step that read it.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(1, 5, 2)
    >>> context = Context(torch.linspace(-1, 0, 5)[None], x, x > 0, torch.tensor([5]))
    >>> GRUReader(2, hidden_size=8, direction="both")(context).final.shape
    torch.Size([1, 16])
    """

    def __init__(
        self,
        n_features: int,
        hidden_size: int = 32,
        *,
        direction: str = "forward",
        n_frequencies: int = 0,
        n_controls: int = 0,
        n_at_once: int = 1,
    ) -> None:
        super().__init__()
        check_choice("direction", direction, DIRECTIONS)
        check_sizes(n_at_once=n_at_once)
        width = n_row_features(n_features, n_frequencies=n_frequencies, n_controls=n_controls)
        width *= n_at_once
        forward, backward = direction != "backward", direction != "forward"
        self.forward_gru = nn.GRU(width, hidden_size, batch_first=True) if forward else None
        self.backward_gru = nn.GRU(width, hidden_size, batch_first=True) if backward else None
        self.n_frequencies = n_frequencies
        self.n_controls = n_controls
        self.n_at_once = n_at_once
        self.size = hidden_size * (forward + backward)

    def forward(self, context: Context) -> Reading:
        """Read a context."""
        rows = row_features(context, n_frequencies=self.n_frequencies, n_controls=self.n_controls)
        lengths = context.lengths
        states, final = [], []
        if self.forward_gru is not None:
            read = self._read(self.forward_gru, rows, lengths)
            states.append(read.states)
            final.append(read.final)
        if self.backward_gru is not None:
            read = self._read(self.backward_gru, reverse(rows, lengths), lengths)
            states.append(reverse(read.states, lengths))
            final.append(read.final)
        return Reading(torch.cat(states, dim=-1), torch.cat(final, dim=-1))

    def _read(self, gru: nn.GRU, rows: Tensor, lengths: Tensor) -> Reading:
        """Read rows (B, T, F) in their order."""
        # Padding stands behind the rows, so what a GRU makes of it is never looked at.
        n = self.n_at_once
        states = gru(rows if n == 1 else side_by_side(rows, lengths, n))[0]
        final = row_at(states, (lengths - 1) // n)
        if n > 1:
            states = states.repeat_interleave(n, dim=1)[:, : rows.shape[1]]
        return Reading(states, final)


class GRUDReader(nn.Module):
    """Read the rows with a GRU whose inputs and state decay between observations (GRU-D).

    A variable that is not observed in a row enters as its last value, fading towards its mean, 0
    in scaled values; the state fades with the gap. All rates are learned.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    hidden_size : int, default=32
        Width of its state.
    n_controls : int, default=0
        Controls that are read with each row, see `row_controls`.

    References
    ----------
    Che, Purushotham, Cho, Sontag and Liu (2018), Recurrent Neural Networks for Multivariate Time
    Series with Missing Values, equations 10 to 13.
    """

    def __init__(self, n_features: int, hidden_size: int = 32, *, n_controls: int = 0) -> None:
        super().__init__()
        self.input_decay = nn.Parameter(torch.zeros(n_features))
        self.state_decay = nn.Linear(n_features, hidden_size)
        self.cell = nn.GRUCell(2 * n_features + 1 + 2 * n_controls, hidden_size)
        self.n_controls = n_controls
        self.size = hidden_size

    def forward(self, context: Context) -> Reading:
        """Read a context."""
        t, x, mask, lengths = context.t, context.read, context.mask, context.lengths
        age = ages(t, mask)
        fading = torch.exp(-nn.functional.softplus(self.input_decay) * age)
        filled = torch.where(mask, x, fading * _last_values(x, mask))
        numbers = [filled, mask.to(x.dtype), t.clamp(-CLIP, CLIP)[..., None]]
        rows = torch.cat([*numbers, *row_controls(context, self.n_controls)], dim=-1)
        kept = torch.exp(-torch.relu(self.state_decay(age)))
        h, states = x.new_zeros(len(x), self.size), []
        for row, part in zip(rows.unbind(1), kept.unbind(1), strict=True):
            h = self.cell(row, part * h)
            states.append(h)
        stacked = torch.stack(states, dim=1)
        return Reading(stacked, row_at(stacked, lengths - 1))


class ODERNNReader(nn.Module):
    """Read the rows with a GRU whose state follows an ODE between them (ODE-RNN).

    All series take their i-th row at once, each with the gap before its own: the times of a batch
    are never merged. A gap is one step of ``method``, or several of length 1 / ``n_steps``.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    hidden_size : int, default=32
        Width of its state, and of the hidden layer of the field.
    method : str, default="euler"
        How to step, see `odeint`.
    n_steps : int, default=1
        Steps in each gap.
    n_controls : int, default=0
        Controls that are read with each row, see `row_controls`.

    References
    ----------
    Rubanova, Chen and Duvenaud (2019), Latent ODEs for irregularly-sampled time series,
    algorithm 1.
    """

    def __init__(
        self,
        n_features: int,
        hidden_size: int = 32,
        *,
        method: str = "euler",
        n_steps: int = 1,
        n_controls: int = 0,
    ) -> None:
        super().__init__()
        self.field = nn.Sequential(
            nn.Linear(hidden_size, hidden_size), nn.Tanh(), nn.Linear(hidden_size, hidden_size)
        )
        self.cell = nn.GRUCell(n_row_features(n_features, n_controls=n_controls), hidden_size)
        self.n_controls = n_controls
        self.method = method
        self.n_steps = n_steps
        self.size = hidden_size

    def forward(self, context: Context) -> Reading:
        """Read a context."""
        rows, t = row_features(context, n_controls=self.n_controls), context.t
        gaps = t.diff(dim=1, prepend=t[:, :1]).clamp(min=0)
        h, states = rows.new_zeros(len(rows), self.size), []
        for row, gap in zip(rows.unbind(1), gaps.unbind(1), strict=True):
            h = self.cell(row, self._carried(h, gap))
            states.append(h)
        stacked = torch.stack(states, dim=1)
        return Reading(stacked, row_at(stacked, context.lengths - 1))

    def _carried(self, h: Tensor, gap: Tensor) -> Tensor:
        if not bool(gap.any()):
            return h
        times = torch.stack([torch.zeros_like(gap), gap], dim=1)
        step_size = (gap / self.n_steps).clamp(min=1e-6)
        ys = odeint(lambda _, y: self.field(y), h, times, method=self.method, step_size=step_size)
        return ys.ys[:, 1]


class TimeAttentionReader(nn.Module):
    """Read the rows by attention over time: no row waits for another.

    Around the time of each row, every variable is smoothed: its observations count by how well
    their learned embeddings of time agree. The smoothed variables, and how many observations they
    rest on, make the state of the row.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    hidden_size : int, default=32
        Width of its states.
    n_heads : int, default=4
        Smoothings of each variable.
    time_size : int, default=16
        Width of the embedding of time.
    n_controls : int, default=0
        Controls that are read with each row, see `row_controls`.

    References
    ----------
    Shukla and Marlin (2021), Multi-Time Attention Networks for Irregularly Sampled Time Series,
    equations 1 to 4.
    """

    def __init__(
        self,
        n_features: int,
        hidden_size: int = 32,
        *,
        n_heads: int = 4,
        time_size: int = 16,
        n_controls: int = 0,
    ) -> None:
        super().__init__()
        self.frequency = nn.Parameter(2 * math.pi * torch.logspace(-1, 1, time_size - 1))
        self.phase = nn.Parameter(torch.rand(time_size - 1))
        self.query = nn.Linear(time_size, n_heads * time_size)
        self.key = nn.Linear(time_size, n_heads * time_size, bias=False)
        n_row = n_row_features(n_features, n_controls=n_controls)
        self.out = nn.Sequential(
            nn.Linear(2 * n_heads * n_features + n_row, hidden_size),
            nn.SiLU(),
            nn.Linear(hidden_size, hidden_size),
        )
        self.n_heads = n_heads
        self.n_controls = n_controls
        self.size = hidden_size

    def forward(self, context: Context) -> Reading:
        """Read a context."""
        t, x, mask, lengths = context.t, context.read, context.mask, context.lengths
        times = self._embedded(t.clamp(-CLIP, CLIP))
        query, key = (
            layer(times).unflatten(-1, (self.n_heads, -1)) for layer in (self.query, self.key)
        )
        scores = torch.einsum("bqhe,bkhe->bhqk", query, key) / math.sqrt(times.shape[-1])
        # The largest of a row among all observations keeps the exponentials in range.
        seen = mask.any(dim=-1)[:, None, None]
        scores = scores - scores.masked_fill(~seen, -torch.inf).amax(-1, keepdim=True).clamp(
            min=-1e30
        )
        weights = scores.clamp(max=0).exp() * seen
        observed = mask.to(x.dtype)
        total = torch.einsum("bhqk,bkd->bqhd", weights, observed)
        smoothed = torch.einsum("bhqk,bkd->bqhd", weights, x)
        smoothed = smoothed / (total + 1e-3)
        rows = row_features(context, n_controls=self.n_controls)
        numbers = [smoothed.flatten(2), torch.log1p(total).flatten(2), rows]
        states = self.out(torch.cat(numbers, dim=-1))
        return Reading(states, row_at(states, lengths - 1))

    def _embedded(self, t: Tensor) -> Tensor:
        waves = torch.sin(self.frequency * t[..., None] + self.phase)
        return torch.cat([t[..., None], waves], dim=-1)


def _last_values(x: Tensor, mask: Tensor) -> Tensor:
    """Give the value of each variable observed last before each row, 0 before the first."""
    steps = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
    latest = (steps * mask).cummax(dim=1).values
    before = nn.functional.pad(latest[:, :-1], (0, 0, 1, 0))
    return x.gather(1, (before - 1).clamp(min=0)) * (before > 0)
