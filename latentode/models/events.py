"""Train point processes on logs of events."""

import math
from collections.abc import Iterator
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from latentode.data import ScaledLog
from latentode.models.optimizer import adamw_with_one_cycle
from latentode.nn import Events, PointProcess
from latentode.solvers import SolverError
from latentode.solvers.checks import check_sizes


class EventModel(lightning.LightningModule):
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
        super().__init__()
        self.process = process
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self._epoch: list[Tensor] = []

    def training_step(self, batch: Events, batch_idx: int) -> Tensor:
        """Give the loss of a batch."""
        try:
            loss = self._loss(batch)
        except (SolverError, ValueError) as error:  # odeint refuses a state that is not finite
            raise self._diverged(batch_idx, str(error)) from error
        if not bool(loss.isfinite()):
            raise self._diverged(batch_idx, f"the loss is {float(loss.detach())}.")
        self._epoch.append(loss.detach())
        return loss

    def on_train_batch_end(self, outputs: object, batch: Events, batch_idx: int) -> None:
        """Log the mean loss of an epoch at its end: logging costs as much as a small step."""
        if self.trainer.is_last_batch:
            self.log("train_loss", torch.stack(self._epoch).mean())
            self._epoch.clear()

    def validation_step(self, batch: Events, batch_idx: int) -> None:
        """Log ``val_loss``."""
        loss = self._loss(batch)
        self.log("val_loss", loss, on_step=False, on_epoch=True, batch_size=_n_told(batch))

    def configure_optimizers(self) -> Any:  # noqa: ANN401  Lightning's own union of dicts
        """Give AdamW with one cycle of the learning rate over the whole training."""
        return adamw_with_one_cycle(
            self, learning_rate=self.learning_rate, weight_decay=self.weight_decay
        )

    def _loss(self, batch: Events) -> Tensor:
        return -self.process.log_prob(batch).sum() / _n_told(batch)

    def _diverged(self, batch_idx: int, what: str) -> FloatingPointError:
        return FloatingPointError(
            f"training diverged in epoch {self.current_epoch}, batch {batch_idx}: {what} Lower "
            "learning_rate, or look for outliers in the data."
        )


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
