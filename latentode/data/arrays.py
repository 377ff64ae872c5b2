"""Frames made of arrays, one or a part of one for each series."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from latentode.data.errors import FrameError, count, plainly


class _Series(NamedTuple):
    """Times (T,) and values (T, D) of one series."""

    times: np.ndarray
    values: np.ndarray


def from_arrays(
    times: Any,  # noqa: ANN401  arrays of any kind
    values: Any,  # noqa: ANN401
    *,
    ids: Iterable[Hashable] | None = None,
    mask: Any = None,  # noqa: ANN401
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Put arrays of times and values into a frame with one row an observation.

    Parameters
    ----------
    times : list of array of shape (T,), or array of shape (B, T) or (T,)
        Times of each of B series: numbers, datetimes or timedeltas. An array of shape (T,) holds
        those of every series of padded values.
    values : list of array of shape (T,) or (T, D), or array of shape (B, T) or (B, T, D)
        What was measured, NaN where nothing was. A row of a padded array in which nothing was
        measured is padding, and left out; one of a list is kept if it has a time.
    ids : iterable of Hashable, optional
        Names of the series; by default 0, 1, 2 and so on.
    mask : like values, optional
        True where a value was measured.
    names : sequence of str, optional
        Names of the D columns; by default ``y``, or ``y0``, ``y1`` and so on.

    Returns
    -------
    DataFrame
        Columns ``id``, ``time`` and one for each name. A series without a row is not in it.

    Raises
    ------
    FrameError
        If the shapes do not fit together, or a time of an observation is missing.

    Examples
    --------
    >>> from_arrays([[0.5, 2.0], [1.0]], [[71.0, 80.0], [64.0]], ids=["a", "b"])
      id  time     y
    0  a   0.5  71.0
    1  a   2.0  80.0
    2  b   1.0  64.0
    """
    padded = not isinstance(values, list | tuple)
    each_times, each_values, each_mask = _split(times, values, mask, padded=padded)
    keys = list(range(len(each_values))) if ids is None else list(ids)
    _refuse_counts(times=each_times, values=each_values, mask=each_mask, ids=keys)
    series = [
        _series(key, t, x, m, padded=padded)
        for key, t, x, m in zip(keys, each_times, each_values, each_mask, strict=True)
    ]
    _refuse_unlike(keys, series)
    n_columns = series[0].values.shape[1]
    columns = _names(names, n_columns)
    sizes = [len(one.times) for one in series]
    if not sum(sizes):
        raise FrameError("E-EMPTY", "values have no row at all.", "give at least one row")
    number = np.repeat(np.arange(len(keys)), sizes)
    all_values = np.concatenate([one.values for one in series])
    return pd.DataFrame({
        "id": pd.Series(keys).iloc[number].reset_index(drop=True),
        "time": np.concatenate([one.times for one in series]),
        **dict(zip(columns, all_values.T, strict=True)),
    })


def _split(
    times: Any,  # noqa: ANN401
    values: Any,  # noqa: ANN401
    mask: Any,  # noqa: ANN401
    *,
    padded: bool,
) -> tuple[list[Any], list[Any], list[Any]]:
    """Give times, values and mask of each series."""
    if padded:
        values, times = np.asarray(values), np.asarray(times)
        if values.ndim not in {2, 3}:
            shape = (
                f"an array of values must have the shape (B, T, D) or (B, T), not {values.shape}"
            )
            raise FrameError("E-ARRAY", f"{shape}.", "values = [values]  # a list, of one series")
        times = np.broadcast_to(times, values.shape[:2]) if times.ndim == 1 else times
    each = list(values)
    return list(times), each, [None] * len(each) if mask is None else list(mask)


def _refuse_counts(**parts: list[Any]) -> None:
    """Refuse parts that are not one a series each."""
    counts = {name: len(part) for name, part in parts.items()}
    if len(set(counts.values())) == 1 and counts["values"]:
        return
    if not counts["values"]:
        raise FrameError("E-EMPTY", "values are of no series.", "give at least one series")
    told = ", ".join(f"{n} of {name}" for name, n in counts.items())
    what = f"every series has its times, values, mask and id, but there are {told}."
    raise FrameError("E-ARRAY", what, "give as many of each")


def _series(
    key: Hashable,
    times: Any,  # noqa: ANN401
    values: Any,  # noqa: ANN401
    mask: Any,  # noqa: ANN401
    *,
    padded: bool,
) -> _Series:
    t, x = np.asarray(times), np.asarray(values, dtype="float64")
    x = x[:, None] if x.ndim == 1 else x
    if t.ndim != 1 or x.ndim != 2 or len(t) != len(x):
        what = f"series {plainly(key)} has times of shape {t.shape} and values of {x.shape}"
        raise FrameError("E-ARRAY", f"{what}.", "give times (T,), and values (T,) or (T, D)")
    if mask is not None:
        x = np.where(_mask_of(key, mask, x), x, np.nan)
    measured = ~np.isnan(x).all(axis=1)
    lost = measured & pd.isna(t)
    if lost.any():
        n = count(int(lost.sum()), "time")
        what = (
            f"{n} of series {plainly(key)} missing, with a value: step {np.flatnonzero(lost)[0]}"
        )
        raise FrameError("E-TIME-NAT", f"{what}.", "give a time to every value, or mask it")
    kept = measured if padded else ~pd.isna(t)
    return _Series(t[kept], x[kept])


def _mask_of(key: Hashable, mask: Any, x: np.ndarray) -> np.ndarray:  # noqa: ANN401
    """Give the mask (T, D) of values (T, D); one of shape (T,) is for every column."""
    seen = np.asarray(mask)
    seen = seen[:, None] if seen.ndim == 1 else seen
    if seen.shape not in {x.shape, (len(x), 1)} or not np.isin(seen, [0, 1]).all():
        what = f"the mask of series {plainly(key)} has shape {seen.shape}, its values {x.shape}"
        raise FrameError(
            "E-ARRAY", f"{what}; it holds True and False.", "mask = ~np.isnan(values)"
        )
    return seen.astype(bool)


def _refuse_unlike(keys: Sequence[Hashable], series: Sequence[_Series]) -> None:
    """Refuse series with other columns, or with times of another kind, than the first."""
    groups = {"i": "f", "u": "f"}
    for key, one in zip(keys, series, strict=True):
        if one.values.shape[1] != series[0].values.shape[1]:
            what = f"series {plainly(key)} has {count(one.values.shape[1], 'column')}"
            first = f"{series[0].values.shape[1]} in series {plainly(keys[0])}"
            raise FrameError(
                "E-ARRAY", f"{what}, but there are {first}.", "give all of them alike"
            )
        kinds = [groups.get(s.times.dtype.kind, s.times.dtype.kind) for s in (one, series[0])]
        if kinds[0] != kinds[1] and len(one.times) and len(series[0].times):
            types = f"{one.times.dtype} in series {plainly(key)}, {series[0].times.dtype} in "
            what = f"times are of two kinds: {types}series {plainly(keys[0])}."
            raise FrameError("E-TIME-KIND", what, "give all times as datetimes, or as numbers")


def _names(names: Sequence[str] | None, n_columns: int) -> list[str]:
    if names is None:
        return ["y"] if n_columns == 1 else [f"y{d}" for d in range(n_columns)]
    taken = [name for name in names if name in {"id", "time"} or list(names).count(name) > 1]
    if len(names) == n_columns and not taken:
        return list(names)
    what = f"names must be {count(n_columns, 'name')} apart from id and time, got {list(names)}."
    raise FrameError("E-ARRAY", what, f"names = {[f'y{d}' for d in range(n_columns)]}")
