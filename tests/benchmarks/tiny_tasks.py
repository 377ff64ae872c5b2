"""Tasks of a few rows, with rules behind them that can be found out."""

import numpy as np
import pandas as pd
from forecast_metrics import point_metrics
from forecast_tasks import Split, split_task

FEATURES = ("x", "y")


def task_of(frame, cut, n_train):
    series = frame["series"].unique()
    third = (len(series) - n_train) // 2
    val, test = series[n_train : n_train + third], series[n_train + third :]
    return split_task(
        "tiny",
        frame,
        Split(series[:n_train], val, test),
        cut,
        features=FEATURES,
        metrics=point_metrics,
    )


def series_frame(level, slope, times):
    """Give straight lines from the levels; y is minus x, and every third y is missing."""
    n = len(level)
    x = level[:, None] + slope[:, None] * times
    y = np.where(np.arange(len(times)) % 3 == 2, np.nan, -x)
    return pd.DataFrame({
        "series": np.repeat(np.arange(n), len(times)),
        "time": np.tile(times, n),
        "x": x.ravel(),
        "y": y.ravel(),
    })
