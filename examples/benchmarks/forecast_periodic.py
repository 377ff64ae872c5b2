"""The toy of Rubanova et al. (2019): 1,000 sines of their own frequency, 50 of 100 points read.

All are observed at the same 100 irregular times in [0, 5]; frequencies are drawn from U(0.4, 0.8),
offsets from N(1, 0.1^2), and noise is 0.01 U(0, 1), not centred, as in the first code, whose draws
these are. All 100 points are asked. 800 series train, of which the last 80 validate; 200 test.
"""

from forecast_metrics import hidden_metrics
from forecast_tasks import Cut, Split, Task, split_task

from latentode.datasets import make_periodic

FEATURES = ("y",)
SEED = 1991
SPLIT = Split(range(720), range(720, 800), range(800, 1000))


def task(n_observed: int = 50) -> Task:
    """Give the task to find all points from some of them."""
    cut = Cut(horizon_from=None, n_observed=n_observed)
    frame = make_periodic(random_state=SEED).rename(columns={"id": "series"})
    return split_task(
        f"periodic/{n_observed}", frame, SPLIT, cut, features=FEATURES, metrics=hidden_metrics
    )
