"""A falling hopper, the protocol of Rubanova et al. (2019): extrapolation and interpolation.

Latent ordinary differential equations for irregularly-sampled time series. 10,000 simulated runs
of 200 steps, 14 values, scaled as published: less the minimum, divided by the maximum, over all
runs. The first 8,000 train, of which we hold out the last tenth for validation; the published
protocol has none.

Extrapolation reads some of the first 66 steps and forecasts the other 134. Interpolation takes 100
steps from a random start, reads some of them and forecasts all, those that were read among them,
as published; "hidden MSE" is over the others only. Which rows of the validation and the test part
are read is drawn once, and is the same for every model.
"""

from pathlib import Path

import numpy as np
from forecast_hopper_simulation import FILE
from forecast_metrics import hidden_metrics
from forecast_sources import cache_folder
from forecast_tasks import Cut, Split, Task, frame_of, split_task
from numpy.typing import NDArray

PERCENTS = (10, 20, 30, 50)
N_READABLE = 66  # of 200 steps, for extrapolation
WINDOW = 100  # steps, for interpolation
FEATURES = tuple([f"q{k}" for k in range(7)] + [f"v{k}" for k in range(7)])
SPLIT = Split(range(7200), range(7200, 8000), range(8000, 10_000))


def extrapolation(percent: int, *, cache: Path | None = None) -> Task:
    """Give the task to forecast steps 66 to 199 from a percentage of those before."""
    cut = Cut(horizon_from=float(N_READABLE), n_observed=N_READABLE * percent // 100)
    return task_of(f"hopper/extrapolation/{percent}", scaled_runs(cache), cut)


def interpolation(percent: int, *, cache: Path | None = None) -> Task:
    """Give the task to fill in 100 steps from a percentage of them."""
    cut = Cut(horizon_from=None, n_observed=WINDOW * percent // 100)
    return task_of(f"hopper/interpolation/{percent}", windows(scaled_runs(cache)), cut)


def task_of(name: str, runs: NDArray[np.float32], cut: Cut) -> Task:
    frame = frame_of(runs, np.arange(runs.shape[1], dtype=np.float64), FEATURES)
    return split_task(name, frame, SPLIT, cut, features=FEATURES, metrics=hidden_metrics)


def scaled_runs(cache: Path | None) -> NDArray[np.float32]:
    """Give the runs, of shape (10,000, 200, 14), in the published scale."""
    file = cache_folder(cache) / FILE
    if not file.exists():
        raise FileNotFoundError(f"there is no {file}: run forecast_hopper_simulation.py.")
    runs = np.load(file)
    low, high = runs.min(axis=(0, 1)), runs.max(axis=(0, 1))
    return (runs - low) / high


def windows(runs: NDArray[np.float32], seed: int = 1991) -> NDArray[np.float32]:
    """Take 100 steps of each run from a random start."""
    n_runs, n_steps, _ = runs.shape
    start = np.random.RandomState(seed).randint(0, n_steps - WINDOW + 1, size=n_runs)
    return runs[np.arange(n_runs)[:, None], start[:, None] + np.arange(WINDOW)]
