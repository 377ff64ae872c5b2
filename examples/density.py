"""Learn the density of points in the plane with a continuous normalizing flow.

For circles, moons and a pinwheel, density.png shows the data, how samples flow from a normal
distribution to them, and the learned density. Takes a minute or two.
"""

import math
import time

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import make_circles, make_moons

from latentode import FlowDensity

SNAPSHOTS = (0.0, 0.33, 0.67, 1.0)


def pinwheel(n: int, seed: int) -> np.ndarray:
    """Draw points from five bent arms."""
    rng = np.random.default_rng(seed)
    along, across = rng.normal([[1.0], [0.0]], [[0.3], [0.1]], (2, n))
    angle = 2 * math.pi * rng.integers(5, size=n) / 5 + 0.25 * np.exp(along)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.einsum("ijn,jn->ni", turn, np.stack([along, across]))


SETS = {
    "circles": lambda n, seed: make_circles(n, noise=0.06, factor=0.5, random_state=seed)[0],
    "moons": lambda n, seed: make_moons(n, noise=0.08, random_state=seed)[0],
    "pinwheel": pinwheel,
}


def main(quick: bool = False) -> None:
    torch.set_num_threads(1)
    n, epochs = (200, 2) if quick else (2000, 40)
    models = {}
    for name, draw in SETS.items():
        began = time.process_time()
        models[name] = FlowDensity(max_epochs=epochs, random_state=0).fit(draw(n, 0))
        seconds, test = time.process_time() - began, draw(n, 1)
        normal = gaussian_score(draw(n, 0), test)
        print(
            f"{name:9s} log likelihood of new points {models[name].score(test):.3f} nats, of a "
            f"normal distribution {normal:.3f}; {seconds:.0f} CPU s"
        )
    save_plot(models, n, "density.png")


def gaussian_score(train: np.ndarray, test: np.ndarray) -> float:
    normal = torch.distributions.MultivariateNormal(
        torch.tensor(train.mean(0)), torch.tensor(np.cov(train.T))
    )
    return float(normal.log_prob(torch.tensor(test)).mean())


def save_plot(models: dict[str, FlowDensity], n: int, path: str) -> None:
    figure = Figure(figsize=(13, 6.8), layout="constrained")
    axes = figure.subplots(len(models), len(SNAPSHOTS) + 2)
    for row, (name, model) in zip(axes, models.items(), strict=True):
        data = (SETS[name](n, 0) - model.mean_) / model.scale_
        row[0].scatter(*data.T, s=1, color="#333333", rasterized=True)
        row[0].set_ylabel(name, fontsize=12)
        z = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)).double()
        paths = model.flow_.trajectory(z, torch.tensor(SNAPSHOTS, dtype=torch.float64))
        colour = mpl.colormaps["twilight"](np.arctan2(*z.mT.flip(0).numpy()) / (2 * math.pi) + 0.5)
        for axis, points in zip(row[1:-1], paths.unbind(1), strict=True):
            axis.scatter(*points.mT.numpy(), s=1, c=colour, rasterized=True)
        line = torch.linspace(-2.5, 2.5, 150).double()
        grid = torch.cartesian_prod(line, line)
        density = model.flow_().log_prob(grid).exp().view(150, 150).mT.numpy()
        row[-1].imshow(density, extent=(-2.5, 2.5, -2.5, 2.5), origin="lower", cmap="magma")
        for axis in row:
            axis.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), xticks=[], yticks=[], aspect="equal")
    titles = ["data", *(f"flow, t = {t:g}" for t in SNAPSHOTS), "learned density"]
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    figure.savefig(path, dpi=120)
    print(f"saved {path}")


if __name__ == "__main__":
    main()
