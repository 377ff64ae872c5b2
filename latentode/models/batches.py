"""The batches of an epoch: drawn the same however an epoch was reached, and shared among ranks."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Generator, Tensor

from latentode.data import Batch

# Batches that are filled together, so that each holds series of about one length.
_BUCKET = 16


class Place(NamedTuple):
    """How far one is: in which epoch, after how many of its batches."""

    epoch: int
    n_given: int


class Batches:
    """The batches of an epoch, drawn anew each time they are gone through.

    The order depends on the seed and on the number of the epoch, and a batch on its place in the
    order as well: training that goes on in the middle of an epoch has the batches that it would
    have had, and ranks that share an epoch need not know of each other.

    Parameters
    ----------
    series : Tensor
        Which series to go through.
    sizes : Tensor
        Rows of each of them: those of a batch are to have about as many.
    draw : callable
        Give the batch of some series, drawn from a generator.
    batch_size : int
        Series in a batch.
    n_draws : int
        How many draws make an epoch: each series once, in an order drawn anew, and so on from the
        first.
    seed : int, default=0
        Seed of all draws.
    rank, world_size : int, default=0 and 1
        Which of how many ranks these are for. All have as many batches: where these cannot be
        shared out evenly, the last ranks are given some of the first again.
    """

    def __init__(
        self,
        series: Tensor,
        sizes: Tensor,
        draw: Callable[[Tensor, Generator], Batch],
        *,
        batch_size: int,
        n_draws: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._series = series
        self._sizes = sizes
        self._draw = draw
        self._batch_size = batch_size
        self._n_draws = n_draws
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._next = Place(epoch=0, n_given=0)
        self._reached = self._next

    def __len__(self) -> int:
        return math.ceil(self._n_draws / self._batch_size / self._world_size)

    def __iter__(self) -> Iterator[Batch]:
        epoch, n_given = self._next  # not before the first batch is asked for
        self._next = Place(epoch + 1, 0)
        generator = self._generator(epoch, 0)
        order = grouped(self._order(generator), self._sizes, self._batch_size, generator)
        for n in range(n_given, len(self)):
            # What is saved while this batch is trained on goes on after it.
            self._reached = Place(epoch, n + 1)
            number = n * self._world_size + self._rank
            series = self._series[order[number % len(order)]]
            yield self._draw(series, self._generator(epoch, 1 + number))

    @property
    def sampler(self) -> Self:
        """What Lightning tells the number of an epoch at its start: this itself."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Begin with an epoch, or go on within it where a checkpoint was."""
        if epoch != self._next.epoch:
            self._next = Place(epoch, 0)

    def state_dict(self) -> dict[str, int]:
        """Give how far this is, for a checkpoint."""
        return self._reached._asdict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from where another was."""
        self._next = self._reached = Place(**state)

    def _generator(self, *numbers: int) -> Generator:
        return own_generator(self._seed, *numbers)

    def _order(self, generator: Generator) -> Tensor:
        return in_rounds(len(self._series), self._n_draws, generator)


def own_generator(*numbers: int) -> Generator:
    """Give a generator whose seed is made of some numbers."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return Generator().manual_seed(int(state[0]))


def in_rounds(n: int, n_draws: int, generator: Generator) -> Tensor:
    """Draw numbers below n in an order of their own: each once, and so on from the first."""
    rounds = range(math.ceil(n_draws / n))
    order = torch.cat([torch.randperm(n, generator=generator) for _ in rounds])
    return order[:n_draws]


def grouped(order: Tensor, sizes: Tensor, batch_size: int, generator: Generator) -> list[Tensor]:
    """Put what is drawn in an order into batches of about one size, in an order of their own."""
    batches: list[Tensor] = []
    for bucket in order.split(_BUCKET * batch_size):
        by_size = bucket[sizes[bucket].argsort(stable=True)]
        batches += by_size.split(batch_size)
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


class FixedBatches:
    """The same batches in every epoch.

    Parameters
    ----------
    batches : sequence of Batch
        They.
    rank, world_size : int, default=0 and 1
        Which of how many ranks these are for; with fewer batches than ranks, all have them all.
    """

    def __init__(self, batches: Sequence[Batch], *, rank: int = 0, world_size: int = 1) -> None:
        self._batches = batches if len(batches) < world_size else batches[rank::world_size]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)
