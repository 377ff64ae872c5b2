"""Encoders: from what was observed to a distribution over the latent state."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from latentode.nn.context import Context
from latentode.nn.controls import chosen_inputs
from latentode.nn.precision import widened
from latentode.nn.readers import (
    GRUDReader,
    GRUReader,
    ODERNNReader,
    Reader,
    TimeAttentionReader,
)
from latentode.nn.summary import CLIP, N_NUMBERS
from latentode.solvers.checks import check_choice, check_part, check_sizes, check_whole

ANCHORS = ("end", "start", "rows")
# The best known readers, by their names.
READERS: dict[str, Callable[..., Reader]] = {
    "gru": GRUReader,
    "gru-backward": partial(GRUReader, direction="backward"),
    "gru-both": partial(GRUReader, direction="both"),
    "gru-d": GRUDReader,
    "ode-rnn": ODERNNReader,
    "attention": TimeAttentionReader,
}


class Encoder(nn.Module):
    """Read irregular observations, and say where the latent state is.

    A reader gives a state for each row. The last of them, what attention pools of all, and
    summaries of every variable give the mean and the standard deviation of a normal distribution
    over the latent state at the anchor.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    latent_size : int
        Width L of the latent state.
    hidden_size : int, default=32
        Width of the reader.
    reader : str or Module, default="gru"
        What reads the rows: "gru", "gru-backward", "gru-both", "gru-d", "ode-rnn", "attention",
        or a module like `GRUReader`, which then has its own width.
    anchor : {"end", "start", "rows"}, default="end"
        Where the latent state stands: at the last row of the context, which suits forecasts; at
        the first one, as in Chen et al. (2018), which is best read by "gru-backward"; or a state
        at every row, which suits interpolation and long series.
    n_heads : int, default=0
        Heads of the attention that pools the states of all rows; 0 for none.
    n_hidden : int, default=0
        Layers of a network between the features and the distribution, as wide as the reader,
        beside a linear map.
    summaries : bool, default=True
        Whether the summaries of every variable are read too; never for "rows".
    dropout : float, default=0.3
        Share of the features that each training step leaves out.
    n_controls : int, default=0
        Controls C that are read with each row; a reader that is handed in has its own number.
    n_static : int, default=0
        Numbers E that do not change in a series; they are read beside the features, and never
        left out.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 5.

    Examples
    --------
    >>> import torch
    >>> encoder = Encoder(n_features=2, latent_size=3)
    >>> t, x = torch.tensor([[-1.0, 0.0]]), torch.randn(1, 2, 2)
    >>> q = encoder(Context(t, x, torch.ones_like(x).bool(), torch.tensor([2])))
    >>> q.mean.shape
    torch.Size([1, 3])
    """

    reader: Reader

    def __init__(
        self,
        n_features: int,
        latent_size: int,
        hidden_size: int = 32,
        *,
        reader: str | Reader = "gru",
        anchor: str = "end",
        n_heads: int = 0,
        n_hidden: int = 0,
        summaries: bool = True,
        dropout: float = 0.3,
        n_controls: int = 0,
        n_static: int = 0,
    ) -> None:
        super().__init__()
        check_choice("anchor", anchor, ANCHORS)
        check_sizes(n_features=n_features, latent_size=latent_size, hidden_size=hidden_size)
        check_whole("n_heads", n_heads, least=0)
        check_whole("n_hidden", n_hidden, least=0)
        check_part("dropout", dropout)
        check_whole("n_controls", n_controls, least=0)
        check_whole("n_static", n_static, least=0)
        self.anchor = anchor
        self.latent_size = latent_size
        self.reader = _reader(reader, n_features, hidden_size, n_controls)
        self.n_controls = n_controls
        self.n_static = n_static
        size = self.reader.size
        self.pool = AttentionPool(size, n_heads) if n_heads else None
        self.summaries = summaries and anchor != "rows"
        width = size * (1 + n_heads) + (N_NUMBERS * n_features if self.summaries else 0)
        self.dropout = nn.Dropout(dropout)
        width += n_static
        self.head = nn.Linear(width, 2 * latent_size)
        # What is linear need not pass through the hidden layers.
        self.hidden = _hidden(width, size, n_hidden, 2 * latent_size) if n_hidden else None

    def anchor_time(self, t: Tensor) -> Tensor:
        """Give the times of the latent states, (B,) or (B, T), for a context at times t (B, T)."""
        if self.anchor == "rows":
            return t
        return torch.zeros_like(t[:, 0]) if self.anchor == "end" else t[:, 0]

    def forward(self, context: Context) -> Normal:
        """Give q(z | x), the standard normal prior for a series without a row.

        Its batch shape is (B, L), or (B, T, L) for a state at every row.
        """
        seen = since_start(context) if self.anchor == "start" else context
        reading = self.reader(seen)
        states = reading.states if self.anchor == "rows" else reading.final[:, None]
        features = [states]
        if self.pool is not None:
            pooled = self.pool(reading.states, seen)[:, None]
            features.append(pooled.expand(-1, states.shape[1], -1))
        if self.summaries:
            features.append(context.summary.bounded().flatten(1)[:, None])
        read = self.dropout(torch.cat(features, dim=-1))
        told = chosen_inputs(
            context.inputs, n_controls=0, n_static=self.n_static, reader="the encoder"
        )
        if self.n_static:
            read = torch.cat([read, *told.at(context.t[:, : states.shape[1]])], dim=-1)
        numbers = self.head(read) if self.hidden is None else self.head(read) + self.hidden(read)
        mean, raw_std = widened(numbers).chunk(2, dim=-1)
        std = nn.functional.softplus(raw_std - 2) + 1e-4
        empty = (context.lengths == 0)[:, None, None]
        mean, std = mean.masked_fill(empty, 0.0), std.masked_fill(empty, 1.0)
        return Normal(mean, std) if self.anchor == "rows" else Normal(mean[:, 0], std[:, 0])


def since_start(context: Context) -> Context:
    """Count the times of each series from its first row: waves of time then start there."""
    return context.since(context.t[:, 0])


class AttentionPool(nn.Module):
    """Means of the states of all rows, weighted by attention.

    Parameters
    ----------
    size : int
        Width H of the states.
    n_heads : int
        Number of means.
    """

    def __init__(self, size: int, n_heads: int) -> None:
        super().__init__()
        self.score = nn.Linear(size + 1, n_heads)

    def forward(self, states: Tensor, context: Context) -> Tensor:
        """Give the means (B, n_heads H) of states (B, T, H)."""
        t = context.t.clamp(-CLIP, CLIP)[..., None]
        scores = self.score(torch.cat([states, t], dim=-1))
        outside = ~context.inside()[..., None]
        # An empty series has equal weights, rather than none.
        weights = scores.masked_fill(outside, -1e9).softmax(dim=1)
        return torch.einsum("bth,bts->bhs", weights, states).flatten(1)


def _hidden(width: int, size: int, n_hidden: int, n_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(n_hidden):
        layers += [nn.Linear(width, size), nn.SiLU()]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, n_out))


def _reader(reader: str | Reader, n_features: int, hidden_size: int, n_controls: int) -> Reader:
    if not isinstance(reader, str):
        return reader
    check_choice("reader", reader, READERS)
    return READERS[reader](n_features, hidden_size, n_controls=n_controls)
