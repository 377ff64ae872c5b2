"""What more processes give: fit and predict on two beside one, with a thread each.

All sides run by turns, and medians of their seconds by the clock are compared. An epoch is what a
longer fit takes beyond a shorter one: the start of the processes, which is told apart, is in both.
The efficiency is the speed beside that of as many machines of one process each: 1 is the best.
The last line is what the forecaster costs beside a bare loop; see forecaster_overhead.py.

    python examples/benchmarks/devices_scaling.py [--batch-size N] [--quick]
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from forecaster_overhead import bare_fit, by_turns, fit, waves

from latentode import LatentODEForecaster

# Series, epochs of a short and a long fit, rows asked, and rounds.
QUICK, WHOLE = (40, (1, 2), 200, 1), (1000, (1, 11), 1_000_000, 3)


def main(
    quick: bool = False, devices: Sequence[int] = (1, 2), batch_size: int = 64
) -> pd.DataFrame:
    torch.set_num_threads(1)  # so has each of the processes
    n_series, epochs, n_asked, rounds = QUICK if quick else WHOLE
    df = waves(n_series)
    model = LatentODEForecaster(max_epochs=1, refit=False, verbose=0, random_state=0).fit(df)
    rows = pd.DataFrame({"id": np.arange(n_asked) % n_series})
    rows["time"] = 6.0 + np.random.default_rng(1).uniform(0, 3, n_asked)
    sides: dict[tuple[str, int], Callable[[], object]] = {}
    for n in devices:
        sides["short fit", n] = partial(fit_on, n, df, epochs[0], batch_size)
        sides["long fit", n] = partial(fit_on, n, df, epochs[1], batch_size)
        sides["predict", n] = partial(model.predict, rows, n_jobs=n)
        sides["predict of a row", n] = partial(model.predict, rows[:n], n_jobs=n)
    seconds = by_the_clock(sides, rounds)
    table = table_of(seconds, devices, n_epochs=epochs[1] - epochs[0])
    print(table.round(2).to_string())
    print("load of the last minute:", os.getloadavg()[0])
    loops = {
        "fit": partial(fit, df, epochs[0]),
        "bare": partial(bare_fit, df, epochs[0], averaged=False),
    }
    bare = by_turns(loops, rounds)
    print(f"fit beside a bare loop: {bare['fit'] / bare['bare']:.2f} x the seconds")
    return table


def fit_on(n: int, df: pd.DataFrame, epochs: int, batch_size: int) -> None:
    """Train on as many series a step, whatever the number of processes."""
    model = LatentODEForecaster(
        max_epochs=epochs, val_fraction=0.0, refit=False, verbose=0, random_state=0, devices=n,
        batch_size=batch_size,
    )  # fmt: skip
    model.fit(df)


def by_the_clock(
    sides: dict[tuple[str, int], Callable[[], object]], rounds: int
) -> dict[tuple[str, int], float]:
    """Give the median seconds of each side, run by turns."""
    seconds: dict[tuple[str, int], list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in seconds.items()}


def table_of(
    seconds: dict[tuple[str, int], float], devices: Sequence[int], *, n_epochs: int
) -> pd.DataFrame:
    """Give a row for each number of processes: seconds, and efficiency beside the first."""
    table = pd.DataFrame(index=pd.Index(devices, name="processes"))
    table["epoch"] = [
        (seconds["long fit", n] - seconds["short fit", n]) / n_epochs for n in devices
    ]
    table["predict"] = [seconds["predict", n] - seconds["predict of a row", n] for n in devices]
    table["start"] = [seconds["predict of a row", n] for n in devices]
    per_process = table[["epoch", "predict"]].mul(table.index, axis=0)
    efficiency = per_process.iloc[0] / per_process
    return table.join(efficiency.add_suffix(" efficiency"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=64, help="series of a step")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    main(options.quick, batch_size=options.batch_size)
