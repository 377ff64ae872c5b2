"""A flow of the variables of a row, of which any may be missing."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from latentode.nn.divergence import Traced
from latentode.nn.flow_grid import carried_on_grid, drawn_grid
from latentode.nn.precision import widened, without_autocast
from latentode.solvers.checks import check_sizes

# Steps of the method of order 4: drawn anew in training, and more of them, equal, afterwards.
_N_DRAWN, _N_EQUAL = 3, 6


class Back(NamedTuple):
    """Where values of a flow came from.

    Attributes
    ----------
    z : Tensor of shape (R, D)
        The points they were.
    log_det : Tensor of shape (R,)
        Logarithm of the determinant of dz/dx.
    error : Tensor of shape (R,)
        About how much of it is the error of the steps.
    """

    z: Tensor
    log_det: Tensor
    error: Tensor


class _Told(NamedTuple):
    """What a field knows of a row: numbers (..., 2 H), and which variables move (..., D)."""

    numbers: Tensor
    moves: Tensor


class JointFlow(nn.Module):
    """Carry the variables of a row along a field that is told which of them there are.

    ``dz/dt = m * W2 tanh(g * W1 (m * z) + s)``, where m is 1 for a variable that is there and 0
    for any other, which neither moves nor is felt; the gates g between 0 and 2 and shifts s depend
    on time, m and what else is told. To begin with, W2 is zero and nothing moves. The divergence,
    ``sum_d m_d sum_h (W2)_dh tanh'_h g_h (W1)_hd``, costs no more than the field.

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
    >>> back = flow.back(x, told, there)
    >>> bool((back.z == x).all()), back.log_det.tolist()
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
        """Give where points z (R, D), or M of each row (R, M, D), of the base arrive.

        With what is told of the rows (R, C), and which variables are there (R, D).
        """
        of_rows = self._of_rows(told, there)
        with without_autocast(z):
            return self._carried(z, of_rows, there)

    def back(self, x: Tensor, told: Tensor, there: Tensor) -> Back:
        """Give where values x (R, D) came from."""
        of_rows = self._of_rows(told, there)
        with without_autocast(x):
            return self._carried_back(x, of_rows, there)

    def _carried(self, z: Tensor, of_rows: _Told, there: Tensor) -> Tensor:
        if z.dim() == 3:
            of_rows, there = _Told(*(part[:, None] for part in of_rows)), there[:, None]

        def rates(t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            hidden, _ = self._hidden(of_rows, t.view(-1, *[1] * (z.dim() - 1)), state[0])
            return (self.outer(hidden) * of_rows.moves,)

        (x,) = carried_on_grid(rates, (z * there,), self._grid(0.0, 1.0, z))
        return torch.where(there, x, z)

    def _carried_back(self, x: Tensor, of_rows: _Told, there: Tensor) -> Back:
        form = self.inner.weight * self.outer.weight.mT

        def traced(t: Tensor, z: Tensor) -> Traced:
            hidden, gate = self._hidden(of_rows, t, z)
            slope = gate * (1 - hidden.square())
            trace = torch.linalg.vecdot(slope @ form, of_rows.moves)
            return Traced(self.outer(hidden) * of_rows.moves, trace)

        zero = x.new_zeros(len(x))
        at = Back(x * there, zero, zero)
        for t, t1 in pairwise(self._grid(1.0, 0.0, x)):
            at = _stepped(traced, t, t1 - t, at)
        return at._replace(z=torch.where(there, at.z, x))

    def _of_rows(self, told: Tensor, there: Tensor) -> _Told:
        """Give what does not change along a path."""
        moves = there.to(self.told.weight)
        return _Told(widened(self.told(torch.cat([told, moves], dim=-1))), moves)

    def _hidden(self, of_rows: _Told, t: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Give the hidden layer and its gates, (..., H) each."""
        gate, shift = torch.addcmul(of_rows.numbers, t, self.of_time).chunk(2, dim=-1)
        gate = 2 * torch.sigmoid(gate)
        return torch.tanh(torch.addcmul(shift, gate, self.inner(z))), gate

    def _grid(self, t0: float, t1: float, like: Tensor) -> Tensor:
        """Give the times where steps begin and end."""
        if self.training:
            return drawn_grid(_N_DRAWN, t0, t1, like)
        return torch.linspace(t0, t1, _N_EQUAL + 1, dtype=like.dtype, device=like.device)


def _stepped(traced: Callable[[Tensor, Tensor], Traced], t: Tensor, h: Tensor, at: Back) -> Back:
    """Take a step of the classical Runge-Kutta method of order 4.

    Its error in the integral of the divergence is at most about what two rules of order 2 differ
    by, and what the two evaluations in the middle do.
    """
    k1, d1 = traced(t, at.z)
    k2, d2 = traced(t + h / 2, at.z + h / 2 * k1)
    k3, d3 = traced(t + h / 2, at.z + h / 2 * k2)
    k4, d4 = traced(t + h, at.z + h * k3)
    differ = (d1 + d4 - d2 - d3).abs() + 2 * (d2 - d3).abs()
    return Back(
        at.z + h / 6 * (k1 + 2 * (k2 + k3) + k4),
        at.log_det + h / 6 * (d1 + 2 * (d2 + d3) + d4),
        at.error + h.abs() / 6 * differ,
    )
