"""Forecast vital signs in intensive care: the last 12 hours of two days, from the first 36.

A model is fitted on 150 of the stays of `load_icu`; of the 50 others it is then told the first 36
hours, without a new fit. Prints its errors after that, beside those of naive rules that know the
same, and what its intervals hold; saves icu_vitals.png: four vital signs of three stays.
"""

import numpy as np
import pandas as pd

from latentode import LatentODEForecaster, load_icu

READ, END = 36, 48  # hours
# Names to print, and what may be: other values are slips of a device or of a hand.
VITALS = {
    "HR": ("heart rate (/min)", 20, 250),
    "NISysABP": ("systolic (mmHg)", 30, 300),
    "NIDiasABP": ("diastolic (mmHg)", 10, 200),
    "Temp": ("temperature (°C)", 30, 43),
}
NAMES = [name for name, *_ in VITALS.values()]


def main(quick: bool = False) -> None:
    rows = vital_signs()
    stays = np.random.default_rng(0).permutation(rows["stay"].unique())
    old, new = rows[rows["stay"].isin(stays[:150])], rows[rows["stay"].isin(stays[150:])]
    early, late = new[new["hour"] <= READ], new[new["hour"] > READ]
    model = LatentODEForecaster(
        id_col="stay",
        time_col="hour",
        dropout=0.5,  # more of both than by default, because stays are few
        weight_decay=0.1,
        max_epochs=1 if quick else None,
        random_state=0,
        verbose=0,
    )
    model.fit(old).update(early)

    print(f"hours {READ} to {END} of {late['stay'].nunique()} stays that were not fitted")
    print("errors in standard deviations, mean of four vital signs; what 90 % intervals hold")
    print(model.evaluate(late, ["rmse", "mae", "crps", "coverage_90"]).round(3).to_string())
    print("mean absolute errors in units of their own")
    each = model.evaluate(late, ["mae"], by="variable", scaled=False)["mae"].unstack()
    print(
        each[NAMES].loc[["LatentODEForecaster", "LastValue", "DecayedMean"]].round(2).to_string()
    )
    save_plot(model, late, "icu_vitals.png")


def vital_signs() -> pd.DataFrame:
    """Give the vital signs by hours since admission, without what cannot be."""
    raw = load_icu()
    rows = pd.DataFrame({"stay": raw["stay"], "hour": raw["minute"] / 60})
    for column, (name, low, high) in VITALS.items():
        rows[name] = raw[column].where(raw[column].between(low, high))
    return rows.dropna(subset=NAMES, how="all")


def save_plot(model: LatentODEForecaster, late: pd.DataFrame, path: str) -> None:
    """Draw the stays in which most was measured later, and something of everything."""
    counts = late.groupby("stay")[NAMES].count()
    stays = counts.sum(axis=1)[counts.min(axis=1) >= 3].nlargest(3).index
    figure = model.plot(stays, horizon=END - READ, targets=NAMES, truth=late)
    for axes in figure.axes:
        axes.set(xlim=(0, END), xticks=range(0, END + 1, 12), xlabel="")
    for axes in figure.axes[-3:]:
        axes.set_xlabel("hours since admission")
    figure.savefig(path, dpi=100)
    print(f"saved {path}")


if __name__ == "__main__":
    main()
