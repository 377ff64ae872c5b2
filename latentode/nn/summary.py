"""What is known of each variable at the end of a context, in a few numbers."""

from typing import NamedTuple

import torch
from torch import Tensor

# What counts as old: the age given to a variable that was never observed, in units of time.
OLDEST = 2.0
# Scaled values, and times, beyond this move a model no further.
CLIP = 5.0
# How fast the weight of an observation fades in the recent mean, for each unit of time.
_RECENT = 12.0


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
    recent : Tensor
        Mean with weights that fade by a factor of e in a twelfth of a unit of time.
    low, high : Tensor
        The lowest and the highest value.
    spread : Tensor
        Standard deviation of the observed values.
    last_read, mean_read : Tensor
        The last one and the mean of what networks read of the values.
    """

    last: Tensor
    age: Tensor
    mean: Tensor
    n_observed: Tensor
    slope: Tensor
    recent: Tensor
    low: Tensor
    high: Tensor
    spread: Tensor
    last_read: Tensor
    mean_read: Tensor

    def bounded(self) -> Tensor:
        """Give the numbers as a network may read them, of shape (B, D, 12)."""
        values = [self.last, self.mean, self.recent, self.low, self.high, self.slope, self.spread]
        values += [self.last_read, self.mean_read]
        numbers = [value.clamp(-CLIP, CLIP) for value in values]
        was_seen = (self.n_observed > 0).to(self.age.dtype)
        numbers += [self.age * was_seen, self.n_observed / (self.n_observed + 2), was_seen]
        return torch.stack(numbers, dim=-1)


N_NUMBERS = 12


def summarise(t: Tensor, x: Tensor, mask: Tensor, read: Tensor | None = None) -> Summary:
    """Summarise what was observed.

    Parameters
    ----------
    t : Tensor of shape (B, T)
        Times of the context, rising to 0 at its end.
    x : Tensor of shape (B, T, D)
        Values, 0 where there is none.
    mask : Tensor of shape (B, T, D), dtype=torch.bool
        True where a value was observed.
    read : Tensor of shape (B, T, D), optional
        What networks read of the values; by default the values.

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
    was_seen = n_observed > 0
    mean = (x * observed).sum(dim=1) / n
    rows = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
    latest = (rows * mask).amax(dim=1)
    at = (latest - 1).clamp(min=0)[:, None]
    last = x.gather(1, at).squeeze(1) * was_seen
    age = (-t[..., None].expand_as(x).gather(1, at).squeeze(1)).clamp(max=OLDEST)
    age = torch.where(was_seen, age, OLDEST)
    middle = (t[..., None] * observed).sum(dim=1) / n
    distance = (t[..., None] - middle[:, None]) * observed
    deviation = (x - mean[:, None]) * observed
    # A ridge of 0.05: two values close in time say little of a trend.
    slope = (distance * deviation).sum(dim=1) / (distance.square().sum(dim=1) + 0.05)
    # Weights relative to the variable's own last value: an old one leaves none of them at 0.
    weights = torch.exp(_RECENT * (t[..., None] + age[:, None]).clamp(max=0)) * observed
    recent = (weights * x).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-6)
    low = torch.where(mask, x, torch.inf).amin(dim=1).where(was_seen, 0.0)
    high = torch.where(mask, x, -torch.inf).amax(dim=1).where(was_seen, 0.0)
    spread = (deviation.square().sum(dim=1) / n).sqrt()
    read = x if read is None else read
    last_read = read.gather(1, at).squeeze(1) * was_seen
    mean_read = (read * observed).sum(dim=1) / n
    return Summary(
        last, age, mean, n_observed, slope, recent, low, high, spread, last_read, mean_read
    )
