"""Build a latent ODE of parts of one's own: an encoder, a vector field and a decoder.

Noisy sines of unknown frequency and level are seen at times up to 2.5, and are to be told up to 5.
The parts know that much: a pair of latent variables turns, at a rate that is latent too. Prints
their error beside that of parts of ours, which know nothing of sines; saves custom_parts.png.
"""

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.distributions import Normal

from latentode import LatentODE, SeriesDataModule
from latentode.data import Batch, Forecast
from latentode.datasets import make_periodic
from latentode.models import train
from latentode.nn import Context, Decoder, Encoder, Where, everywhere
from latentode.solvers import MLP


class WavesEncoder(nn.Module):
    """Tell the state at the last row from waves that are fitted to the rows by least squares."""

    anchor, n_controls, n_static, latent_size = "end", 0, 0, 4

    def __init__(self, n_waves: int = 9) -> None:
        super().__init__()
        self.rates = nn.Parameter(torch.linspace(0.0, 30.0, n_waves))
        self.layers = nn.Sequential(nn.Linear(2 * n_waves, 64), nn.SiLU(), nn.Linear(64, 4))

    def anchor_time(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t[:, 0])  # the last row

    def forward(self, context: Context) -> Normal:
        angles = context.t[..., None] * self.rates  # the mask keeps out what is padding
        waves = torch.cat([angles.sin(), angles.cos()], dim=2) * context.mask
        ridge = 0.1 * torch.eye(waves.shape[2]).to(waves)
        weights = torch.linalg.solve(waves.mT @ waves + ridge, waves.mT @ context.x)
        return Normal(self.layers(weights[..., 0]), 0.05)


class Turning(nn.Module):
    """Turn the first two latent variables, at a rate that the third tells; the fourth rests."""

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        rate, still = 18 * (0.5 * z[:, 2]).exp(), torch.zeros_like(z[:, 2])
        return torch.stack([-rate * z[:, 1], rate * z[:, 0], still, still], dim=1)


class SineDecoder(nn.Module):
    """Take the first latent variable around the fourth, with noise of one width."""

    latent_size, n_features = 4, 1

    def read(self, context: Context) -> None:
        return None  # nothing of the context is needed beside the state

    def forward(
        self, z: Tensor, ts: Tensor, known: None, where: Where | None = None, noise: None = None
    ) -> Normal:
        where = everywhere(ts, self.n_features) if where is None else where
        return Normal(where.pick(z[..., :1] + z[..., 3:]), 0.15)


def main(quick: bool = False) -> None:
    n, epochs = (40, 1) if quick else (1000, 40)
    old, new = (make_periodic(n, noise=0.3, random_state=i) for i in (0, 1))
    old, new = (sines.sample(frac=0.5, random_state=0) for sines in (old, new))
    data = SeriesDataModule(old, regime=Forecast(cut=2.5), val_fraction=0.0)
    batch = data.questions(new[new["time"] < 2.5], new[new["time"] >= 2.5])[0]
    torch.manual_seed(0)
    models = {"own parts": LatentODE(WavesEncoder(), Turning(), SineDecoder())}
    models["our parts"] = LatentODE(Encoder(1, 8), MLP([8, 64, 8]), Decoder(8, 1))
    told = {}
    for name, model in models.items():
        train(model, data, max_epochs=epochs, patience=None, accelerator="cpu", label=None)
        told[name] = model(batch).mean.detach().where(batch.targets_mask, torch.nan)
        off = (told[name] - batch.targets) * data.scaler.std.item()
        print(f"{name}: root of the mean squared error {off.square().nanmean().sqrt():.3f}")
    save_plot(batch, told, "custom_parts.png")


def save_plot(batch: Batch, told: dict[str, Tensor], path: str) -> None:
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    came = batch.targets.where(batch.targets_mask, torch.nan)
    for i, axes in enumerate(figure.subplots(1, 3, sharey=True)):
        axes.plot(batch.t[i], batch.x[i].where(batch.mask[i], torch.nan), "ko", ms=3, label="read")
        axes.plot(batch.ts[i], came[i], "o", color="0.4", mfc="w", ms=4, label="came")
        for (name, y), style in zip(told.items(), ("-", "--"), strict=True):
            axes.plot(batch.ts[i], y[i], style, label=name)
    figure.supxlabel("time since the last value that was read, in spans of a series")
    figure.supylabel("standard deviations")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    figure.savefig(path, dpi=120)
    print(f"saved {path}")


if __name__ == "__main__":
    main()
