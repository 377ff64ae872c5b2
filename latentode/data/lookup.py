"""Which rows of a frame a panel has."""

import numpy as np

from latentode.data.ids import read_series
from latentode.data.panel import Panel
from latentode.data.rows import open_later, place_of
from latentode.data.times import convert_times, read_times


def rows_known(panel: Panel, df: object) -> np.ndarray:
    """Tell which rows of a frame are at a time of which a panel has a row, of the same series.

    Parameters
    ----------
    panel : Panel
        What is known.
    df : DataFrame
        Rows with the columns of series and time.

    Returns
    -------
    ndarray of shape (N,), dtype=bool
        In the order of the frame; what was measured does not matter.

    Raises
    ------
    FrameError
        If a column is missing, or an id or a time cannot be read.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.data import infer_schema, to_panel
    >>> df = pd.DataFrame({"id": ["a", "a", "b"], "t": [1, 2, 3], "y": [0.1, 0.2, 0.3]})
    >>> panel = to_panel(df[:2], infer_schema(df))
    >>> rows_known(panel, df)
    array([ True,  True, False])
    """
    schema = panel.schema
    rows = open_later(df, schema, targets=False)
    series, ids = read_series(rows, schema.id_cols)
    place = place_of(rows, schema.time_col, "time column", schema.id_cols)
    times = convert_times(read_times(rows.frame[schema.time_col], place), schema, place)
    number = {key: i for i, key in enumerate(panel.ids)}
    own = np.array([number.get(key, -1) for key in ids], dtype=np.int64)[series]
    known = own >= 0
    at = first_not_before(panel, own[known], times[known])
    known[known] = is_row_at(panel, own[known], times[known], at)
    return known


def first_not_before(panel: Panel, series: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Give the first row (P,) of each series that is not before a time; its end if there is none.

    Parameters
    ----------
    panel : Panel
        Rows, rising within each series.
    series : ndarray of shape (P,)
        Numbers of series.
    times : ndarray of shape (P,)
        A time for each.

    Returns
    -------
    ndarray of shape (P,), dtype=int64
        Row numbers of the panel.
    """
    low, high = panel.offsets[series], panel.offsets[series + 1]
    while (low < high).any():  # bisection, of all at once
        middle = np.minimum((low + high) // 2, len(panel.times) - 1)
        before = (low < high) & (panel.times[middle] < times)
        low, high = (
            np.where(before, middle + 1, low),
            np.where(before, high, np.minimum(middle, high)),
        )
    return low


def is_row_at(panel: Panel, series: np.ndarray, times: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Tell whether the rows (P,) that `first_not_before` gave are at the very times."""
    inside = at < panel.offsets[series + 1]
    inside[inside] = panel.times[at[inside]] == times[inside]
    return inside
