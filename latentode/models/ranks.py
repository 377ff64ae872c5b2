"""Processes of one machine that train together: started, watched, and ended together.

They are started from nothing but a file, so that neither the script of the user nor what its
process has done before matters: no main guard is needed, and it may be a notebook or a test.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import cloudpickle
import torch
import torch.distributed

_RANK = Path(__file__).with_name("rank.py")
_LOOK = 0.05  # seconds between two looks at the processes
_LOOPBACK = {"linux": "lo", "darwin": "lo0"}

T = TypeVar("T")


class RankError(RuntimeError):
    """Say how a process that trained together with others ended."""


def run_ranks(
    function: Callable[..., T],
    n_ranks: int,
    *,
    own: Sequence[Any] | None = None,
    backend: str = "gloo",
) -> T:
    """Run a function in several processes at once, in a process group of `torch.distributed`.

    Parameters
    ----------
    function : callable
        What each process runs; it may be defined in the script itself.
    n_ranks : int
        How many processes.
    own : sequence, optional
        What the function is given, one for each process; by default it is called with nothing.
    backend : str, default="gloo"
        How they talk to each other: "gloo", or "nccl" on GPUs.

    Returns
    -------
    object
        What the function gave on rank 0.

    Raises
    ------
    ValueError
        If ``own`` has another length.
    Exception
        What the function raised in the process that failed first, from a `RankError` with its
        traceback.
    RankError
        If a process ended in another way.

    Examples
    --------
    >>> run_ranks(abs, 1, own=[-42])
    42
    """
    if own is not None and len(own) != n_ranks:
        raise ValueError(
            f"own has {len(own)} parts for n_ranks={n_ranks} processes: give one for each."
        )
    with tempfile.TemporaryDirectory(prefix="latentode-") as name:
        folder = Path(name)
        (folder / "job").write_bytes(cloudpickle.dumps(function))
        for rank in range(n_ranks):
            arguments = [] if own is None else [own[rank]]
            (folder / f"own-{rank}").write_bytes(cloudpickle.dumps(arguments))
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(n_ranks):
                processes.append(_start(folder, rank, n_ranks, backend))
            _wait(processes, folder)
        finally:
            _end(processes)
        result: T = pickle.loads((folder / "result").read_bytes())
        return result


def from_first(number: float) -> float:
    """Give the number that rank 0 has, on all ranks: clocks of processes tell different times."""
    numbers = [number]
    torch.distributed.broadcast_object_list(numbers, src=0)
    return numbers[0]


def _start(folder: Path, rank: int, n_ranks: int, backend: str) -> "subprocess.Popen[bytes]":
    # Run as a file, it imports no more than its job needs; and -P finds no other file beside it.
    command = [sys.executable, "-P", str(_RANK), str(folder), str(rank)]
    n_threads = max(torch.get_num_threads() // n_ranks, 1)
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": str(n_threads),
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
    }
    env.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # it warns where every weight is needed
    if sys.platform in _LOOPBACK:
        # All are on this machine, whose name need not be known to any network.
        env.setdefault("GLOO_SOCKET_IFNAME", _LOOPBACK[sys.platform])
    # A session of their own keeps Ctrl-C away from them, and the end of stdin tells them that
    # this process is no more.
    return subprocess.Popen(
        [*command, str(n_ranks), backend], stdin=subprocess.PIPE, env=env, start_new_session=True
    )


def _wait(processes: Sequence["subprocess.Popen[bytes]"], folder: Path) -> None:
    """Wait until all have ended well, or raise the error of the first that has not."""
    codes: list[int | None] = [None]
    while None in codes:
        codes = [process.poll() for process in processes]
        if any(codes):
            _fail(codes, folder)
        time.sleep(_LOOK)


def _fail(codes: Sequence[int | None], folder: Path) -> NoReturn:
    """Raise what ended the process that failed first: others then fail for want of it."""
    paths = [folder / f"error-{rank}" for rank in range(len(codes))]
    # One that was killed has left nothing, and the others fail after it.
    killed = [rank for rank, code in enumerate(codes) if code and not paths[rank].exists()]
    if killed:
        raise RankError(f"process {killed[0]} ended with code {codes[killed[0]]}.")
    told_by = [rank for rank, path in enumerate(paths) if path.exists()]
    rank = min(told_by, key=lambda rank: paths[rank].stat().st_mtime_ns)
    error, text = pickle.loads(paths[rank].read_bytes())
    told = RankError(f"process {rank} failed:\n{text}")
    if error is None:
        raise told
    raise error from told


def _end(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Leave no process, whatever it is doing."""
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
