"""Tell who dies in hospital from the first 48 hours in intensive care, beside two rivals.

The 12,000 stays of the PhysioNet/CinC Challenge 2012 (forecast_icu_source.py), 37 variables at
irregular times and five descriptors; 14 % die. The stays are split at random, by seed and with as
many deaths in each part: 60 % train, 20 % validate, 20 % test.

Without --test all models learn from the training part and are measured on the validation part.
With it they learn from both of these, and are measured on the test part; what a model holds out
to stop by, it takes from what it learns from.

What was done to the values: of what was measured several times in an hour the mean is taken, and
descriptors and weights that nobody can have are missing. Other outliers stay: SeriesClassifier
reads normal scores, and trees are as robust. The rivals are given each variable's last value,
mean and count (logistic regression, standardised, the mean for what is missing), and those with
lowest and highest value (gradient boosting, which takes missing values), and the descriptors.

    python examples/benchmarks/classify_icu.py --data FOLDER --seeds 2
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

# A script finds the files beside it; one that is run from a test does not.
sys.path.append(str(Path(__file__).parent))

from forecast_icu import stays_frame
from forecast_icu_source import DESCRIPTORS, VARIABLES, read_lines
from forecast_sources import cache_folder, data_folder
from solver_tables import Table, markdown, put_into_page

from latentode import SeriesClassifier
from latentode.models.series_net import SeriesNet
from latentode.nn import Context
from latentode.supervised import series_network

MEASURED = [*(name for name in VARIABLES if name not in DESCRIPTORS), "Weight"]
MEASURES = ("AUROC", "average precision", "log loss", "Brier")
ICU_TYPES = {1: "coronary", 2: "cardiac surgery", 3: "medical", 4: "surgical"}
# Tried on the validation part of seed 0; sizes were chosen with regard to time.
RECIPE = {
    "id_col": "stay",
    "time_col": "hour",
    "hidden_size": 32,
    "n_members": 3,
    "max_epochs": 12,
    "batch_size": 128,
}


class Stays(NamedTuple):
    """All stays: their rows, what was known at the start, and whether they ended in death."""

    rows: pd.DataFrame
    static: pd.DataFrame
    died: pd.Series

    def of(self, ids: np.ndarray) -> "Stays":
        """Give some of them."""
        rows, static, died = self
        some = static[static["stay"].isin(ids)]
        return Stays(rows[rows["stay"].isin(ids)], some, died[ids])


# Gives the probability of death of the latter stays, after learning from the former.
Model = Callable[[Stays, Stays, int], np.ndarray]


def main(arguments: Sequence[str] = ()) -> None:
    asked = parse(arguments)
    torch.set_num_threads(1)
    stays = read_stays(data_folder(asked.data), cache_folder(asked.cache))
    models = {name: MODELS[name] for name in asked.models} | (ABLATIONS if asked.ablations else {})
    rows = [row_of(name, model, stays, asked) for name, model in models.items()]
    text = markdown(Table(("", *MEASURES, "CPU seconds"), [prevalence_row(stays), *rows]))
    where = "test" if asked.test else "validation"
    print(f"\nin-hospital death, {where} part, {asked.seeds} seeds\n\n{text}", flush=True)
    if asked.markdown is not None:
        put_into_page(asked.markdown, f"death in intensive care, {where}", text)


def read_stays(data: Path, cache: Path) -> Stays:
    """Read the stays of all sets, hour by hour."""
    frame = stays_frame(read_lines(data, cache)).rename(columns={"series": "stay"})
    static = frame.groupby("stay")[list(DESCRIPTORS)].first()
    static = static.where(static >= 0)
    static["Height"] = static["Height"].where(static["Height"].between(120, 230))  # cm
    static["Weight"] = static["Weight"].where(static["Weight"] > 20)  # kg
    static["ICUType"] = static["ICUType"].map(ICU_TYPES)
    static["Gender"] = static["Gender"].map({0: "female", 1: "male"})
    rows = frame[["stay", *MEASURED]].assign(hour=np.floor(frame["time"]))
    rows["Weight"] = rows["Weight"].where(rows["Weight"] > 20)
    rows = rows.groupby(["stay", "hour"], as_index=False).mean()
    static = static.rename(columns={"Weight": "Weight at admission"}).reset_index()
    return Stays(rows, static, read_outcomes(data))


def read_outcomes(data: Path) -> pd.Series:
    """Give whether each stay ended in death in hospital, 0 or 1, by its number."""
    folder = data if (data / "Outcomes-a.txt").exists() else data / "physionet2012"
    tables = [pd.read_csv(folder / f"Outcomes-{letter}.txt") for letter in "abc"]
    outcomes = pd.concat(tables).set_index("RecordID")["In-hospital_death"]
    return outcomes.sort_index().rename("died")


def split(died: pd.Series, seed: int, *, test: bool) -> tuple[np.ndarray, np.ndarray]:
    """Give the stays to learn from, and those to measure on."""
    ids = died.index.to_numpy()
    seen, tested = train_test_split(ids, test_size=0.2, random_state=seed, stratify=died)
    if test:
        return seen, tested
    train, val = train_test_split(seen, test_size=0.25, random_state=seed, stratify=died[seen])
    return train, val


def latent_ode(learned: Stays, told: Stays, seed: int) -> np.ndarray:
    """Give probabilities by a latent ODE."""
    model = SeriesClassifier(**RECIPE, random_state=seed)
    model.fit(learned.rows, learned.died, static=learned.static)
    p = model.predict_proba(told.rows, static=told.static)
    return p.loc[told.died.index, 1].to_numpy()


def without_the_ode(learned: Stays, told: Stays, seed: int) -> np.ndarray:
    """Give probabilities from the state at the last row alone."""
    with patch.object(series_network, "SeriesNet", partial(SeriesNet, ahead=())):
        return latent_ode(learned, told, seed)


def without_the_state(learned: Stays, told: Stays, seed: int) -> np.ndarray:
    """Give probabilities from summaries and descriptors alone."""
    with patch.object(series_network, "SeriesNet", partial(Stateless, ahead=())):
        return latent_ode(learned, told, seed)


class Stateless(SeriesNet):
    """A network whose head reads zeros for the state."""

    def states(self, context: Context) -> Tensor:
        return torch.zeros_like(super().states(context))


def logistic_regression(learned: Stays, told: Stays, seed: int) -> np.ndarray:
    """Give probabilities by logistic regression on last values, means and counts."""
    model = make_pipeline(
        SimpleImputer(keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=0.01, max_iter=2000),
    )
    numbers = [features(stays, ["last", "mean", "count"]) for stays in (learned, told)]
    return model.fit(numbers[0], learned.died).predict_proba(numbers[1])[:, 1]


def boosting(learned: Stays, told: Stays, seed: int) -> np.ndarray:
    """Give probabilities by gradient boosting, which stops on a tenth of what it learns from."""
    model = HistGradientBoostingClassifier(
        learning_rate=0.03,
        max_iter=500,
        max_leaf_nodes=15,
        l2_regularization=1.0,
        early_stopping=True,
        random_state=seed,
    )
    numbers = [
        features(stays, ["last", "mean", "min", "max", "count"]) for stays in (learned, told)
    ]
    return model.fit(numbers[0], learned.died).predict_proba(numbers[1])[:, 1]


def features(stays: Stays, kinds: Sequence[str]) -> pd.DataFrame:
    """Give a row of numbers for each stay: of each variable, and the descriptors."""
    of_stays = stays.rows.groupby("stay")[MEASURED]
    parts = {kind: getattr(of_stays, kind)() for kind in kinds}
    numbers = pd.concat(parts, axis=1)
    numbers.columns = [f"{name}, {kind}" for kind, name in numbers.columns]
    static = stays.static.set_index("stay")
    for column, levels in {"ICUType": ICU_TYPES.values(), "Gender": ("female", "male")}.items():
        for level in levels:
            static[level] = (static[column] == level).astype(float)
    return numbers.join(static.drop(columns=["ICUType", "Gender"])).loc[stays.died.index]


MODELS: dict[str, Model] = {
    "logistic regression": logistic_regression,
    "gradient boosting": boosting,
    "latent ODE": latent_ode,
}
ABLATIONS = {"without the ODE": without_the_ode, "without the state": without_the_state}


def row_of(name: str, model: Model, stays: Stays, asked: argparse.Namespace) -> tuple[str, ...]:
    """Give mean and standard deviation of the measures of a model over the seeds."""
    runs = []
    for seed in range(asked.seeds):
        learned, told = (stays.of(ids) for ids in split(stays.died, seed, test=asked.test))
        began = time.process_time()
        p = model(learned, told, seed)
        spent = time.process_time() - began
        runs.append([*measures(told.died.to_numpy(), p), spent])
        print(f"{name}, seed {seed}: {' '.join(f'{x:.4f}' for x in runs[-1])}", flush=True)
    *scores, seconds = zip(*runs, strict=True)
    return (name, *(with_spread(values) for values in scores), f"{np.mean(seconds):.0f}")


def prevalence_row(stays: Stays) -> tuple[str, ...]:
    """Give the row of a model that knows nothing but how many die."""
    died = stays.died.to_numpy()
    scores = measures(died, np.full(len(died), died.mean()))
    return ("prevalence", *(f"{score:.4f}" for score in scores), "")


def measures(died: np.ndarray, p: np.ndarray) -> list[float]:
    """Give AUROC, average precision, log loss in nats and Brier score."""
    return [
        float(roc_auc_score(died, p)),
        float(average_precision_score(died, p)),
        float(log_loss(died, p)),
        float(brier_score_loss(died, p)),
    ]


def with_spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{mean(values):.4f} ± {stdev(values):.4f}"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with the original files")
    parser.add_argument("--cache", type=Path, help="folder for what is made of them")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--ablations", action="store_true", help="and parts of the latent ODE")
    parser.add_argument("--seeds", type=int, default=1, help="how many splits")
    parser.add_argument("--test", action="store_true", help="measure the test part")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="page to put tables into")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
