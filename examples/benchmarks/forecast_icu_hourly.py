"""Intensive care, the protocol of tsdm: read 36 hours, forecast the next three rows.

Used by LinODEnet, GraFITi and others. Rows are hours, values their means, standardised. As in the
code of tsdm, the mean and the deviation are those of all stays, tested ones too; what is more than
five deviations off is dropped; the first value of every hour but the first is lost, and so is the
last hour of a stay; descriptors are left out, and so is MechVent, which is always 1. A row may be
empty, and counts among the three. The error is averaged over all values alike.

15 % of the stays test, and 20 % of the others validate. The five folds of the published code are
one and the same split, by seed 0 from the order of files in an archive; here stays are in the
order of their numbers, so that ours is as theirs, but not theirs.
"""

from pathlib import Path

import numpy as np
from forecast_icu import averaged
from forecast_icu_source import DESCRIPTORS, VARIABLES, Lines, read_lines
from forecast_metrics import micro_metrics
from forecast_sources import cache_folder, data_folder
from forecast_tasks import Cut, Split, Task, split_task
from numpy.typing import NDArray
from pandas import DataFrame
from sklearn.model_selection import train_test_split

# Weight is a descriptor that is measured again later.
FEATURES = tuple(
    name for name in VARIABLES if name not in ("Age", "Gender", "Height", "ICUType", "MechVent")
)
CUT = Cut(horizon_from=36.5, n_asked=3)  # the row of hour 36 is read
MOST_DEVIATIONS = 5.0


def task(seed: int = 0, *, data: Path | None = None, cache: Path | None = None) -> Task:
    """Give the task for a split; that of seed 0 is made as the published one."""
    frame = standardised(hours_frame(read_lines(data_folder(data), cache_folder(cache))))
    seen, test = train_test_split(frame["series"].unique(), test_size=0.15, random_state=seed)
    train, val = train_test_split(seen, test_size=0.2, random_state=seed)
    return split_task(
        f"icu-hourly/{seed}",
        frame,
        Split(train, val, test),
        CUT,
        features=FEATURES,
        metrics=micro_metrics,
    )


def hours_frame(lines: Lines) -> DataFrame:
    """Give a row for every hour of a stay, as the published code does."""
    stay, hour, variable, value = _counted(lines)
    block, is_last, is_kept = _blocks(stay, hour)
    first = np.searchsorted(block, np.arange(block[-1] + 1))
    known = is_kept & (variable >= 0)
    shape = (len(first), len(VARIABLES))
    values = averaged(block[known], variable[known], value[known], shape)
    frame = DataFrame(values, columns=list(VARIABLES))[list(FEATURES)]
    frame.insert(0, "series", stay[first].astype(np.int64))
    frame.insert(1, "time", hour[first].astype(np.float64))
    return frame.loc[~is_last].reset_index(drop=True)


def _counted(lines: Lines) -> Lines:
    """Leave out descriptors at the start and lines before the first with a known name."""
    is_descriptor = (lines.variable >= 0) & (lines.variable < len(DESCRIPTORS))
    wanted = ~(is_descriptor & (lines.minute == 0))
    lines = Lines(*(column[wanted] for column in lines))
    known = np.cumsum(lines.variable >= 0)
    _, first, counts = np.unique(lines.stay, return_index=True, return_counts=True)
    before = np.repeat(known[first] - (lines.variable[first] >= 0), counts)
    started = known > before
    return Lines(*(column[started] for column in lines._replace(minute=lines.minute // 60)))


def _blocks(
    stay: NDArray[np.int32], hour: NDArray[np.int16]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Give the block of each line, which blocks end a stay, and which lines are not lost."""
    starts_stay = np.append(True, np.diff(stay) != 0)
    starts_block = starts_stay | np.append(True, np.diff(hour) != 0)
    is_last = np.append(starts_stay[starts_block][1:], True)
    return np.cumsum(starts_block) - 1, is_last, starts_stay | ~starts_block


def standardised(frame: DataFrame) -> DataFrame:
    values = frame[list(FEATURES)]
    z = (values - values.mean()) / values.std(ddof=0)
    frame = frame.copy()
    frame[list(FEATURES)] = z.where(z.abs() < MOST_DEVIATIONS)
    return frame
