"""Compare `FlowDensity` with a coupling flow of twice its parameters, in equal CPU seconds.

The rival is a RealNVP of affine coupling layers in plain torch. Both train on one thread, on the
same points, and keep the weights that are best on the same held out points; the rival trains for
as many CPU seconds as `FlowDensity` took. Run as
`python examples/benchmarks/density_coupling.py [epochs [seeds]]`.
"""

import copy
import math
import sys
import time

import numpy as np
import torch
from sklearn.datasets import make_circles, make_moons
from torch import Tensor, nn

from latentode import FlowDensity
from latentode.models import own_torch_state

SETS = {
    "moons": lambda n, seed: make_moons(n, noise=0.08, random_state=seed)[0],
    "circles": lambda n, seed: make_circles(n, noise=0.06, factor=0.5, random_state=seed)[0],
}


class Coupling(nn.Module):
    """Affine coupling layers that change one of two variables, by turns."""

    def __init__(self, n_layers: int, width: int) -> None:
        super().__init__()
        self.nets = nn.ModuleList(
            nn.Sequential(
                nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                nn.Linear(width, 2),
            )
            for _ in range(n_layers)
        )  # fmt: skip

    def log_prob(self, x: Tensor) -> Tensor:
        log_det = x.new_zeros(len(x))
        for net in self.nets:
            kept, changed = x.unbind(1)
            scale, shift = net(kept[:, None]).unbind(1)
            scale = 2 * torch.tanh(scale / 2)
            x = torch.stack([changed * scale.exp() + shift, kept], dim=1)
            log_det = log_det + scale
        return log_det - x.square().sum(1) / 2 - math.log(2 * math.pi)


def coupling_of(n_parameters: int) -> Coupling:
    """Give the coupling flow of 8 layers whose parameters come closest to a number."""
    flows = [Coupling(8, width) for width in range(8, 80)]
    return min(flows, key=lambda flow: abs(n_parameters_of(flow) - n_parameters))


def train_coupling(x: Tensor, held_out: Tensor, n_parameters: int, seconds: float) -> Coupling:
    """Train by Adam with a cosine over the CPU time; keep what is best on the points held out."""
    flow = coupling_of(n_parameters)
    optimizer = torch.optim.Adam(flow.parameters(), 3e-3)
    began, best, weights, step = time.process_time(), math.inf, flow.state_dict(), 0
    while (spent := time.process_time() - began) < seconds:
        optimizer.param_groups[0]["lr"] = 1.5e-3 * (1 + math.cos(math.pi * spent / seconds))
        loss = -flow.log_prob(x[torch.randint(len(x), (256,))]).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 25 == 0:
            with torch.no_grad():
                val_loss = -float(flow.log_prob(held_out).mean())
            if val_loss < best:
                best, weights = val_loss, copy.deepcopy(flow.state_dict())
    flow.load_state_dict(weights)
    return flow


def n_parameters_of(flow: nn.Module) -> int:
    return sum(p.numel() for p in flow.parameters())


def compare(name: str, seed: int, epochs: int) -> tuple[float, float]:
    """Print and give the mean test log likelihood of both, in nats a point."""
    points = SETS[name](7000, seed)
    train, test = points[:2000], points[2000:]
    began = time.process_time()
    ours = FlowDensity(max_epochs=epochs, random_state=seed).fit(train)
    seconds = time.process_time() - began
    n_ours, log_scale = n_parameters_of(ours.flow_), np.log(ours.scale_).sum()
    with own_torch_state(seed):
        x = torch.tensor((train - ours.mean_) / ours.scale_, dtype=torch.float32)
        x = x[torch.randperm(len(x))]
        rival = train_coupling(x[200:], x[:200], 2 * n_ours, seconds)
    with torch.no_grad():
        z = torch.tensor((test - ours.mean_) / ours.scale_, dtype=torch.float32)
        theirs = float(rival.log_prob(z).mean()) - log_scale
    mine = ours.score(test)
    print(
        f"{name:8s} seed {seed}: FlowDensity {mine:.4f} ({n_ours} parameters), coupling "
        f"{theirs:.4f} ({n_parameters_of(rival)}), {seconds:.1f} CPU s each",
        flush=True,
    )
    return mine, theirs


def main(epochs: int = 200, n_seeds: int = 2) -> None:
    torch.set_num_threads(1)
    for name in SETS:
        scores = np.array([compare(name, seed, epochs) for seed in range(n_seeds)])
        mine, theirs = scores.mean(0)
        print(f"{name:8s} mean:   FlowDensity {mine:.4f}, coupling {theirs:.4f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
