"""The laws of the module: what its path and its losses are, and what must not matter."""

import lightning
import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import gather_batch, in_float64
from latentode.models import LatentODE, SeriesDataModule, own_torch_state, train
from latentode.models.latent_ode import far_time
from latentode.models.training import quiet
from latentode.nn import GaussianDecoder, GRUEncoder, MLPField
from latentode.solvers import odeint


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(0)
    return pd.DataFrame([
        {"id": s, "time": t, "a": np.sin(t + s), "b": np.cos(t + s) if i % 3 else np.nan}
        for s in range(20)
        for i, t in enumerate(np.sort(rng.uniform(0, 6, rng.integers(4, 12))))
    ])


@pytest.fixture(scope="module")
def data(waves):
    return SeriesDataModule(waves, batch_size=8)


def build(anchor="end", **options):
    with own_torch_state(0):
        return LatentODE(
            GRUEncoder(2, 3, 8, anchor=anchor, dropout=0.0),
            Whirl(),
            GaussianDecoder(3, 2),
            **options,
        )


class Whirl(MLPField):
    """A field that moves from the start, so that a path has a shape to get wrong."""

    def __init__(self):
        super().__init__(3, 8)
        torch.nn.init.normal_(self.outer.weight)


def test_the_path_is_the_solution_in_both_directions_and_any_order():
    model = build(rtol=1e-6, atol=1e-6)
    z0, t0 = torch.randn(4, 3), torch.tensor([0.0, -1.0, 0.5, 0.0])
    ts = t0[:, None] + torch.empty(4, 6).uniform_(-1, 4)
    with torch.no_grad():
        path = model.latent_path(z0, t0, ts)
        for i in range(4):
            for j in range(6):
                times = torch.stack([t0[i], ts[i, j]])
                exact = odeint(model.vector_field, z0[i : i + 1], times, rtol=1e-6, atol=1e-6)
                torch.testing.assert_close(path[i, j], exact.ys[0, 1], rtol=0, atol=1e-4)


def test_the_path_settles_far_away():
    model, z0 = build(), torch.randn(4, 3)
    ts = torch.tensor([[-1e12, -1e6, 1e6, 1e12]]).expand(4, -1)
    with torch.no_grad():
        path = model.latent_path(z0, torch.zeros(4), ts)
    torch.testing.assert_close(path[:, 0], path[:, 1])
    torch.testing.assert_close(path[:, 2], path[:, 3])
    assert path.abs().max() < 100


def test_latent_time_never_runs_backward():
    since = torch.linspace(-20, 20, 2001, dtype=torch.float64)
    steps = far_time(since).diff()
    assert (steps > 0).all()
    assert (steps <= since.diff() + 1e-12).all()


def test_the_path_passes_through_its_start():
    model, z0 = build(), torch.randn(4, 3)
    ts = torch.tensor([[-1.0, 0.0, 2.0]]).expand(4, -1)
    assert torch.equal(model.latent_path(z0, torch.zeros(4), ts)[:, 1], z0)


@pytest.mark.parametrize("adjoint", ["direct", "backsolve"])
def test_gradients_reach_every_parameter(adjoint, data):
    model = build(adjoint=adjoint)
    batch = next(iter(data.train_dataloader()))
    q = model.encode(batch)
    model.losses(batch, q.rsample(), q, kl_weight=1.0).total.backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


def test_both_gradients_agree(data):
    batch = next(iter(data.train_dataloader()))
    gradients = []
    for adjoint in ("direct", "backsolve"):
        model = build(adjoint=adjoint, rtol=1e-6, atol=1e-6)
        q = model.encode(batch)
        model.losses(batch, q.mean, q, kl_weight=0.0).total.backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        )
    assert (gradients[0] - gradients[1]).norm() < 1e-3 * gradients[0].norm()


@pytest.mark.parametrize("anchor", ["end", "start"])
def test_a_forecast_does_not_depend_on_batch_mates(anchor, data):
    model = build(anchor).eval().double()
    parts = data.train_dataloader()._parts(torch.arange(8), torch.Generator().manual_seed(0))
    batch = in_float64(gather_batch(data.scaled, parts))
    together = model(batch).mean
    for i in range(8):
        n_t, n_p = int(batch.lengths[i]), int(parts.asked.end[i] - parts.asked.first[i])
        cut = [max(n_t, 1)] * 3 + [None] + [n_p] * 3
        alone = model(type(batch)(*(
            part[i : i + 1, :n] if n else part[i : i + 1]
            for part, n in zip(batch, cut, strict=True)
        )))  # fmt: skip
        torch.testing.assert_close(together[i, :n_p], alone.mean[0], rtol=0, atol=1e-10)


