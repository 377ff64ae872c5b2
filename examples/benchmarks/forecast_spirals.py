"""The spirals of Chen et al. (2018): find the noise-free path of a noisy one, and how it goes on.

Neural ordinary differential equations, section 5.1, with the numbers of the authors' example:
1,000 spirals, half of them clockwise, each 100 points from a random place, noise 0.3; of which 30,
50 or 100 are read. Errors are against the noise-free truth, in the window of these 100 points and
on the 100 points after it, as far as the spiral was drawn. The paper does not say its scoring
exactly. Validation and test part are 1,000 fresh spirals each.
"""

import pandas as pd
from forecast_scores import rmse, squared_error
from forecast_tasks import KEYS, Array, Cut, Part, Task, values_of
from pandas import DataFrame

from latentode.datasets import make_spirals
from latentode.datasets.spirals import STEP, WINDOW

FEATURES = ("y0", "y1")
N_OBSERVED = (100, 50, 30)
N_SPIRALS = 1000
TRAIN_SEED, VAL_SEED, TEST_SEED = 0, 5000, 10_000


def task(n_observed: int) -> Task:
    """Give the task to find 200 points from some of the first 100."""
    # What is not read is not there to learn from either.
    train = make_spirals(N_SPIRALS, n_observed=n_observed, random_state=TRAIN_SEED)
    return Task(
        f"spirals/{n_observed}",
        train.rename(columns={"id": "series"}),
        _part(VAL_SEED, n_observed),
        _part(TEST_SEED, n_observed),
        FEATURES,
        Cut(horizon_from=None, n_observed=n_observed),
        metrics,
    )


def metrics(prediction: Array, part: Part) -> dict[str, float]:
    losses = squared_error(prediction, values_of(part.asked, FEATURES))
    in_window = (part.asked["time"] < STEP * (WINDOW - 0.5)).to_numpy()
    return {"RMSE window": rmse(losses[in_window]), "RMSE next": rmse(losses[~in_window])}


def _part(seed: int, n_observed: int) -> Part:
    drawn = make_spirals(N_SPIRALS, n_observed=n_observed, truth=True, random_state=seed)
    drawn = drawn.rename(columns={"id": "series"})
    drawn["series"] += seed  # not a number of a spiral of another part
    context = drawn[[*KEYS, *FEATURES]].dropna().reset_index(drop=True)
    later = drawn[drawn["time"] >= 0].reset_index(drop=True)
    asked = later[KEYS].assign(**{name: later[f"{name}_true"] for name in FEATURES})
    return Part(context, asked, ~_is_in(asked, context))


def _is_in(asked: DataFrame, context: DataFrame) -> Array:
    """Tell which rows stand in the context too, though with noise."""
    keys = [pd.MultiIndex.from_frame(frame[KEYS]) for frame in (asked, context)]
    return keys[0].isin(keys[1])
