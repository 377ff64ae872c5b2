"""A forecast of many series, shared among processes: each row is told by one of them."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch.distributed

from latentode.forecaster.question import Question, Wanted, question_of
from latentode.models import Told, run_ranks

# What gives the forecasts of P pairs, see `Predicting`.
Tell = Callable[[Question, Wanted], Told]


class Shard(NamedTuple):
    """A part of a question.

    Attributes
    ----------
    question : Question
        Some of the series, and what is asked of them.
    wanted : Wanted
        What is wanted of their pairs.
    pairs : ndarray of shape (C,)
        Which of the P pairs of the whole question these are.
    """

    question: Question
    wanted: Wanted
    pairs: np.ndarray


def tell_on(n_jobs: int, tell: Tell, question: Question, wanted: Wanted) -> Told:
    """Give the forecasts of P pairs, each told by one of several processes.

    Parameters
    ----------
    n_jobs : int
        How many processes there may be; there are no more than series.
    tell : Tell
        Gives the forecasts of some series; it goes to the processes with all that it holds.
    question : Question
        The P pairs.
    wanted : Wanted
        What is wanted of them.

    Returns
    -------
    Told
        The forecasts, in the order of the pairs.
    """
    shards = [_shard(question, wanted, series) for series in shared_out(question, n_jobs)]
    if len(shards) == 1:
        return tell(question, wanted)
    # Forecasts are computed on the processor, and numbers are handed over there.
    every = run_ranks(partial(_tell_all, tell), len(shards), own=shards, backend="gloo")
    order = np.argsort(np.concatenate([shard.pairs for shard in shards]))
    return Told(*(np.concatenate(part)[order] for part in zip(*every, strict=True)))


def shared_out(question: Question, n: int) -> list[np.ndarray]:
    """Share series out by what they cost: the rows that are read, and those that are told.

    Returns
    -------
    list of ndarray
        The positions of at least one series each, and all of them together.
    """
    n_series = len(question.query.ids)
    read = np.diff(question.known.offsets)
    costs = 1 + read + np.bincount(question.query.series, minlength=n_series)
    ends = np.cumsum(costs)
    part = np.minimum(n * (ends - costs / 2) // ends[-1], n - 1)
    series = np.arange(n_series)
    return [some for some in (series[part == i] for i in range(n)) if len(some)]


def _shard(question: Question, wanted: Wanted, series: np.ndarray) -> Shard:
    own, pairs = question_of(question, series)
    return Shard(own, wanted.of(pairs), pairs)


def _tell_all(tell: Tell, shard: Shard) -> list[Told]:
    """Tell what is asked of this process, and gather on the first what all have told."""
    told = tell(shard.question, shard.wanted)
    every: list[Told] = [told] * torch.distributed.get_world_size()
    is_first = torch.distributed.get_rank() == 0
    torch.distributed.gather_object(told, every if is_first else None)
    return every
