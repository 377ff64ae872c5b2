"""Forecast the laboratory values of liver patients from their first two years.

312 patients came at irregular times, and not everything was measured each time. A model is fitted
on 80 % of the patients; the later visits of the others are forecast from their first two years,
without a new fit. Prints our error beside that of simple rules, and saves quickstart.png.
"""

import numpy as np
import pandas as pd

from latentode import LastValue, LatentODEForecaster, SeriesMean, TrainingMean, load_pbcseq
from latentode.plotting import plot_forecast

TWO_YEARS, TEN_YEARS = 731, 3652  # days
COLUMNS = {"id_col": "patient", "time_col": "day"}
RULES = {"last value": LastValue, "series mean": SeriesMean, "training mean": TrainingMean}


def main(quick: bool = False) -> None:
    visits = load_pbcseq()
    labs = list(visits.columns.drop(["patient", "day"]))
    visits[labs] = np.log(visits[labs])  # they are positive, and some differ a hundredfold

    train, test = split_patients(visits, test_share=0.2)
    model = LatentODEForecaster(**COLUMNS, max_epochs=3 if quick else None, random_state=0)
    model.fit(train[train.day <= TEN_YEARS])

    early, late = test[test.day <= TWO_YEARS], test[test.day > TWO_YEARS]
    asked = late[["patient", "day"]]
    forecasts = {"latentode": model.predict(asked, context=early)}
    for name, rule in RULES.items():
        forecasts[name] = rule(**COLUMNS).fit(train).predict(asked, context=early)
    interval = model.predict_quantiles(asked, [0.05, 0.95], context=early)

    scale = train[labs].std()
    print(f"{len(late)} later visits of {late.patient.nunique()} patients never fitted")
    print("mean squared error in standard deviations of the logarithms, mean over 7 values")
    for name, values in forecasts.items():
        print(f"  {name:14s} {(((values[labs] - late[labs]) / scale) ** 2).mean().mean():.3f}")
    print(f"the 90 % intervals hold {coverage(interval, late, labs):.0%} of the values")

    save_plot(model, early, late, "quickstart.png")


def split_patients(visits: pd.DataFrame, test_share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    patients = np.random.default_rng(0).permutation(visits.patient.unique())
    is_test = visits.patient.isin(patients[: round(test_share * len(patients))])
    has_both = visits.groupby("patient").day.transform(
        lambda day: day.min() <= TWO_YEARS < day.max()
    )
    return visits[~is_test], visits[is_test & has_both]


def coverage(interval: pd.DataFrame, late: pd.DataFrame, labs: list[str]) -> float:
    lower, upper = (interval[[f"{lab}_q{q}" for lab in labs]].to_numpy() for q in (0.05, 0.95))
    inside = (late[labs] >= lower) & (late[labs] <= upper)
    return float(inside.to_numpy()[late[labs].notna()].mean())


def save_plot(
    model: LatentODEForecaster, early: pd.DataFrame, late: pd.DataFrame, path: str
) -> None:
    """Draw bilirubin of the four patients with the most visits to come."""
    patients = late.patient.value_counts(sort=True).sort_index().nlargest(4).index
    context = early[early.patient.isin(patients)]
    start, end = context.groupby("patient").day.max(), late.groupby("patient").day.max()
    grid = pd.DataFrame(
        [(p, day) for p in patients for day in np.linspace(start[p], end[p], 100)],
        columns=["patient", "day"],
    )
    forecast = model.predict(grid, context=context)
    quantiles = model.predict_quantiles(grid, [0.05, 0.25, 0.75, 0.95], context=context)
    bands = [f"bili_q{q}" for q in (0.05, 0.25, 0.75, 0.95)]
    drawn = in_mg(forecast[["patient", "day", "bili"]].join(quantiles[bands]))
    figure = plot_forecast(
        in_mg(context),
        drawn,
        truth=in_mg(late[late.patient.isin(patients)]),
        ids=patients,
        id_col="patient",
        time_col="year",
        target="bilirubin (mg/dl)",
        bands=[("bili_q0.05", "bili_q0.95", "90 %"), ("bili_q0.25", "bili_q0.75", "50 %")],
    )
    for axes in figure.axes:
        axes.set(yscale="log", ylim=(0.1, 100), xticks=range(0, 15, 2))
        axes.set_yticks([0.1, 1, 10, 100], labels=["0.1", "1", "10", "100"])
    figure.savefig(path, dpi=150)
    print(f"saved {path}")


def in_mg(frame: pd.DataFrame) -> pd.DataFrame:
    """Take the logarithms back, and count time in years."""
    values = [column for column in frame.columns if column.startswith("bili")]
    out = frame.assign(year=frame.day / 365.25, **{v: np.exp(frame[v]) for v in values})
    return out.rename(columns={"bili": "bilirubin (mg/dl)"})


if __name__ == "__main__":
    main()
