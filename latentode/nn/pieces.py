"""Paths under controls that are held: from one change of a control to the next."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad


class Pieces(NamedTuple):
    """Where the path of each series is cut, by the distance from its start.

    A series with fewer pieces than others has empty ones at its end.

    Attributes
    ----------
    edges : Tensor of shape (B, N + 1)
        Where the pieces begin and end, rising from 0 to the last time asked.
    u : Tensor of shape (B, N, C)
        What the controls are within each.
    """

    edges: Tensor
    u: Tensor


def pieces_of(knots: Tensor, values: Tensor, changes: Tensor, since: Tensor) -> Pieces:
    """Cut paths where a control changes on the way, and nowhere else.

    What comes after the last time asked is no part of it: a state does not depend on it.

    Parameters
    ----------
    knots : Tensor of shape (B, K)
        Times of the knots since the start, rising.
    values : Tensor of shape (B, K, C)
        Controls from there on.
    changes : Tensor of shape (B, K), dtype=torch.bool
        Whether they are others than before.
    since : Tensor of shape (B, P)
        Times asked since the start, all of a series on one side of it, the farthest last.

    Returns
    -------
    Pieces
        One or more.

    Examples
    --------
    >>> knots, values = torch.tensor([[-1.0, 0.5, 2.0]]), torch.tensor([[[3.0], [4.0], [5.0]]])
    >>> pieces = pieces_of(knots, values, torch.tensor([[False, True, True]]), torch.ones(1, 1))
    >>> pieces.edges, pieces.u[..., 0]
    (tensor([[0.0000, 0.5000, 1.0000]]), tensor([[3., 4.]]))
    """
    last = since[:, -1:]
    sign, end = torch.where(last < 0, -1.0, 1.0), last.abs()
    distance = sign * knots
    is_met = changes & (distance > 0) & (distance < end)
    n_met = int(is_met.sum(dim=1).max())
    inner = torch.where(is_met, distance, torch.inf).sort(dim=1).values[:, :n_met].minimum(end)
    edges = torch.cat([torch.zeros_like(end), inner, end], dim=1)
    middle = sign * (edges[:, :-1] + edges[:, 1:]) / 2
    at = (torch.searchsorted(knots.contiguous(), middle.contiguous(), right=True) - 1).clamp(min=0)
    return Pieces(edges, values.gather(1, at[..., None].expand(-1, -1, values.shape[2])))


def along(
    pieces: Pieces, z0: Tensor, distance: Tensor, solve: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    """Solve piece after piece, each from where the one before it ended.

    Parameters
    ----------
    pieces : Pieces
        The N pieces.
    z0 : Tensor of shape (B, L)
        States at the start.
    distance : Tensor of shape (B, P)
        How far from the start the times asked are, rising.
    solve : callable
        Gives the states (B, n, L) from controls (B, C), the state at the first of some distances,
        and these (B, n).

    Returns
    -------
    Tensor of shape (B, P, L)
        States at the times asked.
    """
    edges, u = pieces
    n_pieces = u.shape[1]
    # A time at which a control changes belongs to the piece before it.
    piece = torch.searchsorted(edges[:, 1:-1].contiguous(), distance.contiguous())
    first = torch.searchsorted(piece, _numbers(n_pieces, piece))
    counts = pad(first, (0, 1), value=distance.shape[1]).diff(dim=1)
    widths = counts.amax(dim=0).tolist()
    z, parts = z0, list[Tensor]()
    for n, width in enumerate(widths):
        times = _times_in_piece(edges[:, n : n + 2], distance, first[:, n], width)
        zs = solve(u[:, n], z, times)
        z = zs[:, -1]
        parts.append(zs[:, 1:-1])
    start = torch.tensor([0, *widths], device=piece.device).cumsum(0)[:-1]
    steps = torch.arange(distance.shape[1], device=piece.device)
    place = start[piece] + steps - first.gather(1, piece)
    return torch.cat(parts, dim=1).gather(1, place[..., None].expand(-1, -1, z0.shape[1]))


def _numbers(n: int, piece: Tensor) -> Tensor:
    return torch.arange(n, device=piece.device).repeat(len(piece), 1)


def _times_in_piece(edges: Tensor, distance: Tensor, first: Tensor, width: int) -> Tensor:
    """Give the edges (B, 2) of a piece, and between them some times from a first one on.

    Those of a series with fewer times in the piece than others stop at its end.
    """
    steps = first[:, None] + torch.arange(width, device=first.device)
    asked = distance.gather(1, steps.clamp(max=distance.shape[1] - 1))
    begin, end = edges[:, :1], edges[:, 1:]
    return torch.cat([begin, asked.maximum(begin).minimum(end), end], dim=1)
