"""A solver for torch in a process of its own, where others have not cut up the memory.

Where torchdiffeq is asked for thousands of times, its backward pass copies a tensor of all
states for each of them. The C library may reuse the memory of these copies or not, depending on
what the process did before: the same gradient takes 0.5 or 24 gigabytes.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from solver_problems import Problem
from solver_timing import Outcome, Timing, Variant
from solver_variants import KINDS, Setup
from solver_worker import Request, Worker, serve, worker

THREADS = "BENCHMARK_THREADS"


def alone(n_threads: int) -> AbstractContextManager[Worker]:
    """Start a process for one solver."""
    return worker(Path(__file__).name, {THREADS: str(n_threads)})


def variant_alone(
    process: Worker, kind: str, name: str, problem: Problem, setup: Setup
) -> Variant:
    """Give the variant of that kind that runs there."""

    def first() -> Outcome:
        torch.save(problem, process.folder / "problem.pt")
        answer = process.prepare(name, kind=kind, setup=setup)
        values = torch.load(process.folder / "values.pt")
        return Outcome(tuple(values), answer["n_evals"], answer["n_steps"])

    return Variant(name, first, lambda: process.measure(name))


def prepare(request: Request) -> tuple[Callable[[], Timing], dict[str, Any]]:
    """Run a variant once, on the other side, and leave what it computed in a file."""
    folder = Path(request["folder"])
    problem = torch.load(folder / "problem.pt", weights_only=False)
    here = KINDS[request["kind"]](request["name"], problem, Setup(*request["setup"]))
    outcome = here.first()
    torch.save(list(outcome.values), folder / "values.pt")
    return here.measure, {"n_evals": outcome.n_evals, "n_steps": outcome.n_steps}


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ[THREADS]))
    serve(prepare)
