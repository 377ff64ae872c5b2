"""Logs of events taken apart and put together: some series, later rows, what is held out."""

from typing import NamedTuple

import numpy as np

from latentode.data.event_log import EventLog
from latentode.data.scaling import difference

# Series of which some are held out whole; of fewer, the last part of each window is.
_MANY = 20


class HeldOutEvents(NamedTuple):
    """A log in two parts: what is learned from, and what is validated on, if anything is."""

    learned: EventLog
    validated: EventLog | None


def hold_out_events(log: EventLog, fraction: float, random: np.random.Generator) -> HeldOutEvents:
    """Hold out a share of many series; of few, the last part of each window, read from the first.

    Parameters
    ----------
    log : EventLog
        All there is.
    fraction : float
        The share, at least 0 and less than 1.
    random : Generator
        Chooses the series.

    Returns
    -------
    HeldOutEvents
        Nothing is validated on where that would leave no event to one of the parts.
    """
    with_events = np.unique(log.row_series[log.told])
    if len(with_events) >= _MANY:
        order = random.permutation(len(log.ids))
        n = round(fraction * len(order))
        parts = some_series(log, np.sort(order[n:])), some_series(log, np.sort(order[:n]))
    else:
        parts = _cut(log, fraction)
    if not all(part.told.any() for part in parts):
        return HeldOutEvents(log, None)
    return HeldOutEvents(*parts)


def follow(known: EventLog, log: EventLog) -> EventLog:
    """Let series of a log go on from where they are known: what came until then is only read.

    Parameters
    ----------
    known : EventLog
        What is known.
    log : EventLog
        Other series, and the same ones later; what it says of these up to the end of the windows
        that are known is not looked at. One that ends no later than that is told from its start.

    Returns
    -------
    EventLog
        The series of the log; the windows of those that are known begin where they ended.
    """
    place = {key: i for i, key in enumerate(known.ids)}
    own = np.array([place.get(key, -1) for key in log.ids], dtype=np.int64)
    seen = own >= 0
    seen[seen] = log.end[seen] > known.end[own[seen]]
    until = np.where(seen, known.end[own], np.min(log.begin, initial=0))
    new = ~seen[log.row_series] | (log.times > until[log.row_series])
    old = np.isin(known.row_series, own[seen])
    back = np.full(len(known.ids), -1)
    back[own[seen]] = np.flatnonzero(seen)
    series = np.concatenate([back[known.row_series[old]], log.row_series[new]])
    order = np.argsort(series, kind="stable")  # what is known stands before what is new
    return log._replace(
        offsets=np.concatenate([[0], np.bincount(series, minlength=len(log.ids)).cumsum()]),
        times=np.concatenate([known.times[old], log.times[new]])[order],
        kinds=np.concatenate([known.kinds[old], log.kinds[new]])[order],
        begin=np.where(seen, known.begin[own], log.begin),
        start=np.where(seen, until, log.start),
    )


def some_series(log: EventLog, chosen: np.ndarray) -> EventLog:
    """Give the series of a log by their numbers, in that order."""
    sizes = np.diff(log.offsets)[chosen]
    offsets = np.concatenate([[0], sizes.cumsum()])
    rows = np.arange(offsets[-1]) + np.repeat(log.offsets[chosen] - offsets[:-1], sizes)
    return log._replace(
        ids=tuple(log.ids[i] for i in chosen),
        offsets=offsets,
        times=log.times[rows],
        kinds=log.kinds[rows],
        begin=log.begin[chosen],
        start=log.start[chosen],
        end=log.end[chosen],
    )


def _cut(log: EventLog, fraction: float) -> tuple[EventLog, EventLog]:
    """Cut each window in time; the later part is read from all that was before."""
    length = (1 - fraction) * log.exposure
    whole = log.times.dtype.kind == "i"
    cut = log.start + (np.floor(length).astype(np.int64) if whole else length)
    since = difference(log.times, cut[log.row_series])
    kept = since <= 0
    sizes = np.bincount(log.row_series[kept], minlength=len(log.ids))
    earlier = log._replace(
        offsets=np.concatenate([[0], sizes.cumsum()]),
        times=log.times[kept],
        kinds=log.kinds[kept],
        end=cut,
    )
    return earlier, log._replace(start=cut)
