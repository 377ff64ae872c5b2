"""The solution between the ends of the steps."""

from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.explicit import Method


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


def piece_of_step(
    method: Method, increments: Tensor, *, s0: Tensor, dt: Tensor, s1: Tensor, y0: Tensor
) -> Piece:
    """Turn the stages of a step, (S, B, D), into the polynomial across it."""
    powers = torch.mm(method.dense, increments.flatten(1)).view(len(method.dense), *y0.shape)
    return Piece(s0, dt, s1, y0, powers)


class Track:
    """The pieces of a solve, one after another, and the solution read off them."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def reached(self) -> Tensor:
        """Give how far each sample has come, of shape (B,)."""
        return self.pieces[-1].s1

    def read(self, s: Tensor) -> Tensor:
        """Give the states at times s of shape (B, P), of shape (B, P, D)."""
        return self.read_where(s, torch.ones_like(s, dtype=torch.bool)).unflatten(0, s.shape)

    def read_where(self, s: Tensor, wanted: Tensor) -> Tensor:
        """Give the states at those of the times (B, P) that are wanted, of shape (M, D).

        Differentiable in the times and in what the steps were computed from.
        """
        s0s, dts, s1s, y0s, powers = (
            torch.stack(column) for column in zip(*self.pieces, strict=True)
        )
        n_pieces, n_samples = s1s.shape
        # The first piece that ends at a time or after it; rejected steps end where they began.
        at = torch.searchsorted(s1s.t().contiguous(), s.detach().contiguous())
        samples = torch.arange(n_samples, device=s.device)[:, None]
        flat = (at.clamp(max=n_pieces - 1) * n_samples + samples)[wanted]
        s0, dt = (x.flatten().index_select(0, flat) for x in (s0s, dts))
        theta = (s[wanted] - s0) / dt.where(dt > 0, torch.inf)
        return y0s.flatten(0, 1).index_select(0, flat) + _polynomial(
            powers.transpose(0, 1).flatten(1, 2).index_select(1, flat),
            theta[:, None].to(y0s.dtype),
        )


def _polynomial(powers: Tensor, theta: Tensor) -> Tensor:
    """Evaluate ``sum_q powers[q] theta^(q + 1)`` by Horner's rule."""
    *lower, total = powers
    for coefficient in reversed(lower):
        total = coefficient + theta * total
    return theta * total
