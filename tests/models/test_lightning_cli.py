"""Lightning's own command line, with parts from a file."""

import pytest
import torch
import yaml
from lightning.pytorch.cli import LightningCLI

from latentode import write_parquet
from latentode.models import ELBO, LatentODE, SeriesDataModule
from latentode.models.training import quiet

pytest.importorskip("jsonargparse")

PARTS = {
    "encoder": ("latentode.nn.Encoder", {"n_features": 2, "latent_size": 4, "hidden_size": 8}),
    "vector_field": ("latentode.solvers.MLP", {"sizes": [4, 8, 4]}),
    "decoder": ("latentode.nn.Decoder", {"latent_size": 4, "n_features": 2}),
    "objective": ("latentode.models.ELBO", {"kl_weight": 0.5}),
}


@pytest.fixture
def config(waves, tmp_path):
    """Give the path of a file that says it all."""
    write_parquet(waves, tmp_path / "waves", n_files=2)
    trainer = {"max_epochs": 1, "accelerator": "cpu", "default_root_dir": str(tmp_path)}
    off = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    model = {
        name: {"class_path": path, "init_args": options} for name, (path, options) in PARTS.items()
    }
    data = {"df": str(tmp_path / "waves"), "time_col": "time", "batch_size": 8}
    path = tmp_path / "waves.yaml"
    path.write_text(yaml.safe_dump({"trainer": trainer | off, "data": data, "model": model}))
    return path


def run(*args):
    with quiet():
        return LightningCLI(
            LatentODE,
            SeriesDataModule,
            args=list(map(str, args)),
            seed_everything_default=False,
            save_config_callback=None,
        )


def test_a_model_is_trained_and_validated_from_a_file(config, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py"])
    fitted = run("fit", "--config", config, "--model.learning_rate", 0.003)
    assert isinstance(fitted.model.objective, ELBO)
    assert fitted.model.objective.kl_weight == 0.5
    assert fitted.model.hparams.learning_rate == 0.003
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    again = run("validate", "--config", config, "--ckpt_path", checkpoint)
    assert again.trainer.callback_metrics["val_loss"].isfinite()
    for name, x in fitted.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], x)
