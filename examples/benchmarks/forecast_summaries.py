"""What is known of a series when its forecast starts: one number per variable and summary."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from forecast_tasks import Array, values_of
from numpy.typing import NDArray
from pandas import DataFrame


class Context(NamedTuple):
    """Rows of B series, those of a series together.

    Attributes
    ----------
    row_of : ndarray of shape (B', 2)
        First row and one past the last of the B' series that have any.
    has_rows : ndarray of shape (B',)
        Which of the B series these are.
    age : ndarray of shape (R,)
        Of each row when the forecast starts.
    values : ndarray of shape (R, D)
    n_series : int
        B.
    """

    row_of: NDArray[np.int64]
    has_rows: NDArray[np.int64]
    age: Array
    values: Array
    n_series: int


class Summaries(NamedTuple):
    """Summaries of B series, each of shape (B, D) and NaN where nothing was measured.

    Attributes
    ----------
    last, age : ndarray
        The last value, and its age when the forecast starts.
    mean, spread, count : ndarray
        Mean, standard deviation and number (0 where nothing was measured).
    slope : ndarray
        Of the straight line of least squares; 0 for a single value.
    low, high : ndarray
        The least and the largest value.
    """

    last: Array
    age: Array
    mean: Array
    spread: Array
    count: Array
    slope: Array
    low: Array
    high: Array


def context_of(
    frame: DataFrame, series: Sequence[object], features: Sequence[str], now: float
) -> Context:
    """Give the rows of some series, in the order in which the series are named."""
    code = pd.Index(series).get_indexer(frame["series"])
    order = np.argsort(code, kind="stable")
    order = order[code[order] >= 0]
    has_rows, starts = np.unique(code[order], return_index=True)
    ends = np.append(starts, len(order))[1:]
    rows = frame.iloc[order]
    age = now - rows["time"].to_numpy(np.float64)
    return Context(
        np.stack([starts, ends], axis=1), has_rows, age, values_of(rows, features), len(series)
    )


def summarise(context: Context) -> Summaries:
    """Summarise the context of every series."""
    x, age = context.values, context.age[:, None]
    measured = np.isfinite(x)
    count = totals(context, measured)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = totals(context, np.where(measured, x, 0)) / count
        mean_age = totals(context, np.where(measured, age, 0)) / count
    # Centred first, for a value may be large beside how it varies.
    dx = np.where(measured, x - spread_to_rows(context, mean), 0)
    dt = np.where(measured, spread_to_rows(context, mean_age) - age, 0)
    moment, variance = totals(context, dx * dt), totals(context, dt**2)
    slope = np.divide(moment, variance, out=np.zeros_like(moment), where=variance > 1e-12)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(totals(context, dx**2) / count)
    last, last_age = _last(context, measured)
    low = -_largest(context, np.where(measured, -x, -np.inf))
    high = _largest(context, np.where(measured, x, -np.inf))
    slope = np.where(count > 0, slope, np.nan)
    return Summaries(last, last_age, mean, spread, count, slope, low, high)


def decayed_totals(context: Context, rate: float) -> tuple[Array, Array]:
    """Give the totals of exp(-rate age) x and of exp(-rate age) over what was measured."""
    measured = np.isfinite(context.values)
    weight = np.exp(-rate * context.age)[:, None] * measured
    return totals(context, weight * np.where(measured, context.values, 0)), totals(context, weight)


def totals(context: Context, x: Array) -> Array:
    """Sum over the rows of each series."""
    out = np.zeros((context.n_series, x.shape[1]))
    if len(x):
        out[context.has_rows] = np.add.reduceat(x, context.row_of[:, 0], axis=0, dtype=np.float64)
    return out


def spread_to_rows(context: Context, x: Array) -> Array:
    """Give every row what belongs to its series."""
    return np.repeat(x[context.has_rows], np.diff(context.row_of, axis=1)[:, 0], axis=0)


def _largest(context: Context, x: Array) -> Array:
    out = np.full((context.n_series, x.shape[1]), -np.inf)
    if len(x):
        out[context.has_rows] = np.maximum.reduceat(x, context.row_of[:, 0], axis=0)
    return np.where(np.isfinite(out), out, np.nan)


def _last(context: Context, measured: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Give the last measured value of each series and variable, and its age."""
    row = np.where(measured, np.arange(len(measured))[:, None], -1).astype(np.float64)
    row = _largest(context, np.where(row < 0, -np.inf, row))
    found = np.isfinite(row)
    last = np.full(row.shape, np.nan)
    age = np.full(row.shape, np.nan)
    _, column = np.nonzero(found)
    rows = row[found].astype(np.int64)
    last[found], age[found] = context.values[rows, column], context.age[rows]
    return last, age
