"""Batches that ask for the rows of one panel from those of another."""

import numpy as np
import torch

from latentode.data import (
    Batch,
    Panel,
    RowRange,
    Scaler,
    difference,
    gather_context,
    scale_panel,
)

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
    place = {key: i for i, key in enumerate(context.ids)}
    number = np.array([place.get(key, -1) for key in asked.ids])
    n_asked = np.diff(asked.offsets)
    first, end = context.offsets[number], context.offsets[number + 1]
    first, end = np.where(number < 0, 0, first), np.where(number < 0, 0, end)
    scaled, answers = scale_panel(context, scaler), scale_panel(asked, scaler)
    origin_row = np.where(end > first, end - 1, 0)
    start = asked.times[np.minimum(asked.offsets[:-1], max(len(asked.times) - 1, 0))]
    has_context = end > first
    origin = (
        np.where(has_context, context.times[origin_row], start) if len(context.times) else start
    )
    since = difference(asked.times, np.repeat(origin, n_asked)) / scaler.time_unit
    rows = torch.tensor(np.append(since, 0.0))
    batches = []
    for chosen in _groups(n_asked, end - first):
        ranges = RowRange(
            torch.tensor(np.maximum(first, end - max_rows)[chosen]), torch.tensor(end[chosen])
        )
        steps = torch.arange(int(n_asked[chosen].max()))
        lengths = torch.tensor(n_asked[chosen])[:, None]
        inside = steps < lengths
        index = torch.tensor(asked.offsets[:-1][chosen])[:, None] + steps.minimum(lengths - 1)
        batch = gather_context(scaled, ranges, rows[index].float())
        mask = answers.mask[index] & inside[..., None]
        batches.append(batch._replace(targets=answers.x[index] * mask, targets_mask=mask))
    return batches


def _groups(n_asked: np.ndarray, n_read: np.ndarray) -> list[np.ndarray]:
    """Split the series that are asked anything of into groups of about one size."""
    some = np.flatnonzero(n_asked)
    order = some[np.lexsort((n_read[some], n_asked[some]))][::-1]
    groups, start = [], 0
    while start < len(order):
        widest = n_asked[order[start]]
        size = int(min(_MOST_SERIES, max(_MOST_ROWS // widest, 1)))
        groups.append(order[start : start + size])
        start += size
    return groups
