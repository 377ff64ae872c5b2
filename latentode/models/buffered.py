"""The batches of an epoch over series in files: a part of them is in memory at a time."""

import math
from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
import torch

from latentode.data import Batch
from latentode.models.batches import Place, grouped, in_rounds, own_generator
from latentode.models.streamed import StreamedSeries


class _Load(NamedTuple):
    """What is in memory together, and which batches of the epoch are drawn from it."""

    number: int
    groups: np.ndarray
    n_draws: int
    batches: range


class BufferedBatches:
    """The batches of an epoch, drawn from buffers that are filled with groups of series.

    Which groups are in memory together is drawn anew in each epoch, and so is the order of their
    series. Each series is drawn as often as by `Batches`, and one buffer that holds all gives the
    very same batches. Every rank reads every buffer, and is given its own batches of it.

    Parameters
    ----------
    series : StreamedSeries
        The series.
    batch_size : int
        Series in a batch.
    n_draws : int
        How many draws make an epoch, at least one of each stretch.
    seed : int, default=0
        Seed of all draws.
    rank, world_size : int, default=0 and 1
        Which of how many ranks these are for. All have as many batches: where these cannot be
        shared out evenly, some of a buffer are given again.
    """

    def __init__(
        self,
        series: StreamedSeries,
        *,
        batch_size: int,
        n_draws: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._series = series
        self._batch_size = batch_size
        self._n_draws = n_draws
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._next = Place(epoch=0, n_given=0)
        self._reached = self._next

    def __len__(self) -> int:
        return n_batches(self._series, self._n_draws, self._batch_size, self._world_size)

    def __iter__(self) -> Iterator[Batch]:
        epoch, n_given = self._next  # not before the first batch is asked for
        self._next = Place(epoch + 1, 0)
        for load in self._loads(epoch):
            own = [
                number
                for number in load.batches
                if number % self._world_size == self._rank
                and number // self._world_size >= n_given
            ]
            yield from self._of_load(epoch, load, own)

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

    def _of_load(self, epoch: int, load: _Load, own: list[int]) -> Iterator[Batch]:
        """Fill a buffer, and give those of its batches that are one's own."""
        if not own:
            return
        held = self._series.held(load.groups)
        series = held.stretches()
        # The only buffer draws as `Batches` does.
        place = (epoch, 0, load.number) if load.number else (epoch, 0)
        generator = own_generator(self._seed, *place)
        order = in_rounds(len(series), load.n_draws, generator)
        drawn = grouped(order, held.sizes(series), self._batch_size, generator)
        for number in own:
            # What is saved while this batch is trained on goes on after it.
            self._reached = Place(epoch, number // self._world_size + 1)
            chosen = series[drawn[(number - load.batches.start) % len(drawn)]]
            yield held.draw(chosen, own_generator(self._seed, epoch, 1 + number))

    def _loads(self, epoch: int) -> Iterator[_Load]:
        """Draw which groups are in memory together, and share the batches out among them."""
        n_rows = np.array([group.n_rows for group in self._series.groups])
        generator = own_generator(self._seed, epoch, 0, len(n_rows) + 1)
        order = torch.randperm(len(n_rows), generator=generator).numpy()
        ends = np.cumsum(n_rows[order])
        n_loads = _n_loads(self._series)
        number = (2 * ends - n_rows[order]) * n_loads // (2 * ends[-1])
        loads = [order[number == i] for i in range(n_loads)]
        draws = self._shared([int(self._series.n_draws[groups].sum()) for groups in loads])
        counts = [math.ceil(n / self._batch_size) for n in draws]
        start, again = 0, len(self) * self._world_size - sum(counts)
        used = [i for i, n in enumerate(draws) if n]
        for place, i in enumerate(used):
            more = again // len(used) + (place < again % len(used))
            end = start + counts[i] + more
            yield _Load(i, loads[i], draws[i], range(start, end))
            start = end

    def _shared(self, n_stretches: list[int]) -> list[int]:
        """Share the draws of an epoch out in proportion to stretches; they are no fewer."""
        ends = np.cumsum(n_stretches)
        return np.diff(ends * self._n_draws // ends[-1], prepend=0).tolist()


def n_batches(series: StreamedSeries, n_draws: int, batch_size: int, world_size: int) -> int:
    """Give how many batches an epoch has on each rank, however groups come together."""
    # A buffer ends with a batch that is not full.
    most = math.ceil(n_draws / batch_size) + _n_loads(series) - 1
    return math.ceil(most / world_size)


def _n_loads(series: StreamedSeries) -> int:
    n_rows = sum(group.n_rows for group in series.groups)
    return min(math.ceil(n_rows / series.files.buffer_rows), len(series.groups))
