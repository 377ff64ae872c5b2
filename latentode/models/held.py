"""Series in memory: what is asked of them in training, and what is held out."""

import copy
import math
from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Generator, Tensor

from latentode.data import (
    Batch,
    Panel,
    Parts,
    Regime,
    RowRange,
    Scaler,
    Stretch,
    ask_some,
    drop_empty_rows,
    first_rows,
    gather_batch,
    rows_before,
    scale_panel,
    time_holdout,
)

# Series that are validated at a time.
_VAL_SIZE = 256


class Plan(NamedTuple):
    """What is asked of series in training; see `SeriesDataModule`."""

    regime: Regime
    max_rows: int
    max_asked: int | None
    val_fraction: float


class HeldSeries:
    """Series in memory, in a model's units.

    Parameters
    ----------
    panel : Panel
        The series.
    plan : Plan
        What is asked of them.
    scaler : Scaler, optional
        Scales of values and times; by default learned from the rows that are trained on.
    """

    def __init__(self, panel: Panel, plan: Plan, scaler: Scaler | None = None) -> None:
        observed = drop_empty_rows(panel)
        n_kept = time_holdout(observed, plan.val_fraction)
        self.plan = plan
        self.scaler = scaler or Scaler.fit(first_rows(observed, n_kept), observed)
        self.scaled = scale_panel(observed, self.scaler)
        self.end = self.scaled.offsets[:-1] + torch.tensor(n_kept)
        self.cut, self.last_cut = self.scaled.offsets[:-1] + rows_before_cuts(
            observed, plan.regime
        )

    @property
    def n_held_out(self) -> int:
        """Number of rows held out for validation."""
        return int((self.scaled.offsets[1:] - self.end).sum())

    def without_holdout(self) -> Self:
        """Give the same series, in the same scales, with every row to train on."""
        whole = copy.copy(self)
        whole.end = self.scaled.offsets[1:]
        return whole

    def stretches(self) -> Tensor:
        """Give the series of an epoch: a long one for each stretch that can be read of it."""
        first = self.scaled.offsets[:-1]
        counts = n_stretches(self.end - first, self.cut - first, self.plan)
        return torch.arange(self.scaled.n_series).repeat_interleave(counts)

    def sizes(self, series: Tensor) -> Tensor:
        """Give how many rows there are to train on, of some series."""
        return (self.end - self.scaled.offsets[:-1])[series]

    def draw(self, series: Tensor, generator: Generator) -> Batch:
        """Draw a batch of some series."""
        plan, first = self.plan, self.scaled.offsets[:-1]
        rows = Stretch(*(row[series] for row in (first, self.end, self.cut, self.last_cut)))
        batch = plan.regime(self.scaled, rows, generator=generator, max_rows=plan.max_rows)
        return ask_some(batch, plan.max_asked, generator)

    def half(self, half: int, batch_size: int, generator: Generator) -> Iterator[Batch]:
        """Draw batches of every other series, of those with even or with odd numbers."""
        series = self.stretches()
        for some in series[series % 2 == half].split(batch_size):
            if len(some):
                yield self.draw(some, generator)

    def held_out(self, n_shares: int = 1) -> list[Batch]:
        """Give batches that ask for the held-out rows, from those before them.

        At least as many as there are shares, if there are as many series.
        """
        first, cut, end = self.scaled.offsets[:-1], self.end, self.scaled.offsets[1:]
        series = (end > cut).nonzero().squeeze(1)
        sizes = (end - first)[series]
        in_order = series[sizes.argsort(stable=True)]
        n_at_once = min(max(math.ceil(len(series) / n_shares), 1), _VAL_SIZE)
        return [
            gather_batch(self.scaled, self._parts(some))
            for some in in_order.split(n_at_once)
            if len(some)
        ]

    def _parts(self, series: Tensor) -> Parts:
        first, cut, end = (
            rows[series] for rows in (self.scaled.offsets[:-1], self.end, self.scaled.offsets[1:])
        )
        n = self.plan.max_rows
        context = RowRange(torch.maximum(first, cut - n), cut)
        return Parts(context, RowRange(cut, torch.minimum(end, cut + n)))


def n_stretches(n_rows: Tensor, n_before_cut: Tensor, plan: Plan) -> Tensor:
    """Count the stretches (S,) of series of so many rows, and as many before a cut."""
    if plan.regime.cut is not None:
        return (n_rows > n_before_cut).long()  # with nothing after it, there is no question
    return torch.ceil(n_rows / plan.max_rows).long()


def rows_before_cuts(panel: Panel, regime: Regime) -> Tensor:
    """Count the rows (2, S) of each series before the first and the last cut of a regime.

    0 if it has none.
    """
    if regime.cut is None:
        return torch.zeros(2, len(panel.offsets) - 1, dtype=torch.long)
    cuts = regime.cut if isinstance(regime.cut, tuple) else (regime.cut,)
    counts = torch.tensor(np.stack([rows_before(panel, cut) for cut in cuts]))
    return counts[[0, -1]]
