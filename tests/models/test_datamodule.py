"""Batches: what an epoch draws, and what validation asks."""

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import Forecast, FrameError, Interpolation, ask_some
from latentode.models import SeriesDataModule


def test_epochs_differ_and_can_be_drawn_again(waves):
    def epochs():
        batches = SeriesDataModule(waves, batch_size=8, random_state=3).train_dataloader()
        return [torch.cat([batch.lengths for batch in batches]) for _ in range(3)]

    first, second = epochs(), epochs()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])


def test_an_epoch_draws_every_series_as_often_as_its_length_asks_for(waves):
    data = SeriesDataModule(waves, batch_size=8, max_rows=4, val_fraction=0.0)
    sizes = np.diff(data.panel.offsets)
    batches = data.train_dataloader()
    drawn = batches._series[batches._order(torch.Generator())]
    assert torch.bincount(drawn, minlength=20).tolist() == np.ceil(sizes / 4).tolist()
    assert len(list(batches)) == len(batches)


def test_a_few_series_are_drawn_again_and_again(waves):
    data = SeriesDataModule(waves[waves.id < 3], batch_size=8)
    batches = list(data.train_dataloader())
    assert len(batches) == 4
    assert all(len(batch.t) == 8 for batch in batches)


def test_validation_asks_for_what_training_never_sees(waves):
    data = SeriesDataModule(waves, val_fraction=0.3)
    # This asks for every row that training may use.
    training = SeriesDataModule(waves, val_fraction=0.3, regime="elbo").train_dataloader()
    n_train = sum(int(b.targets_mask.sum()) for b in once(training))
    n_val = sum(int(b.targets_mask.sum()) for b in data.val_dataloader())
    assert n_train + n_val == waves[["a", "b"]].notna().to_numpy().sum()
    assert data.without_holdout().n_held_out == 0
    assert data.n_held_out > 0


def once(batches):
    """Draw every series of an epoch once, though it may have more draws."""
    yield batches._draw(batches._series, torch.Generator())


def test_batches_hold_series_of_about_one_length(waves):
    data = SeriesDataModule(waves, batch_size=2, val_fraction=0.0, regime="elbo")
    spread = [int(batch.lengths.max() - batch.lengths.min()) for batch in data.train_dataloader()]
    assert sum(spread) / len(spread) < 1.5
    assert max(data.train_dataloader(), key=lambda batch: batch.t.shape[1]).t.shape[1] > 8


def test_a_cut_leaves_out_series_with_nothing_after_it(waves):
    data = SeriesDataModule(waves, batch_size=4, regime=Forecast(cut=5.0))
    last = waves.groupby("id").time.max()
    drawn = set(data.train_dataloader()._series.tolist())
    kept = SeriesDataModule(waves, regime="elbo").scaled.n_series
    assert kept == 20
    assert drawn <= set(last.index[last >= 5.0])
    for batch in data.train_dataloader():
        assert (batch.ts[batch.targets_mask.any(-1)] >= 0).all()


class TestOtherSeriesToValidateOn:
    def test_each_row_asked_is_asked_once_with_its_own_context(self, waves):
        train, other = waves[waves.id < 12], waves[waves.id >= 12]
        context, asked = other[other.time < 3], other[other.time >= 3]
        data = SeriesDataModule(train, val=(context, asked))
        assert data.n_held_out == 0
        n_read = n_told = 0
        for batch in data.val_dataloader():
            n_read += int(batch.mask.sum())
            n_told += int(batch.targets_mask.sum())
            assert (batch.ts[batch.targets_mask.any(-1)] > 0).all()
        told = asked[asked.id.isin(context.id)]
        assert n_told == asked[["a", "b"]].notna().to_numpy().sum()
        read = context[context.id.isin(told.id)]
        assert n_read == read[["a", "b"]].notna().to_numpy().sum()

    def test_times_are_since_the_end_of_the_context(self, waves):
        one = waves[waves.id == 3]
        data = SeriesDataModule(waves, val=(one[:2], one[2:]))
        (batch,) = data.val_dataloader()
        since = (one.time[2:] - one.time.iloc[1]).to_numpy() / data.scaler.time_unit
        np.testing.assert_allclose(batch.ts[0].numpy(), since, rtol=1e-5)
        np.testing.assert_allclose(
            data.scaler.unscale(batch.targets[0].numpy())[:, 0], one.a[2:], rtol=1e-5
        )

    def test_a_series_without_context_is_told_from_nothing(self, waves):
        one = waves[waves.id == 3]
        data = SeriesDataModule(waves, val=(waves[waves.id == 4], one))
        (batch,) = data.val_dataloader()
        assert batch.lengths.tolist() == [0]
        assert batch.ts[0, 0] == 0
        assert int(batch.targets_mask.sum()) == one[["a", "b"]].notna().to_numpy().sum()

    def test_the_latest_rows_are_read(self, waves):
        one = waves[waves.id == 3]
        data = SeriesDataModule(waves, val=(one[:-1], one[-1:]), max_rows=2)
        (batch,) = data.val_dataloader()
        ends = (one.time.iloc[-3:-1] - one.time.iloc[-2]).to_numpy() / data.scaler.time_unit
        np.testing.assert_allclose(batch.t[0].numpy(), ends, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regime": "guess"}, "regime=guess is not known: choose one of forecast, interpolation"),
        ({"val_fraction": 1.0}, r"val_fraction=1\.0 must be at least 0"),
        ({"batch_size": 0}, "batch_size=0 must be a whole number of at least 1"),
    ],
)
def test_bad_options_are_refused(options, message, waves):
    with pytest.raises(ValueError, match=message):
        SeriesDataModule(waves, **options)


