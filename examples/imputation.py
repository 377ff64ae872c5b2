"""Fill in what was not measured: some weeks of carbon dioxide, and half a year at a time.

Three in ten values on Mauna Loa are hidden, and half of every third year. A model is trained
to fill in, with the season as a known covariate, and smooths what is left. Prints the errors of
what it fills in, beside linear interpolation and the mean, and what its intervals hold, which is
too little for half a year. Saves imputation.png.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from latentode import LatentODEForecaster, LinearInterpolation, SeriesMean, load_mauna_loa_co2

COLUMNS = {"id_col": "start", "time_col": "year", "target_cols": "co2"}
SPAN = 3  # years of a window, in the middle of which half a year is hidden
FIRST, LAST = 1959, 2001


def main(quick: bool = False) -> None:
    weeks, stretch, scattered = hide(load_mauna_loa_co2()[::2])
    whole, seen = weeks["co2"], weeks.assign(co2=weeks["co2"].mask(stretch | scattered))
    model = LatentODEForecaster(
        **COLUMNS,
        known_cols=["cosine", "sine"],
        known_interpolation="linear",
        objective="interpolation",
        max_epochs=1 if quick else 60,
        random_state=0,
        verbose=0,
    )
    starts = np.arange(FIRST, LAST - SPAN + 1, SPAN)
    fitted = [windows(seen, starts + shift) for shift in range(SPAN)]
    model.fit(pd.concat(fitted).drop_duplicates(["start", "year"]))
    read = windows(seen, starts)
    plain = read.drop(columns=["cosine", "sine"])
    told = {
        "latent ODE": model.smooth(read),
        "line": LinearInterpolation(**COLUMNS).fit(plain).smooth(plain),
        "mean of the window": SeriesMean(**COLUMNS).fit(plain).smooth(plain),
    }
    print("mean absolute error in ppm of weeks that were hidden")
    for name, values in told.items():
        off = (values["co2"] - whole).abs()
        here, half = off[scattered & ~stretch].mean(), off[stretch].mean()
        print(f"  {name:18s} {here:.2f} here and there, {half:.2f} for half a year")
    band = model.predict_interval(read.drop(columns="co2"), 0.9, context=read)
    inside = whole[band.index].between(band["co2_lower"], band["co2_upper"])
    shares = (f"{inside[part].mean():.0%}" for part in (scattered & ~stretch, stretch))
    print("the 90 % intervals hold {} here and there, {} for half a year".format(*shares))
    save_plot(read, whole, band, told["line"], "imputation.png")


def hide(weeks: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Give the weeks by years, with the season, and which are hidden in a stretch, and singly."""
    date = weeks["date"].dt
    year = date.year + (date.day_of_year - 1) / 366
    season = {"cosine": np.cos(2 * np.pi * year), "sine": np.sin(2 * np.pi * year)}
    rows = weeks.assign(year=year, **season).drop(columns=["site", "date"])
    within = (year - FIRST) % SPAN
    stretch = within.between(1.25, 1.75)
    singly = np.random.default_rng(0).random(len(rows)) < 0.3
    return rows, stretch, pd.Series(singly, index=rows.index)


def windows(rows: pd.DataFrame, starts: np.ndarray) -> pd.DataFrame:
    """Give the rows of each window, as series named by the year it starts with."""
    parts = [rows[rows["year"].between(s, s + SPAN, "left")].assign(start=s) for s in starts]
    return pd.concat(parts)


def save_plot(
    read: pd.DataFrame, whole: pd.Series, band: pd.DataFrame, line: pd.DataFrame, path: str
) -> None:
    """Draw three windows."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, start in zip(figure.subplots(1, 3), (1962, 1977, 1992), strict=True):
        rows = read[read["start"] == start]
        told, missing = band.loc[rows.index], rows[rows["co2"].isna()].index
        axes.fill_between(
            rows["year"], told["co2_lower"], told["co2_upper"], color="0.85", label="90 % interval"
        )
        axes.plot(rows["year"], told["co2"], "k", lw=1.5, label="filled in")
        axes.plot(rows["year"], line.loc[rows.index, "co2"], "--", color="0.5", label="line")
        axes.plot(rows["year"], rows["co2"], "o", color="#0072B2", ms=3, label="read")
        axes.plot(rows.loc[missing, "year"], whole[missing], "o", mfc="w", color="#D55E00", ms=4)
        axes.set(xlabel="year", xticks=range(start, start + SPAN + 1))
    axes.lines[-1].set_label("hidden")
    figure.axes[0].set_ylabel("carbon dioxide (ppm)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    figure.savefig(path, dpi=100)
    print(f"saved {path}")


if __name__ == "__main__":
    main()
