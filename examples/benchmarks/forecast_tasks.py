"""What a protocol of forecasting is: whole series to learn from, and parts to forecast.

A table of series is long: columns "series", "time" and one per variable, NaN where a variable was
not measured; the rows of a series stand together and its times rise.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

Array = NDArray[np.float64]

KEYS = ["series", "time"]


class Cut(NamedTuple):
    """How a protocol divides a series into what a model may read and what it is to forecast.

    Attributes
    ----------
    horizon_from : float or None
        Rows before this time may be read, those from it on are asked. None for interpolation:
        any row may be read, and all are asked, those that were read among them.
    n_observed : int or None
        How many of the rows that may be read are read, drawn at random; None for all.
    n_asked : int or None
        How many rows are asked, the first ones; None for all.
    """

    horizon_from: float | None
    n_observed: int | None = None
    n_asked: int | None = None


class Part(NamedTuple):
    """A part for validation or test.

    Attributes
    ----------
    context : DataFrame
        Rows that a model may read.
    asked : DataFrame
        Rows that it is to forecast, with their true values.
    hidden : ndarray of bool
        Which rows of ``asked`` are not in ``context``; all of them, unless for interpolation.
    """

    context: DataFrame
    asked: DataFrame
    hidden: NDArray[np.bool_]


class Task(NamedTuple):
    """A protocol on one split of its data.

    Attributes
    ----------
    name : str
        As "icu/42": the protocol, then which of its variants.
    train : DataFrame
        Whole series, context and future.
    val, test : Part
        What to choose a model by, and what to measure it by.
    features : tuple of str
        The variables.
    cut : Cut
        How ``val`` and ``test`` were divided, so that training examples can be made alike.
    metrics : callable
        ``metrics(prediction, part)`` with a prediction of shape (N, D), a row for each of
        ``part.asked``, gives the protocol's own measures by name, the one that counts first.
    static : DataFrame or None
        Column "series" and what else is known of a series beforehand.
    """

    name: str
    train: DataFrame
    val: Part
    test: Part
    features: tuple[str, ...]
    cut: Cut
    metrics: Callable[[Array, Part], dict[str, float]]
    static: DataFrame | None = None


class Split(NamedTuple):
    """Which series train, validate and test."""

    train: Sequence[object]
    val: Sequence[object]
    test: Sequence[object]


def split_task(
    name: str,
    frame: DataFrame,
    split: Split,
    cut: Cut,
    *,
    features: tuple[str, ...],
    metrics: Callable[..., dict[str, float]],
    static: DataFrame | None = None,
) -> Task:
    """Give the task of one table whose series are split.

    What measures it is called as ``metrics(prediction, part, features=features)``.
    """
    return Task(
        name,
        select(frame, split.train),
        part_of(select(frame, split.val), cut, seed=1),
        part_of(select(frame, split.test), cut, seed=2),
        features,
        cut,
        partial(metrics, features=features),
        static,
    )


def values_of(frame: DataFrame, features: Sequence[str]) -> Array:
    """Give the values of a table, of shape (rows, D)."""
    return frame[list(features)].to_numpy(np.float64)


def part_of(frame: DataFrame, cut: Cut, *, seed: int = 0) -> Part:
    """Divide whole series as a protocol does; the seed is that of the rows read at random."""
    may_be_read = np.ones(len(frame), bool)
    if cut.horizon_from is not None:
        may_be_read = frame["time"].to_numpy() < cut.horizon_from
    is_asked = np.ones(len(frame), bool) if cut.horizon_from is None else ~may_be_read
    is_read = may_be_read
    if cut.n_observed is not None:
        is_read = _some_of_each(frame, may_be_read, cut.n_observed, seed)
    if cut.n_asked is not None:
        is_asked = _first_of_each(frame, is_asked, cut.n_asked)
    return Part(_rows(frame, is_read), _rows(frame, is_asked), ~is_read[is_asked])


def select(frame: DataFrame, series: Sequence[object]) -> DataFrame:
    """Give the rows of some series."""
    return _rows(frame, frame["series"].isin(series).to_numpy())


def _rows(frame: DataFrame, chosen: NDArray[np.bool_]) -> DataFrame:
    return frame.loc[chosen].reset_index(drop=True)


def _some_of_each(
    frame: DataFrame, allowed: NDArray[np.bool_], n: int, seed: int
) -> NDArray[np.bool_]:
    """Choose n rows of each series at random among those allowed."""
    lot = np.where(allowed, np.random.default_rng(seed).random(len(frame)), np.inf)
    rank = DataFrame({"series": frame["series"], "lot": lot}).groupby("series")["lot"].rank()
    return allowed & (rank.to_numpy() <= n)


def _first_of_each(frame: DataFrame, allowed: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    count = DataFrame({"series": frame["series"], "allowed": allowed}).groupby("series").cumsum()
    return allowed & (count["allowed"].to_numpy() <= n)


def frame_of(values: Array, times: Array, features: Sequence[str]) -> DataFrame:
    """Give the table of values of shape (B, T, D) at times of shape (T,), shared, or (B, T)."""
    n_series, n_times, _ = values.shape
    frame = DataFrame(values.reshape(n_series * n_times, -1), columns=list(features))
    frame.insert(0, "series", np.repeat(np.arange(n_series), n_times))
    frame.insert(1, "time", np.broadcast_to(times, (n_series, n_times)).ravel())
    return frame
