"""Batches hold each series on its own times."""

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import (
    Parts,
    RowRange,
    Scaler,
    first_rows,
    gather_batch,
    gather_context,
    infer_schema,
    keep_rows,
    scale_panel,
    time_holdout,
    to_panel,
)


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(0)
    sizes = [1, 2, 5, 9, 30]
    df = pd.concat([
        pd.DataFrame({
            "id": i,
            "time": np.sort(rng.uniform(0, 10, n)) + 100 * i,
            "u": rng.normal(size=n),
            "v": np.where(rng.uniform(size=n) < 0.5, rng.normal(size=n), np.nan),
        })
        for i, n in enumerate(sizes)
    ])
    return to_panel(df, infer_schema(df, time_col="time"))


@pytest.fixture(scope="module")
def scaled(panel):
    return scale_panel(panel, Scaler.fit(panel, panel))


def whole(scaled):
    return RowRange(scaled.offsets[:-1], scaled.offsets[1:])


def test_a_batch_holds_the_rows_it_was_asked_for(scaled):
    first, end = scaled.offsets[2:-1], scaled.offsets[3:]
    cut = first + 3
    batch = gather_batch(scaled, Parts(RowRange(first, cut), RowRange(cut, end)))
    for i in range(3):
        t0 = scaled.t[cut[i] - 1]
        n = int(end[i] - cut[i])
        torch.testing.assert_close(batch.t[i], (scaled.t[first[i] : cut[i]] - t0).float())
        torch.testing.assert_close(batch.ts[i, :n], (scaled.t[cut[i] : end[i]] - t0).float())
        assert torch.equal(batch.targets[i, :n], scaled.x[cut[i] : end[i]])
        assert torch.equal(batch.targets_mask[i, :n], scaled.mask[cut[i] : end[i]])
        assert not batch.targets_mask[i, n:].any()


def test_padding_repeats_the_last_time_and_observes_nothing(scaled):
    rows = whole(scaled)
    batch = gather_batch(scaled, Parts(rows, rows))
    assert batch.lengths.tolist() == [1, 2, 5, 9, 30]
    for i, n in enumerate(batch.lengths.tolist()):
        assert (batch.t[i, n:] == 0).all()
        assert not batch.mask[i, n:].any()


def test_the_context_ends_at_time_0(scaled):
    batch = gather_context(scaled, whole(scaled), torch.zeros(5, 1))
    assert (batch.t <= 0).all()
    assert (batch.t.max(dim=1).values == 0).all()
    assert not batch.targets_mask.any()


def test_a_series_without_rows_has_an_empty_context(scaled):
    nothing = RowRange(scaled.offsets[:-1], scaled.offsets[:-1])
    batch = gather_context(scaled, nothing, torch.ones(5, 2))
    assert batch.lengths.tolist() == [0] * 5
    assert not batch.mask.any()
    assert (batch.x == 0).all()


@pytest.mark.parametrize("fraction", [0.0, 0.15, 0.5])
def test_the_last_part_of_each_time_span_is_held_out(fraction, panel):
    n_kept = time_holdout(panel, fraction)
    for s, kept in enumerate(n_kept):
        times = panel.times[panel.offsets[s] : panel.offsets[s + 1]]
        limit = times[0] + (1 - fraction) * (times[-1] - times[0]) + 1e-9
        assert kept == (times <= limit).sum() >= 1


def test_the_first_rows_of_a_panel_are_a_panel(panel):
    part = first_rows(panel, np.array([1, 1, 2, 0, 3]))
    assert part.offsets.tolist() == [0, 1, 2, 4, 4, 7]
    for s in range(5):
        rows = slice(part.offsets[s], part.offsets[s + 1])
        start = panel.offsets[s]
        expected = panel.times[start : start + part.offsets[s + 1] - part.offsets[s]]
        assert part.times[rows].tolist() == expected.tolist()


def test_rows_that_are_left_out_have_never_been(scaled):
    rows, random = whole(scaled), torch.Generator().manual_seed(0)
    batch = gather_batch(scaled, Parts(rows, rows))
    kept = torch.rand(batch.t.shape, generator=random) < 0.5
    less = keep_rows(batch, kept)
    for i in range(5):
        chosen = kept[i] & (torch.arange(30) < batch.lengths[i])
        n = int(chosen.sum())
        assert less.lengths[i] == n
        assert not less.mask[i, n:].any()
        if n == 0:
            continue
        end = batch.t[i, chosen][-1]
        torch.testing.assert_close(less.t[i, :n], batch.t[i, chosen] - end)
        torch.testing.assert_close(less.ts[i], batch.ts[i] - end)
        assert torch.equal(less.x[i, :n], batch.x[i, chosen])
        assert torch.equal(less.mask[i, :n], batch.mask[i, chosen])


def test_a_batch_may_be_repeated(scaled):
    rows = whole(scaled)
    batch = gather_batch(scaled, Parts(rows, rows))
    twice = batch.repeated(2)
    for one, two in zip(batch, twice, strict=True):
        assert (one is None and two is None) or torch.equal(two, torch.cat([one, one]))
