"""A training that is kept in a file, so that it can be gone on with after whatever ended it."""

import hashlib
import io
import json
import os
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentode import __version__
from latentode.data import Panel
from latentode.data.errors import as_code
from latentode.forecaster.atomic import replace_file
from latentode.forecaster.records import take_apart
from latentode.forecaster.saving import check_labels_of
from latentode.models import Clock, LatentModel, SeriesDataModule, train

# The first line of the file; the second is the SHA-256 of the rest, which torch wrote.
_FIRST_LINE = b"latentode training 2\n"
_BEGIN = len(_FIRST_LINE) + 65

History = list[dict[str, float]]


class ResumeError(ValueError):
    """Say why a training cannot be gone on with, and what to do about it.

    Parameters
    ----------
    what : str
        What is wrong with which file.
    fix : str
        What to do.

    Examples
    --------
    >>> print(ResumeError("run.state is damaged.", "remove it"))
    run.state is damaged.
    Fix: remove it
    """

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what, fix)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\nFix: {self.fix}"


class Stage(NamedTuple):
    """A stage of training that is over: its losses, and the weights that it left."""

    history: History
    weights: dict[str, Tensor]


class Training:
    """The stages of a training: each trained, gone on with, or taken as it was left.

    Parameters
    ----------
    seed : int
        Seed of all that is drawn.
    path : path, optional
        The file that keeps the state; none by default.
    saved : dict, optional
        What that file holds.

    Attributes
    ----------
    clock : Clock
        Counts the seconds of this training, those before an interruption included.
    begun : dict of str to float
        At which second each stage began.
    """

    def __init__(
        self, seed: int, path: Path | None = None, saved: Mapping[str, Any] | None = None
    ) -> None:
        self.seed = seed if saved is None else saved["seed"]
        self._path = path
        self._of = None if saved is None else saved["of"]
        self._done = {} if saved is None else {k: Stage(*v) for k, v in saved["done"].items()}
        self._running = (None, None) if saved is None else saved["running"]
        self.clock = Clock(0.0 if saved is None else saved["seconds"])
        self.begun: dict[str, float] = {} if saved is None else saved["begun"]

    def check(self, parameters: Mapping[str, object], data: Panel | str) -> None:
        """Refuse to go on with other parameters or other data: a panel, or its fingerprint.

        Raises
        ------
        ResumeError
            If they are not those that the training began with.
        TypeError
            If a parameter or an id is of a type that a file has no form for.
        """
        if self._path is None:
            return
        of_data = data if isinstance(data, str) else fingerprint(data)
        now = {"parameters": dict(parameters), "data": of_data}
        if self._of is not None:
            _check_same(self._of, now, self._path)
        self._of = now

    def train(
        self,
        stage: str,
        module: LatentModel,
        data: SeriesDataModule,
        **options: Any,  # noqa: ANN401  those of `train`
    ) -> History:
        """Leave a module with the weights of a stage, and give its losses."""
        if stage in self._done:
            return self.restore(stage, module)
        running, state = self._running
        numbers = np.random.SeedSequence([self.seed, zlib.crc32(stage.encode())])
        history = train(
            module,
            data,
            seed=int(numbers.generate_state(1)[0]),
            keep=None if self._path is None else partial(self._write, stage),
            state=state if running == stage else None,
            **options,
        )
        weights = {name: weight.clone() for name, weight in module.state_dict().items()}
        self._done[stage] = Stage(history, weights)
        self._running = (None, None)
        if self._path is not None:
            self._write(None, None)
        return history

    def restore(self, stage: str, module: LatentModel) -> History:
        """Leave a module with the weights of a stage that is over, and give its losses."""
        done = self._done[stage]
        module.load_state_dict(done.weights)
        module.eval()
        return done.history

    def _write(self, stage: str | None, state: dict[str, Any] | None) -> None:
        buffer = io.BytesIO()
        done = {name: tuple(over) for name, over in self._done.items()}
        content = {
            "latentode": __version__,
            "seed": self.seed,
            "of": self._of,
            "done": done,
            "running": (stage, state),
            "seconds": self.clock.seconds,
            "begun": self.begun,
        }
        torch.save(content, buffer)
        data = buffer.getvalue()
        digest = hashlib.sha256(data).hexdigest().encode()
        assert self._path is not None
        replace_file(self._path, _FIRST_LINE + digest + b"\n" + data)


def open_training(path: str | os.PathLike[str] | None, seed: int) -> Training:
    """Give the training that a file keeps, or a new one.

    Parameters
    ----------
    path : path, optional
        The file, which need not be there yet; by default nothing is kept.
    seed : int
        Seed of a new training; one that is gone on with has its own.

    Returns
    -------
    Training
        The training.

    Raises
    ------
    ResumeError
        If the file is there, and holds no training or is damaged.
    OSError
        If it cannot be read, or its folder is not there.
    """
    if path is None:
        return Training(seed)
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to keep {path.name} in.")
    return Training(seed, path, _read(path) if path.exists() else None)


def fingerprint(panel: Panel) -> str:
    """Give the SHA-256 of all that a panel holds.

    Raises
    ------
    TypeError
        If an id or the name of a column is of a type that a file has no form for.
    """
    check_labels_of(panel)
    tensors: dict[str, Tensor] = {}
    rest = take_apart(panel, "panel", tensors)
    digest = hashlib.sha256(json.dumps(rest).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    if not data.startswith(_FIRST_LINE):
        raise ResumeError(
            f"{path.name} holds no training that this version can go on with.",
            "give the path of a new file, or of one that fit(df, resume=path) wrote",
        )
    digest, rest = data[len(_FIRST_LINE) : _BEGIN - 1], data[_BEGIN:]
    if hashlib.sha256(rest).hexdigest().encode() != digest:
        raise ResumeError(f"{path.name} is damaged: its checksum is another.", _begin_anew(path))
    saved: dict[str, Any] = torch.load(io.BytesIO(rest), map_location="cpu", weights_only=True)
    return saved


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    old, new = before["parameters"], now["parameters"]
    differing = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if differing:
        changes = ", ".join(f"{name}={new.get(name)} (was {old.get(name)})" for name in differing)
        raise ResumeError(
            f"{path.name} keeps a training with other parameters: now {changes}.",
            _begin_anew(path),
        )
    if before["data"] != now["data"]:
        raise ResumeError(f"{path.name} keeps a training on other data.", _begin_anew(path))


def _begin_anew(path: Path) -> str:
    return f"pathlib.Path({as_code(str(path))}).unlink()  # to begin anew"
