"""Intensive care, the protocol of t-PatchGNN: read 24 hours, forecast all of the next 24.

Zhang et al. (2024), Irregular multivariate time series forecasting: a transformable patching graph
neural networks approach. 12,000 stays, 41 variables, five of which are descriptors that stand at
time 0; 60 % of the stays train, 20 % validate, 20 % test; every variable is scaled to [0, 1] over
training and validation part. The error of a variable is averaged over the test part, then over the
variables with a value to forecast.

The published split came from the order of a directory and is not known. "official-like" has the
78 stays that are known to be tested in the test part, the rest drawn at random, and the scale that
the authors' code printed; the others are plain, by seed.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from forecast_icu_source import VARIABLES, Lines, read_lines
from forecast_metrics import point_metrics
from forecast_sources import cache_folder, data_folder
from forecast_tasks import KEYS, Cut, Split, Task, select, split_task
from numpy.typing import NDArray
from pandas import DataFrame
from sklearn.model_selection import train_test_split

PLAIN_SEEDS = (42, 0, 1, 2, 3)
CUT = Cut(horizon_from=24.0)
# A letter for each stay, by rising number: t for training, v for validation, e for test.
OFFICIAL_LIKE = Path(__file__).parent / "forecast_icu_official_like.txt"
# Extremes that stand in the authors' training or validation part, and in no stay of ours there.
OFFICIAL_EXTREMES = DataFrame({
    "Age": [15.0],
    "HCT": [61.8],
    "HR": [211.5],
    "Na": [180.0],
    "NISysABP": [261.33],
})


def task(
    split: str | int = "official-like", *, data: Path | None = None, cache: Path | None = None
) -> Task:
    """Give the task for "official-like", or for the seed of a plain split."""
    frame = stays_frame(read_lines(data_folder(data), cache_folder(cache)))
    parts = split_of(frame["series"].unique(), split)
    seen = select(frame, [*parts.train, *parts.val])
    if split == "official-like":
        seen = pd.concat([seen, OFFICIAL_EXTREMES])
    frame = scaled(frame, seen)
    return split_task(f"icu/{split}", frame, parts, CUT, features=VARIABLES, metrics=point_metrics)


def stays_frame(lines: Lines) -> DataFrame:
    """Give a row for every minute at which something was measured, times in hours.

    What was measured twice in a minute is averaged. A descriptor that is not known is -1 in the
    files, and the papers leave it so.
    """
    known = lines.variable >= 0
    stay, minute, variable, value = (column[known] for column in lines)
    moment = stay.astype(np.int64) * 10_000 + minute
    moments, row = np.unique(moment, return_inverse=True)
    frame = DataFrame(
        averaged(row, variable, value, (len(moments), len(VARIABLES))), columns=list(VARIABLES)
    )
    frame.insert(0, "series", moments // 10_000)
    frame.insert(1, "time", (moments % 10_000) / 60)
    return frame


def averaged(
    row: NDArray[np.int64],
    column: NDArray[np.int8],
    value: NDArray[np.float32],
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Give a table of mean values, NaN where there is none."""
    cell = row * shape[1] + column
    order = np.argsort(cell, kind="stable")
    cells, starts, counts = np.unique(cell[order], return_index=True, return_counts=True)
    table = np.full(shape[0] * shape[1], np.nan, np.float32)
    table[cells] = np.add.reduceat(value[order], starts, dtype=np.float64) / counts
    return table.reshape(shape)


def split_of(stays: NDArray[np.int64], split: str | int) -> Split:
    """Give the stays for training, validation and test."""
    stays = np.sort(stays)
    if split == "official-like":
        letters = np.array(list(OFFICIAL_LIKE.read_text().replace("\n", "")))
        return Split(*(stays[letters == letter] for letter in "tve"))
    seen, test = train_test_split(stays, train_size=0.8, random_state=int(split))
    return Split(*train_test_split(seen, train_size=0.75, shuffle=False), test)


def scaled(frame: DataFrame, seen: DataFrame) -> DataFrame:
    """Scale every variable by its least and its largest value in the series seen."""
    values = seen[list(VARIABLES)]
    low, high = values.min(), values.max()
    span = (high - low).where(high > low, 1.0)  # MechVent is 1 wherever it is noted
    return pd.concat([frame[KEYS], (frame[list(VARIABLES)] - low) / span], axis=1)
