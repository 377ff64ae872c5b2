"""What the samples cost."""

from typing import NamedTuple

import torch
from torch import Tensor

# Rounds whose counts are kept apart, before they are added up.
_FOLD_EVERY = 64


class Counts(NamedTuple):
    """What each sample has cost, each of shape (B,).

    Attributes
    ----------
    tried, accepted : Tensor
        Steps.
    evals : Tensor
        Evaluations of the field.
    """

    tried: Tensor
    accepted: Tensor
    evals: Tensor


class Tally:
    """Counts, added up some rounds at a time."""

    def __init__(self, like: Tensor) -> None:
        none = torch.zeros_like(like, dtype=torch.long)
        self._counts = Counts(none, none, none)
        self._rounds: list[tuple[Tensor, Tensor]] = []
        self._evals: list[int | Tensor] = []

    def add(self, dt: Tensor, accepted: Tensor, evals: int | Tensor) -> None:
        """Count a step tried by the samples for which dt (B,) is not 0."""
        self._rounds.append((dt, accepted))
        self._evals.append(evals)
        if len(self._rounds) == _FOLD_EVERY:
            self.counts()

    def counts(self) -> Counts:
        """Give the counts so far."""
        if self._rounds:
            dt, accepted = (torch.stack(part) for part in zip(*self._rounds, strict=True))
            moving = dt > 0
            evals = torch.stack([torch.as_tensor(n).expand(dt.shape[1]) for n in self._evals])
            tried, taken, spent = self._counts
            self._counts = Counts(
                tried + moving.sum(dim=0),
                taken + (moving & accepted).sum(dim=0),
                spent + (moving * evals.to(dt.device)).sum(dim=0),
            )
            self._rounds, self._evals = [], []
        return self._counts
