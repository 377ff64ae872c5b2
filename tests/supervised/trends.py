"""Series of two kinds, and the parameters of small estimators of them."""

import numpy as np
import pandas as pd

SMALL = {
    "latent_size": 3,
    "hidden_size": 6,
    "max_epochs": 2,
    "batch_size": 16,
    "random_state": 0,
}


def make_trends(n_series=40, seed=0):
    """Give noisy series that rise or fall, sampled at will, and which of the two each does."""
    rng = np.random.default_rng(seed)
    series = np.repeat(np.arange(n_series), rng.integers(3, 9, n_series))
    rises = rng.uniform(size=n_series) < 0.4
    time = rng.uniform(0, 6, len(series))
    slope = np.where(rises, 0.4, -0.4)[series]
    level = rng.normal(size=n_series)[series]
    df = pd.DataFrame({"id": series, "time": time, "a": level + slope * (time - 3)})
    df["a"] += 0.3 * rng.normal(size=len(df))
    df["b"] = np.where(rng.uniform(size=len(df)) < 0.6, rng.normal(size=len(df)), np.nan)
    labels = pd.Series(np.where(rises, "rises", "falls"), name="kind")
    return df, labels
