"""Files are replaced at once or not at all."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from latentode.forecaster import atomic
from latentode.forecaster.atomic import replace_file


def test_the_content_is_what_was_given_and_nothing_is_left_behind(tmp_path):
    for content in (b"old", b"", bytes(range(256)) * 1000):
        replace_file(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    def no_room(*arguments):
        raise OSError(28, "No space left on device")

    (tmp_path / "file").write_bytes(b"old")
    home = atomic.os if step == "fsync" else atomic.Path
    monkeypatch.setattr(home, step, no_room)
    with pytest.raises(OSError, match="No space left"):
        replace_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_os_error(tmp_path, monkeypatch):
    full = Path("/dev/full")
    as_usual = Path.open
    monkeypatch.setattr(atomic.Path, "open", lambda path, mode: as_usual(full, "wb"))
    with pytest.raises(OSError, match="No space left"):
        replace_file(tmp_path / "file", b"new" * 10_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_are_kept_and_those_of_a_new_file_are_as_usual(tmp_path):
    (tmp_path / "usual").write_bytes(b"")
    replace_file(tmp_path / "new", b"")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode
    (tmp_path / "new").chmod(0o640)
    replace_file(tmp_path / "new", b"new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_link_stays_one(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    replace_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_folder_and_a_path_without_one_are_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"):
        replace_file(tmp_path, b"")
    with pytest.raises(FileNotFoundError, match=r"no folder .*missing to write file into"):
        replace_file(tmp_path / "missing" / "file", b"")


# The file alone, because importing the package takes seconds.
KILLED = """
import runpy, sys
replace_file = runpy.run_path(sys.argv[1])["replace_file"]
contents = [bytes([i]) * 1_000_000 for i in (1, 2)]
sys.stdout.write("ready\\n")
sys.stdout.flush()
while True:
    for content in contents:
        replace_file("file", content)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_process_killed_while_it_writes_leaves_the_old_file_or_the_new_one(tmp_path):
    contents = {bytes([i]) * 1_000_000 for i in (1, 2)}
    replace_file(tmp_path / "file", min(contents))
    for i in range(20):
        command = [sys.executable, "-c", KILLED, atomic.__file__]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"ready\n"
            time.sleep(0.002 * i)
            process.kill()
        assert (tmp_path / "file").read_bytes() in contents
