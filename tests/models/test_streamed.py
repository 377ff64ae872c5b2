"""Series in files: the batches of a frame, whatever is in memory at a time, each on one rank."""

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import Forecast, FrameError, ParquetFiles, write_parquet
from latentode.models import SeriesDataModule


@pytest.fixture(scope="module")
def folder(waves, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "waves"
    return write_parquet(waves.sample(frac=1, random_state=0), path, n_files=3, row_group_rows=9)


def module_of(folder, *, buffer_rows=40, max_val_rows=10**6, **options):
    files = ParquetFiles(folder, buffer_rows=buffer_rows, max_val_rows=max_val_rows)
    return SeriesDataModule(files, batch_size=4, random_state=3, **options)


def same(one, other):
    pairs = list(zip(one, other, strict=True))
    return bool(pairs) and all(torch.equal(a.x, b.x) and torch.equal(a.ts, b.ts) for a, b in pairs)


def loader_of(folder, rank=0, world_size=1, *, batch_size=4, **options):
    data = module_of(folder, regime="elbo", val_fraction=0.0, **options)
    data.batch_size = batch_size
    data._place = lambda: {"rank": rank, "world_size": world_size}
    return data.train_dataloader()


def drawn(batches):
    """Give the last value of each series of each batch: no two series have the same."""
    last = [batch.x[torch.arange(len(batch.x)), batch.lengths - 1, 0] for batch in batches]
    return [tuple(values.tolist()) for values in last]


def drawn_one_by_one(batches):
    return [value for values in drawn(batches) for value in values]


def test_a_buffer_of_all_rows_gives_the_batches_of_a_frame(waves, folder):
    held = SeriesDataModule(waves, batch_size=4, random_state=3)
    streamed = module_of(folder, buffer_rows=10**6)
    assert held.n_steps() == streamed.n_steps()
    assert held.n_held_out == streamed.n_held_out
    ours, theirs = streamed.train_dataloader(), held.train_dataloader()
    for _ in range(2):
        assert same(ours, theirs)
    assert same(streamed.val_dataloader(), held.val_dataloader())
    assert same(
        streamed.without_holdout().train_dataloader(), held.without_holdout().train_dataloader()
    )


@pytest.mark.parametrize("buffer_rows", [None, 1, 40, 100])
def test_no_series_is_in_both_halves(waves, folder, buffer_rows):
    options = {"regime": "elbo", "val_fraction": 0.0}
    if buffer_rows is None:
        data = SeriesDataModule(waves, batch_size=4, **options)
    else:
        data = module_of(folder, buffer_rows=buffer_rows, **options)
    one, other = (drawn_one_by_one(half) for half in data.halves(3))
    assert len({*one}) + len({*other}) == len({*one, *other}) == 20
    assert len(one) + len(other) == 60
    assert {*one} and {*other}


def test_halves_must_be_drawn_once_at_least(waves):
    with pytest.raises(ValueError, match="n_draws=0"):
        SeriesDataModule(waves).halves(0)


@pytest.mark.parametrize("buffer_rows", [1, 40, 100])
def test_every_series_is_drawn_in_every_epoch(folder, buffer_rows):
    batches = loader_of(folder, batch_size=1, buffer_rows=buffer_rows)
    epochs = [drawn(batches) for _ in range(2)]
    assert all(len(epoch) == len(batches) for epoch in epochs)
    assert all(len({*epoch}) == 20 for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_a_small_buffer_never_holds_much_more_than_its_rows(folder, monkeypatch):
    data = module_of(folder, buffer_rows=40)
    held, sizes = data.streamed.held, []

    def seen(numbers):
        series = held(numbers)
        sizes.append(int(series.scaled.offsets[-1]))
        return series

    monkeypatch.setattr(data.streamed, "held", seen)
    list(data.train_dataloader())
    assert len(sizes) > 2
    assert max(sizes) <= 2 * 40


def test_ranks_share_the_batches_and_stay_in_step(folder):
    one = loader_of(folder, batch_size=1)
    two = [loader_of(folder, rank, 2, batch_size=1) for rank in range(2)]
    whole, shares = drawn(one), [drawn(batches) for batches in two]
    assert len(shares[0]) == len(shares[1]) == len(two[0])
    assert {*shares[0], *shares[1]} == {*whole}
    again = sum(len(share) for share in shares) - 20  # so that both have as many
    assert len({*shares[0]} & {*shares[1]}) <= again


def test_an_epoch_goes_on_where_a_checkpoint_was(folder):
    batches = loader_of(folder)
    whole = [list(batches), list(batches)]
    stopped = loader_of(folder)
    list(stopped)
    given = [batch for _, batch in zip(range(3), stopped, strict=False)]
    resumed = loader_of(folder)
    resumed.load_state_dict(stopped.state_dict())
    assert same([*given, *resumed], whole[1])


def test_validation_is_limited_by_its_rows(folder, waves):
    n = {rows: _n_validated(module_of(folder, max_val_rows=rows)) for rows in (0, 80, 10**6)}
    assert n[0] == 0 < n[80] < n[10**6]


def _n_validated(data):
    return sum(len(batch.x) for batch in data.val_dataloader())


def test_a_cut_and_a_pair_to_validate_on_work_with_files(folder, waves):
    data = module_of(folder, regime=Forecast(cut=3.0))
    held = SeriesDataModule(waves, batch_size=4, regime=Forecast(cut=3.0))
    assert data._n_stretches() == held._n_stretches()
    with pytest.raises(ValueError, match=r"cut=99\.0 leaves nothing"):
        module_of(folder, regime=Forecast(cut=99.0))
    val = (waves[waves.time < 3], waves[waves.time >= 3])
    assert _n_validated(module_of(folder, val=val)) > 0


def test_levels_of_static_covariates_are_those_of_all_files(tmp_path, waves):
    for key, ward in ((0, "east"), (1, "west")):
        waves[waves.id == key].assign(ward=ward).to_parquet(tmp_path / f"{key}.parquet")
    data = module_of(tmp_path, static_cols="ward", target_cols=["a", "b"])
    assert data.schema.static_levels == (("east", "west"),)
    assert next(iter(data.train_dataloader())).static.shape[1] == 2


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"a": np.inf}, "E-VALUE-INF", "target column 'a'"),
        ({"time": 1.0}, "E-TIME-DUP", "series 11 at 1.0"),
        ({"time": np.nan}, "E-TIME-NAT", "time column 'time'"),
    ],
)
def test_errors_name_the_file_and_the_row_in_it(tmp_path, waves, change, code, words):
    waves[waves.id < 10].to_parquet(tmp_path / "good.parquet")
    bad = waves[waves.id >= 10].reset_index(drop=True)
    for column, value in change.items():
        bad.loc[7:8, column] = value
    bad.to_parquet(tmp_path / "odd.parquet", row_group_size=5)
    with pytest.raises(FrameError) as caught:
        module_of(tmp_path)
    text = str(caught.value)
    assert caught.value.code == code
    assert text.startswith("odd.parquet: ")
    assert words in text
    assert "7" in text


def test_a_missing_column_is_named_with_its_file(tmp_path, waves):
    waves[waves.id < 10].to_parquet(tmp_path / "good.parquet")
    waves[waves.id >= 10].drop(columns="b").to_parquet(tmp_path / "odd.parquet")
    with pytest.raises(FrameError, match=r"odd\.parquet: df has no column 'b', a target"):
        module_of(tmp_path)


def test_times_that_are_all_the_same_are_refused(tmp_path):
    pd.DataFrame({"id": range(9), "time": 5.0, "y": 1.0}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(FrameError, match="in all 9 rows"):
        module_of(tmp_path)


def test_files_that_change_while_they_are_trained_on_are_noticed(tmp_path, waves):
    waves.to_parquet(tmp_path / "a.parquet", row_group_size=9)
    batches = module_of(tmp_path).train_dataloader()
    waves[waves.id != 3].to_parquet(tmp_path / "a.parquet", row_group_size=9)
    with pytest.raises(RuntimeError, match=r"a\.parquet have changed"):
        list(batches)


def test_what_is_in_files_is_no_panel(folder):
    data = module_of(folder)
    for name in ("panel", "scaled"):
        with pytest.raises(AttributeError, match="not in memory"):
            getattr(data, name)
