"""Panels put together, and cut in time."""

import numpy as np

from latentode.data.errors import FrameError, plainly
from latentode.data.panel import Panel
from latentode.data.times import times_as_column
from latentode.data.values import canonical


def merge_panels(first: Panel, second: Panel) -> Panel:
    """Put the rows of two panels of the same schema together.

    Parameters
    ----------
    first, second : Panel
        Their series may be the same, some of them, or others.

    Returns
    -------
    Panel
        The same as if all rows had been in one frame.

    Raises
    ------
    FrameError
        If a series has a row at the same time in both.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.data import infer_schema, to_panel
    >>> df = pd.DataFrame({"id": ["a", "b", "a"], "t": [1, 2, 3], "y": [0.1, 0.2, 0.3]})
    >>> schema = infer_schema(df)
    >>> merge_panels(to_panel(df[:2], schema), to_panel(df[2:], schema)).times
    array([1, 3, 2])
    """
    ids = canonical({*first.ids, *second.ids})
    position = {key: i for i, key in enumerate(ids)}
    series = np.concatenate([_series_of_rows(panel, position) for panel in (first, second)])
    times = np.concatenate([first.times, second.times])
    order = np.lexsort((times, series))
    series, times = series[order], times[order]
    _refuse_same_times(ids, series, times, first)
    sizes = np.bincount(series, minlength=len(ids))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype("int64")
    values = np.concatenate([first.values, second.values])[order]
    return first._replace(ids=ids, offsets=offsets, times=times, values=values)


def keep_where(panel: Panel, kept: np.ndarray) -> Panel:
    """Keep the rows (N,) that are True; a series may be left without any.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.data import infer_schema, to_panel
    >>> df = pd.DataFrame({"id": ["a", "a", "b"], "t": [1, 2, 3], "y": [0.1, 0.2, 0.3]})
    >>> panel = to_panel(df, infer_schema(df))
    >>> keep_where(panel, panel.times < 2).offsets
    array([0, 1, 1])
    """
    n_before = np.concatenate([[0], np.cumsum(kept)]).astype("int64")
    return panel._replace(
        offsets=n_before[panel.offsets], times=panel.times[kept], values=panel.values[kept]
    )


def _series_of_rows(panel: Panel, position: dict[object, int]) -> np.ndarray:
    numbers = np.array([position[key] for key in panel.ids], dtype="int64")
    return np.repeat(numbers, np.diff(panel.offsets))


def _refuse_same_times(
    ids: tuple[object, ...], series: np.ndarray, times: np.ndarray, panel: Panel
) -> None:
    again = (series[1:] == series[:-1]) & (times[1:] == times[:-1])
    if not again.any():
        return
    at = np.flatnonzero(again)
    stamp = times_as_column(times[at[:1]], panel.schema).iloc[0]
    raise FrameError(
        "E-TIME-DUP",
        f"{len(at)} of the new rows are at a time that the model has a row of, first of series "
        f"{plainly(ids[series[at[0]]])} at {plainly(stamp)}.",
        "df = df[~model.knows(df)]  # or model.set_context(df), if it holds all rows",
    )
