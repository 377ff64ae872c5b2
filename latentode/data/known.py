"""Known covariates: what is known ahead of time, as knots of each series."""

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from latentode.data.columns import Schema
from latentode.data.rows import Rows, place_of
from latentode.data.values import read_covariate

__all__ = ["Known", "filled", "merge_known", "read_known", "some_known"]


class Known(NamedTuple):
    """When known covariates were stated, and as what; sorted by series and time.

    Knots ``offsets[s]`` to ``offsets[s + 1]`` are those of series s.
    """

    offsets: np.ndarray
    """int64 of shape (S + 1,)"""
    times: np.ndarray
    """int64 or float64 of shape (K,), in the unit of the schema."""
    values: np.ndarray
    """float64 of shape (K, C), NaN where one is as before."""


def read_known(rows: Rows, schema: Schema, codes: np.ndarray, times: np.ndarray) -> Known | None:
    """Give the rows of a frame in which a known covariate is stated; None if there are none.

    Parameters
    ----------
    rows : Rows
        The frame.
    schema : Schema
        With the known covariates, in order.
    codes, times : ndarray of shape (N,)
        Series, numbered from 0 on, and time of each row.

    Returns
    -------
    Known or None
        Knots of as many series as there are codes; None without known covariates.
    """
    if not schema.known_cols:
        return None
    values = np.column_stack([_read(rows, column, schema) for column in schema.known_cols])
    return knots_of(codes, times, values, n_series=int(codes.max()) + 1)


def knots_of(codes: np.ndarray, times: np.ndarray, values: np.ndarray, *, n_series: int) -> Known:
    """Sort what was stated, and join what was stated at one time: of two values the later one.

    >>> values = np.array([[1.0], [np.nan], [7.0]])
    >>> known = knots_of(np.array([1, 0, 0]), np.array([5, 2, 2]), values, n_series=2)
    >>> known.offsets.tolist(), known.times.tolist(), known.values[:, 0].tolist()
    ([0, 1, 2], [2, 5], [7.0, 1.0])
    """
    stated = np.flatnonzero(~np.isnan(values).all(axis=1))
    order = stated[np.lexsort((times[stated], codes[stated]))]
    codes, times, values = codes[order], times[order], values[order]
    same = np.zeros(len(codes), dtype=bool)
    same[1:] = (codes[1:] == codes[:-1]) & (times[1:] == times[:-1])
    if same.any():
        values = filled(values, np.flatnonzero(~same), back=False)
    is_last = np.append(~same[1:], True)[: len(same)]
    counts = np.bincount(codes[is_last], minlength=n_series)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype("int64")
    return Known(offsets, times[is_last], values[is_last])


def merge_known(known: Known, later: Known) -> Known:
    """Add knots of the same series that were stated later, and win where both say something."""
    codes = np.concatenate([_codes(known), _codes(later)])
    times = np.concatenate([known.times, later.times])
    values = np.concatenate([known.values, later.values])
    return knots_of(codes, times, values, n_series=len(known.offsets) - 1)


def some_known(known: Known, series: np.ndarray) -> Known:
    """Give the knots of some series, by their numbers; none of number -1."""
    is_there = series >= 0
    first, end = known.offsets[series] * is_there, known.offsets[series + 1] * is_there
    offsets = np.concatenate([[0], np.cumsum(end - first)]).astype("int64")
    rows = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], end - first)
    return Known(offsets, known.times[rows], known.values[rows])


def filled(values: np.ndarray, starts: np.ndarray, *, back: bool) -> np.ndarray:
    """Fill each NaN of sorted values (K, C) with the value before it, within its part.

    Parameters
    ----------
    values : ndarray of shape (K, C)
        Values of several parts, one after another.
    starts : ndarray of shape (S,)
        Where each part begins; empty parts may be among them.
    back : bool
        Whether those before the first value of a part are filled with that.

    Returns
    -------
    ndarray of shape (K, C)
        NaN is left where there is nothing to fill with.

    Examples
    --------
    >>> nan = np.nan
    >>> filled(np.array([[nan], [1.0], [nan], [nan]]), np.array([0, 3]), back=True)[:, 0]
    array([ 1.,  1.,  1., nan])
    """
    n = len(values)
    number = np.arange(n)[:, None]
    is_start = np.zeros(n, dtype=bool)
    is_start[starts[starts < n]] = True
    first = np.maximum.accumulate(np.where(is_start, np.arange(n), 0))[:, None]
    before = np.maximum.accumulate(np.where(np.isnan(values), -1, number), axis=0)
    result = np.where(before >= first, np.take_along_axis(values, before.clip(min=0), 0), np.nan)
    if not back or not n:
        return result
    ends = n - 1 - np.flatnonzero(np.append(is_start[1:], True))[::-1]
    turned = filled(result[::-1], ends, back=False)[::-1]
    return np.where(np.isnan(result), turned, result)


def _codes(known: Known) -> np.ndarray:
    return np.repeat(np.arange(len(known.offsets) - 1), np.diff(known.offsets))


def _read(rows: Rows, column: Hashable, schema: Schema) -> np.ndarray:
    return read_covariate(
        rows.frame[column], place_of(rows, column, "known covariate", schema.id_cols)
    )
