"""The solution between the ends of the steps."""

from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.course import Position, Tried


class Piece(NamedTuple):
    """The solution across one step, for every sample.

    Attributes
    ----------
    s0, dt : Tensor of shape (B,)
        Where the step started, and its size; 0 for a sample that had already arrived.
    s1 : Tensor of shape (B,)
        Where the sample stood afterwards: ``s0`` if the step was rejected.
    y0 : Tensor of shape (B, D)
        State at the start.
    powers : Tensor of shape (Q, B, D)
        The state at ``s0 + theta dt`` is ``y0 + sum_q powers[q] theta^(q + 1)``.
    """

    s0: Tensor
    dt: Tensor
    s1: Tensor
    y0: Tensor
    powers: Tensor


class Track:
    """The pieces of a solve, one after another, and the solution read off them."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def add(self, tried: Tried, after: Position) -> None:
        """Keep a step."""
        before = tried.before
        self.pieces.append(Piece(before.s, tried.dt, after.s, before.y, tried.step.powers))

    def reached(self) -> Tensor:
        """Give how far each sample has come, of shape (B,)."""
        return self.pieces[-1].s1

    def read(self, s: Tensor) -> Tensor:
        """Give the states at times s of shape (B, P), of shape (B, P, D)."""
        return self.read_where(s, torch.ones_like(s, dtype=torch.bool))[0].unflatten(0, s.shape)

    def read_where(
        self, s: Tensor, wanted: Tensor, *, with_slopes: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Give the states at those of the times (B, P) that are wanted, of shape (M, D).

        Differentiable in the times and in what the steps were computed from; on request with dy/ds
        of the same shape.
        """
        columns = (torch.stack(column) for column in zip(*self.pieces, strict=True))
        s0s, dts, s1s, y0s, powers = columns
        pieces = Piece(s0s, dts, s1s, y0s, powers.transpose(0, 1))
        rows = rows_at(piece_at(s, s1s))
        return read_off(pieces, s[wanted], rows[wanted], with_slopes=with_slopes)


def read_off(
    pieces: Piece, s: Tensor, rows: Tensor, *, with_slopes: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Read states (M, D) at times s (M,) off N pieces, and on request dy/ds.

    The pieces have an axis of N in front; of the powers, it is the second axis. Each time is read
    off one of the ``rows`` (M,) of pieces and samples, as `rows_at` gives them.
    """
    s0s, dts, _, y0s, powers = pieces
    s0, dt = (x.flatten().index_select(0, rows) for x in (s0s, dts))
    dt = dt.where(dt > 0, torch.inf)
    theta = ((s - s0) / dt)[:, None].to(y0s.dtype)
    weights = powers.flatten(1, 2).index_select(1, rows)
    y = y0s.flatten(0, 1).index_select(0, rows) + polynomial(weights, theta)
    if not with_slopes:
        return y, None
    return y, _slope(weights, theta) / dt[:, None].to(y.dtype)


def rows_at(at: Tensor) -> Tensor:
    """Give where each sample's pieces (B, P) lie, one piece of all samples after another."""
    n_samples = len(at)
    return at * n_samples + torch.arange(n_samples, device=at.device)[:, None]


def piece_at(s: Tensor, s1s: Tensor) -> Tensor:
    """Give the piece that each time (B, P) lies in, from where the pieces end, (N, B).

    It is the first that ends at the time or after it; rejected steps end where they began.
    """
    return first_at(s, s1s.t().contiguous())


def first_at(s: Tensor, ends: Tensor) -> Tensor:
    """Do the same from where the pieces end as (B, N)."""
    return torch.searchsorted(ends, s.detach().contiguous()).clamp(max=ends.shape[1] - 1)


def polynomial(powers: Tensor, theta: Tensor) -> Tensor:
    """Evaluate ``sum_q powers[q] theta^(q + 1)`` by Horner's rule."""
    *lower, total = powers
    for coefficient in reversed(lower):
        total = coefficient + theta * total
    return theta * total


def _slope(powers: Tensor, theta: Tensor) -> Tensor:
    """Evaluate the derivative of the same."""
    total = torch.zeros_like(powers[0])
    for q, coefficient in reversed(list(enumerate(powers, start=1))):
        total = q * coefficient + theta * total
    return total