def test_the_elbo_is_a_bound(data):
    """With weight 1, the loss is minus a lower bound of the likelihood: KL is never negative."""
    model = build("start", kl_weight=1.0, context_weight=1.0)
    batch = next(iter(data.train_dataloader()))
    q = model.encode(batch)
    losses = model.losses(batch, q.mean, q, kl_weight=1.0)
    assert losses.kl > 0
    torch.testing.assert_close(losses.total, losses.nll + losses.kl)


def test_values_without_a_target_do_not_count(data):
    model, batch = build(), next(iter(data.train_dataloader()))
    q = model.encode(batch)
    spoiled = batch._replace(targets=torch.where(batch.targets_mask, batch.targets, 1e6))
    first, second = (model.losses(b, q.mean, q, kl_weight=0.0).nll for b in (batch, spoiled))
    torch.testing.assert_close(first, second)


def test_it_trains_with_a_plain_trainer(waves):
    data = SeriesDataModule(waves, batch_size=8)
    model = build()
    with quiet():
        trainer = lightning.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(model, data)
    assert {"train_loss", "val_loss"} <= set(trainer.callback_metrics)


def test_training_lowers_the_loss_and_keeps_the_best_weights(data):
    options = {"max_epochs": 15, "patience": None, "accelerator": "cpu", "label": None}
    model = build()
    history = train(model, data, **options)
    losses = [row["val_loss"] for row in history]
    assert min(losses) < losses[0] - 0.1
    with torch.no_grad():
        (batch,) = data.val_dataloader()
        q = model.encode(batch)
        kept = model.losses(batch, q.mean, q, kl_weight=0.0).nll
    assert float(kept) == pytest.approx(min(losses), rel=1e-5)


def test_patience_ends_training(data):
    model = build(learning_rate=1e-12)
    options = {"max_epochs": 50, "accelerator": "cpu", "label": None}
    assert len(train(model, data, patience=3, **options)) < 50


def test_a_loss_that_is_not_finite_ends_training(data):
    model = build()
    torch.nn.init.constant_(model.decoder.head.bias, torch.inf)
    with pytest.raises(FloatingPointError, match=r"epoch 0, batch 0: .*Lower learning_rate"):
        train(model, data, max_epochs=1, patience=None, accelerator="cpu", label=None)


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
    drawn = torch.bincount(batches._order(torch.Generator()), minlength=20)
    assert drawn.tolist() == np.ceil(sizes / 4).tolist()
    assert len(list(batches)) == len(batches)


def test_a_few_series_are_drawn_again_and_again(waves):
    data = SeriesDataModule(waves[waves.id < 3], batch_size=8)
    batches = list(data.train_dataloader())
    assert len(batches) == 4
    assert all(len(batch.t) == 8 for batch in batches)


def test_validation_asks_for_what_training_never_sees(waves):
    data = SeriesDataModule(waves, val_fraction=0.3)
    n_train = n_values_to_train_on(data)
    n_val = sum(int(b.targets_mask.sum()) for b in data.val_dataloader())
    assert n_train + n_val == waves[["a", "b"]].notna().to_numpy().sum()
    assert data.without_holdout().n_held_out == 0
    assert data.n_held_out > 0


def n_values_to_train_on(data):
    rows = torch.arange(data.scaled.n_series)
    data.objective = "elbo"  # asks for every row that training may use
    parts = data.train_dataloader()._parts(rows, torch.Generator())
    return int(gather_batch(data.scaled, parts).targets_mask.sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "guess"}, "objective=guess is not known: choose one of forecast, elbo"),
        ({"val_fraction": 1.0}, r"val_fraction=1\.0 must be at least 0"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
    ],
)
def test_bad_options_are_refused(options, message, waves):
    with pytest.raises(ValueError, match=message):
        SeriesDataModule(waves, **options)
