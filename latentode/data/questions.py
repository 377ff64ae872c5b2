"""Batches that ask for the rows of one panel from those of another."""

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import Tensor

from latentode.data.batch import Batch, Parts, RowRange, gather_questions
from latentode.data.known import merge_known, some_known
from latentode.data.panel import Panel
from latentode.data.scaling import Scaler, difference, scale_panel

# Series of a batch, and values asked of it, at most.
_MOST_SERIES, _MOST_ROWS = 256, 50_000


def question_batches(
    context: Panel, asked: Panel, scaler: Scaler, *, max_rows: int
) -> list[Batch]:
    """Give batches with the rows of one panel as context, and those of another as targets.

    Parameters
    ----------
    context, asked : Panel
        What may be read, and what is to be told; a series without context is told from nothing,
        at times relative to its first row asked.
    scaler : Scaler
        Scales of values and times.
    max_rows : int
        Rows of a series that are read at most, the latest ones.

    Returns
    -------
    list of Batch
        Every row asked once, in batches of series with about as many rows.
    """
    told = np.flatnonzero(np.diff(asked.offsets))
    first, end = rows_of(context, [asked.ids[i] for i in told])
    origin = start = asked.times[asked.offsets[told]]
    if len(context.times):
        origin = np.where(end > first, context.times[end - 1], start)
    since = torch.tensor(difference(origin, start) / scaler.time_unit)
    read = RowRange(torch.tensor(np.maximum(first, end - max_rows)), torch.tensor(end))
    answers = RowRange(*(torch.tensor(asked.offsets[told + i]) for i in (0, 1)))
    panels = scale_panel(context, scaler), scale_panel(with_told(asked, context), scaler)
    groups = _groups(np.diff(asked.offsets)[told], end - first)
    return [
        gather_questions(
            *panels,
            Parts(_some(read, rows), _some(answers, rows)),
            since[rows],
            torch.tensor(told)[rows],
        )
        for rows in map(torch.tensor, groups)
    ]


def rows_of(panel: Panel, ids: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Give where the rows of some series begin and end in a panel; none of one not in it."""
    place = {key: i for i, key in enumerate(panel.ids)}
    number = np.array([place.get(key, -1) for key in ids], dtype=np.int64)
    known = number >= 0
    return panel.offsets[number] * known, panel.offsets[number + 1] * known


def with_told(asked: Panel, context: Panel) -> Panel:
    """Add to the rows asked what the context knows of their series beside observations.

    Of what both say, a known covariate is that of the rows asked, and a static one that of the
    context.
    """
    place = {key: i for i, key in enumerate(context.ids)}
    number = np.array([place.get(key, -1) for key in asked.ids], dtype=np.int64)
    if asked.known is not None and context.known is not None:
        known = merge_known(some_known(context.known, number), asked.known)
        asked = asked._replace(known=known)
    if asked.static is not None and context.static is not None:
        of_context = np.where(number[:, None] < 0, np.nan, context.static[number])
        asked = asked._replace(static=np.where(np.isnan(of_context), asked.static, of_context))
    return asked


def _some(rows: RowRange, chosen: Tensor) -> RowRange:
    return RowRange(rows.first[chosen], rows.end[chosen])


def _groups(n_asked: np.ndarray, n_read: np.ndarray) -> list[np.ndarray]:
    """Split series into groups with about as many rows."""
    order = np.lexsort((n_read, n_asked))[::-1]
    groups, start = [], 0
    while start < len(order):
        widest = n_asked[order[start]]
        size = int(min(_MOST_SERIES, max(_MOST_ROWS // widest, 1)))
        groups.append(order[start : start + size].copy())  # torch takes no steps backward
        start += size
    return groups
