"""A trainer of one's own: what Lightning offers, a model of ours takes part in."""

import csv
import math
import warnings

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.tuner import Tuner

from latentode.models import Direct, LatentODE, SeriesDataModule, Supervised, train
from latentode.models.epoch import EpochLog
from latentode.models.training import quiet
from latentode.nn import Decoder, Encoder, MLPField

LOGGED = [
    *("train_loss", "train_fit", "train_kl", "val_loss", "val_crps"),
    *("n_f_evals", "n_f_evals_backward", "rows_per_second"),
]


@pytest.fixture(scope="module")
def trainer_of(tmp_path_factory):
    """Give what makes a trainer that writes nowhere else."""
    folder = tmp_path_factory.mktemp("trainer")

    def trainer_of(**options):
        fixed = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
        usual = {"max_epochs": 1, "logger": False, "enable_checkpointing": False}
        return lightning.Trainer(default_root_dir=folder, **fixed, **{**usual, **options})

    return trainer_of


@pytest.fixture(scope="module")
def fit(trainer_of, waves):
    """Give what trains a model, and the trainer that did."""

    def fit(model, *, ckpt_path=None, **options):
        with quiet():
            trainer = trainer_of(**options)
            data = SeriesDataModule(waves, batch_size=8)
            trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)
        return trainer

    return fit


@pytest.fixture
def parts():
    """Give the parts of a model as ``build`` makes them, with weights of their own."""

    def parts(anchor="end"):
        encoder = Encoder(2, 4, 8, reader="gru", anchor=anchor, dropout=0.0)
        field, decoder = MLPField(4, 8), Decoder(4, 2, 8, rule="fading")
        return {"encoder": encoder, "vector_field": field, "decoder": decoder}

    return parts


@pytest.mark.parametrize(
    ("options", "n_steps"),
    [
        ({"fast_dev_run": True}, 1),
        ({"accumulate_grad_batches": 2, "gradient_clip_val": 0.5}, 2),
        ({"limit_train_batches": 0.5, "limit_val_batches": 1}, 2),
        ({"max_epochs": -1, "max_steps": 3}, 3),
        ({"precision": "64-true"}, 4),
    ],
    ids=str,
)
def test_options_of_the_trainer_do_what_they_say(options, n_steps, fit, build):
    trainer = fit(build(), **options)
    assert trainer.global_step == n_steps
    assert math.isfinite(trainer.callback_metrics["train_loss"])


@pytest.mark.slow
def test_a_compiled_model_learns_the_same(fit, build):
    alike = build(objective=Direct(), observation_dropout=0.0)
    model = build(objective=Direct(), observation_dropout=0.0)
    fit(alike)
    with warnings.catch_warnings():
        # 2026-11: torch.compile of torch 2.13 makes its own warnings of numbers in a program.
        warnings.simplefilter("ignore", UserWarning)
        fit(torch.compile(model, backend="eager"))
    for name, weight in alike.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight, rtol=1e-4, atol=1e-5)


def test_an_equation_is_solved_in_float32_whatever_the_precision(fit, build):
    model, seen = build(), set()

    def solve(f, z0, ts):
        def field(t, z):
            dz = f(t, z)
            seen.update({t.dtype, z.dtype, dz.dtype})
            return dz

        solution = solved(field, z0, ts)
        seen.add(solution.ys.dtype)
        return solution

    solved, model.path.solve = model.path.solve, solve
    trainer = fit(model, precision="bf16-mixed")
    assert math.isfinite(trainer.callback_metrics["train_loss"])
    assert seen == {torch.float32}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_the_learning_rate_finder_sets_the_learning_rate(trainer_of, build, waves):
    model = build()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    with quiet():
        tuner = Tuner(trainer_of(max_epochs=None))
        data = SeriesDataModule(waves, batch_size=8)
        found = tuner.lr_find(model, datamodule=data, num_training=15, max_lr=0.1)
    assert len(found.results["loss"]) == 15
    assert model.learning_rate == model.hparams.learning_rate == found.suggestion() != 1e-2
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())


def test_loggers_are_told_once_an_epoch_and_how_the_model_was_made(fit, build, tmp_path):
    fit(build(rtol=1e-2), logger=CSVLogger(tmp_path, name="", version=""), max_epochs=2)
    with open(tmp_path / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    for name in LOGGED:
        values = [float(row[name]) for row in rows if row[name]]
        assert len(values) == 2 and all(map(math.isfinite, values))
    assert "rtol: 0.01\n" in (tmp_path / "hparams.yaml").read_text()


def test_early_stopping_stops(fit, build):
    stop = EarlyStopping("val_loss", patience=1, min_delta=100.0)
    assert fit(build(), callbacks=[stop], max_epochs=9).current_epoch == 2


@pytest.fixture(scope="module")
def saved(fit, build, tmp_path_factory):
    """Give a model that draws nothing in training, and its checkpoints of three epochs."""
    folder = tmp_path_factory.mktemp("saved")
    model = build(objective=Direct(), observation_dropout=0.0, learning_rate=np.float64(0.02))
    keep = ModelCheckpoint(folder, "{epoch}", monitor="val_loss", save_top_k=-1)
    fit(model, callbacks=[keep], enable_checkpointing=True, max_epochs=3)
    return model, [folder / f"epoch={epoch}.ckpt" for epoch in range(3)]


def test_a_checkpoint_holds_numbers_text_and_tensors_alone(saved):
    model, paths = saved
    checkpoint = torch.load(paths[-1], weights_only=True)
    assert checkpoint["hyper_parameters"] == dict(model.hparams)
    assert checkpoint["hyper_parameters"]["learning_rate"] == 0.02


def test_a_model_is_had_back_from_its_parts_and_a_checkpoint(saved, parts, batch):
    model, paths = saved
    again = LatentODE.load_from_checkpoint(paths[-1], **parts())
    assert torch.equal(again(batch).mean, model(batch).mean)
    assert again.hparams == model.hparams
    assert again.learning_rate == 0.02


def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_ended(saved, parts, fit):
    model, paths = saved
    options = {"objective": Direct(), "observation_dropout": 0.0, "learning_rate": 0.02}
    again = LatentODE(**parts(), **options)
    assert fit(again, ckpt_path=paths[0], max_epochs=3).current_epoch == 3
    for name, x in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], x)


