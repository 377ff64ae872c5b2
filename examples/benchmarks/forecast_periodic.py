"""The toy of Rubanova et al. (2019): 1,000 sines of their own frequency, 50 of 100 points read.

All are observed at the same 100 irregular times in [0, 5]; frequencies are drawn from U(0.4, 0.8),
offsets from N(1, 0.1^2), and noise is 0.01 U(0, 1), not centred, as in the first code, whose draws
these are. All 100 points are asked. 800 series train, of which the last 80 validate; 200 test.
"""

import numpy as np
import torch
from forecast_metrics import hidden_metrics
from forecast_tasks import Array, Cut, Split, Task, frame_of, split_task

FEATURES = ("y",)
N_SERIES, N_TIMES, END = 1000, 100, 5.0
SEED = 1991
SPLIT = Split(range(720), range(720, 800), range(800, 1000))


def task(n_observed: int = 50) -> Task:
    """Give the task to find all points from some of them."""
    cut = Cut(horizon_from=None, n_observed=n_observed)
    frame = frame_of(*series(), FEATURES)
    return split_task(
        f"periodic/{n_observed}", frame, SPLIT, cut, features=FEATURES, metrics=hidden_metrics
    )


def series() -> tuple[Array, Array]:
    """Give values of shape (1000, 100, 1) and times of shape (100,)."""
    later = torch.rand(N_TIMES - 1, generator=torch.Generator().manual_seed(SEED)) * END
    times = np.sort(np.append(0.0, later.numpy().astype(np.float64)))
    draws = np.random.RandomState(SEED)
    pairs = [(draws.random_sample() * 0.4 + 0.4, draws.normal(1.0, 0.1)) for _ in range(N_SERIES)]
    frequency, offset = np.array(pairs).T[:, :, None]
    values = np.sin(2 * np.pi * frequency * times) + offset
    values[:, 1:] += 0.01 * draws.random_sample((N_SERIES, N_TIMES - 1))
    return values[..., None], times
