"""diffrax beside the solvers for torch, in a process of its own with as many threads."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from solver_problems import Problem
from solver_timing import Outcome, Timing, Variant
from solver_variants import Setup

WORKER = Path(__file__).with_name("solver_diffrax_worker.py")


class Worker:
    """A process that solves with diffrax and times itself; see solver_diffrax_worker.py."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder

    def ask(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send a request, and give the answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the process that runs diffrax has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


@contextmanager
def worker(n_threads: int) -> Iterator[Worker]:
    """Start a worker, and end it afterwards."""
    many = str(n_threads > 1).lower()
    flags = f"--xla_cpu_multi_thread_eigen={many} intra_op_parallelism_threads={n_threads}"
    environment = os.environ | {
        "XLA_FLAGS": flags,
        "NPROC": str(n_threads),  # without it, XLA runs parts of a program side by side
        "OMP_NUM_THREADS": str(n_threads),
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        ) as process,
    ):
        yield Worker(process, Path(folder))


def variant(
    worker: Worker, name: str, problem: Problem, setup: Setup, *, differentiated: bool
) -> Variant:
    """Give "diffrax vmap", where each sample has a step size, or "diffrax joint", with one."""

    def first() -> Outcome:
        np.savez(worker.folder / "problem.npz", **_arrays(problem))
        answer = worker.ask(
            command="prepare",
            name=name,
            folder=str(worker.folder),
            equation=problem.equation,
            differentiated=differentiated,
            rtol=setup.rtol,
            atol=setup.atol,
            method=setup.method,
            joint=name.endswith("joint"),
        )
        with np.load(worker.folder / "values.npz") as values:
            computed = tuple(torch.from_numpy(values[key]) for key in values.files)
        return Outcome(computed, answer["n_evals"], answer["n_steps"])

    return Variant(name, first, lambda: Timing(**worker.ask(command="time", name=name)))


def _arrays(problem: Problem) -> dict[str, np.ndarray]:
    """Give the arrays of a problem; the parameters by number, in the order of torch."""
    dtype = problem.y0.dtype
    arrays = {"y0": problem.y0, "ts": problem.ts.to(dtype), "target": problem.target}
    numbered = {f"{i:02d}": p.detach() for i, p in enumerate(problem.field.parameters())}
    return {name: x.numpy() for name, x in (arrays | numbered).items()}
