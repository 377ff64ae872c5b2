"""What a model is asked in training, whatever the draw."""

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import (
    REGIMES,
    Forecast,
    FrameError,
    Interpolation,
    Scaler,
    Stretch,
    infer_schema,
    scale_panel,
    to_panel,
)
from latentode.data.regimes import random_cut
from latentode.data.split import rows_before

SIZES = [1, 2, 5, 9, 30]


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(0)
    df = pd.concat([
        pd.DataFrame({"id": i, "time": np.sort(rng.uniform(0, 10, n)), "u": rng.normal(size=n)})
        for i, n in enumerate(SIZES)
    ])
    return to_panel(df, infer_schema(df, time_col="time"))


@pytest.fixture(scope="module")
def scaled(panel):
    return scale_panel(panel, Scaler.fit(panel, panel))


def whole(scaled, cut=None, last_cut=None):
    first = scaled.offsets[:-1]
    cuts = (first if n is None else first + n for n in (cut, last_cut))
    return Stretch(first, scaled.offsets[1:], *cuts)


def draw(regime, scaled, *, seed=0, max_rows=512, cut=None):
    generator = torch.Generator().manual_seed(seed)
    return regime(scaled, whole(scaled, cut), generator=generator, max_rows=max_rows)


@pytest.mark.parametrize("regime", REGIMES)
def test_draws_depend_on_the_seed_alone(regime, scaled):
    batches = [draw(REGIMES[regime](), scaled, seed=s, max_rows=4) for s in (3, 3, 4)]
    same, other = (
        all(
            a.shape == b.shape and torch.equal(a, b)
            for a, b in zip(batches[0][:8], b[:8], strict=True)
        )
        for b in batches[1:]
    )
    assert same and not other


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("max_rows", [3, 512])
def test_no_more_rows_are_read_than_may_be(regime, max_rows, scaled):
    for seed in range(20):
        batch = draw(REGIMES[regime](), scaled, seed=seed, max_rows=max_rows)
        assert batch.lengths.max() <= max_rows
        assert batch.targets_mask.any(-1).sum(1).max() <= 2 * max_rows


def test_every_cut_of_a_series_is_drawn_and_leaves_something_to_tell(scaled):
    rows, random = whole(scaled), torch.Generator().manual_seed(0)
    cuts = torch.stack([random_cut(rows, random) for _ in range(300)]) - rows.first
    for number, size in enumerate(SIZES):
        assert set(cuts[:, number].tolist()) == set(range(min(size, 10))) | (
            set(cuts[:, number].tolist()) & set(range(size))
        )


def test_a_cut_at_a_time_asks_for_what_follows_it(panel, scaled):
    cut = torch.tensor(rows_before(panel, 5.0))
    batch = draw(Forecast(cut=5.0), scaled, cut=cut)
    unit = Scaler.fit(panel, panel).time_unit
    for i, size in enumerate(SIZES):
        times = panel.times[panel.offsets[i] : panel.offsets[i + 1]]
        before, after = times[times < 5], times[times >= 5]
        assert batch.lengths[i] == len(before)
        told = batch.ts[i][batch.targets_mask[i, :, 0]] * unit
        start = before[-1] if len(before) else (after[0] if len(after) else 0)
        np.testing.assert_allclose(told.numpy(), after - start, atol=1e-5)
        assert size == len(before) + len(after)


def test_some_of_a_context_may_be_left_out(panel, scaled):
    cut = torch.tensor(rows_before(panel, 5.0))
    batch = draw(Forecast(cut=5.0, n_observed=3), scaled, cut=cut)
    assert batch.lengths.tolist() == cut.clamp(max=3).tolist()
    # Two times since the last row that is read are as far apart as they were.
    everything = draw(Forecast(cut=5.0), scaled, cut=cut)
    torch.testing.assert_close(batch.ts[4].diff(), everything.ts[4].diff())


def test_a_cut_between_two_times_is_drawn_among_the_rows_there(panel, scaled):
    cuts = [torch.tensor(rows_before(panel, time)) for time in (3.0, 7.0)]
    rows, sizes = whole(scaled, *cuts), torch.tensor(SIZES)
    regime, generator = Forecast(cut=(3.0, 7.0)), torch.Generator().manual_seed(0)
    drawn = [regime(scaled, rows, generator=generator, max_rows=512) for _ in range(300)]
    lengths = torch.stack([batch.lengths for batch in drawn])
    for i, (first, last) in enumerate(zip(*cuts, strict=True)):
        possible = range(int(first), int(last.minimum(sizes[i] - 1).maximum(first)) + 1)
        assert set(lengths[:, i].tolist()) == set(possible)
    for batch in drawn[:20]:
        asked = batch.targets_mask.any(dim=-1).sum(dim=1)
        assert torch.equal(asked, (sizes - batch.lengths).clamp(min=0))


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ((1.0, 2.0, 3.0), r"has 3 times: give one, or the first and the last"),
        ((1.0, pd.Timestamp("2001-01-01")), r"has a number and a datetime: give two of one kind"),
        ((2.0, 1.0), r"ends before it begins: give cut=\(1\.0, 2\.0\)"),
    ],
)
def test_cuts_that_make_no_sense_are_refused(cut, message):
    with pytest.raises(ValueError, match=message):
        Forecast(cut=cut)


@pytest.mark.parametrize("ask_context", [False, True])
def test_no_more_than_the_next_rows_are_asked_where_so_many_are_wanted(ask_context, scaled):
    cut = torch.tensor([0, 1, 2, 4, 10])
    options = {"cut": 5.0, "ask_context": ask_context}
    few, every = (draw(Forecast(**options, n_asked=n), scaled, cut=cut) for n in (3, None))
    n_asked = few.targets_mask.any(dim=-1).sum(dim=1)
    most = torch.tensor(SIZES) - cut
    before = cut if ask_context else 0
    assert torch.equal(n_asked, most.clamp(max=3) + before)
    asked = few.targets_mask.any(dim=-1)
    assert torch.equal(few.ts[asked], every.ts[:, : few.ts.shape[1]][asked])


