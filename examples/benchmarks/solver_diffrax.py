"""diffrax beside the solvers for torch, in a process of its own with as many threads."""

from contextlib import AbstractContextManager

import numpy as np
import torch
from solver_problems import Problem
from solver_timing import Outcome, Variant
from solver_variants import Setup
from solver_worker import Worker, worker


def diffrax(n_threads: int) -> AbstractContextManager[Worker]:
    """Start the process that runs diffrax."""
    many = str(n_threads > 1).lower()
    flags = f"--xla_cpu_multi_thread_eigen={many} intra_op_parallelism_threads={n_threads}"
    environment = {
        "XLA_FLAGS": flags,
        "NPROC": str(n_threads),  # without it, XLA runs parts of a program side by side
        "OMP_NUM_THREADS": str(n_threads),
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
    }
    return worker("solver_diffrax_worker.py", environment)


def diffrax_variant(
    process: Worker, kind: str, name: str, problem: Problem, setup: Setup
) -> Variant:
    """Give "diffrax vmap", where each sample has a step size, or "diffrax joint", with one."""

    def first() -> Outcome:
        np.savez(process.folder / "problem.npz", **_arrays(problem))
        answer = process.prepare(
            name,
            equation=problem.equation,
            differentiated=kind != "states",
            rtol=setup.rtol,
            atol=setup.atol,
            method=setup.method,
            joint=name.endswith("joint"),
        )
        with np.load(process.folder / "values.npz") as values:
            computed = tuple(torch.from_numpy(values[key]) for key in values.files)
        return Outcome(computed, answer["n_evals"], answer["n_steps"])

    return Variant(name, first, lambda: process.measure(name))


def _arrays(problem: Problem) -> dict[str, np.ndarray]:
    """Give the arrays of a problem; the parameters by number, in the order of torch."""
    dtype = problem.y0.dtype
    arrays = {"y0": problem.y0, "ts": problem.ts.to(dtype), "target": problem.target}
    numbered = {f"{i:02d}": p.detach() for i, p in enumerate(problem.field.parameters())}
    return {name: x.numpy() for name, x in (arrays | numbered).items()}
