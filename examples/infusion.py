"""Infuse a drug: equations of a textbook, with what they lack learned from patients.

Remifentanil flows into the blood at a known rate, is cleared from it, and goes into the tissue
and back. What each patient has of their own is read from their first samples. Prints learned
clearances and volumes beside published ones, and errors on new patients; saves infusion.png.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from latentode import LastValue, LatentODEForecaster, load_remifentanil
from latentode.nn import Mechanism

COLUMNS = {"id_col": "patient", "time_col": "minute", "target_cols": "conc"}
READ = 5.0  # minutes of samples that are read of a new patient
# Minto et al. (1997), the simple model, which has a third compartment: litres, litres per minute.
PUBLISHED = {"clearance": 2.46, "blood": 4.98, "exchange": 1.69, "tissue": 9.01}


class TwoCompartments(Mechanism):
    """Amounts (µg) in blood and tissue; clearance and volume of blood are each patient's own."""

    latent_size = 2

    def __init__(self) -> None:
        super().__init__()
        start = {"clearance": 1.0, "blood": 10.0, "exchange": 1.0, "tissue": 10.0}  # far off
        self.log = nn.ParameterDict({k: torch.tensor(x).log() for k, x in start.items()})
        self.log_spread = nn.Parameter(torch.full((2,), -1.5))
        self.age = nn.Parameter(torch.tensor(0.0))  # share of the clearance that ten years take

    def start(self, e: Tensor, given: dict) -> Tensor:
        own, size = self.log_spread.exp() * e, given["weight"] / 70
        rate = self.log["clearance"] + own[:, 0] - self.age * (given["age"] - 40) / 10
        clearance, blood = rate.exp() * size**0.75, size * (self.log["blood"] + own[:, 1]).exp()
        return torch.stack([0 * blood, 0 * blood, clearance, blood], dim=-1)

    def forward(self, t: Tensor, z: Tensor, given: dict) -> Tensor:
        in_blood, in_tissue, clearance, blood = z.unbind(-1)
        x, size = in_blood / blood, given["weight"] / 70
        difference = x - in_tissue / (self.log["tissue"].exp() * size)
        over = self.log["exchange"].exp() * size**0.75 * difference
        return torch.stack([given["rate"] - clearance * x - over, over, 0 * x, 0 * x], dim=-1)

    def observe(self, t: Tensor, z: Tensor, given: dict) -> Tensor:
        return z[..., :1] / z[..., 3:]  # µg/l, which is ng/ml


def main(quick: bool = False) -> None:
    df = load_remifentanil(static=True)
    df.loc[df["minute"] == 0, "conc"] = 0.0  # no drug yet
    new = df[df["patient"] % 5 == 0]
    read, later = new[new["minute"] <= READ], new[new["minute"] > READ].dropna()
    more = COLUMNS | {"known_cols": "rate", "static_cols": ["age", "weight"], "verbose": 0}
    more |= {"random_state": 0, "max_epochs": 1 if quick else 100}
    known = {"vector_field": TwoCompartments(), "learning_rate": 0.03, "val_fraction": 0.0}
    mechanism = LatentODEForecaster(**known, **more)
    models = {"mechanism": mechanism, "network": LatentODEForecaster(**more)}
    print(f"{new['patient'].nunique()} new patients, errors after minute {READ:g}")
    for name, model in (models | {"last value": LastValue(**COLUMNS)}).items():
        told = model.fit(df.drop(new.index)).predict(later.drop(columns="conc"), context=read)
        error = (told["conc"] - later["conc"]).abs()
        print(f"  {name:10s} {error.mean():5.2f} ng/ml, {(error / later['conc']).median():4.0%}")
    print("at 70 kg and 40 years (l, l/min): learned, and published by Minto et al. (1997)")
    for name, published in PUBLISHED.items():
        learned = mechanism.vector_field_.log[name].exp().item()
        print(f"  {name:10s} {learned:5.2f} {published:5.2f}")
    save_plot(models, new, "infusion.png")


def save_plot(models: dict[str, LatentODEForecaster], new: pd.DataFrame, path: str) -> None:
    """Draw what is told of three new patients, and when the drug flowed."""
    figure, every = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", sharey=True)
    for axes, (patient, rows) in zip(every, list(new.groupby("patient"))[1::4], strict=True):
        read, rate = rows[rows["minute"] <= READ], rows["rate"].iloc[0]
        minutes = np.union1d(rows["minute"], np.linspace(0, rows["minute"].max(), 100))[1:]
        asked = pd.merge_asof(pd.DataFrame({"minute": minutes}), rows.drop(columns="conc"))
        told = models["mechanism"].predict_quantiles(asked, [0.1, 0.5, 0.9], context=read)
        axes.fill_between(minutes, told["conc_q0.1"], told["conc_q0.9"], color="0.85", lw=0)
        axes.plot(minutes, told["conc_q0.5"], color="black", label="mechanism, 80 % interval")
        line = models["network"].predict(asked, context=read)["conc"]
        axes.plot(minutes, line, "--", color="#D55E00", label="network")
        axes.plot("minute", "conc", "o", data=rows, ms=4, mfc="none", label="measured")
        stop = rows.loc[rows["rate"] == 0, "minute"].min()
        axes.axvspan(0, stop, ymax=0.03, color="#009E73", label="infusion")
        axes.axvline(READ, color="0.5", lw=0.8, ls=":", label="read until here")
        axes.set(title=f"patient {patient}: {rate:.0f} µg/min", yscale="log", ylim=(0.1, 300))
        axes.set_xlabel("minutes since the infusion began")
    every[0].set_ylabel("remifentanil in the blood (ng/ml)")
    every[-1].legend(fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    print(f"saved {path}")


if __name__ == "__main__":
    main()
