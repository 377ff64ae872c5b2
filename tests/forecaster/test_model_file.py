"""A model file is read as it was written, or refused."""

import json

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from latentode import ModelFileError
from latentode.forecaster import model_file
from latentode.forecaster.model_file import Content, read_model_file, write_model_file


@pytest.fixture
def content():
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b/c": torch.tensor([True, False])}
    return Content({"ids": ["a", 'quo"te'], "sha256 of nothing": None}, tensors)


@pytest.fixture
def path(tmp_path, content):
    write_model_file(tmp_path / "m.lode", content)
    return tmp_path / "m.lode"


def test_what_was_written_is_read(path, content):
    header, tensors = read_model_file(path)
    assert header.items() >= content.header.items()
    assert tensors.keys() == content.tensors.keys()
    assert all(torch.equal(tensors[name], content.tensors[name]) for name in tensors)


def test_the_same_content_gives_the_same_bytes(path, content, tmp_path):
    write_model_file(tmp_path / "again", content)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_it_is_an_ordinary_safetensors_file(path):
    with safetensors.safe_open(path, framework="pt") as file:
        assert set(file.keys()) == {"a", "b/c"}
        assert json.loads(file.metadata()["latentode"])["format"] == model_file.FORMAT


def test_every_flipped_bit_is_caught(path):
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    first = range(8 * 200)  # all of the beginning, where lengths and the checksum stand
    for bit in [*first, *rng.integers(0, 8 * len(data), 200)]:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match="damaged"):
            read_model_file(path)


def test_every_truncation_and_every_byte_more_is_caught(path):
    data = path.read_bytes()
    for n in range(len(data)):
        path.write_bytes(data[:n])
        with pytest.raises(ModelFileError, match=r"cut off|damaged"):
            read_model_file(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(ModelFileError, match="its checksum is"):
        read_model_file(path)


def test_a_header_longer_than_the_file_is_not_read(path):
    data = bytearray(path.read_bytes())
    data[:8] = (2**63).to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="9,223,372,036,854,775,808 bytes"):
        read_model_file(path)


@pytest.mark.parametrize(
    "data", [b"", b"PK\3\4" * 100, b"\x80\x04." + bytes(500), b"\x89HDF\r\n\x1a\n" + bytes(500)]
)
def test_other_files_are_refused(path, data):
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=r"m\.lode is no model file .*\nFix: give the path"):
        read_model_file(path)


def test_a_safetensors_file_of_others_is_refused(path):
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(100)}, {"format": "pt"}))
    with pytest.raises(ModelFileError, match="no model file of latentode"):
        read_model_file(path)


def test_a_later_format_asks_for_a_later_version(path, content, monkeypatch):
    with monkeypatch.context() as later:
        later.setattr(model_file, "FORMAT", 2)
        later.setattr(model_file, "__version__", "9.0")
        write_model_file(path, content)
    with pytest.raises(ModelFileError, match=r"by latentode 9\.0, in format 2; .*\nFix: python"):
        read_model_file(path)


def test_a_header_that_no_reader_would_take_is_not_written(path, content, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(model_file, "_LONGEST_HEADER", 100)
    with pytest.raises(ValueError, match="more than the 100 that safetensors"):
        write_model_file(path, content)
    assert path.read_bytes() == before


def test_there_is_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_model_file(tmp_path / "missing")