def test_rows_of_one_series_and_time_are_joined_as_asked(waves):
    split = pd.concat([waves.assign(a=np.nan), waves.assign(b=np.nan)])
    with pytest.raises(FrameError, match="on_duplicates='mean', 'last' or 'merge'"):
        SeriesDataModule(split)
    joined = SeriesDataModule(split, on_duplicates="merge")
    whole = SeriesDataModule(waves)
    assert joined.panel.values.tobytes() == whole.panel.values.tobytes()
    (one,), (other,) = whole.questions(waves[:3], waves), joined.questions(waves[:3], split)
    assert torch.equal(one.targets, other.targets)


def test_one_frame_is_no_pair_to_validate_on(waves):
    with pytest.raises(
        TypeError, match=r"val must be a pair .*: give val=\(context, asked\), not"
    ):
        SeriesDataModule(waves, val=waves)
    with pytest.raises(TypeError, match="not tuple"):
        SeriesDataModule(waves, val=(waves,))


def test_there_must_be_something_to_validate(waves):
    with pytest.raises(ValueError, match="val has no value to be told"):
        SeriesDataModule(waves, val=(waves, waves.assign(a=np.nan, b=np.nan)))


def test_a_cut_with_nothing_after_it_is_refused(waves):
    with pytest.raises(ValueError, match=r"cut=99\.0 leaves nothing to be told: no series"):
        SeriesDataModule(waves, regime=Forecast(cut=99.0))


@pytest.mark.parametrize("regime", [Interpolation, None])
def test_a_regime_is_a_name_or_ready_made(regime, waves):
    with pytest.raises(TypeError, match=r"must be a name or a regime such as Forecast\(\)"):
        SeriesDataModule(waves, regime=regime)


def test_a_step_asks_about_some_rows_and_in_order(waves):
    all_of_them, some = (
        next(iter(SeriesDataModule(waves, max_asked=n, batch_size=4).train_dataloader()))
        for n in (None, 3)
    )
    assert some.ts.shape == (4, 3) and all_of_them.ts.shape[1] > 3
    assert torch.equal(some.x, all_of_them.x)
    assert (some.ts.diff(dim=1) >= 0).all()
    for i in range(4):
        rows = torch.stack([(all_of_them.ts[i] == t).nonzero()[0, 0] for t in some.ts[i]])
        told = some.targets_mask[i]
        assert told.any()
        assert torch.equal(some.targets[i][told], all_of_them.targets[i][rows][told])


def test_rows_to_tell_are_asked_about_before_padding(batch):
    last_only = torch.zeros_like(batch.targets_mask)
    last_only[:, -1] = True
    some = ask_some(batch._replace(targets_mask=last_only), 1, torch.Generator())
    assert some.targets_mask.all()


def test_something_is_asked(waves):
    with pytest.raises(ValueError, match="max_asked=0 must be a whole number of at least 1"):
        SeriesDataModule(waves, max_asked=0)


def test_it_is_shown_by_its_size(waves):
    data = SeriesDataModule(waves)
    assert str(data) == repr(data) == f"SeriesDataModule(20 series, {len(waves)} rows)"
