"""Liver disease: the first two years of a patient's visits are read, all later ones forecast.

The 312 patients of the Mayo Clinic trial of primary biliary cirrhosis that come with the package:
seven laboratory values at irregular times, as logarithms, scaled to mean 0 and deviation 1 in
training. 60 % of the patients train, 20 % validate, 20 % test, by seed.
"""

import numpy as np
import pandas as pd
from forecast_metrics import point_metrics
from forecast_tasks import KEYS, Cut, Split, Task, split_task
from numpy.typing import NDArray
from pandas import DataFrame

from latentode import load_pbcseq

SEEDS = range(5)
LABS = ("bili", "chol", "albumin", "alk_phos", "ast", "platelet", "protime")
CUT = Cut(horizon_from=731.0)  # days


def task(seed: int) -> Task:
    """Give the task for one of the splits by patient."""
    visits = load_pbcseq(static=True).rename(columns={"patient": "series", "day": "time"})
    frame = visits[[*KEYS, *LABS]]
    order = np.random.default_rng(seed).permutation(frame["series"].unique())
    fifth = len(order) // 5
    split = Split(order[2 * fifth :], order[fifth : 2 * fifth], order[:fifth])
    frame = standardised_logs(frame, split.train)
    return split_task(
        f"liver/{seed}",
        frame,
        split,
        CUT,
        features=LABS,
        metrics=point_metrics,
        static=known_at_start(visits),
    )


def standardised_logs(frame: DataFrame, train: NDArray[np.int64]) -> DataFrame:
    logs = np.log(frame[list(LABS)])
    seen = logs[frame["series"].isin(train)]
    return pd.concat([frame[KEYS], (logs - seen.mean()) / seen.std(ddof=0)], axis=1)


def known_at_start(visits: DataFrame) -> DataFrame:
    """Give age, sex and treatment; how and when observation ended is not known then."""
    patients = visits.drop_duplicates("series")
    is_male = (patients["sex"] == "m").astype(float)
    age = (patients["age"] - 50) / 10
    return DataFrame({
        "series": patients["series"],
        "age": age,
        "is_male": is_male,
        "treated": patients["trt"],
    }).reset_index(drop=True)
