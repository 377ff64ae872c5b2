"""Where the samples go, where they stand, and the steps between."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.explicit import Step
from latentode.solvers.problem import Options


class Course(NamedTuple):
    """Where the samples go.

    Attributes
    ----------
    s_end : Tensor of shape (B,)
        Where each sample may stop.
    line : Tensor of shape (B,)
        Where it has arrived: at its end, but for the rounding of many small steps.
    stops : Tensor of shape (B, J) or None
        Where steps end on the way, in any order.
    jumps : Tensor of shape (J,), dtype=torch.bool, or None
        At which of the stops the field jumps.
    """

    s_end: Tensor
    line: Tensor
    stops: Tensor | None
    jumps: Tensor | None

    def gap(self, s: Tensor) -> Tensor | None:
        """Give how far it is to the next stop of each sample, infinite where there is none."""
        if self.stops is None:
            return None
        ahead = self.stops - s[:, None]
        return ahead.where(ahead > 0, torch.inf).amin(dim=1)

    def at_jump(self, s: Tensor) -> Tensor:
        """Say which samples stand where the field jumps."""
        if self.stops is None or self.jumps is None:
            return torch.zeros_like(s, dtype=torch.bool)
        return ((self.stops == s[:, None]) & self.jumps).any(dim=1)


class Position(NamedTuple):
    """Where every sample stands between two steps.

    Attributes
    ----------
    s : Tensor of shape (B,)
        Time since the start of the sample.
    y, k : Tensor of shape (B, D)
        State there, and the field there.
    dt : Tensor of shape (B,)
        Size of the step to try next; 0 for a sample that rests.
    ratio : Tensor of shape (B,)
        Error ratio of the last accepted step.
    streak : Tensor of shape (B,), dtype=torch.long, or None
        Of a method that switches, how stiff the last steps were; see `methods.next_streak`.
    """

    s: Tensor
    y: Tensor
    k: Tensor
    dt: Tensor
    ratio: Tensor
    streak: Tensor | None = None


class Tried(NamedTuple):
    """A step that was tried.

    Attributes
    ----------
    before : Position
        Where it started.
    dt : Tensor of shape (B,)
        Size of the step; 0 for a sample that rests.
    step : Step
        Its result.
    ratio : Tensor of shape (B,)
        Its error as a multiple of what is tolerated.
    accepted : Tensor of shape (B,), dtype=torch.bool
        Which samples took it; of one that rests, it says nothing.
    next_dt : Tensor of shape (B,)
        Size of the step to try next, if there is a next one.
    """

    before: Position
    dt: Tensor
    step: Step
    ratio: Tensor
    accepted: Tensor
    next_dt: Tensor


# Told of a step that was tried, and where it left the samples; says which of them are to stop
# there, or None if none is.
Observer = Callable[[Tried, Position], Tensor | None]


def course_to(
    s_end: Tensor, options: Options, stops: Tensor | None = None, jumps: Tensor | None = None
) -> Course:
    """Give the course of samples that go to s_end (B,), past stops (B, J)."""
    line = s_end * (1 - 8 * torch.finfo(s_end.dtype).eps)
    if options.clip_end:
        end = s_end[:, None]
        stops = end if stops is None else torch.cat([stops, end], dim=1)
        jumps = None if jumps is None else torch.nn.functional.pad(jumps, (0, 1))
    return Course(s_end, line, stops, jumps)
