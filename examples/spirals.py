"""Follow noisy spirals forward and backward in time, with a latent ODE and with an RNN.

The experiment of Chen et al. (2018), section 5.1: 1,000 spirals to learn from, and 1,000 others of
which half of the points of a window are read. Errors are against the noise-free truth, before the
window, in it and after it. spirals.png shows some spirals and the latent space; docs/spirals.md
says more. Takes some minutes.
"""

import time

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame, cut

from latentode import LatentODE, LinearInterpolation, SeriesDataModule
from latentode.data import Interpolation, ScaledPanel, scale_panel, to_panel
from latentode.datasets import make_spirals
from latentode.models import (
    RNN,
    Direct,
    LatentModel,
    ShiftConsistency,
    forecast,
    latent_path,
    own_torch_state,
    train,
)
from latentode.nn import Decoder, Encoder, GRUReader
from latentode.solvers import MLP

N_OBSERVED, LATENT, HIDDEN = 50, 8, 64
END = 3.76  # of the window
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#BBBBBB"
TRAINING = {
    "objective": Direct("mse"),
    "context_weight": 1.0,
    "observation_dropout": 0.0,
    "weight_decay": 1e-5,
}


def main(quick: bool = False) -> None:
    torch.set_num_threads(1)
    n, epochs = (20, 1) if quick else (1000, 150)
    observed = make_spirals(n, n_observed=N_OBSERVED, random_state=0)
    asked = make_spirals(n, n_observed=N_OBSERVED, truth=True, random_state=5000)
    context = asked.dropna()[[*observed.columns]]
    data = SeriesDataModule(
        observed, regime=Interpolation(N_OBSERVED), batch_size=100, val_fraction=0.0
    )
    naive = LinearInterpolation().fit(observed).predict(asked, context=context)
    told = {"interpolation": naive[["y0", "y1"]].to_numpy()}
    models = {"RNN": rnn(), "latent ODE": latent_ode()}
    for name, model in models.items():
        began = time.process_time()
        # An epoch of the RNN takes a third of the time.
        plan = {"max_epochs": 3 * epochs if name == "RNN" else epochs, "patience": None}
        train(model, data, **plan, accelerator="cpu", label=None, averaging=0.99)
        print(f"{name} trained in {time.process_time() - began:.0f} CPU s")
        question = in_units_of(data, context, asked)
        told[name] = data.scaler.unscale(forecast(model, *question, max_rows=100).mean)
    print(f"\nRMSE of {n} spirals, {N_OBSERVED} of 100 points read\n{errors(told, asked)}")
    starts = asked[asked["time"] == 0]
    zs = latent_path(models["latent ODE"], *in_units_of(data, context, starts), max_rows=100)
    save_plot(asked, told, zs, starts["clockwise"].to_numpy())


def latent_ode() -> LatentModel:
    with own_torch_state(0):
        field = MLP([LATENT, HIDDEN, LATENT], activation="silu")
        parts = encoder("backward", "start"), field, decoder()
        return LatentODE(*parts, penalties=[ShiftConsistency(0.1, far=0.5)], **TRAINING)


def rnn() -> LatentModel:
    with own_torch_state(0):
        return RNN(encoder("forward", "end"), decoder(), **TRAINING)


def encoder(direction: str, anchor: str) -> Encoder:
    reader = GRUReader(2, HIDDEN, direction=direction, n_at_once=5)
    options = {"n_hidden": 1, "summaries": False, "dropout": 0.0}
    return Encoder(2, LATENT, reader=reader, anchor=anchor, **options)


def decoder() -> Decoder:
    return Decoder(LATENT, 2, 32, head="mlp", rule=None)


def in_units_of(
    data: SeriesDataModule, context: DataFrame, asked: DataFrame
) -> tuple[ScaledPanel, np.ndarray, np.ndarray]:
    """Give what is read, the series of each row asked, and its time since the last row read."""
    panel = to_panel(context, data.schema)
    place = {key: i for i, key in enumerate(panel.ids)}
    series, end = asked["id"].map(place).to_numpy(), panel.times[panel.offsets[1:] - 1]
    since = (asked["time"].to_numpy() - end[series]) / data.scaler.time_unit
    return scale_panel(panel, data.scaler), series, since


def errors(told: dict[str, np.ndarray], asked: DataFrame) -> DataFrame:
    """Give the root of the mean squared error before the window, in it and after it."""
    part = cut(asked["time"], [-np.inf, -0.01, END, np.inf], labels=["before", "window", "next"])
    truth = asked[["y0_true", "y1_true"]].to_numpy()
    squares = DataFrame({name: ((x - truth) ** 2).mean(axis=1) for name, x in told.items()})
    return (squares.groupby(part, observed=True).mean() ** 0.5).T.round(3)


def save_plot(
    asked: DataFrame, told: dict[str, np.ndarray], zs: np.ndarray, clockwise: np.ndarray
) -> None:
    figure = Figure(figsize=(15, 7.5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[8, 5])
    axes = left.subplots(2, 3)
    for row, (kind, both) in zip(axes, asked.groupby("clockwise"), strict=True):
        row[0].set_ylabel("clockwise" if kind else "counter-clockwise")
        for axis, (_, rows) in zip(row, both.groupby("id"), strict=False):
            draw_spiral(axis, rows, told)
    left.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    axis = right.subplots()
    centred = zs - zs.mean(axis=0)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    axis.scatter(*plane[~clockwise].T, s=8, color=BLUE, label="counter-clockwise")
    axis.scatter(*plane[clockwise].T, s=8, color=ORANGE, label="clockwise")
    axis.set_title("latent states where windows begin (two principal components)")
    axis.legend(frameon=False)
    figure.savefig("spirals.png", dpi=120)
    print("saved spirals.png")


def draw_spiral(axis: Axes, rows: DataFrame, told: dict[str, np.ndarray]) -> None:
    ahead, back = rows["time"] > END, rows["time"] < 0
    axis.plot(rows["y0_true"], rows["y1_true"], color=GREY, linewidth=5, label="truth")
    axis.plot(rows["y0"], rows["y1"], "o", color="#333333", markersize=2.5, label="observed")
    axis.plot(*told["RNN"][rows.index[ahead]].T, "k:", label="RNN, ahead")
    for name, part, colour in [
        ("in the window", ~ahead & ~back, BLUE),
        ("ahead", ahead, ORANGE),
        ("back", back, GREEN),
    ]:
        path = told["latent ODE"][rows.index[part]]
        axis.plot(*path.T, color=colour, label=f"latent ODE, {name}")
    low, high = rows[["y0_true", "y1_true"]].min() - 1, rows[["y0_true", "y1_true"]].max() + 1
    axis.set(
        xticks=[], yticks=[], xlim=(low.iloc[0], high.iloc[0]), ylim=(low.iloc[1], high.iloc[1])
    )


if __name__ == "__main__":
    main()
