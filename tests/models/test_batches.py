"""Batches: the same however an epoch was reached, and each on one rank."""

import itertools

import pytest
import torch

from latentode.models import SeriesDataModule
from latentode.models.batches import Batches, FixedBatches


@pytest.fixture
def loader(waves):
    def make(**options):
        return SeriesDataModule(waves, batch_size=4, random_state=3, **options).train_dataloader()

    return make


def numbered(n_series=20, **options):
    """Give batches that show which series were drawn, and a number that was drawn with them."""

    def draw(series, generator):
        return series.tolist(), float(torch.rand((), generator=generator))

    sizes = torch.arange(n_series)
    return Batches(sizes, sizes, draw, batch_size=3, n_draws=n_series, seed=1, **options)


def test_an_epoch_goes_on_where_a_checkpoint_was():
    batches = numbered()
    whole = [list(batches), list(batches)]

    stopped = numbered()
    list(stopped)
    given = [batch for _, batch in zip(range(2), stopped, strict=False)]
    resumed = numbered()
    resumed.load_state_dict(stopped.state_dict())

    assert given + list(resumed) == whole[1]
    assert list(resumed) != whole[1]  # but the third


def test_an_epoch_is_named_by_its_number():
    batches = numbered()
    epochs = [list(batches) for _ in range(3)]
    again = numbered()
    again.set_epoch(2)
    assert list(again) == epochs[2]
    again.set_epoch(1)
    assert list(again) == epochs[1]


def test_to_be_told_the_epoch_again_does_not_begin_it_again():
    batches = numbered()
    batches.load_state_dict({"epoch": 4, "n_given": 2})
    batches.set_epoch(4)
    assert len(list(batches)) == len(batches) - 2


def test_an_epoch_that_was_left_is_not_gone_on_with():
    batches = numbered()
    next(iter(batches))
    assert len(list(batches)) == len(batches)


@pytest.mark.parametrize("world_size", [2, 3, 4, 9])
def test_ranks_share_an_epoch_and_all_have_as_many_batches(world_size):
    alone = list(numbered())
    ranks = [list(numbered(rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1
    steps = [batch for step in zip(*ranks, strict=True) for batch in step]
    assert steps[: len(alone)] == alone
    # What is given again is cut anew, of series as in the first batches.
    again = steps[len(alone) :]
    assert [series for series, _ in again] == [series for series, _ in alone[: len(again)]]
    assert len(again) < world_size


@pytest.mark.parametrize("world_size", [2, 7])
def test_what_is_validated_is_on_one_rank(world_size):
    batches = list(range(7))
    ranks = [list(FixedBatches(batches, rank=r, world_size=world_size)) for r in range(world_size)]
    assert sorted(itertools.chain.from_iterable(ranks)) == batches


def test_no_rank_is_without_a_batch_to_validate():
    assert [list(FixedBatches([5], rank=r, world_size=2)) for r in range(2)] == [[5], [5]]


def test_batches_are_drawn_each_by_itself(loader):
    whole = list(loader())
    later = loader()
    later.load_state_dict({"epoch": 0, "n_given": 3})
    for batch, expected in zip(later, whole[3:], strict=True):
        assert torch.equal(batch.targets, expected.targets)
