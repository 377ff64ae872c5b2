"""Time as the user counts it, and as a field is given it."""

from typing import NamedTuple

import torch
from torch import Tensor


class Sides(NamedTuple):
    """The times between the jumps of a field, as it is given them: not those of the jumps.

    Attributes
    ----------
    s : Tensor of shape (B, J)
        Times since the start of each sample at which the field jumps, in order.
    begin, end : Tensor of shape (B, J + 1)
        First and last time before the first jump, between the first and the second, and so on, in
        the direction of the sample.
    """

    s: Tensor
    begin: Tensor
    end: Tensor

    def around(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """Give the first and the last time (B,) on the side on which a step from s (B,) lies."""
        side = torch.searchsorted(self.s, s[:, None], right=True)
        return self.begin.gather(1, side)[:, 0], self.end.gather(1, side)[:, 0]


class Clock(NamedTuple):
    """Time as the user counts it, from time since the start of each sample.

    Solving in the latter keeps steps exact however large the times are.

    Attributes
    ----------
    t0 : Tensor of shape (B,)
        Where each sample starts.
    sign : Tensor of shape (B,)
        1 where time runs forward, -1 where it runs backward.
    dtype : torch.dtype
        Type of the times that a field is given.
    runs_back : bool
        Whether time runs backward for some samples.
    sides : Sides or None
        What lies between the jumps of the field, if it has any.
    """

    t0: Tensor
    sign: Tensor
    dtype: torch.dtype
    runs_back: bool
    sides: Sides | None = None

    def time(self, s: Tensor) -> Tensor:
        """Give the time at s (..., B) after the start."""
        return self.t0 + (self.sign * s if self.runs_back else s)

    def time_for_field(self, s: Tensor) -> Tensor:
        """Give the same as a field is given it."""
        return self.time(s).to(self.dtype)

    def time_from(self, s: Tensor, later: Tensor) -> Tensor:
        """Give the time at ``later`` (..., B) as a field is given it.

        That is on the side of all jumps on which a step from s (B,) lies, and at no jump.
        """
        t = self.time_for_field(later)
        if self.sides is None:
            return t
        begin, end = self.sides.around(s)
        low, high = torch.minimum(begin, end), torch.maximum(begin, end)
        return t + (t.detach().clamp(low, high) - t.detach())

    def stage_times(self, s: Tensor, dt: Tensor, c: Tensor) -> Tensor:
        """Give the times (S, B) of the stages of a step from s, of size dt, as the field."""
        return self.time_from(s, torch.addcmul(s, c[:, None], dt))

    def since_start(self, ts: Tensor) -> Tensor:
        """Give how long after the start times (B, T) are."""
        return (ts.to(self.t0.dtype) - self.t0[:, None]) * self.sign[:, None]


def sides_of(clock: Clock, jump_ts: Tensor) -> Sides:
    """Give the times between those at which the field jumps (B, J)."""
    s = clock._replace(t0=clock.t0.detach()).since_start(jump_ts)
    s, order = s.sort(dim=1)
    at = jump_ts.gather(1, order).to(clock.dtype)
    ahead = (clock.sign * torch.inf).to(clock.dtype)[:, None]
    before, after = torch.nextafter(at, -ahead), torch.nextafter(at, ahead)
    return Sides(s, torch.cat([-ahead, after], dim=1), torch.cat([before, ahead], dim=1))


def start_time(clock: Clock) -> Tensor:
    """Give the time (B,) at which the field is evaluated at the start."""
    s = torch.zeros_like(clock.sign)
    return clock.time_from(s, s)
