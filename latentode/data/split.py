"""Which rows are held out."""

import numpy as np
import pandas as pd

from latentode.data.columns import Schema
from latentode.data.errors import FrameError, Place
from latentode.data.ids import ONE_SERIES
from latentode.data.panel import Panel
from latentode.data.query import query_at
from latentode.data.scaling import difference
from latentode.data.times import Times, convert_times, read_times

_CUT = Place("cut", pd.RangeIndex(1), (), "cut", None, "")


def time_holdout(panel: Panel, fraction: float) -> np.ndarray:
    """Hold out the last part of each series' own time span.

    Parameters
    ----------
    panel : Panel
        The series.
    fraction : float
        Part of the time span, at least 0 and less than 1, at the end of each series.

    Returns
    -------
    ndarray of shape (S,), dtype=int64
        How many rows of each series are left: at least one, of a series that has any.
    """
    sizes = np.diff(panel.offsets)
    first, last = (np.repeat(rows, sizes) for rows in (panel.offsets[:-1], panel.offsets[1:] - 1))
    since_start = difference(panel.times, panel.times[first])
    return _count(since_start <= (1 - fraction) * since_start[last], panel)


def first_rows(panel: Panel, n_rows: np.ndarray) -> Panel:
    """Give a panel of the first ``n_rows`` (S,) rows of each series."""
    number = np.arange(len(panel.times)) - np.repeat(panel.offsets[:-1], np.diff(panel.offsets))
    kept = number < np.repeat(n_rows, np.diff(panel.offsets))
    offsets = np.concatenate([[0], np.cumsum(n_rows)])
    return panel.with_rows(kept, offsets)


def check_cut(cut: object) -> None:
    """Check the time of a cut, or the first and the last of several.

    Raises
    ------
    FrameError
        If either is no time.
    ValueError
        If there are more or fewer than two, of two kinds, or not in their order.
    """
    if not isinstance(cut, tuple):
        _read_cut(cut)
        return
    if len(cut) != 2:
        raise ValueError(f"cut={cut} has {len(cut)} times: give one, or the first and the last.")
    kinds = [_read_cut(time).kind for time in cut]
    if kinds[0] != kinds[1]:
        raise ValueError(f"cut={cut} has a {kinds[0]} and a {kinds[1]}: give two of one kind.")
    if cut[0] > cut[1]:
        raise ValueError(f"cut={cut} ends before it begins: give cut=({cut[1]!r}, {cut[0]!r}).")


def _read_cut(cut: object) -> Times:
    return read_times(pd.Series([cut]), _CUT)


def read_time(time: object, schema: Schema) -> float:
    """Read one time, text included, in the unit of a schema; raise `FrameError` if it is none."""
    try:
        return query_at([time], schema, [ONE_SERIES]).times[0]
    except FrameError as error:
        if error.code != "E-TIME-ZONE":
            raise
        what = error.what.replace("times", f"the cutoff {time}", 1)
        fix = f"cutoff = pd.Timestamp(cutoff).tz_localize({schema.time_zone!r})"
        raise FrameError(error.code, what, fix) from None


def rows_before(panel: Panel, cut: object) -> np.ndarray:
    """Count the rows (S,) of each series before a time, given in the units of the frame."""
    time = convert_times(_read_cut(cut), panel.schema, _CUT)[0]
    return _count(panel.times < time, panel)


def _count(rows: np.ndarray, panel: Panel) -> np.ndarray:
    """Count the rows (S,) of each series that are True."""
    n_up_to = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])
    return np.diff(n_up_to[panel.offsets])
