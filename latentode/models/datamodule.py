"""Batches for training and validation, out of a data frame."""

import copy
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Self

import lightning
import numpy as np
import torch
from torch import Generator, Tensor

from latentode.data import (
    OBJECTIVES,
    Batch,
    Parts,
    RowRange,
    ScaledPanel,
    Scaler,
    check_time_span,
    drop_empty_rows,
    first_rows,
    gather_batch,
    infer_schema,
    scale_panel,
    time_holdout,
    to_panel,
)

# Batches of an epoch at least: a few series are cut at other times again and again.
_LEAST_BATCHES = 4


class Batches:
    """The batches of an epoch, drawn anew each time they are gone through.

    Parameters
    ----------
    panel : ScaledPanel
        The series.
    series : Tensor
        Which of them to go through.
    parts : callable
        Given some series and a generator, the rows to read and the rows to be asked about.
    batch_size : int
        Series in a batch.
    n_draws : int, optional
        How many draws make an epoch: each series once, in an order drawn anew, and so on from the
        first. By default each series once, in the order given.
    seed : int, default=0
        Seed of all draws; the n-th epoch draws the same however it was reached.
    first_epoch : int, default=0
        Number of the epoch to begin with.
    """

    def __init__(
        self,
        panel: ScaledPanel,
        series: Tensor,
        parts: Callable[[Tensor, Generator], Parts],
        *,
        batch_size: int,
        n_draws: int | None = None,
        seed: int = 0,
        first_epoch: int = 0,
    ) -> None:
        self._panel = panel
        self._series = series
        self._parts = parts
        self._batch_size = batch_size
        self._seed = seed
        self._n_draws = n_draws
        self._epoch = first_epoch

    def __len__(self) -> int:
        return math.ceil((self._n_draws or len(self._series)) / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        state = np.random.SeedSequence([self._seed, self._epoch]).generate_state(1, np.uint64)
        generator = Generator().manual_seed(int(state[0]))
        self._epoch += 1
        for series in self._order(generator).split(self._batch_size):
            yield gather_batch(self._panel, self._parts(series, generator))

    def _order(self, generator: Generator) -> Tensor:
        if self._n_draws is None:
            return self._series
        n = len(self._series)
        rounds = range(math.ceil(self._n_draws / n))
        order = torch.cat([torch.randperm(n, generator=generator) for _ in rounds])
        return self._series[order[: self._n_draws]]


class SeriesDataModule(lightning.LightningDataModule):
    """Batches of irregular series for a `LatentODE`, out of a data frame.

    Parameters
    ----------
    df : DataFrame
        One row an observation, NaN where a variable was not measured then.
    id_col, time_col : Hashable, optional
        Columns of the series and of the time; by default recognised by name.
    target_cols : Hashable or list, optional
        Columns of the values; by default every other column of numbers.
    objective : {"forecast", "elbo"}, default="forecast"
        What a model is asked in training: what follows a cut drawn at random in each series, or
        the very rows that it reads.
    batch_size : int, default=64
        Series in a batch.
    val_fraction : float, default=0.15
        Last part of each series' time span, held out of training for validation; may be 0.
    max_rows : int, default=512
        Most rows of a series that are read, and that are asked about, at a time.
    random_state : int, default=0
        Seed of the order of series and of the cuts.

    Attributes
    ----------
    schema : Schema
        The columns in use, and the type of the times.
    panel : Panel
        The series as they came, sorted.
    scaler : Scaler
        Scales of values and times, learned from the rows that are trained on.
    scaled : ScaledPanel
        The series in the model's units.

    Raises
    ------
    FrameError
        If the frame does not keep the contract of ``docs/the-frame.md``.
    ValueError
        If another argument cannot be used.

    Examples
    --------
    >>> from latentode import SeriesDataModule, load_pbcseq
    >>> data = SeriesDataModule(load_pbcseq(), id_col="patient", time_col="day")
    >>> data.n_features
    7
    >>> next(iter(data.train_dataloader())).x.shape[2]
    7
    """

    def __init__(
        self,
        df: object,
        *,
        id_col: Hashable | None = None,
        time_col: Hashable | None = None,
        target_cols: Hashable | Sequence[Hashable] | None = None,
        objective: str = "forecast",
        batch_size: int = 64,
        val_fraction: float = 0.15,
        max_rows: int = 512,
        random_state: int = 0,
    ) -> None:
        super().__init__()
        _check_options(objective, val_fraction, batch_size=batch_size, max_rows=max_rows)
        self.objective = objective
        self.batch_size = batch_size
        self.max_rows = max_rows
        self.random_state = random_state
        self.schema = infer_schema(df, id_col=id_col, time_col=time_col, target_cols=target_cols)
        self.panel = to_panel(df, self.schema)
        check_time_span(self.panel)
        observed = drop_empty_rows(self.panel)
        n_kept = time_holdout(observed, val_fraction)
        self.scaler = Scaler.fit(first_rows(observed, n_kept), observed)
        self.scaled = scale_panel(observed, self.scaler)
        self._cut = self.scaled.offsets[:-1] + torch.tensor(n_kept)

    @property
    def n_features(self) -> int:
        """Number of targets D."""
        return self.scaled.n_features

    @property
    def n_held_out(self) -> int:
        """Number of rows held out for validation."""
        return int((self.scaled.offsets[1:] - self._cut).sum())

    def without_holdout(self) -> Self:
        """Give the same series, in the same scales, with every row to train on."""
        whole = copy.copy(self)
        whole._cut = self.scaled.offsets[1:]
        return whole

    def train_dataloader(self) -> Batches:
        """Give the batches of the rows to train on."""
        first, cut = self.scaled.offsets[:-1], self._cut
        objective, max_rows = OBJECTIVES[self.objective], self.max_rows

        def parts(series: Tensor, generator: Generator) -> Parts:
            rows = RowRange(first[series], cut[series])
            return objective(rows, generator=generator, max_rows=max_rows)

        # A long series is drawn once for each stretch that can be read of it.
        n_stretches = torch.ceil((cut - first) / max_rows).long()
        series = torch.arange(self.scaled.n_series).repeat_interleave(n_stretches)
        return Batches(
            self.scaled,
            series,
            parts,
            batch_size=self.batch_size,
            n_draws=max(len(series), _LEAST_BATCHES * self.batch_size),
            seed=self.random_state,
            first_epoch=0 if self.trainer is None else self.trainer.current_epoch,
        )

    def val_dataloader(self) -> Batches | list[Batch]:
        """Give batches that ask for the held-out rows, from those before them."""
        first, cut, end = self.scaled.offsets[:-1], self._cut, self.scaled.offsets[1:]
        series = (end > cut).nonzero().squeeze(1)
        if len(series) == 0:
            return []

        def parts(series: Tensor, _: Generator) -> Parts:
            context = RowRange(
                torch.maximum(first[series], cut[series] - self.max_rows), cut[series]
            )
            asked = RowRange(cut[series], torch.minimum(end[series], cut[series] + self.max_rows))
            return Parts(context, asked)

        return Batches(self.scaled, series, parts, batch_size=256)


def _check_options(objective: str, val_fraction: float, **sizes: int) -> None:
    if objective not in OBJECTIVES:
        raise ValueError(
            f"objective={objective} is not known: choose one of {', '.join(OBJECTIVES)}."
        )
    if not 0 <= val_fraction < 1:
        raise ValueError(f"val_fraction={val_fraction} must be at least 0 and less than 1.")
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}={size} must be at least 1.")
