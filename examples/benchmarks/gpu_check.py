"""Run solver, fit and predict on a GPU, and compare with the CPU: answers, time and memory.

Without a GPU it says so and compares nothing. Times are of CUDA events, after a warm-up; a fit is
timed by the clock.

    python examples/benchmarks/gpu_check.py
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

# A script finds the files beside it; one that is run from a test does not.
sys.path.append(str(Path(__file__).parent))

from solver_tables import Table, markdown

from latentode import LatentODEForecaster, load_pbcseq, odeint
from latentode.solvers import MLP

N_ROUNDS = 5


def main(quick: bool = False) -> None:
    if not torch.cuda.is_available():
        print("no GPU is here that torch can use: nothing was compared.")
        return
    n_samples, n_epochs = (64, 1) if quick else (4096, 20)
    print(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}\n")
    rows = [solver_row(method, n_samples) for method in ("rk4", "tsit5", "kvaerno3")]
    print(markdown(Table(("solver and gradient", "CPU ms", "GPU ms", "MiB", "differs"), rows)))
    print()
    print(markdown(Table(("fit", "CPU s", "GPU s", "val_loss CPU, GPU"), [fit_row(n_epochs)])))


def solver_row(method: str, n_samples: int) -> tuple[str, ...]:
    """Solve a neural field and differentiate it, on both."""
    torch.manual_seed(0)
    field, y0 = MLP([20, 100, 100, 20], activation="tanh"), torch.randn(n_samples, 20)
    options = {"method": method, **({"step_size": 0.1} if method == "rk4" else {})}
    times = torch.linspace(0.0, 3.0, 50)

    def solved(device: str) -> Tensor:
        moved, start = field.to(device), y0.to(device).requires_grad_()
        moved.zero_grad()
        odeint(moved, start, times.to(device), **options).ys.square().mean().backward()
        assert start.grad is not None
        return start.grad

    began = time.perf_counter()
    on_cpu = solved("cpu")
    cpu_ms = 1e3 * (time.perf_counter() - began)
    torch.cuda.reset_peak_memory_stats()
    on_gpu = solved("cuda").cpu()
    differs = float((on_gpu - on_cpu).abs().max() / on_cpu.abs().max())
    gpu_ms = cuda_milliseconds(lambda: solved("cuda"))
    memory = torch.cuda.max_memory_allocated() / 2**20
    return method, f"{cpu_ms:.0f}", f"{gpu_ms:.0f}", f"{memory:.0f}", f"{differs:.1e}"


def cuda_milliseconds(run: Callable[[], object]) -> float:
    """Give the median time of a few rounds."""
    rounds = []
    for _ in range(N_ROUNDS):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        run()
        ended.record()
        torch.cuda.synchronize()
        rounds.append(began.elapsed_time(ended))
    return sorted(rounds)[N_ROUNDS // 2]


def fit_row(n_epochs: int) -> tuple[str, ...]:
    """Fit and forecast with the same seed on both."""
    seconds, losses = [], []
    for accelerator in ("cpu", "cuda"):
        model = LatentODEForecaster(
            id_col="patient",
            time_col="day",
            max_epochs=n_epochs,
            accelerator=accelerator,
            random_state=0,
            verbose=0,
        )
        began = time.perf_counter()
        model.fit(load_pbcseq())
        seconds.append(time.perf_counter() - began)
        losses.append(float(model.history_.val_loss.min()))
        assert model.predict(5000).notna().all(axis=None)
    told = ", ".join(f"{loss:.4f}" for loss in losses)
    return f"pbcseq, {n_epochs} epochs", *(f"{s:.1f}" for s in seconds), told


if __name__ == "__main__":
    main()
