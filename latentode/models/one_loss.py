"""Lightning modules with one loss: its steps, what is logged, and how divergence is told."""

from typing import Any

import lightning
import torch
from torch import Tensor

from latentode.models.checkpointed import Checkpointed
from latentode.models.optimizer import adamw_with_one_cycle
from latentode.solvers import SolverError


class OneLoss(Checkpointed):
    """Minimise one loss with AdamW and one cycle of the learning rate.

    Parameters
    ----------
    learning_rate : float
        Its largest value.
    weight_decay : float
        Decay of matrices.

    Raises
    ------
    FloatingPointError
        In training, if the loss is not finite or an equation cannot be solved.
    """

    def __init__(self, *, learning_rate: float, weight_decay: float) -> None:
        super().__init__()
        self.learning_rate = float(learning_rate)  # numpy's own would be in every checkpoint
        self.weight_decay = float(weight_decay)
        self._epoch: list[Tensor] = []

    def loss_of(self, batch: Any) -> Tensor:  # noqa: ANN401  each has batches of its own
        """Give the mean loss of a batch."""
        raise NotImplementedError

    def weight_of(self, batch: Any) -> int:  # noqa: ANN401
        """Give how much a batch counts in validation."""
        raise NotImplementedError

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401
        """Give the loss of a batch."""
        try:
            loss = self.loss_of(batch)
        except (SolverError, ValueError) as error:  # odeint refuses a state that is not finite
            of_torch = "to satisfy the constraint" in str(error)  # for a normal around NaN
            what = "the network gives NaN." if of_torch else str(error)
            raise diverged(self, batch_idx, what) from error
        if not bool(loss.isfinite()):
            raise diverged(self, batch_idx, f"the loss is {float(loss.detach())}.")
        self._epoch.append(loss.detach())
        return loss

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        """Log the mean loss of an epoch at its end: logging costs as much as a small step."""
        if epoch_ends(self.trainer):
            self.log("train_loss", torch.stack(self._epoch).mean())
            self._epoch.clear()

    def validation_step(self, batch: Any, batch_idx: int) -> None:  # noqa: ANN401
        """Log ``val_loss``."""
        loss, weight = self.loss_of(batch), self.weight_of(batch)
        self.log("val_loss", loss, on_step=False, on_epoch=True, batch_size=weight)

    def configure_optimizers(self) -> Any:  # noqa: ANN401  Lightning's own union of dicts
        """Give AdamW with one cycle of the learning rate over the whole training."""
        return adamw_with_one_cycle(
            self, learning_rate=self.learning_rate, weight_decay=self.weight_decay
        )


def epoch_ends(trainer: lightning.Trainer) -> bool:
    """Tell, after a step, whether it is the last of its epoch, or of the training."""
    at_most = trainer.global_step == trainer.max_steps
    return trainer.is_last_batch or trainer.should_stop or at_most


def diverged(module: lightning.LightningModule, batch_idx: int, what: str) -> FloatingPointError:
    """Give the error of a training that went astray."""
    return FloatingPointError(
        f"training diverged in epoch {module.current_epoch}, batch {batch_idx}: {what} Lower "
        "learning_rate, or look for outliers in the data."
    )
