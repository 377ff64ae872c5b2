"""Panels put together, and cut in time."""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from latentode.data.errors import FrameError, plainly
from latentode.data.ids import canonical
from latentode.data.known import Known, knots_of, merge_known
from latentode.data.lookup import first_not_before, is_row_at
from latentode.data.panel import Panel, select_series
from latentode.data.times import times_as_column


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
    old, first = first, _with_series(first, second.ids)
    position = {key: i for i, key in enumerate(first.ids)}
    own = np.array([position[key] for key in second.ids], dtype=np.int64)
    series = np.repeat(own, np.diff(second.offsets))
    order = np.lexsort((second.times, series))
    series, times = series[order], second.times[order]
    # Whole numbers and others together are others.
    before = first.times.astype(np.result_type(first.times, times), copy=False)
    at = first_not_before(first, series, times)
    _refuse_same_times(first, series, times, at)
    n_new = np.bincount(series, minlength=len(first.ids))
    # Inserted, not sorted anew: a row more must not cost what all rows did.
    return first._replace(
        offsets=first.offsets + np.concatenate([[0], np.cumsum(n_new)]),
        times=np.insert(before, at, times),
        values=np.insert(first.values, at, second.values[order], axis=0),
        noise=None
        if first.noise is None or second.noise is None
        else np.insert(first.noise, at, second.noise[order], axis=0),
        known=_merge_known(old, second, position),
        static=_merge_static(old, second, first.ids),
    )


def join_panels(panels: Sequence[Panel]) -> Panel:
    """Put panels of the same schema together that have no series in common.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.data import infer_schema, to_panel
    >>> df = pd.DataFrame({"id": ["a", "b", "a"], "t": [1, 2, 3], "y": [0.1, 0.2, 0.3]})
    >>> schema = infer_schema(df)
    >>> join_panels([to_panel(df[df.id == key], schema) for key in "ba"]).times
    array([1, 3, 2])
    """
    ids = tuple(key for panel in panels for key in panel.ids)
    first, known = panels[0], [panel.known for panel in panels if panel.known is not None]
    stacked = first._replace(
        ids=ids,
        offsets=_end_to_end([panel.offsets for panel in panels]),
        times=np.concatenate([panel.times for panel in panels]),
        values=np.concatenate([panel.values for panel in panels]),
        static=_stacked([panel.static for panel in panels]),
        noise=_stacked([panel.noise for panel in panels]),
    )
    if known:
        parts = (np.concatenate([getattr(k, name) for k in known]) for name in ("times", "values"))
        stacked = stacked._replace(known=Known(_end_to_end([k.offsets for k in known]), *parts))
    return select_series(stacked, ids)


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
    return panel.with_rows(kept, n_before[panel.offsets])


def _with_series(panel: Panel, ids: Iterable[Hashable]) -> Panel:
    """Add series without rows, where they are not there; all in canonical order."""
    number = {key: i for i, key in enumerate(panel.ids)}
    new = [key for key in ids if key not in number]
    if not new:
        return panel
    every = canonical([*panel.ids, *new])
    # Mixed ids may be in another order with the new ones, as when the first text is among them.
    old = np.array([number.get(key, -1) for key in every], dtype=np.int64)
    sizes = np.where(old < 0, 0, np.diff(panel.offsets, append=0)[old])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    rows = np.arange(offsets[-1]) + np.repeat(panel.offsets[old] - offsets[:-1], sizes)
    return panel.with_rows(rows, offsets)._replace(ids=every)


def _merge_known(first: Panel, second: Panel, position: dict[object, int]) -> Known | None:
    """Put the knots of known covariates together; at one time, those of the second win."""
    if first.known is None or second.known is None:
        return None
    moved = []
    for panel, known in ((first, first.known), (second, second.known)):
        codes = _numbers(panel.ids, known.offsets, position)
        moved.append(knots_of(codes, known.times, known.values, n_series=len(position)))
    return merge_known(*moved)


def _merge_static(first: Panel, second: Panel, ids: tuple[object, ...]) -> np.ndarray | None:
    """Give the static covariates of every series; those of the second panel win."""
    if first.static is None or second.static is None:
        return None
    rows = dict(zip(first.ids, first.static, strict=True))
    rows.update(zip(second.ids, second.static, strict=True))
    return np.stack([rows[key] for key in ids])


def _numbers(
    ids: tuple[object, ...], offsets: np.ndarray, position: dict[object, int]
) -> np.ndarray:
    """Give the new number of the series of each row."""
    numbers = np.array([position[key] for key in ids], dtype="int64")
    return np.repeat(numbers, np.diff(offsets))


def _refuse_same_times(
    panel: Panel, series: np.ndarray, times: np.ndarray, at: np.ndarray
) -> None:
    again = np.flatnonzero(is_row_at(panel, series, times, at))
    if not len(again):
        return
    stamp = times_as_column(times[again[:1]], panel.schema).iloc[0]
    raise FrameError(
        "E-TIME-DUP",
        f"{len(again)} of the new rows are at a time that the model has a row of, first of series "
        f"{plainly(panel.ids[series[again[0]]])} at {plainly(stamp)}.",
        "df = df[~model.knows(df)]  # or model.set_context(df), if it holds all rows",
    )


def _end_to_end(offsets: Sequence[np.ndarray]) -> np.ndarray:
    """Give where each part begins, of blocks of them one after another."""
    return np.concatenate([[0], np.cumsum(np.concatenate([np.diff(o) for o in offsets]))])


def _stacked(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None
