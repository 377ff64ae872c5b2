"""Train point processes on logs of events."""

import math
from collections.abc import Iterator
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from latentode.data import ScaledLog
from latentode.models.one_loss import OneLoss
from latentode.nn import Events, PointProcess
from latentode.solvers.checks import check_sizes


class EventModel(OneLoss):
    """Train a `PointProcess` by maximum likelihood: AdamW, one cycle of the learning rate.

    Losses are in nats for each event that is told, for times in the unit of the batches.

    Parameters
    ----------
    process : PointProcess
        The process.
    learning_rate : float, default=0.01
        Its largest value.
    weight_decay : float, default=0.01
        Decay of matrices.

    Raises
    ------
    FloatingPointError
        In training, if the loss is not finite or the process cannot be solved.
    """

    def __init__(
        self, process: PointProcess, *, learning_rate: float = 1e-2, weight_decay: float = 1e-2
    ) -> None:
        super().__init__(learning_rate=learning_rate, weight_decay=weight_decay)
        self.process = process
        self.keep(EventModel, learning_rate=learning_rate, weight_decay=weight_decay)

    def loss_of(self, batch: Events) -> Tensor:
        """Give the loss of an event that is told."""
        return -self.process.log_prob(batch).sum() / _n_told(batch)

    def weight_of(self, batch: Events) -> int:
        """Give how many events are told."""
        return _n_told(batch)


class EventDataModule(lightning.LightningDataModule):
    """Batches of series of events, in an order drawn anew for each epoch.

    Parameters
    ----------
    log : ScaledLog
        What is learned from.
    held_out : ScaledLog, optional
        What is validated on.
    batch_size : int, default=32
        Series of a batch.
    seed : int, default=0
        Seed of the order.
    """

    def __init__(
        self,
        log: ScaledLog,
        held_out: ScaledLog | None = None,
        *,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_sizes(batch_size=batch_size)
        self.log = log
        self.held_out = held_out
        self.batch_size = batch_size
        self._random = torch.Generator().manual_seed(seed)

    def train_dataloader(self) -> DataLoader[Events]:
        """Give the batches of an epoch; the order goes on from one epoch to the next."""
        return DataLoader(_Batches(self.log, self.batch_size, self._random), batch_size=None)

    def val_dataloader(self) -> DataLoader[Events] | list[Any]:
        """Give what is held out; nothing where nothing is."""
        if self.held_out is None:
            return []
        return DataLoader(_Batches(self.held_out, self.batch_size, None), batch_size=None)


class _Batches(IterableDataset[Events]):
    """Batches of a log, shuffled if there is a generator."""

    def __init__(self, log: ScaledLog, batch_size: int, generator: torch.Generator | None) -> None:
        self.log = log
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self) -> int:
        return math.ceil(self.log.n_series / self.batch_size)

    def __iter__(self) -> Iterator[Events]:
        order = torch.arange(self.log.n_series)
        if self.generator is not None:
            order = torch.randperm(self.log.n_series, generator=self.generator)
        return map(self.log.events, order.split(self.batch_size))


def _n_told(batch: Events) -> int:
    return max(int(batch.told().sum()), 1)
