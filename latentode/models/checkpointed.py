"""What a checkpoint says of how a module was made, and what it takes to have the module back."""

import inspect
import warnings
from typing import IO, Any, Self

import lightning
from lightning.fabric.utilities.types import _MAP_LOCATION_TYPE, _PATH

Plain = bool | int | float | str | None


class Checkpointed(lightning.LightningModule):
    """A module whose checkpoints hold nothing but numbers, text and tensors.

    Arguments that are numbers or text are in ``hparams``, and so in every checkpoint and logger.
    Parts, such as an encoder, are handed in again; a checkpoint says how they were set, and a
    part that is set otherwise is told of.
    """

    _is_kept = False

    def keep(self, made_by: type, **arguments: Plain) -> None:
        """Keep plain arguments of a constructor in ``hparams``.

        A class of the user's own has a constructor of its own, whose arguments are other ones: it
        keeps them by ``save_hyperparameters``.
        """
        if type(self).__init__ is made_by.__init__:  # type: ignore[misc]
            self.hparams.update({name: _plain(value) for name, value in arguments.items()})
            self._is_kept = True

    def on_fit_start(self) -> None:
        """Tell the loggers what was kept; Lightning tells what a user's own class has saved."""
        if self._is_kept:
            for logger in self.loggers:
                logger.log_hyperparams(dict(self.hparams))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add how the parts are set."""
        checkpoint["parts"] = _settings(self)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Warn of parts that are set otherwise than those whose weights these are."""
        ours, theirs = _settings(self), checkpoint.get("parts", {})
        changed = [name for name in ours if name in theirs and ours[name] != theirs[name]]
        if changed:
            told = ", ".join(f"{name} is {ours[name]}, and was {theirs[name]}" for name in changed)
            warnings.warn(
                f"the parts are not made as those of the checkpoint: {told}. Its weights may mean "
                "something else now.",
                stacklevel=2,
            )

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: _PATH | IO[bytes],
        map_location: _MAP_LOCATION_TYPE = None,
        hparams_file: _PATH | None = None,
        strict: bool | None = None,  # noqa: FBT001  as Lightning has it
        weights_only: bool | None = True,  # noqa: FBT001, FBT002
        **arguments: Any,  # noqa: ANN401
    ) -> Self:
        """Give the module of a checkpoint, from parts that are made as they were for it.

        Parameters
        ----------
        checkpoint_path : path or file
            The checkpoint.
        map_location : device, optional
            Where to put the weights.
        hparams_file : path, optional
            A file of arguments, to be used instead of those in the checkpoint.
        strict : bool, optional
            Whether every weight must be there.
        weights_only : bool, default=True
            Whether to refuse a file that holds anything but numbers, text and tensors.
        **arguments
            The parts; and arguments to be used instead of those in the checkpoint.

        Returns
        -------
        Checkpointed
            The module.

        Raises
        ------
        TypeError
            If a part is missing.
        """
        missing = [name for name in _parts(cls) if name not in arguments]
        if missing:
            given = ", ".join(f"{name}={name}" for name in _parts(cls))
            raise TypeError(
                f"a checkpoint holds the weights of a {cls.__name__}, and not the parts "
                f"themselves: {', '.join(missing)} must be given, made as for the training.\n"
                f"Fix: {cls.__name__}.load_from_checkpoint(path, {given})"
            )
        module: Self = super().load_from_checkpoint(
            checkpoint_path, map_location, hparams_file, strict, weights_only, **arguments
        )
        return module


def _parts(cls: type) -> list[str]:
    """Give the arguments that a class of ours needs; one of the user's own may have kept them."""
    init = cls.__init__  # type: ignore[misc]
    if init.__module__.partition(".")[0] != __name__.partition(".")[0]:
        return []
    _, *parameters = inspect.signature(init).parameters.values()
    return [parameter.name for parameter in parameters if parameter.default is parameter.empty]


def _settings(module: lightning.LightningModule) -> dict[str, Plain]:
    """Give how the parts of a module are set: what they have of numbers and text."""
    return {
        f"{part}.{name}": _plain(value)
        for part, of in module.named_modules()
        for name, value in vars(of).items()
        if of is not module and name != "training" and not name.startswith("_")
        if isinstance(value, bool | int | float | str)
    }


def _plain(value: Any) -> Plain:  # noqa: ANN401
    """Give a number of numpy or torch as one of Python."""
    plain: Plain = value.item() if hasattr(value, "item") else value
    return plain
