"""Measure the memory of one gradient, in a process that does nothing else.

solver.py runs this file for every variant; on Linux only, for it reads /proc.
"""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from solver_problems import perceptron
from solver_variants import Setup, gradient

# From this size on, memory is given back when it is freed, and does not hide later growth.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
MEGABYTE = 1024  # kilobytes, in which the system counts


def peak_memory(name: str, *, n_samples: int, n_times: int, end: float, setup: Setup) -> float:
    """Ask a process of its own for the peak memory of one gradient, in megabytes."""
    question = [name, n_samples, n_times, end, setup]
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(question)],
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return float(done.stdout)


def measure(name: str, n_samples: int, n_times: int, end: float, setup: Setup) -> float:
    """Give how far the memory of this process rises for one gradient, in megabytes."""
    torch.set_num_threads(1)
    small = perceptron(4, n_times=n_times, end=end).to(torch.float32)
    gradient(name, small, setup._replace(rtol=1e-2, atol=1e-2)).first()
    problem = perceptron(n_samples, n_times=n_times, end=end).to(torch.float32)
    variant = gradient(name, problem, setup)
    gc.collect()
    before = memory_now()
    variant.first()
    return (memory("VmHWM") - before) / MEGABYTE


def memory_now() -> int:
    """Give the memory in use, in kilobytes, and have its peak counted from now on.

    `resource.getrusage` would count the peak of the process that started this one as well.
    """
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def memory(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


if __name__ == "__main__":
    *problem, how = json.loads(sys.argv[1])
    print(measure(*problem, Setup(*how)))
