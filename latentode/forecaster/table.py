"""Forecasts as tables: beside the rows asked, wide or long."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from latentode.data import FrameError, Query, Schema
from latentode.data.errors import as_code
from latentode.models import Told


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


def quantile_parts(levels: Sequence[float], told: Told) -> dict[str, np.ndarray]:
    """Give the quantiles (P, D) of each level, by the ends of the names of their columns."""
    return dict(zip(quantile_names(levels), np.moveaxis(told.quantiles, 2, 0), strict=True))


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
    kinds = ["value" if ending == "" else ending[1:] for ending in parts]
    kinds = ["quantile", "value"] if levels else kinds
    refuse_twice(query.frame.columns, ["target", *kinds])
    n_levels = max(len(levels), 1)
    n_pairs = len(query.times)
    rows = query.frame.iloc[np.repeat(np.arange(n_pairs), len(targets) * n_levels)]
    table = rows.assign(target=np.tile(np.repeat(targets, n_levels), n_pairs))
    if levels:
        value = np.stack(list(parts.values()), axis=2).ravel()
        return table.assign(quantile=np.tile(levels, n_pairs * len(targets)), value=value)
    values = (part.ravel() for part in parts.values())
    return table.assign(**dict(zip(kinds, values, strict=True)))


def draws_table(query: Query, drawn: np.ndarray, schema: Schema) -> pd.DataFrame:
    """Put N draws (N, P, D) one after another, each beside the rows that were asked."""
    n_draws, n_pairs, n_targets = drawn.shape
    rows = query.frame.iloc[np.tile(np.arange(n_pairs), n_draws)]
    table = beside(rows, drawn.reshape(-1, n_targets), schema.target_cols)
    return before(table, "draw", np.repeat(np.arange(n_draws), n_pairs))


def beside(frame: pd.DataFrame, values: np.ndarray, names: Sequence[object]) -> pd.DataFrame:
    """Put columns of values (P, C) beside a frame of P rows."""
    refuse_twice(frame.columns, names)
    forecast = pd.DataFrame(values, index=frame.index, columns=list(names))
    return pd.concat([frame, forecast], axis=1)


def before(table: pd.DataFrame, name: str, values: np.ndarray | pd.Series) -> pd.DataFrame:
    """Put a column before the others of a table."""
    refuse_twice(table.columns, [name])
    table.insert(0, name, values)
    return table


def refuse_twice(given: Sequence[object] | pd.Index, told: Sequence[object]) -> None:
    """Refuse a table with two columns of one name: one given in fit and one that is told."""
    names = [*given, *told]
    twice = next((name for name in told if names.count(name) > 1), None)
    if twice is None:
        return
    new = as_code(f"{twice}_")
    raise FrameError(
        "E-COLS-DUP",
        f"the forecast would have two columns called {as_code(twice)}: one for yours of this "
        "name, and one for what is told.",
        f"df = df.rename(columns={{{as_code(twice)}: {new}}})  # and model.fit(df) with that name",
    )
