"""One ice core: forecast temperature and carbon dioxide of the next 10,000 years from 150,000.

EPICA Dome C, the last 800,000 years: CO2 (1,095 values, Luthi et al. 2008) and temperature (5,788,
Jouzel et al. 2007), never in the same row. A backtest: five cutoffs test, in the younger part,
five validate, in an older one, and all that is older than the first of these trains, as windows
that overlap. Time is in thousands of years since a window began, so that all are cut at 150.
Values are standardised in training.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from forecast_metrics import point_metrics
from forecast_sources import data_folder
from forecast_tasks import Cut, Task, part_of
from pandas import DataFrame

FILE = "epica_dome_c.csv"
FEATURES = ("co2", "temp")
CONTEXT, HORIZON = 150.0, 10.0  # thousands of years
CUT = Cut(horizon_from=CONTEXT)
TEST_CUTOFFS = (-110.0, -85.0, -60.0, -35.0, -10.0)
VAL_CUTOFFS = (-260.0, -240.0, -220.0, -200.0, -180.0)
TRAIN_CUTOFFS = tuple(np.arange(-651.0, VAL_CUTOFFS[0] - HORIZON + 1, 2.0))


def task(*, data: Path | None = None) -> Task:
    """Give the task; a series is a window, named by its cutoff."""
    core = read_core(data_folder(data))
    return Task(
        "ice-core",
        windows(core, TRAIN_CUTOFFS),
        part_of(windows(core, VAL_CUTOFFS), CUT),
        part_of(windows(core, TEST_CUTOFFS), CUT),
        FEATURES,
        CUT,
        partial(point_metrics, features=FEATURES),
    )


def read_core(data: Path) -> DataFrame:
    """Give time in thousands of years before 1950, negative, and standardised values."""
    folder = data if (data / FILE).exists() else data / "epica_dome_c"
    core = pd.read_csv(folder / FILE).sort_values("time", kind="stable")
    values = core[list(FEATURES)]
    seen = values[core["time"] < VAL_CUTOFFS[0]]
    core[list(FEATURES)] = (values - seen.mean()) / seen.std(ddof=0)
    return core


def windows(core: DataFrame, cutoffs: tuple[float, ...]) -> DataFrame:
    """Give the rows from 150,000 years before each cutoff to 10,000 after it."""
    return pd.concat([_window(core, cutoff) for cutoff in cutoffs], ignore_index=True)


def _window(core: DataFrame, cutoff: float) -> DataFrame:
    time = core["time"] - cutoff
    rows = core.loc[(time >= -CONTEXT) & (time < HORIZON), ["time", *FEATURES]].copy()
    rows["time"] += CONTEXT - cutoff
    rows.insert(0, "series", cutoff)
    return rows
