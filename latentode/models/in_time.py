"""Training that is over in time: a clock, how long a training may last, and who stops it."""

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch.optim.lr_scheduler import LambdaLR

if TYPE_CHECKING:
    from latentode.models.training import KeepBest


class Clock:
    """Count the seconds of a training, also in other processes of the machine.

    Parameters
    ----------
    before : float, default=0.0
        Seconds that it took before it was interrupted.
    """

    def __init__(self, before: float = 0.0) -> None:
        self._began = time.monotonic() - before

    @property
    def seconds(self) -> float:
        """How long the training has taken."""
        return time.monotonic() - self._began


class Span(NamedTuple):
    """How long a training may last.

    Attributes
    ----------
    clock : Clock
        What tells the time.
    begin, end : float
        When it begins and has to end, in seconds of the clock.
    least_epochs : int
        Epochs that are trained however long they take.
    """

    clock: Clock
    begin: float
    end: float
    least_epochs: int = 1

    @property
    def share(self) -> float:
        """What part of the time is over; 1 and more where none is left."""
        if self.end <= self.begin:
            return 1.0
        return (self.clock.seconds - self.begin) / (self.end - self.begin)


class EndInTime(Callback):
    """Stop training after the step with which its time is over, on all devices after the same.

    The cycle of the learning rate goes with the time where this is ahead of the steps, so that
    training comes to rest as it does after all its epochs.

    Parameters
    ----------
    span : Span
        How long training may last.
    best : KeepBest
        What keeps the losses of each epoch, to which ``out_of_time`` is added in the end: whether
        this epoch was the last for want of time.
    """

    def __init__(self, span: Span, best: "KeepBest") -> None:
        self.span = span
        self._best = best
        self._has_stopped = False

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        *_: object,
    ) -> None:
        """Stop, or see that the learning rate is that of the time."""
        share = self._agreed_share(trainer, pl_module)
        n_least = self.span.least_epochs * int(trainer.num_training_batches)
        if trainer.global_step < n_least:
            share = min(share, trainer.global_step / n_least)
        elif share >= 1:
            self._stop(trainer)
        _hurry(trainer, share)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Say which epoch was the last for want of time, if one was."""
        history = self._best.history
        for losses in history:
            losses["out_of_time"] = self._has_stopped and losses is history[-1]

    def _agreed_share(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> float:
        if trainer.world_size == 1:
            return self.span.share
        own = torch.tensor(self.span.share, device=pl_module.device)
        return float(trainer.strategy.reduce(own, reduce_op="max"))

    def _stop(self, trainer: lightning.Trainer) -> None:
        if trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs:
            return
        self._has_stopped = trainer.should_stop = True


def _hurry(trainer: lightning.Trainer, share: float) -> None:
    """Set the learning rate of the next step to that of a share of all steps, if that is later."""
    step = int(share * trainer.estimated_stepping_batches)
    for config in trainer.lr_scheduler_configs:
        schedule: Any = config.scheduler
        if not isinstance(schedule, LambdaLR) or step <= schedule.last_epoch:
            continue
        groups = schedule.optimizer.param_groups
        parts = zip(groups, schedule.base_lrs, schedule.lr_lambdas, strict=True)
        for group, rate, factor in parts:
            group["lr"] = rate * factor(step)
