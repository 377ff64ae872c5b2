"""Tables of metrics: means over values, then over variables, by group."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from latentode.metrics.named import Forecasts, losses


def lead_groups(lead: np.ndarray, edges: Sequence[float] | None = None) -> pd.Categorical:
    """Tell which part of the lead times each of P belongs to.

    Parameters
    ----------
    lead : ndarray of shape (P,)
        Lead times.
    edges : sequence of float, optional
        Ends of the parts, rising; one more part holds what lies beyond the last. By default those
        of three parts with a third of the lead times each.

    Returns
    -------
    Categorical
        Intervals that are open on the left.

    Raises
    ------
    ValueError
        If a lead time is not positive, or the edges do not rise.

    Examples
    --------
    >>> lead_groups(np.array([1.0, 2.0, 9.0]), [2.0, 10.0]).codes
    array([0, 0, 1], dtype=int8)
    """
    if not lead.min() > 0:
        raise ValueError(f"lead={lead.min()} is not positive: give times since forecasts start.")
    thirds = np.quantile(lead, [1 / 3, 2 / 3, 1], method="higher")
    ends = np.unique(thirds) if edges is None else np.array(edges)
    breaks = np.concatenate([[0.0], ends])
    if not (np.diff(breaks) > 0).all():
        raise ValueError(f"edges={ends.tolist()} must be positive and rise, such as [1, 7, 30].")
    if lead.max() > breaks[-1]:
        breaks = np.append(breaks, lead.max())
    parts: Any = pd.IntervalIndex.from_arrays(breaks[:-1], breaks[1:])
    return pd.Categorical.from_codes(np.searchsorted(breaks, lead) - 1, parts)


def measure(
    truth: np.ndarray,
    forecasts: Forecasts,
    metrics: Sequence[str],
    *,
    groups: pd.Categorical | None = None,
    variables: Sequence[Hashable] | None = None,
) -> pd.DataFrame:
    """Give the mean of losses over values, and then over variables.

    Parameters
    ----------
    truth : ndarray of shape (P, D)
        What came, NaN where nothing did.
    forecasts : Forecasts
        What was told.
    metrics : sequence of str
        See `losses`.
    groups : Categorical of length P, optional
        To which group each of P belongs: each has rows of its own.
    variables : sequence of D Hashable, optional
        Names of variables, which then have a row each. By default the mean over those of which
        something came is given; "rmse" is the root of that of "mse".

    Returns
    -------
    DataFrame
        A column for each metric; NaN where nothing came.

    Examples
    --------
    >>> truth, none = np.array([[1.0, 2.0], [3.0, np.nan]]), np.zeros((2, 2, 0))
    >>> told = Forecasts(np.zeros((2, 2)), np.zeros(0), none, np.full((2, 2), np.nan))
    >>> measure(truth, told, ["mse", "mae"])
       mse  mae
    0  4.5  2.0
    >>> measure(truth, told, ["mae"], variables=["a", "b"])
              mae
    variable
    a         2.0
    b         2.0
    """
    one: Any = pd.Categorical([0] * len(truth), categories=[0])
    groups = one if groups is None else groups
    columns = {}
    for metric in metrics:
        means = _means(losses(metric, truth, forecasts), groups)
        values = _row_means(means) if variables is None else means
        columns[metric] = (np.sqrt(values) if metric == "rmse" else values).ravel()
    return pd.DataFrame(columns, index=_index(groups, variables))


def _means(loss: np.ndarray, groups: pd.Categorical) -> np.ndarray:
    """Give the mean (G, D) over the values of each group; NaN where there is none."""
    n_groups = len(groups.categories)
    came = np.isfinite(loss)
    filled = np.where(came, loss, 0.0)
    sums = [np.bincount(groups.codes, column, n_groups) for column in filled.T]
    counts = [np.bincount(groups.codes, column, n_groups) for column in came.T]
    with np.errstate(invalid="ignore"):
        return (np.array(sums) / np.array(counts)).T


def _row_means(values: np.ndarray) -> np.ndarray:
    """Give the mean of each row, without what is missing."""
    came = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means: np.ndarray = np.where(came, values, 0.0).sum(axis=1) / came.sum(axis=1)
    return means


def _index(groups: pd.Categorical, variables: Sequence[Hashable] | None) -> pd.Index:
    labels = pd.Index(groups.categories)
    if variables is None:
        return labels
    names = pd.Index(list(variables), name="variable", tupleize_cols=False)
    return names if len(labels) == 1 else pd.MultiIndex.from_product([labels, names])
