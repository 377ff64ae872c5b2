"""Paths of many series, and of many segments, at once."""

import torch
from torch import Tensor, nn

from latentode.nn.controls import NO_INPUTS, Inputs


def carried(path: nn.Module, z0: Tensor, t0: Tensor, ts: Tensor, inputs: Inputs) -> Tensor:
    """Carry states by a path, which is called without inputs where there are none."""
    zs: Tensor = path(z0, t0, ts, *([inputs] if inputs.exist() else []))
    return zs


def segment_path(
    path: nn.Module,
    zs: Tensor,
    t: Tensor,
    lengths: Tensor,
    ts: Tensor,
    inputs: Inputs = NO_INPUTS,
) -> Tensor:
    """Carry a state at every row to the times that follow it, all rows of all series at once.

    Parameters
    ----------
    path : Module
        Carries a state from one time to others, as `ODEPath`.
    zs : Tensor of shape (B, T, L)
        States at the rows.
    t : Tensor of shape (B, T)
        Times of the rows, rising.
    lengths : Tensor of shape (B,)
        Rows of each series.
    ts : Tensor of shape (B, P)
        Times asked, in any order; each is reached from the last row up to it, or from the first.
    inputs : Inputs, optional
        What the path is told of the B series.

    Returns
    -------
    Tensor of shape (B, P, L)
        The states there.

    Examples
    --------
    >>> from latentode.nn import EulerStep
    >>> path = EulerStep(lambda t, z: torch.ones_like(z))
    >>> zs, t = torch.tensor([[[0.0], [10.0]]]), torch.tensor([[-1.0, 0.0]])
    >>> ts = torch.tensor([[-0.75, 0.5, -1.25]])
    >>> segment_path(path, zs, t, torch.tensor([2]), ts)[0, :, 0]
    tensor([ 0.2500, 10.5000, -0.2500])
    """
    n_before = torch.searchsorted(t.contiguous(), ts.contiguous(), right=True)
    row = (n_before.minimum(lengths[:, None]) - 1).clamp(min=0)
    segment = (torch.arange(len(t), device=t.device)[:, None] * t.shape[1] + row).flatten()
    order = segment.argsort(stable=True)
    used, counts = segment[order].unique_consecutive(return_counts=True)
    # Times of the same segment stand in a line of their own, as long as twice the mean at most: a
    # segment with more of them has several lines, and is solved in each.
    width = max(2 * len(segment) // len(used), 1)
    number = torch.arange(len(used), device=t.device).repeat_interleave(counts)
    place = torch.arange(len(segment), device=t.device) - (counts.cumsum(0) - counts)[number]
    n_lines = torch.ceil(counts / width).long()
    line = (n_lines.cumsum(0) - n_lines)[number] + place // width
    of_line = used.repeat_interleave(n_lines)
    start = t.flatten()[of_line]
    asked = start[:, None].repeat(1, min(width, int(counts.max())))
    asked = asked.index_put((line, place % width), ts.flatten()[order])
    told = inputs.of(of_line // t.shape[1])
    states = carried(path, zs.flatten(0, 1)[of_line], start, asked, told)
    result = states[line, place % width]
    return result[order.argsort()].unflatten(0, ts.shape)