def test_interpolation_reads_some_rows_and_is_asked_about_all(scaled):
    batch = draw(Interpolation(n_observed=4), scaled)
    assert batch.lengths.tolist() == [1, 2, 4, 4, 4]
    assert batch.targets_mask.sum().item() == sum(SIZES)
    for i in range(5):  # what was read is among what is asked, at the same time
        for t, x in zip(
            batch.t[i, : batch.lengths[i]], batch.x[i, : batch.lengths[i]], strict=True
        ):
            at = (batch.ts[i] - t).abs().argmin()
            torch.testing.assert_close(batch.targets[i, at], x)


def test_the_share_that_interpolation_reads_is_drawn_between_its_bounds(scaled):
    lengths = [
        draw(Interpolation(least=0.2, most=0.5), scaled, seed=seed).lengths[4].item()
        for seed in range(50)
    ]
    assert min(lengths) >= 6 and max(lengths) <= 15 and len(set(lengths)) > 5


def runs_of(hidden):
    """Give how many runs of hidden rows there are."""
    return int(hidden[0]) + int((hidden[1:] & ~hidden[:-1]).sum())


def test_what_is_not_read_may_be_a_gap(scaled):
    begins, ends = set(), set()
    for seed in range(40):
        batch = draw(Interpolation(n_observed=20, gaps=1.0), scaled, seed=seed)
        read = torch.isin(batch.targets[4, :, 0], batch.x[4, : batch.lengths[4], 0])
        assert batch.lengths.tolist() == [1, 2, 5, 9, 20]
        assert runs_of(~read) == 1
        begins.add(bool(~read[0]))
        ends.add(bool(~read[-1]))
    assert begins == ends == {True, False}  # it may lie anywhere


def test_of_some_series_rows_are_hidden_singly(scaled):
    runs = []
    for seed in range(40):
        batch = draw(Interpolation(n_observed=20, gaps=0.5), scaled, seed=seed)
        runs.append(runs_of(~torch.isin(batch.targets[4, :, 0], batch.x[4, :, 0])))
    assert 10 <= sum(n == 1 for n in runs) <= 30


def test_a_gap_may_be_of_one_variable():
    df = pd.DataFrame({"id": 0, "time": np.arange(30.0), "u": 1.0 + np.arange(30)})
    df["v"], df["w"] = -df.u, df.u.mask(df.u % 2 > 0)
    panel = to_panel(df, infer_schema(df, time_col="time"))
    scaled = scale_panel(panel, Scaler.fit(panel, panel))
    seen = set()
    for seed in range(60):
        batch = draw(Interpolation(n_observed=20, gaps=1.0), scaled, seed=seed)
        n = batch.mask[0].sum(dim=0)
        assert not batch.x[0][~batch.mask[0]].any()
        assert batch.mask[0].any(dim=1).all()  # no row is left without a value
        if batch.lengths[0] == 20:
            seen.add("all")
        else:
            less = [int(v) for v in torch.tensor([30, 30, 15]) - n]
            assert sum(m > 0 for m in less) == 1 and max(less) <= 10
            seen.add(less.index(max(less)))
    assert seen == {"all", 0, 1, 2}


def test_reconstruction_is_asked_for_what_is_read(scaled):
    batch = draw(REGIMES["elbo"](), scaled, max_rows=4)
    assert torch.equal(batch.t, batch.ts)
    assert torch.equal(batch.x, batch.targets)
    assert batch.lengths.tolist() == [1, 2, 4, 4, 4]


def test_a_share_of_any_type_is_a_share(scaled):
    counts = [
        draw(Forecast(cut=5.0, n_observed=n), scaled, cut=torch.tensor([0, 1, 2, 4, 10])).lengths
        for n in (0.5, np.float64(0.5))
    ]
    assert torch.equal(*counts) and counts[0].tolist() == [0, 1, 1, 2, 5]


@pytest.mark.parametrize("n", [0, -3, 0.0, 1.5, float("nan"), True, "5"])
def test_what_is_no_number_of_rows_is_refused(n):
    with pytest.raises(ValueError, match=rf"n_observed={n} must be a whole number"):
        Forecast(n_observed=n)


@pytest.mark.parametrize("n", [0, 2.5, "3"])
def test_what_is_no_number_of_rows_to_ask_is_refused(n):
    with pytest.raises((TypeError, ValueError), match=f"n_asked={n}"):
        Forecast(n_asked=n)


@pytest.mark.parametrize("cut", [float("nan"), "tomorrow", [1.0, 2.0], pd.NaT, True])
def test_a_cut_that_is_no_time_is_refused_at_once(cut):
    with pytest.raises(FrameError, match=r"^cut has "):
        Forecast(cut=cut)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_observed": 0}, "n_observed=0 must be a whole number of at least 1"),
        ({"n_observed": 0.5}, r"n_observed=0\.5 must be a whole number"),
        ({"least": -0.1}, r"least=-0\.1 must be at least 0 and at most 1"),
        ({"most": 1.1}, r"most=1\.1 must be at least 0 and at most 1"),
        ({"gaps": 1.5}, r"gaps=1\.5 must be at least 0 and at most 1"),
        ({"least": 0.6, "most": 0.4}, r"least=0\.6 must not be above most=0\.4: exchange them"),
    ],
)
def test_bounds_of_interpolation_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Interpolation(**options)