def test_parts_that_are_missing_are_asked_for(saved, parts):
    with pytest.raises(TypeError, match=r"(?s)encoder, decoder must be given.*Fix: LatentODE\.l"):
        LatentODE.load_from_checkpoint(saved[1][0], vector_field=parts()["vector_field"])


def test_parts_that_are_set_otherwise_are_told_of(saved, parts):
    with pytest.warns(UserWarning, match=r"encoder\.anchor is start, and was end\. Its weights"):
        LatentODE.load_from_checkpoint(saved[1][0], **parts("start"))


class Waves(LatentODE):
    """A model of one's own, which knows how to make its parts."""

    def __init__(self, latent_size=4, **options):
        encoder = Encoder(2, latent_size, 8, reader="gru")
        super().__init__(encoder, MLPField(latent_size), Decoder(latent_size, 2, 8), **options)
        self.save_hyperparameters()


def test_a_class_of_ones_own_needs_no_parts(fit, tmp_path):
    keep = ModelCheckpoint(tmp_path, "last")
    model = Waves(3, speed=2.0)
    fit(model, callbacks=[keep], enable_checkpointing=True)
    again = Waves.load_from_checkpoint(tmp_path / "last.ckpt")
    assert dict(again.hparams) == {"latent_size": 3, "speed": 2.0}
    assert again.path.speed == 2.0
    assert all(torch.equal(x, again.state_dict()[name]) for name, x in model.state_dict().items())


@torch.no_grad()
def test_a_forecast_is_scored_as_its_distribution_says(fit, build, data):
    model = build()
    with torch.enable_grad():
        trainer = fit(model, limit_train_batches=1)
    (batch,) = data.val_dataloader()
    p, x, mask = model(batch), batch.targets, batch.targets_mask
    levels = ((torch.arange(400) + 0.5) / 400)[:, None, None, None]
    above = x - p.icdf(levels)
    losses = 2 * torch.maximum(levels * above, (levels - 1) * above)
    expected = float(losses.mean(dim=0)[mask].mean())
    assert float(trainer.callback_metrics["val_crps"]) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("adjoint", ["direct", "replay"])
def test_evaluations_of_the_field_are_those_of_a_series(adjoint, fit, build):
    model = build(method="rk4", step_size=100.0, adjoint=adjoint, objective=Direct())
    metrics = fit(model).callback_metrics
    # In either direction one at the start, and a step of four stages.
    assert 5 <= float(metrics["n_f_evals"]) <= 10
    assert (float(metrics["n_f_evals_backward"]) > 0) == (adjoint == "replay")


def test_a_model_without_a_field_has_no_evaluations_to_log(fit, build):
    assert "n_f_evals" not in fit(build(rnn=True)).callback_metrics


def test_a_pace_is_no_part_of_what_a_training_gives(build, waves):
    data = SeriesDataModule(waves, batch_size=8)
    options = {"max_epochs": 1, "patience": None, "accelerator": "cpu", "label": None}
    (epoch,) = train(build(), data, **options)
    assert set(epoch) == {"epoch", *LOGGED} - {"rows_per_second"}


def test_numbers_of_numpy_in_a_part_do_not_close_a_checkpoint(fit, parts, tmp_path):
    parts = parts()
    parts["encoder"].dropout.p = np.float64(0.25)
    keep = ModelCheckpoint(tmp_path, "last")
    fit(LatentODE(**parts), callbacks=[keep], enable_checkpointing=True)
    settings = torch.load(tmp_path / "last.ckpt", weights_only=True)["parts"]
    assert settings["encoder.dropout.p"] == 0.25


class StopAtTwo(lightning.Callback):
    """Stop after the second step."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.should_stop = batch_idx == 1


def test_losses_are_logged_where_training_stops_within_an_epoch(fit, build):
    trainer = fit(build(), callbacks=[StopAtTwo()], max_epochs=5)
    assert trainer.global_step == 2 < trainer.num_training_batches
    assert trainer.callback_metrics["train_loss"].isfinite()


def test_an_epoch_may_go_on_on_another_device():
    steps = [torch.zeros(3), torch.zeros(3, device="meta")]
    assert EpochLog(steps).means()["train_loss"].device.type == "meta"


@pytest.mark.parametrize("rate", [0.5, np.float32(0.5), torch.tensor(0.5)])
def test_numbers_are_kept_as_those_of_python(rate):
    network = torch.nn.Linear(2, 1)
    model = Supervised(network, torch.nn.functional.mse_loss, learning_rate=rate)
    assert model.hparams == {"learning_rate": 0.5, "weight_decay": 0.01}
    assert {type(x) for x in model.hparams.values()} == {float}
    assert type(model.learning_rate) is float
