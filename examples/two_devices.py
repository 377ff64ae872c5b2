"""Train on two devices from a plain script, be interrupted, and go on to the same weights.

Each device has a process of its own; here both are CPUs, and no main guard is needed. A file keeps
the state of training: a call that is interrupted, as by Ctrl-C, goes on from there when it is made
again. Prints seconds and errors of one and of two devices, and whether the weights are those of a
training that nobody interrupted; saves two_devices.png, the losses.
"""

import _thread
import signal
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from latentode import LatentODEForecaster, load_pbcseq

STATE = Path("training.state")
COLUMNS = {"id_col": "patient", "time_col": "day"}


def main(quick: bool = False) -> None:
    visits = load_pbcseq()[["patient", "day", "bili", "albumin", "protime"]]
    visits.iloc[:, 2:] = np.log(visits.iloc[:, 2:])
    old, new = visits[visits["patient"] <= 250], visits[visits["patient"] > 250]
    options = COLUMNS | {"max_epochs": 4 if quick else 20, "random_state": 0, "verbose": 0}
    models = {n: LatentODEForecaster(**options, devices=n) for n in (1, 2)}
    for n, model in models.items():
        model.fit(old)
        error = model.evaluate(new, ["mae"])["mae"]
        print(
            f"{n} device(s): {model.fit_seconds_:.0f} s, mean absolute error {error.iloc[0]:.3f}; "
            f"of the last value {error['LastValue']:.3f}"
        )
    resumed = LatentODEForecaster(**options, devices=2)
    STATE.unlink(missing_ok=True)
    interrupted(resumed, old)
    resumed.fit(old, resume=STATE)  # the same call
    print(f"gone on with, in {resumed.fit_seconds_:.0f} s")
    print(f"the weights are the same to the bit: {same_weights(resumed, models[2])}")
    STATE.unlink()
    save_plot(models, "two_devices.png")


def interrupted(model: LatentODEForecaster, df: pd.DataFrame) -> None:
    """Begin a training, and end it as Ctrl-C would once some of it is kept."""
    over = Event()

    def interrupt() -> None:
        while not (over.is_set() or STATE.exists()):
            time.sleep(0.01)
        if not over.is_set():
            _thread.interrupt_main()

    # A shell that starts a script in the background has Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watch = Thread(target=interrupt)
    watch.start()
    try:
        model.fit(df, resume=STATE)
        print("over before it could be interrupted")
    except KeyboardInterrupt:
        print(f"interrupted; {STATE} keeps {STATE.stat().st_size / 1e6:.1f} MB of training")
    finally:
        over.set()
        watch.join()
        signal.signal(signal.SIGINT, before)


def same_weights(one: LatentODEForecaster, other: LatentODEForecaster) -> bool:
    theirs = other.module_.state_dict()
    return all(torch.equal(w, theirs[name]) for name, w in one.module_.state_dict().items())


def save_plot(models: dict[int, LatentODEForecaster], path: str) -> None:
    """Draw the losses of each epoch before all rows are trained on."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for (n, model), style in zip(models.items(), ("o-", "s--"), strict=True):
        losses = model.history_["val_loss"].dropna()
        axes.plot(np.arange(1, len(losses) + 1), losses, style, ms=3, label=n)
    axes.set(xlabel="epoch", ylabel="loss of what is held out (nats a value)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(title="devices")
    figure.savefig(path, dpi=120)
    print(f"saved {path}")


if __name__ == "__main__":
    main()
