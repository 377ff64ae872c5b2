"""Learn when events come: self-correcting ones, whose true intensity is known.

The intensity exp(t - N) grows with time, and each event divides it by e. Series are observed until
time 30. event_times.png shows the learned intensity beside the true one on a new series, and how
many events are forecast to come after its end. Takes about a minute.
"""

import math
import time

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from latentode import EventForecaster

END, HORIZON = 30.0, 10.0


def main(quick: bool = False) -> None:
    torch.set_num_threads(1)
    n, epochs = (20, 2) if quick else (300, None)
    train, test = self_correcting(n, seed=0), self_correcting(n, seed=1)
    seen = test[test.time <= END]
    began = time.process_time()
    model = EventForecaster(max_epochs=epochs, random_state=0, verbose=0)
    model.fit(train[train.time <= END], start=0, end=END)
    print(f"{n} series, {len(model.history_)} epochs, {time.process_time() - began:.0f} CPU s")

    table = model.evaluate(seen, start=0, end=END)
    poisson = table.log_likelihood["TrainingRate"]
    truth = seen.groupby("id").time.apply(true_log_likelihood).sum() / len(seen)
    learned = (table.log_likelihood["EventForecaster"] - poisson) / (truth - poisson)
    print("log-likelihood of new series, in nats for each event:")
    print(f"  truth           {truth:.4f}")
    print(table[["log_likelihood", "ks"]].round(4).to_string())
    print(f"  learned of what the truth is ahead of a Poisson process: {learned:.1%}")
    plot(model, test, "event_times.png")


def self_correcting(n: int, seed: int) -> pd.DataFrame:
    """Draw series by the inverse of the integral of the intensity."""
    rng = np.random.default_rng(seed)
    rows = []
    for key in range(n):
        t, x = 0.0, 0.0  # x is the logarithm of the intensity
        while t <= END + HORIZON:
            gap = math.log1p(rng.exponential() * math.exp(-x))
            t, x = t + gap, x + gap - 1
            rows.append({"id": f"{seed}-{key:03d}", "time": t})
    return pd.DataFrame(rows)


def true_log_likelihood(times: pd.Series) -> float:
    t, n = np.sort(times), np.arange(len(times))
    edges = np.concatenate([[0.0], t, [END]])
    counts = np.arange(len(t) + 1)
    integral = (np.exp(edges[1:] - counts) - np.exp(edges[:-1] - counts)).sum()
    return float((t - n).sum() - integral)


def plot(model: EventForecaster, df: pd.DataFrame, path: str) -> None:
    one = df[df.id == df.id.iloc[0]].sort_values("time")
    seen = one[one.time <= END]
    grid = np.linspace(0, END, 1500)
    learned = model.predict_intensity(grid, context=seen, start=0, end=END)
    true = np.exp(grid - np.searchsorted(seen.time, grid))
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    top, bottom = figure.subplots(2)
    top.plot(grid, true, color="black", lw=1, label="true intensity")
    top.plot(grid, learned.intensity, color="#d95f02", lw=2, ls="--", label="learned intensity")
    top.plot(seen.time, np.zeros(len(seen)), "|", color="black", ms=12, label="events")
    top.set(xlabel="time", ylabel="events per unit of time", xlim=(0, END))
    top.set_title("A new series: just before each time, given all events before")
    top.legend(loc="upper center", ncols=3)

    after = np.linspace(END, END + HORIZON, 81)
    told = model.predict_counts(
        after, [0.05, 0.25, 0.75, 0.95], context=seen, start=0, end=END, n=500, random_state=0
    )
    came = np.searchsorted(one.time, after, side="right") - len(seen)
    for low, high, grey, share in ((0.05, 0.95, "0.85", "90 %"), (0.25, 0.75, "0.7", "50 %")):
        # A count stands for half a unit on either side, so that an interval of one count is seen.
        low, high = told[f"count_q{low}"] - 0.5, told[f"count_q{high}"] + 0.5
        bottom.fill_between(after, low, high, step="post", color=grey, label=f"{share} interval")
    bottom.plot(after, told["count"], color="#d95f02", lw=2, ls="--", label="expected")
    bottom.step(after, came, where="post", color="black", lw=1, label="came")
    bottom.set(xlabel="time", ylabel="events since time 30", xlim=(END, END + HORIZON))
    bottom.set_title("After its end: the forecast of the count")
    bottom.legend(loc="upper left")
    figure.savefig(path, dpi=120)
    print(f"saved {path}")


if __name__ == "__main__":
    main()
