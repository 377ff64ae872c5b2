"""The levels of an index that hold series and times, read as columns."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import pandas as pd

from latentode.data.columns import ID_NAMES, TIME_NAMES, holds_stamps, usual_names


class Levels(NamedTuple):
    """What the index of a frame holds beside row labels."""

    columns: dict[Hashable, pd.Index]
    """The levels to read, by name, in their order."""
    names: list[Hashable]
    """A name for every level, those that are not read included."""


def read_levels(
    frame: pd.DataFrame, id_cols: Sequence[Hashable], time_col: Hashable | None
) -> Levels:
    """Tell which levels of an index hold data; those without a name take that of their place.

    >>> index = pd.MultiIndex.from_tuples([("a", 1, 2.5)])
    >>> read_levels(pd.DataFrame({"y": [1]}, index=index), ["shop", "item"], None).names
    ['shop', 'item', 'time']
    """
    index, n = frame.index, frame.index.nlevels
    if n == 1 and not _is_data(index, (*id_cols, time_col)):
        return Levels({}, [])
    roles = _roles(n, id_cols, time_col)
    names = [role if name is None else name for name, role in zip(index.names, roles, strict=True)]
    needed = _needed(frame, id_cols, time_col)
    read = [i for i, name in enumerate(index.names) if name is not None or needed[i]]
    return Levels({names[i]: index.get_level_values(i) for i in read}, names)


def time_is_last(
    frame: pd.DataFrame, levels: Sequence[Hashable], time_col: Hashable | None
) -> bool:
    """Tell whether the last of several levels, which are columns of a frame by now, is the time.

    >>> frame = pd.DataFrame({"instances": [0], "timepoints": [4], "y": [1.0]})
    >>> time_is_last(frame, ["instances", "timepoints"], None)
    True
    """
    if len(levels) < 2:
        return False
    last = levels[-1]
    timed = bool(usual_names([last], TIME_NAMES))
    if time_col is not None or timed or usual_names([last], ID_NAMES):
        return last == time_col or (time_col is None and timed)
    return holds_stamps(frame[last]) or not usual_names(frame.columns, TIME_NAMES)


def _is_data(index: pd.Index, given: tuple[Hashable | None, ...]) -> bool:
    """Tell a time index from mere row labels."""
    usual = usual_names([index.name], (*ID_NAMES, *TIME_NAMES))
    named = index.name is not None and (index.name in given or bool(usual))
    return named or isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex | pd.PeriodIndex)


def _roles(n: int, id_cols: Sequence[Hashable], time_col: Hashable | None) -> list[Hashable]:
    """Name n levels by their places: those of the ids, and the time as the last."""
    ids: list[Hashable] = list(id_cols)
    if len(ids) != n - 1:
        ids = ["id"] if n == 2 else [f"level_{i}" for i in range(n - 1)]
    return [*ids, "time" if time_col is None else time_col]


def _needed(
    frame: pd.DataFrame, id_cols: Sequence[Hashable], time_col: Hashable | None
) -> list[bool]:
    """Tell which levels without a name hold what no column does."""
    columns, n = list(frame.columns), frame.index.nlevels
    time = _time_needed(frame, time_col)
    if n == 1 or len(id_cols) == n - 1:
        return [*(label not in columns for label in id_cols), time][-n:]
    if n == 2:
        return [not id_cols, time]
    timed = time_col in columns or bool(usual_names(columns, TIME_NAMES))
    return [not id_cols and not timed] * n


def _time_needed(frame: pd.DataFrame, time_col: Hashable | None) -> bool:
    if time_col is not None:
        return time_col not in frame.columns
    stamps = frame.index.get_level_values(-1)
    return not usual_names(frame.columns, TIME_NAMES) or holds_stamps(stamps.to_series())
