"""What is known of each variable at the end of a context, in a few numbers."""

from typing import NamedTuple

import torch
from torch import Tensor

# What counts as old: the age given to a variable that was never observed, in units of time.
OLDEST = 2.0


class Summary(NamedTuple):
    """Per-series, per-variable summaries of a context, each of shape (B, D).

    All are 0 for a variable that was never observed, but for its age, which is 2.

    Attributes
    ----------
    last : Tensor
        The last observed value.
    age : Tensor
        Time since then, at most 2.
    mean : Tensor
        Mean of the observed values.
    n_observed : Tensor
        How many there are.
    slope : Tensor
        Change per unit of time, by least squares shrunk towards 0.
    """

    last: Tensor
    age: Tensor
    mean: Tensor
    n_observed: Tensor
    slope: Tensor


def summarise(t: Tensor, x: Tensor, mask: Tensor) -> Summary:
    """Summarise what was observed.

    Parameters
    ----------
    t : Tensor of shape (B, T)
        Times of the context, rising to 0 at its end.
    x : Tensor of shape (B, T, D)
        Values, 0 where there is none.
    mask : Tensor of shape (B, T, D), dtype=torch.bool
        True where a value was observed.

    Returns
    -------
    Summary
        A few numbers for each variable.

    Examples
    --------
    >>> import torch
    >>> t, x = torch.tensor([[-1.0, -0.5, 0.0]]), torch.tensor([[[2.0], [4.0], [0.0]]])
    >>> mask = torch.tensor([[[True], [True], [False]]])
    >>> known = summarise(t, x, mask)
    >>> known.last.item(), known.age.item(), known.mean.item(), known.n_observed.item()
    (4.0, 0.5, 3.0, 2.0)
    """
    observed = mask.to(x.dtype)
    n_observed = observed.sum(dim=1)
    n = n_observed.clamp(min=1)
    mean = (x * observed).sum(dim=1) / n
    rows = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
    latest = (rows * mask).amax(dim=1)
    at = (latest - 1).clamp(min=0)[:, None]
    last = x.gather(1, at).squeeze(1) * (latest > 0)
    age = (-t[..., None].expand_as(x).gather(1, at).squeeze(1)).clamp(max=OLDEST)
    age = torch.where(latest > 0, age, OLDEST)
    middle = (t[..., None] * observed).sum(dim=1) / n
    distance = (t[..., None] - middle[:, None]) * observed
    # A ridge of 0.05: two values close in time say little of a trend.
    slope = (distance * (x - mean[:, None])).sum(dim=1) / (distance.square().sum(dim=1) + 0.05)
    return Summary(last, age, mean, n_observed, slope)
