"""What the forecaster costs beside its model: fit beside a bare loop, predict beside a decode.

Both sides run the same batches through the same module on one thread, by turns, and the medians of
their times are compared. The bare loop has the loss, the gradient, its clipping, AdamW and the
schedule, but neither Lightning, nor validation, nor an average of weights; a second bare loop has
the average too. The raw decode is what `forecast` does of a batch: read, solve and decode.

    python examples/benchmarks/forecaster_overhead.py [--quick]
"""

import statistics
import sys
import time
from collections.abc import Callable
from itertools import chain

import numpy as np
import pandas as pd
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from latentode import LatentODEForecaster
from latentode.data import scale_panel
from latentode.forecaster.question import ask
from latentode.models import LatentODE, own_torch_state
from latentode.models.latent_model import thinned
from latentode.models.optimizer import one_cycle
from latentode.models.pairs import batches_of_pairs
from latentode.models.prediction import in_double


def main(quick: bool = False) -> None:
    torch.set_num_threads(1)
    n_series, epochs, rounds, n_asked = (100, 1, 1, 500) if quick else (1000, 4, 5, 10_000)
    df = waves(n_series)
    fits = {
        "fit": lambda: fit(df, epochs),
        "bare loop": lambda: bare_fit(df, epochs, averaged=False),
        "bare loop with the average": lambda: bare_fit(df, epochs, averaged=True),
    }
    report(f"fit of {n_series} series, {epochs} epochs", by_turns(fits, rounds))
    model = LatentODEForecaster(max_epochs=1, refit=False, verbose=0, random_state=0).fit(df)
    rows = pd.DataFrame({"id": np.arange(n_asked) % n_series})
    rows["time"] = 6.0 + np.random.default_rng(1).uniform(0, 3, n_asked)
    predicts = {
        "predict": lambda: model.predict(rows),
        "raw decode": raw_decode(model, rows),
    }
    report(f"predict of {n_asked} rows of {n_series} series", by_turns(predicts, 3 * rounds))


def waves(n_series: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    series = np.repeat(np.arange(n_series), 30)
    t = rng.uniform(0, 6, len(series))
    return pd.DataFrame({"id": series, "time": t, "a": np.sin(t + series), "b": np.cos(t)})


def fit(df: pd.DataFrame, epochs: int) -> None:
    model = LatentODEForecaster(
        max_epochs=epochs, val_fraction=0.0, refit=False, verbose=0, random_state=0
    )
    model.fit(df)


def bare_fit(df: pd.DataFrame, epochs: int, *, averaged: bool) -> None:
    """Train the forecaster's module on the forecaster's batches, in a plain loop."""
    forecaster = LatentODEForecaster(val_fraction=0.0, random_state=0)
    with own_torch_state(0):
        data = forecaster._data(df, 0)
        module = forecaster.build_module(data.schema)
        batches = data.train_dataloader()
        n_steps = epochs * len(batches)
        optimizer, schedule = optimizer_of(module, n_steps)
        average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.99))
        every = chain.from_iterable(batches for _ in range(epochs))
        for step, batch in enumerate(every):
            optimizer.zero_grad()
            losses, _ = module.objective(module, thinned(batch, 0.1), progress=step / n_steps)
            losses.total.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if averaged:
                average.update_parameters(module)


def optimizer_of(module: LatentODE, n_steps: int) -> tuple[AdamW, LambdaLR]:
    matrices = [p for p in module.parameters() if p.dim() > 1]
    others = [p for p in module.parameters() if p.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": module.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = AdamW(groups, lr=module.learning_rate, betas=(0.9, 0.99), fused=True)
    return optimizer, LambdaLR(optimizer, lambda step: one_cycle(step, n_steps=n_steps))


def raw_decode(model: LatentODEForecaster, rows: pd.DataFrame) -> Callable[[], None]:
    """Give what reads, solves and decodes the batches of a forecast, and nothing else."""
    question = ask(model.context_, rows, None, None, None)
    scaled = scale_panel(question.known, model.scaler_)
    since = question.since / model.scaler_.time_unit
    pairs = question.query.series, since
    batches = [some.batch for some in batches_of_pairs(scaled, *pairs, max_rows=model.max_rows)]
    module = in_double(model.module_)

    @torch.no_grad()
    def decode() -> None:
        for batch in batches:
            _ = module(batch).mean

    return decode


def by_turns(sides: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Give the median seconds of each side, after one turn that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, run in sides.items():
            began = time.process_time()  # of this process: others may use the machine
            run()
            if turn:
                seconds[name].append(time.process_time() - began)
    return {name: statistics.median(times) for name, times in seconds.items()}


def report(title: str, seconds: dict[str, float]) -> None:
    print(title)
    ours = next(iter(seconds.values()))
    for name, time_of in seconds.items():
        print(f"  {name:28s} {time_of:7.3f} s   ours is {ours / time_of:.2f} x")


if __name__ == "__main__":
    main("--quick" in sys.argv)
