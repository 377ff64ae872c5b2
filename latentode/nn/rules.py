"""What is known of each variable at any time, without a latent state: where a decoder starts."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from latentode.nn.context import Context
from latentode.nn.corrections import Corrections
from latentode.nn.summary import CLIP, Summary
from latentode.nn.where import Where

# How far an observation is that was never made.
_FAR = 1e3


class Fading(nn.Module):
    """Start a forecast from the last value and the mean of each variable, fading with time.

    With l, a, m and n the last value, its age, the mean and the count of a variable's
    observations, at a distance d in time from the end of the context::

        w_l exp(-r_l (d + a)) l + w_m exp(-r_m d) n / (n + k) m

    The weights w, the rates r and the count k that a mean needs to weigh half are learned for each
    variable; they start at w_l = 0.2, w_m = 0.7, r_l = r_m = 0.13, k = 1.3.

    To this, `Corrections` may be added: what a linear regression on all that is known of a series
    finds out beyond it, solved for before training.

    Parameters
    ----------
    n_features : int
        Observed variables D.

    Examples
    --------
    >>> import torch
    >>> from latentode.nn import everywhere
    >>> rule, x = Fading(1), torch.ones(1, 3, 1)
    >>> known = rule.read(Context(torch.zeros(1, 3), x, x > 0, torch.tensor([3])))
    >>> ts = torch.tensor([[0.0, 100.0]])
    >>> (rule(known, ts, everywhere(ts, 1)) > 0.01)[0, :, 0]
    tensor([ True, False])
    """

    n_local = 2

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.last_weight = nn.Parameter(torch.full((n_features,), 0.2))
        self.mean_weight = nn.Parameter(torch.full((n_features,), 0.7))
        self.last_rate = nn.Parameter(torch.full((n_features,), -2.0))
        self.mean_rate = nn.Parameter(torch.full((n_features,), -2.0))
        self.half_count = nn.Parameter(torch.full((n_features,), 1.0))
        self.corrections = Corrections(n_features)

    def read(self, context: Context) -> Summary:
        """Give what the rule needs to know of a context."""
        return context.summary

    def forward(self, known: Summary, ts: Tensor, where: Where) -> Tensor:
        """Give the start of a forecast at times ts (B, P), for the values asked."""
        series, time, variable = where
        trust = known.n_observed / (known.n_observed + softplus(self.half_count))
        # What is the same at all times is computed once for each series and variable.
        last = self.last_weight * known.last
        mean = self.mean_weight * trust * known.mean
        distance = ts.abs()[series, time]
        age = known.age[series, variable]
        last_rate, mean_rate = softplus(self.last_rate), softplus(self.mean_rate)
        last_faded = torch.exp(-last_rate[variable] * (distance + age))
        mean_faded = torch.exp(-mean_rate[variable] * distance)
        faded = last_faded * last[series, variable] + mean_faded * mean[series, variable]
        if not self.corrections.is_fitted:
            return faded
        return faded + self.corrections(known, ts, where)

    def local(self, known: Summary, ts: Tensor) -> Tensor:
        """Give what a decoder should know of each time: (B, P, 2)."""
        distance = ts.abs()
        return torch.stack([distance.clamp(max=CLIP), (distance / (1 + distance)).sqrt()], dim=-1)


class Neighbours(NamedTuple):
    """The observations on either side of a time, by the number of rows up to it.

    Attributes
    ----------
    t : Tensor of shape (B, T)
        Times of the rows.
    lengths : Tensor of shape (B,)
        Rows of each series.
    x : Tensor of shape (2, B, T + 1, D)
        Values observed last before, and first after, each number of rows; 0 if there is none.
    at : Tensor of shape (2, B, T + 1, D)
        When that was.
    exists : Tensor of shape (2, B, T + 1, D), dtype=torch.bool
        Whether there is one.
    """

    t: Tensor
    lengths: Tensor
    x: Tensor
    at: Tensor
    exists: Tensor

    def n_before(self, ts: Tensor) -> Tensor:
        """Give how many rows stand at or before times ts (B, P)."""
        count = torch.searchsorted(self.t.contiguous(), ts.contiguous(), right=True)
        return count.minimum(self.lengths[:, None])


class Line(NamedTuple):
    """Interpolated values, and how far between two observations of their variable each is.

    Attributes
    ----------
    x : Tensor of shape (...)
        The values asked.
    between : Tensor of shape (...)
        0 at an observation, 1 in the middle of two, and outside the distance to the nearer one,
        at most 1.
    """

    x: Tensor
    between: Tensor


class Interpolating(nn.Module):
    """Start from linear interpolation between the observations of each variable.

    Before the first and after the last observation, that value fades with time at a learned rate;
    without any observation it is 0, the mean.

    Parameters
    ----------
    n_features : int
        Observed variables D.

    Examples
    --------
    >>> import torch
    >>> from latentode.nn import everywhere
    >>> rule, x = Interpolating(1), torch.tensor([[[2.0], [4.0]]])
    >>> known = rule.read(Context(torch.tensor([[-1.0, 0.0]]), x, x > 0, torch.tensor([2])))
    >>> ts = torch.tensor([[-1.0, -0.5, -0.25]])
    >>> rule(known, ts, everywhere(ts, 1))[0, :, 0].detach()
    tensor([2.0000, 3.0000, 3.5000])
    """

    n_local = 3

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.full((n_features,), -4.0))

    def read(self, context: Context) -> Neighbours:
        """Give what the rule needs to know of a context."""
        t, x, mask, lengths = context.t, context.x, context.mask, context.lengths
        n_rows = x.shape[1]
        steps = torch.arange(n_rows, device=x.device)[:, None]
        seen = mask & context.inside()[..., None]
        before = torch.where(seen, steps, -1).cummax(dim=1).values
        after = torch.where(seen, steps, n_rows).flip(1).cummin(dim=1).values.flip(1)
        row = torch.stack([
            nn.functional.pad(before, (0, 0, 1, 0), value=-1),
            nn.functional.pad(after, (0, 0, 0, 1), value=n_rows),
        ])
        exists = (row >= 0) & (row < n_rows)
        at = row.clamp(0, n_rows - 1)
        value = x.expand(2, *x.shape).gather(2, at) * exists
        time = t[..., None].expand(2, *x.shape).gather(2, at)
        return Neighbours(t, lengths, value, time, exists)

    def forward(self, known: Neighbours, ts: Tensor, where: Where) -> Tensor:
        """Give the interpolated values at times ts (B, P)."""
        return self.line(known, ts, where).x

    def line(self, known: Neighbours, ts: Tensor, where: Where) -> Line:
        """Give the interpolated values at times ts (B, P), and how far from observations they are.

        A row that has other variables alone says nothing of this one.
        """
        series, time, variable = where
        n_before, t = known.n_before(ts)[series, time], ts[series, time]
        (x0, x1), (t0, t1), (is0, is1) = (
            part[:, series, n_before, variable] for part in (known.x, known.at, known.exists)
        )
        is_inside, since, until = is0 & is1, (t - t0).abs(), (t1 - t).abs()
        share = (t - t0) / (t1 - t0).clamp(min=1e-6)
        rate = softplus(self.rate)[variable]
        held = x0 * torch.exp(-rate * since) + x1 * torch.exp(-rate * until)
        x = torch.where(is_inside, x0 + (x1 - x0) * share.clamp(0, 1), held)
        since, until = torch.where(is0, since, _FAR), torch.where(is1, until, _FAR)
        return Line(x, _between(since, until, ~is_inside))

    def local(self, known: Neighbours, ts: Tensor) -> Tensor:
        """Give what a decoder should know of each time: (B, P, 3).

        How far between two rows it is, 0 at one and 1 in the middle, and how far from either.
        """
        n_before = known.n_before(ts)
        last = known.lengths[:, None] - 1
        t0 = known.t.gather(1, (n_before - 1).clamp(min=0))
        t1 = known.t.gather(1, n_before.minimum(last).clamp(min=0))
        since, until = (ts - t0).abs(), (t1 - ts).abs()
        between = _between(since, until, (n_before == 0) | (n_before > last))
        bounded = [torch.log1p(10 * gap).clamp(max=CLIP) for gap in (since, until)]
        return torch.stack([between, *bounded], dim=-1)


def _between(since: Tensor, until: Tensor, is_outside: Tensor) -> Tensor:
    """Give how far between two times one is: 0 at either, and 1 in the middle."""
    share = 4 * since * until / (since + until).square().clamp(min=1e-12)
    return torch.where(is_outside, since.minimum(until).clamp(max=1), share)
