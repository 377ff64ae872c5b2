"""Naive rules: what values of P pairs of a series and a time follow from the rows of a panel.

A rule gives an array (P, D), NaN where nothing is known of a variable of a series. Each series is
told from its own rows alone, to the last bit: sums run over one series at a time.
"""

import numpy as np

from latentode.data import Panel, difference


def nothing(known: Panel, series: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Tell nothing, so that the training mean is told."""
    return np.full((len(times), known.values.shape[1]), np.nan)


def last_value(known: Panel, series: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Tell the last value at or before a time; before the first value, that one."""
    before, after = _neighbours(known, series, times)
    return _values_at(known, np.where(before >= 0, before, after))


def linear_interpolation(known: Panel, series: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Tell what lies on the line between the nearest values; beyond the ends, the end."""
    before, after = _neighbours(known, series, times)
    left = _values_at(known, np.where(before >= 0, before, after))
    right = _values_at(known, np.where(after >= 0, after, before))
    within = (before >= 0) & (after >= 0)
    rows = np.append(known.times, known.times[:1])  # something for -1 to point at
    if not len(rows):
        return left
    gap = np.where(within, difference(rows[after], rows[before]), 1.0)
    passed = np.where(within, difference(times[:, None], rows[before]), 0.0)
    part = passed / gap
    return (1 - part) * left + part * right


def series_mean(known: Panel, series: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Tell the mean of all values of a series."""
    total, count = weighted_sums(known, np.ones_like(known.values))
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = total / count
    return mean[series]


def age_since_last_row(known: Panel, series: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Give the time (P,) since the last row of each pair's series, 0 within it or without one."""
    rows = np.append(known.times, known.times[:1])
    if not len(rows):
        return np.zeros(len(times))
    empty = np.diff(known.offsets) == 0
    last = known.offsets[1:] - 1
    age = np.where(empty[series], 0.0, difference(times, rows[last][series]))
    return np.maximum(age, 0.0)


def weighted_sums(known: Panel, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the sums (S, D) of weighted values and of weights, over the values that are there."""
    n_series = len(known.offsets) - 1
    row_series = known.row_series
    seen = np.isfinite(known.values)
    weights = np.where(seen, weights, 0.0)
    weighted = np.where(seen, weights * known.values, 0.0)
    return tuple(  # type: ignore[return-value]
        np.array([np.bincount(row_series, column, n_series) for column in part.T]).T
        for part in (weighted, weights)
    )


def _values_at(known: Panel, rows: np.ndarray) -> np.ndarray:
    """Give the values (P, D) in rows (P, D) of a panel; NaN for row -1."""
    d = known.values.shape[1]
    values = np.vstack([known.values, np.full((1, d), np.nan)])  # where -1 points
    found: np.ndarray = values[rows, np.arange(d)]
    return found


def _neighbours(
    known: Panel, series: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give the rows (P, D) of the last value up to each time, and of the first value after it.

    Each variable has its own; -1 where there is none.
    """
    n = len(known.times)
    row_series = known.row_series
    every_series = np.concatenate([row_series, series])
    is_pair = np.arange(n + len(times)) >= n
    order = np.lexsort((is_pair, np.concatenate([known.times, times]), every_series))
    # Rows and pairs in one line; the row that stands nearest on either side is a running extreme.
    row = np.where(is_pair, -1, np.arange(n + len(times)))[order]
    seen = np.vstack([
        np.isfinite(known.values),
        np.zeros((len(times), known.values.shape[1]), bool),
    ])
    seen = seen[order]
    at_pair = is_pair[order]
    pair = order[at_pair] - n
    before = np.maximum.accumulate(np.where(seen, row[:, None], -1))[at_pair]
    after = np.minimum.accumulate(np.where(seen, row[:, None], n)[::-1])[::-1][at_pair]
    own = np.append(row_series, -1)
    of_pair = series[pair][:, None]
    both = np.empty((2, *before.shape), dtype=np.int64)
    both[0, pair] = np.where(own[before] == of_pair, before, -1)
    both[1, pair] = np.where(own[after] == of_pair, after, -1)
    return both[0], both[1]
