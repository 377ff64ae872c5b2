"""Tell handwritten digits apart by an ODE-Net, beside a residual network and RK-Net.

The networks differ in their middle alone: six residual blocks with weights of their own, one field
solved to a tolerance (ODE-Net), or that field through one step of a Runge-Kutta method (RK-Net).
Prints accuracy, parameters and seconds over random splits, and saves ode_net.png: what a solve
costs, how exact it is, and what memory its gradient takes (figure 3 of Chen et al. 2018).
"""

import time
import weakref
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latentode.models import Rows, RowsDataModule, Supervised, train
from latentode.nn import ODEBlock, ResidualBlock

CHANNELS = 16
COLORS = ("#0072B2", "#D55E00")


class ConvField(nn.Module):
    """Two convolutions, which are what a residual block adds and what a solver integrates."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, CHANNELS)
        self.inner = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.outer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.outer(torch.relu(self.inner(self.norm(y))))


MIDDLES = {
    "residual": lambda: nn.Sequential(*[ResidualBlock(ConvField()) for _ in range(6)]),
    "RK-Net": lambda: ODEBlock(ConvField(), method="rk4", step_size=1.0, adjoint="direct"),
    "ODE-Net": lambda: ODEBlock(ConvField(), method="bosh3", rtol=0.1, atol=0.1),
}


def main(quick: bool = False) -> None:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    n_splits, n_epochs = (1, 2) if quick else (5, 15)
    print(f"digits, 20 % held out, {n_splits} splits: accuracy, parameters, CPU seconds to train")
    for name, middle in MIDDLES.items():
        runs = [trained(middle, seed, n_epochs) for seed in range(n_splits)]
        hits = 100 * np.array([accuracy for _, accuracy, _ in runs])
        seconds = np.mean([spent for *_, spent in runs])
        network = runs[0][0]
        n_parameters = sum(p.numel() for p in network.parameters())
        spread = f"{hits.mean():.2f} % (std {hits.std():.2f})"
        print(f"  {name:9s} {spread}  {n_parameters:6d}  {seconds:4.1f} s")
    save_plot(network, "ode_net.png", quick=quick)  # the last one is the ODE-Net
    torch.set_num_threads(n_threads)


def digits(seed: int) -> list[Tensor]:
    """Give images and labels to learn from, then images and labels to tell, standardised."""
    X, y = load_digits(return_X_y=True)
    early, late, y, truth = train_test_split(X, y, test_size=0.2, random_state=seed, stratify=y)
    center, scale = early.mean(axis=0), early.std(axis=0)
    scale[scale == 0] = 1
    x, asked = (torch.tensor((part - center) / scale).float() for part in (early, late))
    return [x.view(-1, 1, 8, 8), torch.tensor(y), asked.view(-1, 1, 8, 8), torch.tensor(truth)]


def trained(
    middle: Callable[[], nn.Module], seed: int, n_epochs: int
) -> tuple[nn.Module, float, float]:
    """Give a trained network, its accuracy on what was held out, and the seconds it took."""
    x, y, asked, truth = digits(seed)
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 4, stride=2, padding=1),  # 4 x 4 pixels are left
        middle(),
        nn.GroupNorm(4, CHANNELS),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * CHANNELS, 10),
    )
    module = Supervised(
        network,
        lambda outputs, y: cross_entropy(outputs, y, reduction="none"),
        learning_rate=0.005,
        weight_decay=0.1,
    )
    data = RowsDataModule(Rows(x, y, torch.ones(len(x))), seed=seed)
    began = time.process_time()
    train(module, data, max_epochs=n_epochs, patience=None, accelerator="cpu", label=None)
    spent = time.process_time() - began
    with torch.no_grad():
        return network, float((network(asked).argmax(dim=1) == truth).float().mean()), spent


def save_plot(network: nn.Sequential, path: str, *, quick: bool) -> None:
    """Draw what a trained ODE-Net costs for 16 images, by tolerances and by steps."""
    state, field = network[:3](digits(0)[2][:16]).detach(), network[3].field
    figure, (cost, error, memory) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    rtols = [10.0**-k for k in range(1, 3 if quick else 5)]
    forward, backward, off = zip(*(measured(field, state, rtol) for rtol in rtols), strict=True)
    cost.loglog(rtols, forward, "o-", color=COLORS[0], label="forward")
    cost.loglog(rtols, backward, "s--", color=COLORS[1], label="backward, backsolve")
    cost.set(xlabel="tolerance", ylabel="evaluations of the field")
    cost.invert_xaxis()
    error.semilogy(forward, off, "o-", color=COLORS[0])
    error.set(xlabel="evaluations forward", ylabel="relative error of the state")
    steps = [4, 8] if quick else [4, 8, 16, 32, 64, 128, 256]
    for adjoint, style, color in zip(("direct", "backsolve"), ("s--", "o-"), COLORS, strict=True):
        peaks = [peak_of_a_gradient(field, state, adjoint, n) / 1e6 for n in steps]
        memory.loglog(steps, peaks, style, color=color, label=adjoint, base=2)
    memory.set_yscale("log")
    memory.set(xlabel="steps of the midpoint rule", ylabel="peak memory of a gradient (MB)")
    for axes in (cost, error, memory):
        axes.grid(alpha=0.3)
    for axes in (cost, memory):
        axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)
    print(f"saved {path}")


def measured(field: nn.Module, state: Tensor, rtol: float) -> tuple[float, float, float]:
    """Give mean evaluations forward and backward, and the relative error, at a tolerance."""
    field, state = field.double(), state.double()
    with torch.no_grad():
        exact = ODEBlock(field, rtol=1e-7, atol=1e-7, max_steps=100_000)(state)
    block = ODEBlock(field, method="bosh3", rtol=rtol, atol=rtol, adjoint="backsolve")
    out = block(state.requires_grad_())
    out.square().mean().backward()
    off = (out.detach() - exact).norm() / exact.norm()
    stats = block.stats
    evals = (stats.n_f_evals, stats.n_f_evals_backward)
    return *(float(n.double().mean()) for n in evals), float(off)


class Alive(TorchDispatchMode):
    """Count the bytes that operations have made and that are still held, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.peak, self.known = 0, 0, weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:  # noqa: ANN001, ANN401
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, Tensor) and x.untyped_storage() not in self.known:
                self.add(x.untyped_storage())
        return out

    def add(self, storage: torch.UntypedStorage) -> None:
        self.known.add(storage)
        self.change(storage.nbytes())
        weakref.finalize(storage, self.change, -storage.nbytes())

    def change(self, n_bytes: int) -> None:
        self.now += n_bytes
        self.peak = max(self.peak, self.now)


def peak_of_a_gradient(field: nn.Module, state: Tensor, adjoint: str, n_steps: int) -> int:
    block = ODEBlock(field, method="midpoint", step_size=1 / n_steps, adjoint=adjoint)
    state = state.to(next(field.parameters())).requires_grad_()
    with Alive() as alive:
        block(state).square().mean().backward()
    return alive.peak


if __name__ == "__main__":
    main()
