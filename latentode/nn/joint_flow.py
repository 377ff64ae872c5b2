"""A flow of the variables of a row, of which any may be missing."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from latentode.nn.flow_grid import carried_on_grid, drawn_grid
from latentode.solvers.checks import check_sizes

# Steps of the method of order 4: drawn anew in training, and more of them, equal, afterwards.
_N_DRAWN, _N_EQUAL = 3, 6


class _Told(NamedTuple):
    """What a field knows of a row: numbers (..., 2 H), and which variables move (..., D)."""

    numbers: Tensor
    moves: Tensor


class JointFlow(nn.Module):
    """Carry the variables of a row along a field that is told which of them there are.

    ``dz/dt = m * W2 tanh(g * W1 z + s)``, where m is 1 for a variable that is there and 0 for any
    other, and the gates g between 0 and 2 and shifts s are linear in time, m and what else is
    told. To begin with, W2 is zero and nothing moves. The divergence,
    ``sum_d m_d sum_h (W2)_dh g_h tanh'_h (W1)_hd``, costs no more than the field.

    Parameters
    ----------
    size : int
        Number of variables D.
    told_size : int
        How many numbers C the field is told of a row.
    hidden_size : int, default=32
        Width H of the hidden layer.

    Examples
    --------
    >>> import torch
    >>> flow = JointFlow(2, 3)
    >>> x, told, there = torch.randn(5, 2), torch.randn(5, 3), torch.ones(5, 2, dtype=torch.bool)
    >>> z, log_det = flow.back(x, told, there)
    >>> bool((z == x).all()), log_det.tolist()
    (True, [0.0, 0.0, 0.0, 0.0, 0.0])
    """

    def __init__(self, size: int, told_size: int, hidden_size: int = 32) -> None:
        super().__init__()
        check_sizes(size=size, told_size=told_size, hidden_size=hidden_size)
        self.size = size
        self.told_size = told_size
        self.inner = nn.Linear(size, hidden_size, bias=False)
        self.outer = nn.Linear(hidden_size, size, bias=False)
        nn.init.zeros_(self.outer.weight)
        self.told = nn.Linear(told_size + size, 2 * hidden_size)
        self.of_time = nn.Parameter(torch.randn(2 * hidden_size))

    def forward(self, z: Tensor, told: Tensor, there: Tensor) -> Tensor:
        """Give where points z (R, M, D) of the standard normal distribution of R rows arrive.

        With what is told of the rows (R, C), and which variables are there (R, D).
        """
        of_rows = self._of_rows(told, there, z.dim())

        def rates(t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (self._rate(of_rows, t, state[0])[0],)

        return carried_on_grid(rates, (z,), self._grid(0.0, 1.0, z))[0]

    def back(self, x: Tensor, told: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Give where values x (R, D) came from, and the log determinants (R,) of dz/dx."""
        of_rows = self._of_rows(told, there, x.dim())
        form = self.inner.weight * self.outer.weight.mT

        def rates(t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            rate, slope = self._rate(of_rows, t, state[0])
            return rate, torch.linalg.vecdot(slope @ form, of_rows.moves)

        state = x, x.new_zeros(x.shape[:-1])
        z, log_det = carried_on_grid(rates, state, self._grid(1.0, 0.0, x))
        return z, log_det

    def _of_rows(self, told: Tensor, there: Tensor, n_axes: int) -> _Told:
        """Give what does not change along a path, with the axes of the points."""
        moves = there.to(told)
        parts = self.told(torch.cat([told, moves], dim=-1)), moves
        return _Told(*(part[:, None] if n_axes == 3 else part for part in parts))

    def _rate(self, of_rows: _Told, t: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Give dz/dt (..., D), and the slopes (..., H) of the hidden layer."""
        at = t.view(-1, *[1] * (z.dim() - 1))
        gate, shift = torch.addcmul(of_rows.numbers, at, self.of_time).chunk(2, dim=-1)
        gate = 2 * torch.sigmoid(gate)
        hidden = torch.tanh(torch.addcmul(shift, gate, self.inner(z)))
        slope = gate * (1 - hidden.square())
        return self.outer(hidden) * of_rows.moves, slope

    def _grid(self, t0: float, t1: float, like: Tensor) -> Tensor:
        """Give the times of steps: drawn in training, or the field learns to use their error."""
        if self.training:
            return drawn_grid(_N_DRAWN, t0, t1, like)
        return torch.linspace(t0, t1, _N_EQUAL + 1, dtype=like.dtype, device=like.device)
