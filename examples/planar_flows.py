"""Compare planar flows: continuous, and in layers, of equal width and equally long trained.

For circles, moons and a pinwheel, planar_flows.png shows data, and density and samples of both:
figure 5 of Chen et al. (2018). Takes some minutes.
"""

import math
import time

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import make_circles, make_moons
from torch import Tensor, nn

from latentode.models import Plan, own_torch_state, train_flow
from latentode.nn import ContinuousFlow, PlanarField


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


class PlanarLayers(nn.Module):
    """Layers z + u tanh(w . z + b) from data to noise (Rezende and Mohamed 2015, equation 10)."""

    def __init__(self, n_layers: int) -> None:
        super().__init__()
        self.raw_u = nn.Parameter(0.1 * torch.randn(n_layers, 2))
        self.w = nn.Parameter(torch.randn(n_layers, 2))
        self.b = nn.Parameter(torch.zeros(n_layers))

    @property
    def u(self) -> Tensor:
        """With u . w > -1, which keeps a layer invertible."""
        along = (self.raw_u * self.w).sum(1, keepdim=True)
        step = nn.functional.softplus(along) - 1 - along
        return self.raw_u + step * self.w / self.w.square().sum(1, keepdim=True)

    def log_prob(self, z: Tensor) -> Tensor:
        log_det = z.new_zeros(len(z))
        for u, w, b in zip(self.u, self.w, self.b, strict=True):
            h = torch.tanh(z @ w + b)
            z, log_det = z + h[:, None] * u, log_det + torch.log1p((1 - h**2) * (u @ w))
        return log_det - z.square().sum(1) / 2 - math.log(2 * math.pi)

    def sample(self, n: int) -> Tensor:
        """Carry noise back to data: along w, each layer is inverted by bisection."""
        z = torch.randn(n, 2)
        for u, w, b in zip(self.u.flip(0), self.w.flip(0), self.b.flip(0), strict=True):
            reach = (u @ w).abs()
            low, high = z @ w - reach, z @ w + reach
            for _ in range(40):
                middle = (low + high) / 2
                is_low = middle + (u @ w) * torch.tanh(middle + b) < z @ w
                low, high = torch.where(is_low, middle, low), torch.where(is_low, high, middle)
            z = z - torch.tanh(low + b)[:, None] * u
        return z


def train_layers(x: Tensor, width: int, seconds: float) -> PlanarLayers:
    """Train by Adam with a cosine over the CPU time."""
    layers, began = PlanarLayers(width), time.process_time()
    optimizer = torch.optim.Adam(layers.parameters(), 1e-2)
    while (spent := time.process_time() - began) < seconds:
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 + math.cos(math.pi * spent / seconds))
        loss = -layers.log_prob(x[torch.randint(len(x), (256,))]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return layers


def main(quick: bool = False, width: int = 32) -> None:
    torch.set_num_threads(1)
    n, epochs = (100, 1) if quick else (2000, 40)
    figure = Figure(figsize=(11, 6.8), layout="constrained")
    axes = figure.subplots(len(SETS), 5)
    for row, (name, draw) in zip(axes, SETS.items(), strict=True):
        x, test = (torch.tensor(draw(n, seed), dtype=torch.float32) for seed in (0, 1))
        x, test = (x - x.mean(0)) / x.std(0), (test - x.mean(0)) / x.std(0)
        with own_torch_state(0), torch.no_grad():
            flow, began = ContinuousFlow(2, PlanarField(2, width), rtol=1e-3), time.process_time()
            with torch.enable_grad():
                plan = Plan(epochs, 256, 1e-2, epochs, 0.0, 0.0, "shared")
                train_flow(flow, x[n // 10 :], x[: n // 10], plan)
                seconds = time.process_time() - began
                layers = train_layers(x[n // 10 :], width, seconds)
            drawn = flow().sample((n,)), layers.sample(n)
            told = [float(q.log_prob(test).mean()) for q in (flow(), layers)]
            line = torch.linspace(-2.5, 2.5, 50 if quick else 150)
            grid = torch.cartesian_prod(line, line)
            density = [q.log_prob(grid).exp().view(len(line), -1).mT for q in (flow(), layers)]
        print(
            f"{name:9s} log likelihood of new points, standardised: continuous {told[0]:.3f} "
            f"nats, layers {told[1]:.3f}; {seconds:.0f} CPU s each"
        )
        for axis, points in zip(row[::2], (x, *drawn), strict=True):
            axis.scatter(*points.mT.numpy(), s=1, color="#333333", rasterized=True)
        for axis, shown in zip(row[1::2], density, strict=True):
            axis.imshow(np.asarray(shown), extent=(-2.5, 2.5) * 2, origin="lower", cmap="magma")
        for axis in row:
            axis.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), xticks=[], yticks=[], aspect="equal")
        row[0].set_ylabel(name)
    titles = "data", "continuous", "samples", f"{width} layers", "samples"
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    figure.savefig("planar_flows.png", dpi=110)
    print("saved planar_flows.png")


if __name__ == "__main__":
    main()
