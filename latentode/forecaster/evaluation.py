"""How good forecasts are, beside those of naive rules that are told the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from latentode.data import Schema, read_length
from latentode.forecaster.held_out import held_out
from latentode.forecaster.question import Question, Wanted
from latentode.metrics import Forecasts, in_units_of, lead_groups, levels_for, measure
from latentode.solvers.checks import check_choice

if TYPE_CHECKING:
    from latentode.forecaster.base import Forecaster

# Metrics of intervals, of which neither less nor more is better.
_NO_LOSS = ("coverage", "width")


class Answer(NamedTuple):
    """What came of P values of D variables, and what was told of them."""

    truth: np.ndarray
    told: Forecasts


def score(forecaster: Forecaster, df: object, metric: str, static: object) -> float:
    """Give a loss as a score, see `Forecaster.score`."""
    if str(metric).startswith(_NO_LOSS):
        raise ValueError(
            f"metric={metric} is no loss, so that less is not better: choose one of crps, mae, "
            "mse, rmse, nll or pinball_0.9, or model.evaluate(df, metrics=[...])."
        )
    question, truth = held_out(forecaster.context_, forecaster._panel(df, static))
    own = answer(forecaster, question, truth, [metric])
    table = measure(*in_units_of(target_std(forecaster), *own), [metric])
    return -float(table[metric].iloc[0])


def evaluate(
    forecaster: Forecaster,
    df: object,
    metrics: Sequence[str],
    *,
    by: str | None,
    edges: Sequence[object] | None,
    scaled: bool,
    baselines: bool,
    static: object,
) -> pd.DataFrame:
    """Give metrics of a forecaster and of naive ones, see `Forecaster.evaluate`."""
    check_metrics(metrics)
    check_by(by, edges, ("variable", "lead"))
    question, truth = held_out(forecaster.context_, forecaster._panel(df, static))
    answers = {
        name: answer(one, question, truth, metrics)
        for name, one in beside_naive(forecaster, baselines=baselines).items()
    }
    if scaled:
        std = target_std(forecaster)
        answers = {name: Answer(*in_units_of(std, *own)) for name, own in answers.items()}
    groups = leads_of(question.since, edges, forecaster.schema_) if by == "lead" else None
    variables = forecaster.schema_.target_cols if by == "variable" else None
    return table_of(answers, metrics, groups=groups, variables=variables)


def answer(
    forecaster: Forecaster, question: Question, truth: np.ndarray, metrics: Sequence[str]
) -> Answer:
    """Ask for all that metrics need of P pairs; quantiles are calibrated if the forecaster is."""
    levels = levels_for(metrics)
    wanted = Wanted(np.array(levels), truth, with_spread=len(levels) > 0 or "nll" in metrics)
    told = forecaster._tell_calibrated(question, wanted)
    return Answer(truth, Forecasts(told.mean, levels, told.quantiles, told.log_density))


def target_std(forecaster: Forecaster) -> np.ndarray:
    """Give the standard deviations (D,) of the training values of the targets."""
    std: np.ndarray = forecaster.scaler_.std[: len(forecaster.schema_.target_cols)]
    return std


def beside_naive(forecaster: Forecaster, *, baselines: bool) -> dict[str, Forecaster]:
    """Give a fitted forecaster by its name, then the naive ones fitted on the same rows."""
    # They are forecasters, and so import this file.
    from latentode.forecaster.naive import NAIVE

    own = type(forecaster)
    others = [naive for naive in NAIVE if naive is not own] if baselines else []
    fitted = {naive.__name__: naive()._fit_panel(forecaster._known()) for naive in others}
    return {own.__name__: forecaster, **fitted}


def table_of(
    answers: dict[str, Answer],
    metrics: Sequence[str],
    *,
    groups: pd.Categorical | None,
    variables: Sequence[Any] | None,
) -> pd.DataFrame:
    """Give a row for each forecaster, or as many as there are groups and variables."""
    tables = {
        name: measure(*own, metrics, groups=groups, variables=variables)
        for name, own in answers.items()
    }
    table = pd.concat(tables, names=["forecaster"])
    return table.droplevel(1) if groups is None and variables is None else table


def leads_of(since: np.ndarray, edges: Sequence[object] | None, schema: Schema) -> pd.Categorical:
    """Give the parts of lead times (P,), named in the units of a frame."""
    ends = None if edges is None else [read_length("edges", end, schema) for end in edges]
    groups = lead_groups(since, ends)
    parts: Any = groups.categories
    if schema.time_unit is not None:
        ticks = f"timedelta64[{schema.time_unit}]"
        sides = (side.to_numpy().astype("int64").view(ticks) for side in (parts.left, parts.right))
        parts = pd.IntervalIndex.from_arrays(*sides)
    return groups.rename_categories(parts.rename("lead"))


def check_metrics(metrics: Sequence[str]) -> None:
    """Refuse what is no list of metrics."""
    if isinstance(metrics, str):
        raise TypeError(f"metrics must be a list: [{metrics!r}].")
    if not len(metrics):
        raise ValueError("metrics is empty: give at least one, such as ['crps'].")
    levels_for(metrics)


def check_by(by: str | None, edges: object, choices: Sequence[str]) -> None:
    """Refuse an unknown grouping, and edges of lead times without one by lead time."""
    if by is not None:
        check_choice("by", by, choices)
    if edges is not None and (isinstance(edges, str) or not isinstance(edges, Iterable)):
        raise TypeError(f"edges must be a list of lead times: [{edges!r}].")
    if edges is not None and by != "lead":
        raise ValueError(f"edges={edges} goes with by='lead'.")
