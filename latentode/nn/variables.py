"""What is known of each variable, as a vector; with attention, of what the others say of it."""

import torch
from torch import Tensor, nn

from latentode.nn.context import Context
from latentode.nn.summary import CLIP, N_NUMBERS
from latentode.solvers.checks import check_sizes, check_whole

_N_HEADS = 4


def check_attended(name: str, size: int) -> None:
    """Raise if the heads of attention cannot share a width."""
    if size % _N_HEADS:
        raise ValueError(
            f"{name}={size} must be a multiple of {_N_HEADS} for attention across variables: "
            f"give {size + -size % _N_HEADS}."
        )


class VariableTokens(nn.Module):
    """Give a vector for each variable of a series, out of a summary of its observations.

    With attention, each variable first looks at all observations of the series, of its own and of
    every other variable, and then layer by layer at the other variables.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    size : int
        Width E of the vectors; a multiple of 4 if there is attention.
    n_layers : int, default=0
        Layers of attention across variables; 0 for none.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(1, 5, 2)
    >>> context = Context(torch.linspace(-1, 0, 5)[None], x, x > 0, torch.tensor([5]))
    >>> VariableTokens(2, 8, n_layers=1)(context).shape
    torch.Size([1, 2, 8])
    """

    def __init__(self, n_features: int, size: int, *, n_layers: int = 0) -> None:
        super().__init__()
        check_sizes(n_features=n_features, size=size)
        check_whole("n_layers", n_layers, least=0)
        if n_layers:
            check_attended("size", size)
        self.embedding = nn.Embedding(n_features, size)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.of_summary = nn.Linear(N_NUMBERS, size)
        self.attention = ObservationAttention(n_features, size) if n_layers else None
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size, _N_HEADS, 2 * size, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(n_layers)
        )

    def forward(self, context: Context) -> Tensor:
        """Give the vectors (B, D, E)."""
        tokens: Tensor = self.of_summary(context.summary.bounded()) + self.embedding.weight
        if self.attention is not None:
            tokens = tokens + self.attention(tokens, context)
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens


class ObservationAttention(nn.Module):
    """Let each variable look at every single observation of its series.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    size : int
        Width E of the vectors.
    """

    def __init__(self, n_features: int, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_features, size)
        self.of_value = nn.Linear(4, size)
        self.nothing = nn.Parameter(torch.zeros(size))
        self.attention = nn.MultiheadAttention(size, _N_HEADS, batch_first=True)

    def forward(self, tokens: Tensor, context: Context) -> Tensor:
        """Give what each of the tokens (B, D, E) sees, (B, D, E)."""
        observed, is_empty = self._observations(context)
        seen: Tensor = self.attention(
            tokens, observed, observed, key_padding_mask=is_empty, need_weights=False
        )[0]
        return seen

    def _observations(self, context: Context) -> tuple[Tensor, Tensor]:
        """Give a vector for each observation (B, N, E), and which of them are padding (B, N)."""
        t, x, mask = context.t, context.read, context.mask
        series, row, variable = mask.nonzero(as_tuple=True)
        counts = mask.sum(dim=(1, 2))
        first = counts.cumsum(0) - counts
        # The first of each series stands for no observation: none is left with nothing to see.
        place = torch.arange(len(series), device=x.device) - first[series] + 1
        value, time = x[series, row, variable], t[series, row].clamp(min=-CLIP)
        numbers = torch.stack([value, time, torch.exp(4 * time), torch.exp(16 * time)], dim=-1)
        vectors = self.of_value(numbers) + self.embedding(variable)
        observed = self.nothing.repeat(len(x), int(counts.max()) + 1, 1)
        observed = observed.index_put((series, place), vectors)
        steps = torch.arange(observed.shape[1], device=x.device)
        return observed, steps > counts[:, None]
