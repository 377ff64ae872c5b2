"""Training that is over in time: when it stops, what it keeps, and how it slows down."""

import pytest
import torch

from latentode.models import Clock, Direct, SeriesDataModule, Span, in_time, run_ranks, train
from tests.ticks import Ticks

N_BATCHES = 5  # of an epoch


@pytest.fixture
def clock(monkeypatch):
    """Give a clock by which each training step takes a second."""
    monkeypatch.setattr(in_time, "time", Ticks())
    return Clock()


@pytest.fixture
def run(build, waves):
    """Give what trains a model for a span, and tells its losses and its learning rates."""

    def run(span, *, max_epochs=8, patience=None, **options):
        model = build(objective=Direct(), **options)
        data = SeriesDataModule(waves, batch_size=4)
        rates, step = [], model.training_step

        def watched(batch, batch_idx):
            rates.append(model.optimizers().param_groups[0]["lr"])
            return step(batch, batch_idx)

        model.training_step = watched
        history = train(
            model, data, max_epochs=max_epochs, patience=patience, accelerator="cpu", label=None,
            seed=0, span=span,
        )  # fmt: skip
        return model, history, rates

    return run


@pytest.mark.parametrize("n_steps", [7, 10, 13])
def test_it_stops_after_the_step_with_which_its_time_is_over(n_steps, run, clock):
    _, history, rates = run(Span(clock, 0.0, n_steps))
    assert len(rates) == n_steps
    assert len(history) == -(-n_steps // N_BATCHES)
    assert [losses["out_of_time"] for losses in history] == [False] * (len(history) - 1) + [True]
    assert all({"train_loss", "val_loss"} <= set(losses) for losses in history)


def test_an_epoch_is_trained_whatever_it_takes(run, clock):
    _, history, rates = run(Span(clock, 0.0, 1.0))
    assert len(rates) == N_BATCHES
    assert history[0]["out_of_time"]
    # Nor do its steps count for nothing.
    assert max(rates) > 5 * rates[-1]


def test_but_not_where_none_has_to_be(run, clock):
    assert len(run(Span(clock, 0.0, 2.0, least_epochs=0))[2]) == 2


def test_time_that_is_not_used_up_changes_nothing(run, clock):
    alone, expected, rates = run(None, max_epochs=2)
    model, history, same_rates = run(Span(clock, 0.0, 1e6), max_epochs=2)
    assert same_rates == rates
    assert [losses.pop("out_of_time") for losses in history] == [False, False]
    assert history == expected
    weights = alone.state_dict()
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    assert not any("out_of_time" in losses for losses in expected)


def test_an_end_of_all_epochs_is_not_one_of_time(run, clock):
    _, history, rates = run(Span(clock, 0.0, 2 * N_BATCHES), max_epochs=2)
    assert len(rates) == 2 * N_BATCHES
    assert not history[-1]["out_of_time"]


def test_the_best_weights_so_far_are_kept(run, waves, clock):
    model, history, _ = run(Span(clock, 0.0, 22.0), learning_rate=0.3)
    losses = [epoch["val_loss"] for epoch in history]
    assert min(losses) < losses[-1]
    (batch,) = SeriesDataModule(waves, batch_size=4).val_dataloader()
    with torch.no_grad():
        kept = model.objective(model, batch, progress=1.0)[0].fit
    assert float(kept) == pytest.approx(min(losses), rel=1e-5)


def test_the_learning_rate_comes_down_in_time(run, clock):
    whole = run(None, max_epochs=8)[2]
    cut = run(Span(clock, 0.0, 20.0), max_epochs=8)[2]
    assert len(cut) == len(whole) / 2
    assert max(cut) == pytest.approx(max(whole), rel=0.05)
    assert cut[-1] < 0.05 * max(cut)
    assert cut[-5:] == sorted(cut[-5:], reverse=True)


@pytest.mark.slow
def test_ranks_stop_after_the_same_step_whatever_their_clocks_say(build, waves):
    def steps():
        rank = torch.distributed.get_rank()
        in_time.time = Ticks(1.0 + rank)
        model, counts = build(objective=Direct()), []
        model.on_before_zero_grad = lambda *_: counts.append(1)
        data = SeriesDataModule(waves, batch_size=2)
        history = train(
            model, data, max_epochs=8, patience=None, accelerator="cpu", label=None, devices=2,
            span=Span(Clock(), 0.0, 12.0, least_epochs=0),
        )  # fmt: skip
        mine, all_of_them = (len(counts), history[-1]["out_of_time"]), [None, None]
        torch.distributed.all_gather_object(all_of_them, mine)
        return all_of_them

    first, second = run_ranks(steps, 2)
    assert first == second == (6, True)  # when the faster clock says so
