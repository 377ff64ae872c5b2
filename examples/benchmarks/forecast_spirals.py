"""The spirals of Chen et al. (2018): find the noise-free path of a noisy one, and how it goes on.

Neural ordinary differential equations, section 5.1, with the numbers of the authors' example:
1,000 spirals, half of them clockwise, each 100 points from a random place, noise 0.3; of which 30,
50 or 100 are read. Errors are against the noise-free truth, in the window of these 100 points and
on the 100 points after it, as far as the spiral was drawn. The paper does not say its scoring
exactly. Validation and test part are 1,000 fresh spirals each.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from forecast_scores import rmse, squared_error
from forecast_tasks import KEYS, Array, Cut, Part, Task, frame_of, part_of, values_of
from pandas import DataFrame

FEATURES = ("x", "y")
N_OBSERVED = (100, 50, 30)
N_SPIRALS, N_DRAWN, WINDOW = 1000, 500, 100
ANGLES = np.linspace(0.0, 6 * np.pi, N_DRAWN)
NOISE = 0.3
STEP = ANGLES[1]
TRAIN_SEED, VAL_SEED, TEST_SEED = 0, 5000, 10_000


class Spirals(NamedTuple):
    """Noisy points (B, 100, 2), and the truth there and on the next 100 points (B, 200, 2)."""

    noisy: Array
    truth: Array


def task(n_observed: int) -> Task:
    """Give the task to find 200 points from some of the first 100."""
    cut = Cut(horizon_from=None, n_observed=n_observed)
    noisy = frame_of(spirals(TRAIN_SEED).noisy, STEP * np.arange(WINDOW), FEATURES)
    return Task(
        f"spirals/{n_observed}",
        part_of(noisy, cut).context,  # what is not read is not there to learn from either
        _part(VAL_SEED, cut),
        _part(TEST_SEED, cut),
        FEATURES,
        cut,
        metrics,
    )


def metrics(prediction: Array, part: Part) -> dict[str, float]:
    losses = squared_error(prediction, values_of(part.asked, FEATURES))
    in_window = (part.asked["time"] < STEP * (WINDOW - 0.5)).to_numpy()
    return {"RMSE window": rmse(losses[in_window]), "RMSE next": rmse(losses[~in_window])}


def _part(seed: int, cut: Cut) -> Part:
    drawn = spirals(seed)
    times = STEP * np.arange(2 * WINDOW)
    context = part_of(frame_of(drawn.noisy, times[:WINDOW], FEATURES), cut, seed=seed).context
    asked = frame_of(drawn.truth, times, FEATURES)
    for frame in (context, asked):
        frame["series"] += seed  # not a number of a spiral of another part
    return Part(context, asked, ~_is_in(asked, context))


def _is_in(asked: DataFrame, context: DataFrame) -> Array:
    """Tell which rows stand in the context too, though with noise."""
    keys = [pd.MultiIndex.from_frame(frame[KEYS]) for frame in (asked, context)]
    return keys[0].isin(keys[1])


def spirals(seed: int) -> Spirals:
    draws = np.random.RandomState(seed)
    paths = _paths()
    noisy, truth = [], []
    for _ in range(N_SPIRALS):
        start = draws.randint(N_DRAWN - 2 * WINDOW) + WINDOW
        path = paths[int(draws.rand() > 0.5)]
        noisy.append(path[start : start + WINDOW] + NOISE * draws.randn(WINDOW, 2))
        truth.append(path[start : start + 2 * WINDOW])
    return Spirals(np.array(noisy), np.array(truth))


def _paths() -> tuple[Array, Array]:
    """Give both spirals, clockwise and counter-clockwise, and NaN after their ends."""
    inward = ANGLES[-1] + 1.0 - ANGLES
    clockwise = _curve(0.3 * 50.0 / inward, inward, centre=-5.0)
    counter = _curve(0.3 * ANGLES, ANGLES, centre=5.0)
    end = np.full((WINDOW, 2), np.nan)
    return np.concatenate([clockwise, end]), np.concatenate([counter, end])


def _curve(radius: Array, angle: Array, *, centre: float) -> Array:
    return np.stack([radius * np.cos(angle) + centre, radius * np.sin(angle)], axis=1)
