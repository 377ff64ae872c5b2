"""Six equations of biology and physics, corrupted as Physiome-ODE does: noisy, sparse, irregular.

Klotergens et al. (2025), Physiome-ODE: a benchmark for irregularly sampled multivariate time
series forecasting based on biological ODEs. Of each equation 2,000 instances with states at the
start and constants scaled by U(1 - d, 1 + d), at 100 times; standardised over all instances, those
with a value more than ten deviations off dropped, noise of 0.05 added, and 80 % of the values
dropped. The first half of the time is read, what was kept of the rest is asked, noise and all.
70 % of the instances train, 20 % validate, 10 % test, by fold. The recipe is theirs; the equations
and their constants are ours, for theirs are fifty models from a repository.
"""

import numpy as np
from forecast_metrics import micro_metrics
from forecast_tasks import Cut, Split, Task, frame_of, split_task

from latentode.datasets.equations import EQUATIONS
from latentode.datasets.ode_bank import corrupted, solved, standardised

N_INSTANCES = 2000


def task(name: str, fold: int = 0) -> Task:
    """Give the task for an equation; a fold has its own split, and its own noise."""
    equation = EQUATIONS[name]
    draws = np.random.default_rng(fold)
    features = tuple(f"y{k}" for k in range(len(equation.start)))
    times, states = solved(equation, N_INSTANCES, random_state=0)
    frame = frame_of(corrupted(standardised(states), draws), times, features)
    frame = frame[frame[list(features)].notna().any(axis=1)].reset_index(drop=True)
    order = draws.permutation(frame["series"].unique())
    n_train, n_test = len(order) * 7 // 10, len(order) // 10
    split = Split(order[:n_train], order[n_train:-n_test], order[-n_test:])
    cut = Cut(horizon_from=equation.end / 2)
    return split_task(
        f"ode-bank/{name}/{fold}", frame, split, cut, features=features, metrics=micro_metrics
    )
