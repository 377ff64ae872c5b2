"""Make latent_ode.png, the picture of docs/latent-ode.md: python docs/images/latent_ode.py."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from latentode import LatentODEForecaster
from latentode.datasets import make_ode_bank

HERE, N_FITTED = Path(__file__).parent, 700
NAMES = {"y0": "prey", "y1": "predator"}
LOOKS = {"y0": ("#0b559f", "o"), "y1": ("#e08214", "s")}  # dark and light in grey, too


def main(quick: bool = False) -> None:
    rows = make_ode_bank("lotka-volterra", N_FITTED + 20, truth=True)
    values = rows.dropna(subset=["y0", "y1"], how="all")[["id", "time", "y0", "y1"]]
    middle = rows["time"].max() / 2
    model = LatentODEForecaster(max_epochs=1 if quick else 110, random_state=0, verbose=0)
    model.fit(values[values["id"] < N_FITTED])

    shown = rows["id"].unique()[-1]
    one, truth = values[values["id"] == shown], rows[rows["id"] == shown]
    read = one[one["time"] <= middle]
    times = np.linspace(0, rows["time"].max(), 200)
    asked = pd.DataFrame({"id": shown, "time": times})
    told = model.predict_quantiles(asked, [0.05, 0.5, 0.95], context=read)
    latent = model.latent(asked, context=read)
    draw(one, truth, told, latent, read["time"].max())


def draw(
    one: pd.DataFrame, truth: pd.DataFrame, told: pd.DataFrame, latent: pd.DataFrame, anchor: float
) -> None:
    figure, (state, told_axes) = plt.subplots(
        2, 1, figsize=(7.5, 6), sharex=True, height_ratios=(1, 1.4), layout="constrained"
    )
    paths = latent.filter(regex=r"^z\d+$")
    moving = paths.std().nlargest(4).index
    for name, style in zip(moving, ("-", "--", "-.", ":"), strict=True):
        state.plot(latent["time"], paths[name], style, color="black", lw=1.2, label=name)
    state.set_ylabel("latent state z(t), 4 of 16")
    state.legend(loc="upper left", ncols=4, fontsize=8)
    state.set_title("A state that moves at all times, by dz/dt = f(t, z)", fontsize=10)
    for name, (colour, marker) in LOOKS.items():
        draw_variable(told_axes, name, colour, marker, one, truth, told, anchor)
    told_axes.set(xlabel="time", ylabel="standardised number")
    told_axes.set_title(
        "is read from what was observed, and decoded at any time asked", fontsize=10
    )
    told_axes.legend(loc="upper left", ncols=2, fontsize=8)
    for axes, share in ((state, 0.2), (told_axes, 0.35)):  # room for the legends
        axes.axvline(anchor, color="grey", lw=0.8)
        axes.margins(x=0.01)
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + share * (high - low))
    figure.savefig(HERE / "latent_ode.png", dpi=110)


def draw_variable(
    axes: plt.Axes,
    name: str,
    colour: str,
    marker: str,
    one: pd.DataFrame,
    truth: pd.DataFrame,
    told: pd.DataFrame,
    anchor: float,
) -> None:
    word, seen = NAMES[name], one["time"] <= anchor
    band = told[f"{name}_q0.05"], told[f"{name}_q0.95"]
    axes.fill_between(told["time"], *band, color=colour, alpha=0.18, lw=0)
    axes.plot(told["time"], told[f"{name}_q0.5"], color=colour, label=f"{word}: median and 90 %")
    axes.plot(truth["time"], truth[f"{name}_true"], ":", color="black", lw=0.9)
    axes.plot(one["time"][seen], one[name][seen], marker, color=colour, label=f"{word}: read")
    later = {"mfc": "white", "label": f"{word}: came later"}
    axes.plot(one["time"][~seen], one[name][~seen], marker, color=colour, **later)


if __name__ == "__main__":
    main()
