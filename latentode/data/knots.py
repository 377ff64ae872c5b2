"""Known covariates in a model's units, and those of a batch."""

from typing import NamedTuple

import torch
from torch import Tensor

from latentode.nn import Controls
from latentode.nn.context import within

# Knots that are kept on either side of a stretch of time beyond the next one: positions are found
# in float64 along all series, and may be off by one.
_MARGIN = 2


class Knots(NamedTuple):
    """Known covariates of S series, one after another.

    Attributes
    ----------
    offsets : Tensor of shape (S + 1,), dtype=torch.long
        Knots ``offsets[i]`` up to ``offsets[i + 1]`` are those of series i.
    t : Tensor of shape (K,), dtype=torch.float64
        Their times, rising in each series.
    values : Tensor of shape (K, C)
        Scaled values.
    interpolation : {"previous", "linear"}
        What lies between two.
    """

    offsets: Tensor
    t: Tensor
    values: Tensor
    interpolation: str


def controls_of(knots: Knots, series: Tensor, t0: Tensor, begin: Tensor, end: Tensor) -> Controls:
    """Give the controls of some series, as far as they matter in a stretch of time.

    Parameters
    ----------
    knots : Knots
        Known covariates of all series.
    series : Tensor of shape (B,), dtype=torch.long
        Numbers of those wanted.
    t0 : Tensor of shape (B,)
        When the times of the controls are to count from.
    begin, end : Tensor of shape (B,)
        The stretch, in the times of the knots.

    Returns
    -------
    Controls
        With times in float64; 0, the mean, of a series without a knot.

    Examples
    --------
    >>> knots = Knots(torch.tensor([0, 2]), torch.tensor([1.0, 3.0]), torch.ones(2, 1), "previous")
    >>> at = torch.tensor([2.0]).double()
    >>> controls_of(knots, torch.tensor([0]), at, at, at).t
    tensor([[-1.,  1.]], dtype=torch.float64)
    """
    first, last = knots.offsets[series], knots.offsets[series + 1]
    from_, to = _places(knots, series, begin), _places(knots, series, end)
    first, last = first.maximum(from_ - _MARGIN), last.minimum(to + _MARGIN)
    counts = last - first
    inside = within(counts, max(int(counts.max()), 1))
    steps = torch.arange(inside.shape[1], device=first.device)
    index = (first[:, None] + steps).minimum((last - 1)[:, None]).clamp(min=0)
    is_known = (counts > 0)[:, None]
    if not len(knots.t):
        t, values = (
            t0.new_zeros(index.shape),
            knots.values.new_zeros(*index.shape, knots.values.shape[1]),
        )
        return Controls(t, values, knots.interpolation)
    t = torch.where(is_known, knots.t[index] - t0[:, None], 0.0)
    values = knots.values[index] * is_known[..., None]
    return Controls(t, values, knots.interpolation)


def _places(knots: Knots, series: Tensor, at: Tensor) -> Tensor:
    """Give roughly how many of all knots stand up to a time (B,) of some series."""
    if not len(knots.t):
        return torch.zeros_like(series)
    line, start, low, high = _line(knots)
    place = start[series] + at.clamp(low[series] - 0.5, high[series] + 0.5) - low[series]
    return torch.searchsorted(line, place, right=True)


def _line(knots: Knots) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Put the knots of all series on one line, one after another, with 2 units between them."""
    first, end = knots.offsets[:-1], knots.offsets[1:]
    most = len(knots.t) - 1
    low, high = knots.t[first.clamp(max=most)], knots.t[(end - 1).clamp(0, most)]
    spans = torch.where(end > first, high - low, 0.0)
    high = low + spans
    start = (spans + 2).cumsum(0) - spans
    number = torch.arange(len(first), device=first.device).repeat_interleave(end - first)
    return start[number] + knots.t - low[number], start, low, high
