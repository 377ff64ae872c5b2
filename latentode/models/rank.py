"""What a process of `run_ranks` runs, as ``python -P rank.py ...``."""

import os
import pickle
import sys
import threading
import traceback
from pathlib import Path

import cloudpickle
import torch
import torch.distributed


def main(folder: Path, rank: int, n_ranks: int, backend: str) -> None:
    """Run the job of a folder, and leave there what it gave or how it failed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _run(folder, rank, n_ranks, backend)
    except BaseException as error:  # noqa: BLE001  it is raised again where it is waited for
        written = folder / f"written-{rank}"
        written.write_bytes(_as_bytes(error))
        written.rename(folder / f"error-{rank}")  # whole, or not there
        os._exit(1)  # the others may never come to where they could all end


def _run(folder: Path, rank: int, n_ranks: int, backend: str) -> None:
    if backend == "nccl":
        torch.cuda.set_device(rank)
    torch.distributed.init_process_group(
        backend, init_method=f"file://{folder}/store", rank=rank, world_size=n_ranks
    )
    function = pickle.loads((folder / "job").read_bytes())
    result = function(*pickle.loads((folder / f"own-{rank}").read_bytes()))
    if rank == 0:
        (folder / "result").write_bytes(cloudpickle.dumps(result))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def _as_bytes(error: BaseException) -> bytes:
    """Give an error and its traceback, or this alone if the error cannot be written."""
    text = traceback.format_exc()
    try:
        written = cloudpickle.dumps((error, text))
        pickle.loads(written)
    except Exception:  # noqa: BLE001  an error may refuse in any way
        written = pickle.dumps((None, text))
    return written


def _end_with_parent() -> None:
    """Wait for the end of stdin, which comes when the process that started this one is gone."""
    os.read(0, 1)  # not by sys.stdin, whose lock would be held when this process ends
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
