"""The weather of the United States, as De Brouwer et al. (2019) thinned it."""

import os

import numpy as np
import pandas as pd

from latentode.datasets.downloads import found_only

FOLDER, NAME = "ushcn", "small_chunked_sporadic.csv"
PAGE = "https://github.com/edebrouwer/gru_ode_bayes"
N_VARIABLES = 5


def fetch_ushcn(*, path: str | os.PathLike | None = None) -> pd.DataFrame:
    """Give daily weather of stations in the United States, thinned to a twentieth.

    The small set of GRU-ODE-Bayes: what some 1,100 stations measured in the last four of 51
    years, of which 5 % was kept, standardised. In the authors' benchmark, what is observed before
    time 150 is read, and the next three observations are asked. The file is not downloaded: no
    checksum of it is known to us.

    Parameters
    ----------
    path : str or PathLike, optional
        The file ``small_chunked_sporadic.csv``, its folder, or the folder above ``ushcn``. By
        default it is looked for in the folder that the environment variable ``LATENTODE_DATA``
        names, or in the cache.

    Returns
    -------
    DataFrame
        Sorted by ``station`` (int, a number of the authors') and ``time`` (float, 0 to 200: 2,500
        units are the 51 years), then ``value_0`` to ``value_4`` (standardised, NaN where not
        measured): precipitation, snowfall, depth of snow, highest and lowest temperature, in an
        order that the file does not tell.

    Raises
    ------
    FileNotFoundError
        If the file is not there; the message says where it is to be had.
    ValueError
        If it is not the file that was meant.

    References
    ----------
    De Brouwer, Simm, Arany and Moreau (2019), GRU-ODE-Bayes. Menne, Williams and Vose, Long-term
    daily climate records from stations across the contiguous United States.

    Examples
    --------
    >>> from latentode.datasets import fetch_ushcn
    >>> weather = fetch_ushcn(path="small_chunked_sporadic.csv")  # doctest: +SKIP
    """
    file = found_only(NAME, FOLDER, PAGE, path)
    table = pd.read_csv(file)
    values = [f"Value_{k}" for k in range(N_VARIABLES)]
    masks = [f"Mask_{k}" for k in range(N_VARIABLES)]
    missing = [name for name in ("ID", "Time", *values, *masks) if name not in table]
    if missing:
        raise ValueError(
            f"{file} must have the columns ID, Time, {values[0]} to {values[-1]} and {masks[0]} "
            f"to {masks[-1]}, but has no {', '.join(missing)}.\nFix: download {NAME} from {PAGE}"
        )
    observed = np.where(table[masks].to_numpy() == 1, table[values].to_numpy(), np.nan)
    keys = pd.DataFrame({"station": table["ID"].astype(np.int64), "time": table["Time"]})
    names = [name.lower() for name in values]
    frame = pd.concat([keys, pd.DataFrame(observed, columns=names)], axis=1)
    return frame.sort_values(["station", "time"], ignore_index=True)
