"""Simulate the hopper of Rubanova et al. (2019), once: 10,000 runs of 200 steps, 14 values each.

They are those of `make_hopper`, in one array. Takes about a minute.

    python -m pip install "latentode[hopper]"
    python examples/benchmarks/forecast_hopper_simulation.py --cache FOLDER
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from latentode.datasets import make_hopper

# A script finds the files beside it; one that is run from a test does not.
sys.path.append(str(Path(__file__).parent))

from forecast_sources import cache_folder

FILE = "hopper.npy"
N_RUNS, N_STEPS = 10_000, 200


def simulate(n_runs: int, n_steps: int) -> np.ndarray:
    """Give positions and velocities, float32 of shape (n_runs, n_steps, 14)."""
    falls = make_hopper(n_runs, n_times=n_steps).drop(columns=["id", "time"])
    return falls.to_numpy().reshape(n_runs, n_steps, -1)


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, help="folder for the file")
    file = cache_folder(parser.parse_args(arguments).cache) / FILE
    start = time.perf_counter()
    np.save(file, simulate(N_RUNS, N_STEPS))
    print(f"wrote {file} in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
