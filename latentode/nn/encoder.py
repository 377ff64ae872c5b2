"""Encoders: from what was observed to a distribution over the latent state."""

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from latentode.nn.summary import OLDEST, Summary, summarise

# Standard deviations beyond which an observation moves the encoder no further.
_CLIP = 5.0


class GRUEncoder(nn.Module):
    """Read irregular observations with a GRU, and say where the latent state is.

    Each row enters as its values, which of them were observed, how long ago each variable was
    observed before, the gap to the row before and the time to the end of the context. The state
    of the GRU, with summaries of every variable, gives the mean and the standard deviation of a
    normal distribution over the latent state at the anchor.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    latent_size : int
        Width L of the latent state.
    hidden_size : int, default=32
        Width of the GRU.
    dropout : float, default=0.3
        Share of the encoder's features that each training step leaves out.
    anchor : {"end", "start"}, default="end"
        Where the latent state stands: at the last row of the context, which suits forecasts, with
        rows read forward in time; or at the first one, as in Chen et al. (2018), with rows read
        backward.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 5.

    Examples
    --------
    >>> import torch
    >>> encoder = GRUEncoder(n_features=2, latent_size=3)
    >>> t, x = torch.tensor([[-1.0, 0.0]]), torch.randn(1, 2, 2)
    >>> q = encoder(t, x, torch.ones_like(x).bool(), torch.tensor([2]))
    >>> q.mean.shape
    torch.Size([1, 3])
    """

    def __init__(
        self,
        n_features: int,
        latent_size: int,
        hidden_size: int = 32,
        *,
        dropout: float = 0.3,
        anchor: str = "end",
    ) -> None:
        super().__init__()
        if anchor not in {"end", "start"}:
            raise ValueError(f"anchor={anchor} is not known: choose end or start.")
        self.anchor = anchor
        self.gru = nn.GRU(3 * n_features + 2, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size + 5 * n_features, 2 * latent_size)

    def anchor_time(self, t: Tensor) -> Tensor:
        """Give the time (B,) of the latent state, for a context at times t (B, T)."""
        return torch.zeros_like(t[:, 0]) if self.anchor == "end" else t[:, 0]

    def forward(self, t: Tensor, x: Tensor, mask: Tensor, lengths: Tensor) -> Normal:
        """Give q(z | x) with batch shape (B, L), the standard normal prior without a row.

        From t (B, T), rising to 0, x and mask (B, T, D), of which the first ``lengths`` (B,) rows
        are not padding.
        """
        x = x.clamp(-_CLIP, _CLIP)
        rows = row_features(t, x, mask)
        if self.anchor == "start":
            rows = reverse(rows, lengths)
        states, _ = self.gru(rows)
        # Padding stands behind the rows, so what the GRU makes of it is never looked at.
        end = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[2])
        features = [states.gather(1, end).squeeze(1), *_bounded(summarise(t, x, mask))]
        mean, raw_std = self.head(self.dropout(torch.cat(features, dim=-1))).chunk(2, dim=-1)
        std = nn.functional.softplus(raw_std - 2) + 1e-4
        empty = (lengths == 0)[:, None]
        return Normal(mean.masked_fill(empty, 0.0), std.masked_fill(empty, 1.0))


def _bounded(summary: Summary) -> list[Tensor]:
    return [
        summary.last,
        summary.age,
        summary.mean,
        summary.n_observed / (summary.n_observed + 2),
        summary.slope.clamp(-_CLIP, _CLIP),
    ]


def row_features(t: Tensor, x: Tensor, mask: Tensor) -> Tensor:
    """Give what an encoder reads of each row, of shape (B, T, 3 D + 2)."""
    gap = t.diff(dim=1, prepend=t[:, :1])
    numbers = [ages(t, mask), torch.log1p(gap)[..., None], t.clamp(min=-_CLIP)[..., None]]
    return torch.cat([x * mask, mask.to(x.dtype), *numbers], dim=-1)


def ages(t: Tensor, mask: Tensor) -> Tensor:
    """Give how long ago each variable was observed before each row, at most 2.

    Parameters
    ----------
    t : Tensor of shape (B, T)
        Times, rising.
    mask : Tensor of shape (B, T, D), dtype=torch.bool
        True where a value was observed.

    Returns
    -------
    Tensor of shape (B, T, D)
        2 where there is no observation before.

    Examples
    --------
    >>> import torch
    >>> mask = torch.tensor([[[True], [False], [True]]])
    >>> ages(torch.tensor([[0.0, 0.5, 0.75]]), mask)[..., 0]
    tensor([[2.0000, 0.5000, 0.7500]])
    """
    seen_at = torch.where(mask, t[..., None], -torch.inf).cummax(dim=1).values
    before = nn.functional.pad(seen_at[:, :-1], (0, 0, 1, 0), value=-torch.inf)
    return (t[..., None] - before).clamp(max=OLDEST)


def reverse(rows: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first ``lengths[i]`` rows of series i; rows are (B, T, F).

    Examples
    --------
    >>> import torch
    >>> rows = torch.tensor([[[1], [2], [3]], [[4], [5], [0]]])
    >>> reverse(rows, torch.tensor([3, 2]))[..., 0]
    tensor([[3, 2, 1],
            [5, 4, 4]])
    """
    steps = torch.arange(rows.shape[1], device=rows.device)
    index = (lengths[:, None] - 1 - steps).clamp(min=0)
    return rows.gather(1, index[..., None].expand_as(rows))
