"""Processes that train together: one result, every error, and none of them left."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from latentode.models import RankError, run_ranks


class OwnError(Exception):
    """An error of a library that a training may raise."""


@pytest.mark.slow
def test_all_ranks_run_and_the_first_one_answers():
    def sums():
        rank = torch.distributed.get_rank()
        total = torch.tensor([float(rank + 1)])
        torch.distributed.all_reduce(total)
        return rank, float(total), os.getpid()

    rank, total, pid = run_ranks(sums, 2)
    assert (rank, total) == (0, 3.0)
    assert pid != os.getpid()


@pytest.mark.parametrize("own", [[], [1], [1, 2, 3]])
def test_each_rank_must_have_its_own(own):
    with pytest.raises(ValueError, match=f"own has {len(own)} parts for n_ranks=2 processes"):
        run_ranks(abs, 2, own=own)


@pytest.mark.slow
def test_each_rank_is_given_its_own():
    def gathered(own):
        every = [None] * 2
        torch.distributed.all_gather_object(every, own)
        return every

    assert run_ranks(gathered, 2, own=["a", "b"]) == ["a", "b"]


def test_the_error_of_a_rank_comes_back_with_its_traceback():
    def fails():
        if torch.distributed.get_rank() == 1:
            raise OwnError("series 7 is odd")
        torch.distributed.barrier()  # which fails when the other one is gone

    with pytest.raises(OwnError, match="series 7 is odd") as raised:
        run_ranks(fails, 2)
    assert isinstance(raised.value.__cause__, RankError)
    assert "in fails" in str(raised.value.__cause__)


def test_a_rank_that_is_killed_is_told():
    def dies():
        if torch.distributed.get_rank() == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    with pytest.raises(RankError, match="process 0 ended with code -9"):
        run_ranks(dies, 2)


SCRIPT = """
    import os, time
    from pathlib import Path
    import torch
    from latentode.models import run_ranks

    def waits():
        path = Path({folder!r}, str(torch.distributed.get_rank()))
        path.with_suffix(".new").write_text(str(os.getpid()))
        path.with_suffix(".new").rename(path)
        time.sleep(100)

    run_ranks(waits, 2)
"""


def is_alive(pid):
    """Say whether a process runs; one that has ended may still wait to be looked after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes in /proc")
@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left(end, tmp_path):
    script = textwrap.dedent(SCRIPT.format(folder=str(tmp_path)))
    # As in a terminal: a process that is started in the background may ignore Ctrl-C.
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + script
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    paths = [tmp_path / "0", tmp_path / "1"]
    wait_until(lambda: all(path.exists() for path in paths))
    pids = [int(path.read_text()) for path in paths]
    assert all(map(is_alive, pids))
    process.send_signal(end)
    process.communicate(timeout=60)
    assert process.returncode != 0
    wait_until(lambda: not any(map(is_alive, pids)))


def wait_until(is_so):
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.1)
    raise AssertionError("did not come about within a minute")
