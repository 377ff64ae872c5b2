"""Forecast the laboratory values of liver patients from their first two years.

312 patients came at irregular times, and not everything was measured each time. A model is fitted
on 80 % of the patients; the later visits of the others are forecast from their first two years,
without a new fit. Prints our error beside that of simple rules, and saves quickstart.png.
"""

import numpy as np
import pandas as pd

from latentode import LatentODEForecaster, load_pbcseq
from latentode.plotting import plot_forecast

TWO_YEARS, TEN_YEARS = 731, 3652  # days


def main(quick: bool = False) -> None:
    visits = load_pbcseq()
    labs = list(visits.columns.drop(["patient", "day"]))
    visits[labs] = np.log(visits[labs])  # they are positive, and some differ a hundredfold

    train, test = split_patients(visits, test_share=0.2)
    model = LatentODEForecaster(
        id_col="patient", time_col="day", max_epochs=3 if quick else None, random_state=0
    )
    model.fit(train[train.day <= TEN_YEARS])

    early, late = test[test.day <= TWO_YEARS], test[test.day > TWO_YEARS]
    asked = late[["patient", "day"]]
    forecast = model.predict(asked, context=early)
    interval = model.predict_quantiles(asked, [0.05, 0.95], context=early)

    scale = train[labs].std()
    rules = {"latentode": forecast[labs], **naive_rules(train, early, late, labs)}
    print(f"{len(late)} later visits of {late.patient.nunique()} patients never fitted")
    print("mean squared error in standard deviations of the logarithms, mean over 7 values")
    for name, values in rules.items():
        print(f"  {name:14s} {(((values - late[labs]) / scale) ** 2).mean().mean():.3f}")
    print(f"the 90 % intervals hold {coverage(interval, late, labs):.0%} of the values")

    save_plot(model, early, late, "quickstart.png")


def split_patients(visits: pd.DataFrame, test_share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    patients = np.random.default_rng(0).permutation(visits.patient.unique())
    is_test = visits.patient.isin(patients[: round(test_share * len(patients))])
    has_both = visits.groupby("patient").day.transform(
        lambda day: day.min() <= TWO_YEARS < day.max()
    )
    return visits[~is_test], visits[is_test & has_both]


def naive_rules(
    train: pd.DataFrame, early: pd.DataFrame, late: pd.DataFrame, labs: list[str]
) -> dict[str, pd.DataFrame]:
    """Give each later visit the value that a simple rule foretells."""
    mean = train[labs].mean()
    by_patient = early.sort_values("day").groupby("patient")[labs]
    tables = {"last value": by_patient.last(), "series mean": by_patient.mean()}
    rules = {
        name: table.reindex(late.patient).fillna(mean).set_axis(late.index)
        for name, table in tables.items()
    }
    return {**rules, "training mean": pd.DataFrame([mean] * len(late), index=late.index)}


def coverage(interval: pd.DataFrame, late: pd.DataFrame, labs: list[str]) -> float:
    inside = [
        late[lab].between(interval[f"{lab}_q0.05"], interval[f"{lab}_q0.95"])[late[lab].notna()]
        for lab in labs
    ]
    return float(np.concatenate(inside).mean())


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
