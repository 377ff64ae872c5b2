"""Forecasts as tables: beside the rows asked, wide or long."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from latentode.data import Query, Schema


def as_table(
    query: Query, parts: Mapping[str, np.ndarray], schema: Schema, layout: str
) -> pd.DataFrame:
    """Put forecasts beside the P rows that were asked.

    Parameters
    ----------
    query : Query
        The rows.
    parts : mapping of str to ndarray of shape (P, D)
        What is told of every target, by the end of its column's name: "" for the mean, "_std".
    schema : Schema
        The columns.
    layout : {"wide", "long"}
        A column for each target and part; or a row for each target, with the columns ``target``
        and ``value`` for the mean, ``quantile`` and ``value`` for quantiles.

    Returns
    -------
    DataFrame
        With the index of the rows asked.
    """
    if layout == "long":
        return _long(query, parts, schema)
    names = [
        target if ending == "" else f"{target}{ending}"
        for target in schema.target_cols
        for ending in parts
    ]
    stacked = np.stack(list(parts.values()), axis=2).reshape(len(query.times), -1)
    return beside(query.frame, stacked, names)


def quantile_names(levels: Sequence[float]) -> list[str]:
    """Give the ends of the names of columns that hold quantiles.

    Examples
    --------
    >>> quantile_names([0.05, 0.5])
    ['_q0.05', '_q0.5']
    """
    return [f"_q{level}" for level in levels]


def _long(query: Query, parts: Mapping[str, np.ndarray], schema: Schema) -> pd.DataFrame:
    """Give a row for each pair and target, and for each quantile of it."""
    targets = np.array([*schema.target_cols, None], dtype=object)[:-1]
    levels = [float(ending[2:]) for ending in parts if ending.startswith("_q")]
    n_levels = max(len(levels), 1)
    n_pairs = len(query.times)
    rows = query.frame.iloc[np.repeat(np.arange(n_pairs), len(targets) * n_levels)]
    table = rows.assign(target=np.tile(np.repeat(targets, n_levels), n_pairs))
    if levels:
        value = np.stack(list(parts.values()), axis=2).ravel()
        return table.assign(quantile=np.tile(levels, n_pairs * len(targets)), value=value)
    named = {"value" if end == "" else end[1:]: values.ravel() for end, values in parts.items()}
    return table.assign(**named)


def draws_table(query: Query, drawn: np.ndarray, schema: Schema) -> pd.DataFrame:
    """Put N draws (N, P, D) one after another, each beside the rows that were asked."""
    n_draws, n_pairs, n_targets = drawn.shape
    rows = query.frame.iloc[np.tile(np.arange(n_pairs), n_draws)]
    table = beside(rows, drawn.reshape(-1, n_targets), schema.target_cols)
    table.insert(0, "draw", np.repeat(np.arange(n_draws), n_pairs))
    return table


def beside(frame: pd.DataFrame, values: np.ndarray, names: Sequence[object]) -> pd.DataFrame:
    """Put columns of values (P, C) beside a frame of P rows."""
    forecast = pd.DataFrame(values, index=frame.index, columns=list(names))
    return pd.concat([frame, forecast], axis=1)
