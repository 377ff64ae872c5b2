"""Training that can be gone on with: its state handed over again and again, and taken back."""

import time
from collections.abc import Callable
from typing import Any

import lightning
import numpy as np
import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.callbacks import Callback, Checkpoint

from latentode.models.one_loss import epoch_ends

# Seconds between two states at least, and how many times what writing one takes: 5 % of the time.
_LEAST_SECONDS, _TIMES_WRITING = 1.0, 20.0

State = dict[str, Any]
Write = Callable[[State], None]


class HandState(Checkpoint):
    """Hand the state of a training over: between batches, and at the end of epochs.

    Training never is more than a second ahead of the state that was handed over last, or 20 times
    as long as that took. With several devices it is handed over at the end of epochs alone, which
    is where all of them are at the same point.
    """

    def __init__(self) -> None:
        self._due = 0.0

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        *_: object,
    ) -> None:
        """Hand over after a batch that is not the last of its epoch."""
        if trainer.world_size == 1 and not epoch_ends(trainer) and self._is_due():
            self._hand(trainer)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Hand over after an epoch and its validation, unless it is the last."""
        # Averaged weights are put in place at the end, which Lightning leaves out if there is
        # nothing to train.
        is_last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if not is_last and trainer.strategy.broadcast(self._is_due()):
            self._hand(trainer)

    def _is_due(self) -> bool:
        return time.monotonic() >= self._due

    def _hand(self, trainer: lightning.Trainer) -> None:
        began = time.monotonic()
        trainer.save_checkpoint("state")
        ended = time.monotonic()
        self._due = ended + max(_LEAST_SECONDS, _TIMES_WRITING * (ended - began))


class InHand(CheckpointIO):
    """Where Lightning writes checkpoints to and reads them from: what was handed over.

    Parameters
    ----------
    write : callable
        Is given each state.
    state : dict, optional
        The state to go on from.
    """

    def __init__(self, write: Write, state: State | None = None) -> None:
        self._write = write
        self._state = state

    def save_checkpoint(
        self,
        checkpoint: State,
        path: object,
        storage_options: object = None,
    ) -> None:
        """Hand a state over."""
        self._write(checkpoint)

    def load_checkpoint(self, path: object, *_: object, **__: object) -> State:
        """Give the state to go on from."""
        assert self._state is not None
        return self._state

    def remove_checkpoint(self, path: object) -> None:
        """Keep what was handed over, which is not ours."""


class OwnDraws(Callback):
    """Draw in each training step from a seed of its own, whatever was drawn before.

    Parameters
    ----------
    seed : int
        The seed of all of them.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Seed torch for this batch on this rank."""
        numbers = [self.seed, trainer.current_epoch, batch_idx, trainer.global_rank]
        seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
        if pl_module.device.type == "cpu":
            # To seed all devices keeps a note, with a traceback, for each that is not in use.
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
