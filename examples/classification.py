"""Tell which patients with a disease of the liver will die, from their first two years of visits.

The patients of `load_pbcseq` who lived two years after enrolment without a transplant; whether
they died or had a transplant in the five years after that is to be told from the visits before.
Those whose follow-up ended earlier are left out. Prints how well it is told of patients that were
not learned from, and saves classification.png: that, and how the risk moves with each visit.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from latentode import SeriesClassifier, load_pbcseq

LABS = ["bili", "chol", "albumin", "alk_phos", "ast", "platelet", "protime"]
YEAR = 365.25
# Risks are told from the visits up to these years; at the first there is one.
YEARS = (0.0, 0.75, 1.25, 2.0)
COLORS = {0: "#0072B2", 1: "#D55E00"}


def main(quick: bool = False) -> None:
    visits, died = at_two_years(load_pbcseq(static=True))
    print(f"{len(died)} patients, {died.mean():.0%} of whom die within five years")
    risk = risks(visits, died, 2, max_epochs=2) if quick else risks(visits, died, 5)
    print(f"  last values, logistic regression   AUROC {roc_auc_score(died, risk['rival']):.3f}")
    print(f"  all visits, latent ODE             AUROC {roc_auc_score(died, risk[2.0]):.3f}")
    save_plot(risk, died, "classification.png")


def at_two_years(visits: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Give the visits of the first two years, and whether death or transplant came by seven."""
    first = visits.groupby("patient")[["futime", "status"]].first()
    later, ended = first["futime"] > 2 * YEAR, first["status"] > 0
    died = ended & (first["futime"] <= 7 * YEAR)
    known = later & (died | (first["futime"] > 7 * YEAR))
    kept = visits["patient"].map(known) & (visits["day"] <= 2 * YEAR)
    return visits[kept].drop(columns=["futime", "status"]), died[known].astype(int)


def risks(visits: pd.DataFrame, died: pd.Series, n_folds: int, **options: int) -> pd.DataFrame:
    """Give the risk of each patient at two years and after earlier visits, out of other folds."""
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    parts = []
    for train, test in folds.split(died, died):
        old, new = (visits[visits["patient"].isin(died.index[part])] for part in (train, test))
        model = SeriesClassifier(
            id_col="patient",
            time_col="day",
            feature_cols=LABS,
            static_cols=["age", "sex"],
            n_members=3,
            random_state=0,
            **options,
        ).fit(old, died.iloc[train])
        told = {"rival": rival(old, new, died)}
        for year in YEARS:
            told[year] = model.predict_proba(new[new["day"] <= year * YEAR])[1]
        parts.append(pd.DataFrame(told))
    return pd.concat(parts).loc[died.index]


def rival(old: pd.DataFrame, new: pd.DataFrame, died: pd.Series) -> pd.Series:
    """Give the risk by logistic regression on the logarithms of last values, and on age."""
    known, asked = (part.groupby("patient")[[*LABS, "age"]].last() for part in (old, new))
    filled, told = (np.log(part.fillna(known.median())) for part in (known, asked))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    risk = model.fit(filled, died[filled.index]).predict_proba(told)[:, 1]
    return pd.Series(risk, index=told.index)


def save_plot(risk: pd.DataFrame, died: pd.Series, path: str) -> None:
    """Draw how well death is told, and how the risk of each patient moves."""
    figure, (roc, paths) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
    lines = {"rival": ("k--", "logistic regression"), YEARS[-1]: ("-", "latent ODE")}
    for column, (style, name) in lines.items():
        wrong, right, _ = roc_curve(died, risk[column])
        area = roc_auc_score(died, risk[column])
        roc.plot(wrong, right, style, label=f"{name}, area {area:.2f}")
    roc.plot([0, 1], [0, 1], color="0.8")
    roc.set(xlabel="share of survivors called", ylabel="share of deaths called")
    roc.legend(loc="lower right")
    for outcome, name in enumerate(("lives", "dies or has a transplant")):
        some = risk.loc[died == outcome, list(YEARS)].T
        paths.plot(some.index, some, color=COLORS[outcome], alpha=0.15, linewidth=0.8)
        paths.plot(some.index, some.median(axis=1), "o-", color=COLORS[outcome], label=name)
    paths.set(xlabel="years of visits read", ylabel="risk told", ylim=(0, 1), xticks=YEARS)
    paths.legend(loc="upper left")
    figure.savefig(path, dpi=150)
    plt.close(figure)
    print(f"saved {path}")


if __name__ == "__main__":
    main()
