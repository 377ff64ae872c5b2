"""Which rows of a frame a panel has."""

import numpy as np

from latentode.data.panel import Panel, read_series
from latentode.data.rows import open_frame, place_of, require_columns
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
    rows, schema = (
        open_frame(df, id_col=panel.schema.id_col, time_col=panel.schema.time_col),
        panel.schema,
    )
    require_columns(rows, schema, targets=False)
    series, ids = read_series(rows, schema)
    place = place_of(rows, schema.time_col, "time column", schema.id_col)
    times = convert_times(read_times(rows.frame[schema.time_col], place), schema, place)
    number = {key: i for i, key in enumerate(panel.ids)}
    own = np.array([number.get(key, -1) for key in ids], dtype=np.int64)[series]
    first = panel.offsets[own] * (own >= 0)
    end = panel.offsets[own + 1] * (own >= 0)
    return _holds(panel.times, first, end, times)


def _holds(
    rising: np.ndarray, first: np.ndarray, end: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """Tell whether a time (P,) is among rows first (P,) to end (P,), which rise, by bisection."""
    low, high = first.copy(), end.copy()
    while (low < high).any():
        open_ = low < high
        middle = (low + high) // 2
        below = np.zeros(len(times), dtype=bool)
        below[open_] = rising[middle[open_]] < times[open_]
        low = np.where(open_ & below, middle + 1, low)
        high = np.where(open_ & ~below, middle, high)
    found = low < end
    found[found] = rising[low[found]] == times[found]
    return found
