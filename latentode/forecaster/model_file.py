"""The file of a model: safetensors with a header of JSON, and one checksum over every byte.

It is an ordinary safetensors file. Its metadata has one entry, ``latentode``, which is text of
JSON and begins with the checksum: the SHA-256 of the whole file with zeros in the checksum's own
place. Nothing in it is code, and nothing of it is looked up by a name that it gives.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from torch import Tensor

from latentode import __version__
from latentode.forecaster.atomic import replace_file

# What this version writes, and the newest that it reads.
FORMAT = 1
# A safetensors file begins with the length of its header, which no reader takes to be longer.
_PREFIX, _LONGEST_HEADER = 8, 100_000_000
# How the metadata begins, inside the header of safetensors.
_OPENING = b'{"__metadata__":{"latentode":"{\\"sha256\\":\\"'
_DIGEST = slice(_PREFIX + len(_OPENING), _PREFIX + len(_OPENING) + 64)
_BLANK = "0" * 64
_SAVED = "give the path of a file that model.save(path) wrote"
_AGAIN = "copy the file again from where it came, or save the model anew: model.save(path)"


class ModelFileError(ValueError):
    """Say why a file cannot be read as a model, and what to do about it.

    Parameters
    ----------
    what : str
        What is wrong with which file.
    fix : str
        What to do.

    Examples
    --------
    >>> print(ModelFileError("m.lode is damaged.", "copy it again"))
    m.lode is damaged.
    Fix: copy it again
    """

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what, fix)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\nFix: {self.fix}"


class Content(NamedTuple):
    """What a model file holds: JSON, and tensors by their names."""

    header: dict[str, Any]
    tensors: dict[str, Tensor]


def write_model_file(path: str | os.PathLike[str], content: Content) -> None:
    """Write a model file, at once or not at all; the same content gives the same bytes.

    Parameters
    ----------
    path : path
        The file; one that is there is replaced.
    content : Content
        What it is to hold.

    Raises
    ------
    OSError
        If it cannot be written; an old file is then as it was.
    ValueError
        If the header is longer than safetensors may have.
    """
    header = {"sha256": _BLANK, "format": FORMAT, "latentode": __version__, **content.header}
    text = json.dumps(header, separators=(",", ":"), allow_nan=False)
    tensors = {name: tensor.contiguous() for name, tensor in content.tensors.items()}
    data = bytearray(safetensors.torch.save(tensors, {"latentode": text}))
    if _header_length(data) > _LONGEST_HEADER:
        raise ValueError(
            f"the header of the file, with the ids of all series, would be of "
            f"{_header_length(data):,} bytes, more than the {_LONGEST_HEADER:,} that safetensors "
            "may have.\nFix: model.set_context(df)  # with fewer series, or shorter ids"
        )
    data[_DIGEST] = hashlib.sha256(data).hexdigest().encode()
    replace_file(path, data)


def read_model_file(path: str | os.PathLike[str]) -> Content:
    """Read a model file, if every byte of it is as it was written.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    Content
        What `write_model_file` was given.

    Raises
    ------
    OSError
        If it cannot be read.
    ModelFileError
        If it is no model file, is damaged, or comes from a later version.
    """
    name = Path(path).name
    data = bytearray(Path(path).read_bytes())
    _check_frame(data, name)
    _check_digest(data, name)
    header = _metadata(data)
    if header["format"] > FORMAT:
        raise ModelFileError(
            f"{name} was written by latentode {header['latentode']}, in format "
            f"{header['format']}; this is latentode {__version__}, which reads up to {FORMAT}.",
            "python -m pip install --upgrade latentode",
        )
    return Content(header, safetensors.torch.load(bytes(data)))


def _check_frame(data: bytearray, name: str) -> None:
    """Refuse what is no safetensors file of ours, before anything is made of its numbers."""
    if len(data) < _DIGEST.stop:
        raise ModelFileError(
            f"{name} is no model file of latentode, or was cut off: it has {len(data)} bytes.",
            _SAVED,
        )
    if not data[_PREFIX : _DIGEST.start] == _OPENING:
        raise ModelFileError(
            f"{name} is no model file of latentode, or its beginning is damaged.", _SAVED
        )
    room = len(data) - _PREFIX
    if _header_length(data) > min(room, _LONGEST_HEADER):
        raise ModelFileError(
            f"{name} is damaged or was cut off: its header is to have {_header_length(data):,} "
            f"bytes, and the file has {room:,} for it.",
            _AGAIN,
        )


def _check_digest(data: bytearray, name: str) -> None:
    stated = bytes(data[_DIGEST]).decode("ascii", errors="replace")
    blank = bytearray(data)
    blank[_DIGEST] = _BLANK.encode()
    found = hashlib.sha256(blank).hexdigest()
    if stated != found:
        shown = stated if re.fullmatch("[0-9a-f]{64}", stated) else "no such number"
        raise ModelFileError(
            f"{name} is damaged: its checksum is {found[:16]}..., and that of the file as it was "
            f"written is {shown[:16]}{'...' if shown == stated else ''}.",
            _AGAIN,
        )


def _header_length(data: bytearray) -> int:
    return int.from_bytes(data[:_PREFIX], "little")


def _metadata(data: bytearray) -> dict[str, Any]:
    header: Mapping[str, Any] = json.loads(data[_PREFIX : _PREFIX + _header_length(data)])
    metadata: dict[str, Any] = json.loads(header["__metadata__"]["latentode"])
    return metadata
