"""What a frame holds that a forecaster has not seen: questions whose answers are known."""

from typing import NamedTuple

import numpy as np

from latentode.data import (
    FrameError,
    Panel,
    Query,
    difference,
    drop_empty_rows,
    keep_where,
    merge_panels,
    pairs_frame,
    select_series,
)
from latentode.forecaster.question import Question, last_times

# Part of the time span of a series that was not fitted which is read; the rest is to be told.
_READ = 0.5


class HeldOut(NamedTuple):
    """A question, and the values (P, D) that came; NaN where none was measured."""

    question: Question
    truth: np.ndarray


def held_out(context: Panel, panel: Panel) -> HeldOut:
    """Ask for the rows of a panel that follow what is known of their series.

    Of a series of the context, those are the rows after its last observation there, told from the
    context. Of any other, and of one with no such row, they are those after the middle of its time
    span, told from those before.

    Parameters
    ----------
    context : Panel
        What a forecaster knows.
    panel : Panel
        Rows that it is to be measured on.

    Returns
    -------
    HeldOut
        The question, and its answer.

    Raises
    ------
    FrameError
        If no row with a value is left to ask for.
    """
    context, panel = drop_empty_rows(context), drop_empty_rows(panel)
    series = panel.row_series
    later, is_known = _rows_after(context, panel, series)
    asked = np.where(is_known[series], later, _rows_after_middle(panel, series))
    if not asked.any():
        raise FrameError(
            "E-NOTHING-TO-TELL",
            f"none of the {len(panel.times)} rows with a value follows another one of its series.",
            "df = ...  # later rows of the fitted series, or other series with two rows or more",
        )
    known = keep_where(panel, ~asked & ~is_known[series])
    from_context = [key for key, known_one in zip(panel.ids, is_known, strict=True) if known_one]
    # What is known ahead of a series of the context stands in the new rows as well.
    read = merge_panels(known, select_series(context, from_context))
    told = keep_where(panel, asked)
    return HeldOut(question_of_rows(read, told), targets_of(told))


def targets_of(panel: Panel) -> np.ndarray:
    """Give the values of the targets (N, D), without those of past covariates."""
    values: np.ndarray = panel.values[:, : len(panel.schema.target_cols)]
    return values


def question_of_rows(read: Panel, told: Panel) -> Question:
    """Ask for every row of one panel, from those of another, which has all of its series."""
    place = {key: i for i, key in enumerate(read.ids)}
    series = np.repeat([place[key] for key in told.ids], np.diff(told.offsets))
    frame = pairs_frame(read.ids, series, told.times, told.schema)
    query = Query(read.ids, series, told.times, frame)
    return Question(query, read, last_times(read, read))


def _rows_after(context: Panel, panel: Panel, series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell the rows that follow what is known of their series, and the series that have one."""
    last = dict(zip(context.ids, last_times(context, context).tolist(), strict=True))
    seen = np.array([key in last for key in panel.ids])
    ends = np.array([last.get(key, 0) for key in panel.ids], dtype=panel.times.dtype)
    later = seen[series] & (panel.times > ends[series])
    has_later = np.bincount(series, weights=later, minlength=len(panel.ids)) > 0
    return later, has_later


def _rows_after_middle(panel: Panel, series: np.ndarray) -> np.ndarray:
    first, last = panel.offsets[:-1], np.maximum(panel.offsets[1:] - 1, 0)
    if not len(panel.times):
        return np.zeros(0, dtype=bool)
    first = np.minimum(first, len(panel.times) - 1)
    since = difference(panel.times, panel.times[first][series])
    span = difference(panel.times[last], panel.times[first])
    after: np.ndarray = since > _READ * span[series]
    return after
