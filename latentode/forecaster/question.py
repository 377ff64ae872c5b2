"""What a forecaster is asked: pairs of a series and a time, and what is known of the series."""

from typing import NamedTuple

import numpy as np

from latentode.data import (
    Panel,
    Query,
    difference,
    drop_empty_rows,
    keep_where,
    known_of_query,
    query_at,
    query_horizon,
    read_time,
    select_series,
)


class Question(NamedTuple):
    """P pairs of a series and a time, and all that may be read to answer them.

    Attributes
    ----------
    query : Query
        The pairs.
    known : Panel
        What was observed of the S series asked, in their order; none has a row without a value.
    starts : ndarray of shape (S,)
        Time from which forecasts of each series count: that of its last observation.
    """

    query: Query
    known: Panel
    starts: np.ndarray

    @property
    def since(self) -> np.ndarray:
        """Time (P,) of each pair since the start of its series, in the unit of the panel."""
        since: np.ndarray = difference(self.query.times, self.starts[self.query.series])
        return since


class Wanted(NamedTuple):
    """What is wanted of P pairs beside their means.

    Attributes
    ----------
    levels : ndarray of shape (K,) or (P, D, K), optional
        Probabilities of quantiles.
    truth : ndarray of shape (P, D), optional
        What came, NaN where nothing did.
    with_spread : bool, default=True
        Whether anything but the means is wanted.
    """

    levels: np.ndarray | None = None
    truth: np.ndarray | None = None
    with_spread: bool = True

    def of(self, pairs: np.ndarray) -> "Wanted":
        """Give what is wanted of some of the pairs."""
        levels, truth = self.levels, self.truth
        return self._replace(
            levels=levels[pairs] if levels is not None and levels.ndim > 1 else levels,
            truth=None if truth is None else truth[pairs],
        )


def ask(panel: Panel, at: object, horizon: object, step: object, cutoff: object) -> Question:
    """Ask for times, for the rows of a frame, or for a horizon, of the series of a panel.

    Parameters
    ----------
    panel : Panel
        What was observed.
    at, horizon, step, cutoff : object
        See `Forecaster.predict`.

    Returns
    -------
    Question
        With no row after the cutoff.
    """
    check_arguments(at, horizon, step)
    limit = None if cutoff is None else read_time(cutoff, panel.schema)
    if limit is not None:
        panel = keep_where(panel, panel.times <= limit)
    observed = drop_empty_rows(panel)
    starts = last_times(panel, observed, limit)
    if at is not None:
        query = query_at(at, panel.schema, panel.ids)
    else:
        # What follows a cutoff counts from there, whenever a series was last observed.
        ends = starts if limit is None else np.full_like(starts, limit)
        by_id = dict(zip(panel.ids, ends.tolist(), strict=True))
        query = query_horizon(horizon, step, by_id, panel.schema)
    place = {key: i for i, key in enumerate(panel.ids)}
    asked = np.array([place[key] for key in query.ids])
    known = known_of_query(at, query, select_series(observed, query.ids))
    return Question(query, known, starts[asked])


def question_of(question: Question, chosen: np.ndarray) -> tuple[Question, np.ndarray]:
    """Ask for the pairs of some of the series alone.

    Parameters
    ----------
    question : Question
        All P pairs, of S series.
    chosen : ndarray of shape (C,)
        Positions of the series.

    Returns
    -------
    tuple of Question and ndarray
        The question, and which of the P pairs are its own.
    """
    query = question.query
    known = select_series(question.known, [query.ids[i] for i in chosen])
    place = {key: i for i, key in enumerate(query.ids)}
    kept = np.array([place[key] for key in known.ids])
    number = np.full(len(query.ids), -1)
    number[kept] = np.arange(len(kept))
    pairs = np.flatnonzero(number[query.series] >= 0)
    own = query._replace(
        ids=known.ids,
        series=number[query.series[pairs]],
        times=query.times[pairs],
        frame=query.frame.iloc[pairs],
    )
    return Question(own, known, question.starts[kept]), pairs


def last_times(panel: Panel, observed: Panel, limit: float | None = None) -> np.ndarray:
    """Give when each series (S,) was last observed.

    That of its last row where nothing was, and the limit of one without a row.
    """
    starts = np.where(np.diff(observed.offsets) > 0, _ends(observed), _ends(panel))
    if limit is not None:
        starts = np.where(np.diff(panel.offsets) > 0, starts, limit)
    return starts


def _ends(panel: Panel) -> np.ndarray:
    last = np.maximum(panel.offsets[1:] - 1, 0)
    return panel.times[last] if len(panel.times) else np.zeros(len(last), panel.times.dtype)


def check_arguments(at: object, horizon: object, step: object) -> None:
    """Refuse neither or both of times and a horizon, and a step without one."""
    if (at is None) == (horizon is None):
        raise ValueError("give either times, predict(at), or predict(horizon=...).")
    if at is not None and step is not None:
        raise ValueError("step goes with horizon, not with times.")
