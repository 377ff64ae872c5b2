"""Forecast the light of variable stars, of which every magnitude comes with its error.

Five stars were seen in two bands, in clear nights of their seasons, for seven years. The last year
is told from those before by a model that knows the errors of measurement, and by one that takes
all values for equally good. Prints the errors of both beside those of naive rules, which win for
the one star whose light turns, and what the intervals hold; saves variable_stars.png.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from latentode import DecayedMean, LastValue, LatentODEForecaster, load_macho

ERRORS = {"mag_B": "err_B", "mag_R": "err_R"}
BANDS = {"mag_B": "blue", "mag_R": "red"}
COLUMNS = {"id_col": "star", "time_col": "mjd", "target_cols": list(BANDS)}
CUT = 51180  # the end of 1998, as a modified Julian date
GOOD = 0.1  # magnitudes: what is measured worse than this says little of a forecast
SHOWN = ("10.4279.1493", "58.6272.729", "1.3444.614")


def main(quick: bool = False) -> None:
    rows = load_macho()
    rows = rows[rows["mjd"] > 50900] if quick else rows
    early, late = rows[rows["mjd"] < CUT], rows[rows["mjd"] >= CUT]
    options = {"max_rows": 200, "max_epochs": 1 if quick else 60, "random_state": 0, "verbose": 0}
    plain = early.drop(columns=list(ERRORS.values()))
    told_errors = LatentODEForecaster(**COLUMNS, **options, noise_cols=ERRORS).fit(early)
    models = {
        "latent ODE, told the errors": told_errors,
        "latent ODE, not told": LatentODEForecaster(**COLUMNS, **options).fit(plain),
        "decayed mean": DecayedMean(**COLUMNS).fit(plain),
        "last value": LastValue(**COLUMNS).fit(plain),
    }
    print(f"{len(late)} exposures of the last year: mean absolute error in magnitudes, by star,")
    print("its mean, and what intervals of 90 % hold")
    table = pd.DataFrame({name: scores(model, late) for name, model in models.items()}).T
    print(table.round(3).to_string())
    save_plot(told_errors, early, late, "variable_stars.png")


def scores(model: LatentODEForecaster, late: pd.DataFrame) -> pd.Series:
    """Give mean errors by star, their mean, and the share of values in their intervals."""
    told = model.predict(late[["star", "mjd"]], return_std=True)
    noise = late[list(ERRORS.values())].to_numpy()
    off = (told[list(BANDS)] - late[list(BANDS)]).abs().where(noise < GOOD)
    by_star = off.mean(axis=1).groupby(late["star"]).mean()
    std = told[[f"{band}_std" for band in BANDS]]
    # The spread of a model that was told the errors is that of a value measured without one.
    wide = 1.645 * (np.hypot(std, noise) if getattr(model, "noise_cols", None) else std)
    inside = (off.to_numpy() <= wide.to_numpy())[off.notna()]
    return pd.concat([by_star, pd.Series({"mean": by_star.mean(), "holds": inside.mean()})])


def save_plot(
    model: LatentODEForecaster, early: pd.DataFrame, late: pd.DataFrame, path: str
) -> None:
    """Draw both bands of some stars, with the errors, and the forecast of the last year."""
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey="col")
    for column, star in zip(panels.T, SHOWN, strict=True):
        mjd = np.linspace(CUT, late["mjd"].max(), 100)
        told = model.predict_interval(pd.DataFrame({"star": star, "mjd": mjd}))
        for axes, band in zip(column, BANDS, strict=True):
            axes.fill_between(
                year(mjd), told[f"{band}_lower"], told[f"{band}_upper"], color="0.75"
            )
            axes.plot(year(mjd), told[band], "k", lw=1.5, label="forecast, 90 % interval")
            for part, colour, name in ((early, "#0072B2", "read"), (late, "#D55E00", "came")):
                draw(axes, part[part["star"] == star], band, color=colour, label=name)
            axes.set_ylabel(f"{BANDS[band]} (magnitudes)")
        low, high = early.loc[early["star"] == star, list(BANDS)].stack().quantile([0.002, 0.998])
        column[0].set(title=f"star {star}", ylim=(high + 0.2, low - 0.2))  # bright is low
        column[1].set_xlabel("year")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=100)
    print(f"saved {path}")


def draw(axes: Axes, rows: pd.DataFrame, band: str, **style: str) -> None:
    good = rows[rows[ERRORS[band]] < 3 * GOOD]
    axes.errorbar(
        year(good["mjd"]), good[band], good[ERRORS[band]], fmt=".", ms=2, lw=0.4, **style
    )


def year(mjd: pd.Series) -> pd.Series:
    return 1999 + (mjd - 51179) / 365.25


if __name__ == "__main__":
    main()
