"""Simulate the hopper of Rubanova et al. (2019), once: 10,000 runs of 200 steps, 14 values each.

The hopper of dm_control starts at a random position with random velocities, a little above the
ground, and falls: nothing moves it. The first two positions are drawn from U(0, 0.5), the other
five from U(-2, 2), all velocities from U(-5, 5). Takes about a minute.

    pip install "mujoco<4" dm_control
    python examples/benchmarks/forecast_hopper_simulation.py --cache FOLDER
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

# A script finds the files beside it; one that is run from a test does not.
sys.path.append(str(Path(__file__).parent))

from forecast_sources import cache_folder

FILE = "hopper.npy"
N_RUNS, N_STEPS = 10_000, 200
SEED = 123  # of the first code's generator


def simulate(n_runs: int, n_steps: int, seed: int = SEED) -> np.ndarray:
    """Give positions and velocities, float32 of shape (n_runs, n_steps, 14)."""
    os.environ.setdefault("MUJOCO_GL", "disable")  # nothing is drawn
    from dm_control import suite

    physics = suite.load("hopper", "stand").physics
    draws = np.random.RandomState(seed)
    return np.stack([_run(physics, n_steps, draws) for _ in range(n_runs)])


def _run(physics: "object", n_steps: int, draws: np.random.RandomState) -> np.ndarray:
    state = physics.data
    with physics.reset_context():
        state.qpos[:2] = draws.uniform(0, 0.5, size=2)
        state.qpos[2:] = draws.uniform(-2, 2, size=state.qpos[2:].shape)
        state.qvel[:] = draws.uniform(-5, 5, size=state.qvel.shape)
    rows = []
    for _ in range(n_steps):
        rows.append(np.concatenate([state.qpos, state.qvel]).astype(np.float32))
        physics.step()
    return np.stack(rows)


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
