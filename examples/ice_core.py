"""Read one long series, an ice core: what a model tells of it, and what a rule tells better.

Carbon dioxide and temperature of 800,000 years were measured in different pieces of ice. First, 19
stretches of 20,000 years without carbon dioxide are filled in from what lies around them, and from
the temperature then. After that, the next 10,000 years are forecast from three earlier times.
Prints the errors of both beside those of rules, some of which win; saves ice_core.png.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.linear_model import LinearRegression

from latentode import LatentODEForecaster, LinearInterpolation, load_epica

WINDOW = {"id_col": "window", "time_col": "kyr", "target_cols": "co2"}
SPAN, GAP = 80.0, 20.0  # thousands of years: of a window, and in its middle without CO2
CENTERS = np.arange(-770.0, -10.0, 40.0)


def main(quick: bool = False) -> None:
    core, centers = load_epica().drop(columns="core"), CENTERS
    if quick:
        core, centers = core[core["kyr"] > -120], CENTERS[-2:]
    core["kyr"] = (2 * core["kyr"]).round() / 2  # rows of the young ice are ten years apart
    core = core.groupby("kyr", as_index=False).mean()
    hidden = windows(core, centers, GAP).dropna(subset="co2")
    seen = core.assign(co2=core["co2"].where(~core["kyr"].isin(hidden["kyr"])))

    options = {"max_epochs": 1 if quick else 60, "random_state": 0, "verbose": 0}
    temperature = {"known_cols": "temp", "known_interpolation": "linear"}
    model = LatentODEForecaster(**WINDOW, **temperature, **options, objective="interpolation")
    model.fit(windows(seen, np.arange(centers[0] + 10, -39.0, 20.0), SPAN))
    read, asked = windows(seen, centers, SPAN), hidden.drop(columns="co2")
    told = model.predict_interval(asked, context=read)
    line = LinearInterpolation(**WINDOW).fit(read).predict(asked[["window", "kyr"]])
    told_by = {"latent ODE": told["co2"], "line": line["co2"], **regressions(seen, hidden["kyr"])}
    print("carbon dioxide in gaps of 20,000 years, mean absolute error in ppm")
    for name, values in told_by.items():
        print(f"  {name:28s} {(values - hidden['co2']).abs().mean():.1f}")
    inside = hidden["co2"].between(told["co2_lower"], told["co2_upper"])
    print(f"the 90 % intervals of the latent ODE hold {inside.mean():.0%}")

    both = {"time_col": "kyr", "target_cols": ["co2", "temp"], "max_rows": 200}
    ahead = LatentODEForecaster(**both, **options)
    metrics = ["mae", "crps", "coverage_90"]
    print("both, the next 10,000 years from three times, in standard deviations")
    table = ahead.backtest(core, horizon=10.0, n_cutoffs=3, metrics=metrics)
    print(table.round(3).to_string())
    save_plot(model, core, read, "ice_core.png")


def windows(core: pd.DataFrame, centers: np.ndarray, span: float) -> pd.DataFrame:
    """Give the rows around each center, as series named by it."""
    parts = [core[(core["kyr"] - c).abs() <= span / 2].assign(window=c) for c in centers]
    return pd.concat(parts, ignore_index=True)


def regressions(seen: pd.DataFrame, kyr: pd.Series) -> dict[str, np.ndarray]:
    """Tell carbon dioxide by the temperature, and add lines between what that misses."""
    known, measured = seen.dropna(subset="temp"), seen.dropna(subset="co2")
    at = lambda times: np.interp(times, known["kyr"], known["temp"])[:, None]
    model = LinearRegression().fit(at(measured["kyr"]), measured["co2"])
    missed = measured["co2"] - model.predict(at(measured["kyr"]))
    told = model.predict(at(kyr))
    return {
        "regression on temperature": told,
        "regression, lines between": told + np.interp(kyr, measured["kyr"], missed),
    }


def save_plot(
    model: LatentODEForecaster, core: pd.DataFrame, read: pd.DataFrame, path: str
) -> None:
    """Draw both variables, and what is told of the gaps."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    top, bottom = figure.subplots(2, sharex=True)
    for axes, name in ((top, "co2"), (bottom, "temp")):
        axes.plot(core["kyr"], core[name], ".", color="0.45", ms=2.5)
    for center in read["window"].unique():
        kyr = np.arange(center - GAP / 2, center + GAP / 2 + 0.1, 0.25)
        asked = pd.DataFrame({"window": center, "kyr": kyr, "temp": np.nan})  # as it was read
        told = model.predict_interval(asked, context=read)
        band = top.fill_between(kyr, told["co2_lower"], told["co2_upper"], color="#B3D4E8")
        (filled,) = top.plot(kyr, told["co2"], color="#0072B2")
    handles = [*top.lines[:1], filled, band]
    top.legend(handles, ["measured", "filled in", "90 % interval"], ncols=3, loc="upper left")
    top.set(ylabel="carbon dioxide (ppm)", ylim=(160, 330))
    bottom.set(ylabel="temperature (°C)", xlabel="thousands of years since 1950")
    figure.savefig(path, dpi=100)
    print(f"saved {path}")


if __name__ == "__main__":
    main()
