"""The laws of every model: what reaches what, and what must not matter."""

import lightning
import pytest
import torch

from latentode.data import RowRange, gather_batch, gather_context, in_float64
from latentode.data.batch import Parts
from latentode.models import Direct, SeriesDataModule, train
from latentode.models.latent_model import thinned
from latentode.models.training import quiet

MODELS = {
    "end": {"anchor": "end"},
    "start": {"anchor": "start", "rule": None},
    "rows": {"anchor": "rows", "rule": "interpolating", "head": "mlp"},
    "variables": {"head": "variable"},
    "rnn": {"rnn": True},
    "flow": {"flow": True},
    "flow, rows": {"flow": True, "anchor": "rows", "rule": "interpolating"},
}
every_model = pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)


def loss_of(model, batch):
    return model.objective(model, batch, progress=1.0)[0].total


@every_model
@pytest.mark.parametrize("adjoint", ["direct", "backsolve"])
def test_gradients_reach_every_parameter(options, adjoint, build, batch):
    model = build(**options) if options.get("rnn") else build(adjoint=adjoint, **options)
    loss_of(model, batch).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


def test_both_gradients_agree(build, batch):
    gradients = []
    for adjoint in ("direct", "backsolve"):
        model = build(adjoint=adjoint, rtol=1e-6, atol=1e-6, objective=Direct())
        loss_of(model, batch).backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        )
    assert (gradients[0] - gradients[1]).norm() < 1e-3 * gradients[0].norm()


@every_model
@torch.no_grad()
def test_a_forecast_does_not_depend_on_batch_mates(options, build, data):
    model = build(**options).eval().double()
    first, end = data.scaled.offsets[:8], data.scaled.offsets[1:9]
    parts = Parts(RowRange(first, end - 2), RowRange(first, end))
    together = model(in_float64(gather_batch(data.scaled, parts))).mean
    for i in range(8):
        mine = Parts(*(RowRange(r.first[i : i + 1], r.end[i : i + 1]) for r in parts))
        alone = model(in_float64(gather_batch(data.scaled, mine))).mean
        n = alone.shape[1]
        torch.testing.assert_close(together[i, :n], alone[0], rtol=0, atol=1e-10)


@every_model
@torch.no_grad()
def test_a_forecast_does_not_depend_on_what_else_is_asked(options, build, data):
    model = build(**options).eval().double()
    context = RowRange(data.scaled.offsets[:3], data.scaled.offsets[1:4])
    ts = torch.tensor([[-0.4, 2.0, 0.1, 0.0]]).expand(3, -1)
    whole = model(in_float64(gather_context(data.scaled, context, ts))).mean
    for j in range(4):
        one = model(in_float64(gather_context(data.scaled, context, ts[:, j : j + 1]))).mean
        torch.testing.assert_close(whole[:, j], one[:, 0], rtol=0, atol=1e-10)


@every_model
def test_values_without_a_target_do_not_count(options, build, batch):
    model = build(objective=Direct(), **options).eval()
    spoiled = batch._replace(targets=torch.where(batch.targets_mask, batch.targets, 1e6))
    torch.testing.assert_close(loss_of(model, batch), loss_of(model, spoiled))


def test_few_values_are_told_one_by_one_with_the_same_loss(build, batch):
    model = build(objective=Direct()).eval()
    few = batch.targets_mask & (torch.rand_like(batch.targets) < 0.3)
    assert 0 < few.sum() < few.numel() / 2 < batch.targets_mask.sum()
    for mask, n_dims in ((few, 1), (batch.targets_mask, 3)):
        asked = batch._replace(targets_mask=mask)
        assert model.values_asked(asked)[1].dim() == n_dims
        p = model(asked)
        errors = -p.log_prob(asked.targets) * torch.where(asked.ts > 0, 1.0, 0.1)[..., None]
        total = (torch.where(asked.ts > 0, 1.0, 0.1)[..., None] * mask).sum()
        torch.testing.assert_close(loss_of(model, asked), (errors * mask).sum() / total)


def test_weights_of_variables_and_of_the_context_are_weights(build, batch):
    model = build(
        objective=Direct(), context_weight=0.5, variable_weights=torch.tensor([2.0, 3.0])
    )
    where, weights = model.values_asked(batch)
    expected = torch.where(batch.ts > 0, 1.0, 0.5)[..., None] * torch.tensor([2.0, 3.0])
    torch.testing.assert_close(weights, where.pick(expected * batch.targets_mask))
    model.variable_weights = torch.tensor([1.0, 0.0])
    loss_of(model, batch).backward()
    # The last two numbers of the decoder are those of variable b.
    gradient = model.decoder.head.layers[-1].weight.grad
    assert gradient[:2].abs().sum() > 0 and gradient[2:].abs().sum() == 0


def test_observations_are_left_out_at_random(batch):
    thin = thinned(batch, 0.5)
    n, n_left = int(batch.mask.sum()), int(thin.mask.sum())
    assert 0.2 * n < n_left < 0.8 * n
    assert not (thin.mask & ~batch.mask).any()
    assert (thin.x[~thin.mask] == 0).all()
    assert thinned(batch, 0.0) is batch


@every_model
def test_it_trains_with_a_plain_trainer(options, build, waves):
    data = SeriesDataModule(waves, batch_size=8)
    with quiet():
        trainer = lightning.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(build(**options), data)
    assert {"train_loss", "val_loss"} <= set(trainer.callback_metrics)


@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_a_loss_that_is_not_finite_ends_training(value, build, data):
    model = build()
    torch.nn.init.constant_(model.decoder.head.layers[-1].bias, value)
    with pytest.raises(FloatingPointError, match=r"epoch 0, batch 0: .*Lower learning_rate"):
        train(model, data, max_epochs=1, patience=None, accelerator="cpu", label=None)


def test_an_encoder_that_gives_nan_ends_training(build, data):
    model = build()
    torch.nn.init.constant_(model.encoder.head.bias, torch.nan)
    with pytest.raises(FloatingPointError, match="the encoder gives NaN"):
        train(model, data, max_epochs=1, patience=None, accelerator="cpu", label=None)


@pytest.mark.parametrize("rnn", [False, True])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, r"learning_rate=0\.0 must be a positive number"),
        ({"weight_decay": -1.0}, r"weight_decay=-1\.0 must be a number of at least 0"),
        ({"context_weight": -0.1}, r"context_weight=-0\.1 must be a number of at least 0"),
        ({"observation_dropout": 1.0}, r"observation_dropout=1\.0 must be at least 0 and less"),
        (
            {"variable_weights": torch.ones(3)},
            r"variable_weights must be of shape \(D,\) with D=2, not \(3,\)",
        ),
    ],
)
def test_bad_options_are_refused(rnn, options, message, build):
    with pytest.raises(ValueError, match=message):
        build(rnn=rnn, **options)


def test_a_loop_of_ones_own_can_train(build, data):
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(5):
        for i, batch in enumerate(data.train_dataloader()):
            optimizer.zero_grad()
            losses.append(model.training_step(batch, i))
            losses[-1].backward()
            optimizer.step()
    n = len(losses) // 5
    assert sum(losses[-n:]) < sum(losses[:n])
