"""Which values of a batch are asked."""

from typing import NamedTuple

import torch
from torch import Tensor


class Where(NamedTuple):
    """Values asked of a batch, by series, by number among the times asked, and by variable.

    Three index tensors that broadcast: those of single values are (N,), and those of all values
    (B, 1, 1), (1, P, 1) and (1, 1, D).
    """

    series: Tensor
    time: Tensor
    variable: Tensor

    def pick(self, values: Tensor) -> Tensor:
        """Give the values asked, (N, ...), or all of them, out of all (B, P, D, ...)."""
        return values if self._is_everywhere() else values[self]

    def per_series(self, values: Tensor, n_series: int) -> Tensor:
        """Sum what belongs to the values asked, (S, N) or (S, B, P, D), over each series."""
        if self._is_everywhere():
            return values.flatten(2).sum(dim=2)
        return values.new_zeros(len(values), n_series).index_add(1, self.series, values)

    def _is_everywhere(self) -> bool:
        return self.series.dim() == 3


def everywhere(ts: Tensor, n_features: int) -> Where:
    """Ask for every variable at every time.

    Parameters
    ----------
    ts : Tensor of shape (B, P)
        The times.
    n_features : int
        Observed variables D.

    Returns
    -------
    Where
        Which broadcasts to (B, P, D).
    """
    b, p = (torch.arange(n, device=ts.device) for n in ts.shape)
    d = torch.arange(n_features, device=ts.device)
    return Where(b[:, None, None], p[None, :, None], d[None, None, :])
