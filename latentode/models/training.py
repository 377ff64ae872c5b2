"""Train a module quietly: best weights kept in memory, a throttled bar, no files."""

import contextlib
import copy
import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from latentode.models.going_on import HandState, InHand, OwnDraws, State, Write
from latentode.models.in_time import EndInTime, Span
from latentode.models.progress import progress_bar
from latentode.solvers.checks import check_part

_RANDOM_STATE = threading.RLock()
# What is logged and not kept: it is another every time.
_PASSING = {"rows_per_second"}
# What a checkpoint holds of the best epoch.
_REMEMBERED = ("best_epoch", "best_loss", "history", "_best_weights")


class KeepBest(Callback):
    """Keep the weights of the epoch with the lowest ``val_loss``, and stop when it is long past.

    Parameters
    ----------
    patience : int or None
        Epochs without a better loss after which training stops; None never stops it.

    Attributes
    ----------
    best_epoch : int or None
        Number of epochs trained at the lowest loss.
    history : list of dict
        The logged losses of each epoch.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.best_epoch: int | None = None
        self.best_loss = float("inf")
        self.history: list[dict[str, float]] = []
        self._validated: dict[str, Tensor] | None = None
        self._best_weights: dict[str, Tensor] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Give what there is to remember, for a checkpoint."""
        return {name: getattr(self, name) for name in _REMEMBERED}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember what a checkpoint did."""
        for name in _REMEMBERED:
            setattr(self, name, state_dict[name])

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Stop at once if training was over when its state was kept."""
        trainer.should_stop |= self._is_over(trainer.current_epoch)

    def on_validation_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Copy the weights that were validated: averaged ones are taken away after this."""
        self._validated = copy.deepcopy(pl_module.state_dict())

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Compare the epoch with the best one so far."""
        logged = trainer.callback_metrics.items()
        losses = {name: float(loss) for name, loss in logged if name not in _PASSING}
        self.history.append({"epoch": trainer.current_epoch, **losses})
        val_loss = losses.get("val_loss")
        if val_loss is None:
            return
        if val_loss < self.best_loss:
            self.best_loss, self.best_epoch = val_loss, trainer.current_epoch + 1
            self._best_weights = self._validated
        trainer.should_stop |= self._is_over(trainer.current_epoch + 1)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Put the best weights back."""
        if self._best_weights is not None:
            pl_module.load_state_dict(self._best_weights)

    def _is_over(self, n_epochs: int) -> bool:
        if not self.patience or self.best_epoch is None:
            return False
        return n_epochs - self.best_epoch > self.patience


class EpochBar(Callback):
    """One line of progress on standard error, renewed at most twice a second.

    Parameters
    ----------
    label : str
        What stands before the bar.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._bar: Any = None

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Begin the bar."""
        self._bar = progress_bar(self.label, int(trainer.max_epochs or 0))

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Move the bar on."""
        shown = {
            name: f"{float(loss):.3f}"
            for name, loss in trainer.callback_metrics.items()
            if name in {"train_loss", "val_loss"}
        }
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def teardown(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Take the bar away, also after an error."""
        if self._bar is not None:
            self._bar.close()


def train(
    module: lightning.LightningModule,
    data: lightning.LightningDataModule,
    *,
    max_epochs: int,
    patience: int | None,
    accelerator: str,
    label: str | None,
    averaging: float = 0.0,
    logger: object = None,
    seed: int | None = None,
    keep: Write | None = None,
    state: State | None = None,
    devices: int = 1,
    span: Span | None = None,
) -> list[dict[str, float]]:
    """Train a module in place, and leave it with the weights of its best epoch.

    Parameters
    ----------
    module : LightningModule
        The module; it logs ``train_loss`` and ``val_loss``.
    data : LightningDataModule
        Its batches.
    max_epochs : int
        Epochs at most.
    patience : int or None
        Epochs without a lower ``val_loss`` after which to stop.
    accelerator : str
        Lightning's name of a device, as "cpu" or "auto".
    label : str or None
        Label of the progress bar; None for none.
    averaging : float, default=0.0
        Decay of the moving average of the weights, which is validated and kept; 0 for none.
    logger : lightning.pytorch.loggers.Logger, optional
        Where to log the losses of each epoch; by default nothing is written.
    seed : int, optional
        Seed of what is drawn in training, such as dropout; by default drawn from torch's state.
    keep : callable, optional
        Is given the state of the training again and again, made of numbers, text and tensors.
    state : dict, optional
        The state to go on from, as ``keep`` was given it: the weights in the end are those that
        they would have been, to the bit on a CPU.
    devices : int, default=1
        Devices to train on; with more than one, this is to run in a process of `run_ranks` on
        each of them.
    span : Span, optional
        How long to train at most; by default until all epochs are over.

    Returns
    -------
    list of dict
        The losses of each epoch; with a span, also ``out_of_time``: whether training ended with
        it for want of time, maybe before its last step.
    """
    check_part("averaging", averaging)
    if logger is not None and not isinstance(logger, Logger):
        raise TypeError(
            f"logger must be one of Lightning's, or None, not {type(logger).__name__}.\n"
            "Fix: logger = lightning.pytorch.loggers.CSVLogger('logs')"
        )
    best = KeepBest(patience)
    seed = int(torch.randint(2**62, ())) if seed is None else seed
    callbacks = _callbacks(best, seed, averaging, label)
    if span is not None:
        callbacks.append(EndInTime(span, best))
    if keep is not None:
        callbacks.append(HandState())
    # What the machine is part of, such as a cluster, does not matter to processes of our own.
    plugins: list[Any] = [] if devices == 1 else [LightningEnvironment()]
    if keep is not None:
        plugins.append(InHand(keep, state))
    with quiet():
        trainer = lightning.Trainer(
            max_epochs=max_epochs,
            accelerator=accelerator,
            devices=devices,
            # Not every batch needs every weight.
            strategy="auto" if devices == 1 else DDPStrategy(find_unused_parameters=True),
            gradient_clip_val=1.0,
            num_sanity_val_steps=0,
            logger=logger or False,
            log_every_n_steps=1,  # losses are logged once an epoch, at its last step
            enable_checkpointing=keep is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=callbacks,
            plugins=plugins,
        )
        _fit(trainer, module, data, None if state is None else "state")
    _forget(trainer, module, data)
    module.eval()
    return best.history


def _callbacks(best: KeepBest, seed: int, averaging: float, label: str | None) -> list[Callback]:
    # The best before the average, which it copies.
    callbacks: list[Callback] = [best, OwnDraws(seed)]
    if averaging:
        callbacks.append(WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(averaging)))
    if label is not None and not _rank():
        callbacks.append(EpochBar(label))
    return callbacks


def _forget(
    trainer: lightning.Trainer,
    module: lightning.LightningModule,
    data: lightning.LightningDataModule,
) -> None:
    """Let go of what a trainer holds: its parts hold each other, with all batches among them."""
    module.trainer = None
    data.trainer = None
    vars(trainer.strategy).clear()
    vars(trainer).clear()


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def _fit(
    trainer: lightning.Trainer,
    module: lightning.LightningModule,
    data: lightning.LightningDataModule,
    state: str | None,
) -> None:
    """Fit, and end by a signal as programs do."""
    try:
        trainer.fit(module, datamodule=data, ckpt_path=state)
    except SIGTERMException as error:
        raise SystemExit(128 + signal.SIGTERM) from error
    except SystemExit as error:  # how Lightning ends after Ctrl-C
        if trainer.interrupted:
            raise KeyboardInterrupt from error
        raise


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's tips and banners, for as long as this lasts and for nobody else."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextlib.contextmanager
def own_torch_state(seed: int) -> Iterator[None]:
    """Draw from a seed within, with gradients, and leave torch's state as it was.

    The random state is one for the whole process: threads wait for each other here.
    """
    with _RANDOM_STATE, torch.random.fork_rng():
        torch.manual_seed(seed)
        with torch.inference_mode(mode=False), torch.enable_grad():
            yield
