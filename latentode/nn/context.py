"""What a model may read of a batch of series, and what can be said of it row by row."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.nn.controls import Controls, Inputs, chosen_inputs
from latentode.nn.summary import CLIP, OLDEST, Summary, summarise


@dataclass(frozen=True, eq=False)
class Context:
    """What was observed of B series, each at times of its own.

    Parameters
    ----------
    t : Tensor of shape (B, T)
        Times, rising to 0 at the last row of each series and then repeated.
    x : Tensor of shape (B, T, D)
        Values, 0 where there is none.
    mask : Tensor of shape (B, T, D), dtype=torch.bool
        True where a value was observed.
    lengths : Tensor of shape (B,), dtype=torch.long
        Rows of each series; those behind are padding.
    scores : Tensor of shape (B, T, D), optional
        What networks read of the values, as their normal scores; by default the values, clipped.
    controls : Controls, optional
        What acts on the series from outside, in the same times; also after the context.
    static : Tensor of shape (B, E), optional
        What does not change in a series.
    """

    t: Tensor
    x: Tensor
    mask: Tensor
    lengths: Tensor
    scores: Tensor | None = None
    controls: Controls | None = None
    static: Tensor | None = None

    @cached_property
    def read(self) -> Tensor:
        """What networks read of the values (B, T, D), 0 where there is none."""
        values = self.x.clamp(-CLIP, CLIP) if self.scores is None else self.scores
        return values * self.mask

    @cached_property
    def summary(self) -> Summary:
        """A few numbers for each variable, computed once for all who ask."""
        return summarise(self.t, self.x, self.mask, self.read)

    @property
    def inputs(self) -> Inputs:
        """What is told of the series beside observations."""
        return Inputs(self.controls, self.static)

    def since(self, start: Tensor) -> "Context":
        """Count the times of each series from another time (B,)."""
        controls = None if self.controls is None else self.controls.shifted(-start)
        return replace(self, t=self.t - start[:, None], controls=controls)

    def inside(self) -> Tensor:
        """Say of each row whether it is one, and no padding; (B, T)."""
        return within(self.lengths, self.t.shape[1])


def within(lengths: Tensor, n_rows: int) -> Tensor:
    """Say of each of n_rows rows whether it is one of the first ``lengths[i]``; (B, n_rows).

    Examples
    --------
    >>> import torch
    >>> within(torch.tensor([1, 3]), 3)
    tensor([[ True, False, False],
            [ True,  True,  True]])
    """
    return torch.arange(n_rows, device=lengths.device) < lengths[:, None]


class Kept(NamedTuple):
    """What is left of a context without some of its rows.

    Attributes
    ----------
    context : Context
        The rows left, at times relative to the last of them.
    end : Tensor of shape (B,)
        When that was, in the times of the whole; 0 where no row is left.
    """

    context: Context
    end: Tensor


def kept_rows(context: Context, kept: Tensor) -> Kept:
    """Leave out the rows of a context that are not kept (B, T), as if they had never been.

    Examples
    --------
    >>> import torch
    >>> x = torch.ones(1, 3, 1)
    >>> whole = Context(torch.tensor([[-3.0, -1.0, 0.0]]), x, x > 0, torch.tensor([3]))
    >>> less, end = kept_rows(whole, torch.tensor([[True, True, False]]))
    >>> less.t, end
    (tensor([[-2.,  0.]]), tensor([-1.]))
    """
    kept = kept & context.inside()
    lengths = kept.sum(dim=1)
    order = (~kept).byte().argsort(dim=1, stable=True)[:, : max(int(lengths.max()), 1)]
    inside = within(lengths, order.shape[1])
    wide = order[..., None].expand(-1, -1, context.x.shape[2])
    mask = context.mask.gather(1, wide) & inside[..., None]
    t = context.t.gather(1, order)
    end = torch.where(lengths > 0, row_at(t[..., None], lengths - 1)[:, 0], 0.0)
    scores = context.scores
    less = Context(
        torch.where(inside, t - end[:, None], 0.0),
        context.x.gather(1, wide) * mask,
        mask,
        lengths,
        None if scores is None else scores.gather(1, wide) * mask,
        None if context.controls is None else context.controls.shifted(-end),
        context.static,
    )
    return Kept(less, end)


def row_features(context: Context, *, n_frequencies: int = 0, n_controls: int = 0) -> Tensor:
    """Give what a network reads of each row, (B, T, 3 D + 2 + 2 n_frequencies + 2 n_controls).

    These are the values, which of them were observed, how long ago each variable was observed
    before, the gap to the row before, the time to the anchor of the context, as many waves of
    that time as asked, of 1, 2, ... periods in a unit of time, and `row_controls`.
    """
    t, mask = context.t, context.mask
    gap = torch.log1p(t.diff(dim=1, prepend=t[:, :1]))
    numbers = [ages(t, mask), gap[..., None], t.clamp(-CLIP, CLIP)[..., None]]
    if n_frequencies:
        k = torch.arange(1, n_frequencies + 1, device=t.device)
        phase = 2 * math.pi * k * t[..., None]
        numbers += [phase.sin(), phase.cos()]
    numbers += row_controls(context, n_controls)
    return torch.cat([context.read, mask.to(t.dtype), *numbers], dim=-1)


def n_row_features(n_features: int, *, n_frequencies: int = 0, n_controls: int = 0) -> int:
    """Give the width of `row_features`."""
    return 3 * n_features + 2 + 2 * n_frequencies + 2 * n_controls


def row_controls(context: Context, n_controls: int) -> list[Tensor]:
    """Give the controls at each row, and their integrals since the row before, each (B, T, C).

    A dose between two rows, in force at neither of them, is seen by the latter.
    """
    inputs = chosen_inputs(context.inputs, n_controls=n_controls, n_static=0, reader="a reader")
    if inputs.controls is None:
        return []
    t = context.t
    before = torch.cat([t[:, :1], t[:, :-1]], dim=1)
    return [*inputs.at(t), *inputs.amounts(before, t)]


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
    seen_at = torch.where(mask, t[..., None], -torch.inf)
    before = [torch.full_like(seen_at[:, 0], -torch.inf)]
    for row in seen_at.unbind(1)[:-1]:  # twice as fast as cummax
        before.append(torch.maximum(before[-1], row))
    return (t[..., None] - torch.stack(before, dim=1)).clamp(max=OLDEST)


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


def side_by_side(rows: Tensor, lengths: Tensor, n: int) -> Tensor:
    """Put every n rows (B, T, F) side by side, (B, ceil(T / n), n F), with 0 for padding.

    Examples
    --------
    >>> import torch
    >>> side_by_side(torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([3]), 2)
    tensor([[[1., 2.],
             [3., 0.]]])
    """
    rows = rows * within(lengths, rows.shape[1])[..., None]
    rows = torch.nn.functional.pad(rows, (0, 0, 0, -rows.shape[1] % n))
    return rows.unflatten(1, (-1, n)).flatten(2)


def row_at(rows: Tensor, index: Tensor) -> Tensor:
    """Give row ``index[i]`` of series i; rows are (B, T, F), the index is (B,).

    Examples
    --------
    >>> import torch
    >>> row_at(torch.tensor([[[1], [2]], [[3], [4]]]), torch.tensor([1, 0]))[:, 0]
    tensor([2, 3])
    """
    at = index.clamp(min=0)[:, None, None].expand(-1, 1, rows.shape[2])
    return rows.gather(1, at).squeeze(1)
