"""Train a model with a trainer of one's own, on one device or on several.

    python examples/torchrun.py
    torchrun --nproc-per-node 2 examples/torchrun.py

Every process has its share of the series of an epoch, and all end with the same weights. The best
ones are in pbcseq.ckpt, from which the model is made again. Takes half a minute.
"""

import os

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from latentode import LatentODE, SeriesDataModule, load_pbcseq
from latentode.nn import Decoder, Encoder
from latentode.solvers import MLP


def main(quick: bool = False) -> None:
    torch.set_num_threads(1)
    data = SeriesDataModule(load_pbcseq(), id_col="patient", time_col="day", batch_size=16)
    best = ModelCheckpoint(".", "pbcseq", monitor="val_loss", enable_version_counter=False)
    trainer = lightning.Trainer(
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),  # torchrun says how many
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")),
        strategy="ddp_find_unused_parameters_true" if "WORLD_SIZE" in os.environ else "auto",
        max_epochs=1 if quick else 20,
        limit_train_batches=2 if quick else 1.0,
        gradient_clip_val=1.0,
        callbacks=[EarlyStopping("val_loss", patience=5), best],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(LatentODE(**parts(data.n_features)), data)
    if trainer.is_global_zero:
        model = LatentODE.load_from_checkpoint(best.best_model_path, **parts(data.n_features))
        (batch,) = list(data.val_dataloader())[:1]
        forecast = model(batch).mean
        print(f"val_loss {best.best_model_score:.3f} of {trainer.world_size} devices")
        print(f"saved pbcseq.ckpt, which forecasts {forecast.shape[0]} series")


def parts(n_features: int) -> dict[str, torch.nn.Module]:
    """Make the parts of a model: for training, and again for what a checkpoint holds."""
    return {
        "encoder": Encoder(n_features, latent_size=8, hidden_size=32),
        "vector_field": MLP([8, 32, 8]),
        "decoder": Decoder(8, n_features),
    }


if __name__ == "__main__":
    main()
