"""A forecast of many series, shared among processes: each row is told by one of them."""

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch.distributed

from latentode.forecaster.question import Question, some_series
from latentode.models import Told, run_ranks


class Tell(Protocol):
    """What gives the forecasts of P pairs of a series and a time; see `Forecaster`."""

    def __call__(
        self,
        question: Question,
        *,
        levels: np.ndarray | None = None,
        truth: np.ndarray | None = None,
        with_spread: bool = True,
    ) -> Told:
        """Give the forecasts."""
        ...


class Shard(NamedTuple):
    """A part of a question.

    Attributes
    ----------
    question : Question
        Some of the series, and what is asked of them.
    pairs : ndarray of shape (C,)
        Which of the P pairs of the whole question these are.
    options : dict
        The other arguments of `Tell`, of these pairs.
    """

    question: Question
    pairs: np.ndarray
    options: dict[str, Any]


def tell_on(
    n_jobs: int,
    tell: Tell,
    question: Question,
    *,
    levels: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    with_spread: bool = True,
) -> Told:
    """Give the forecasts of P pairs, each told by one of several processes.

    Parameters
    ----------
    n_jobs : int
        How many processes there may be; there are no more than series.
    tell : Tell
        Gives the forecasts of some series; it goes to the processes with all that it holds.
    question : Question
        The P pairs.
    levels, truth, with_spread : object
        As of ``tell``.

    Returns
    -------
    Told
        The forecasts, in the order of the pairs.
    """
    options = {"levels": levels, "truth": truth, "with_spread": with_spread}
    shards = [_shard(question, series, options) for series in shared_out(question, n_jobs)]
    if len(shards) == 1:
        return tell(question, levels=levels, truth=truth, with_spread=with_spread)

    def told_here() -> list[Told | None]:
        shard = shards[torch.distributed.get_rank()]
        told = tell(shard.question, **shard.options)
        every: list[Told | None] = [None] * len(shards)
        is_first = torch.distributed.get_rank() == 0
        torch.distributed.gather_object(told, every if is_first else None)
        return every

    # Forecasts are computed on the processor, and numbers are handed over there.
    every = run_ranks(told_here, len(shards), backend="gloo")
    order = np.argsort(np.concatenate([shard.pairs for shard in shards]))
    parts = zip(*(told for told in every if told is not None), strict=True)
    return Told(*(np.concatenate(part)[order] for part in parts))


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


def _shard(question: Question, series: np.ndarray, options: dict[str, Any]) -> Shard:
    own, pairs = some_series(question, series)
    levels, truth = options["levels"], options["truth"]
    of_pairs = levels is not None and levels.ndim > 1
    return Shard(
        own,
        pairs,
        {
            **options,
            "levels": levels[pairs] if of_pairs else levels,
            "truth": None if truth is None else truth[pairs],
        },
    )
