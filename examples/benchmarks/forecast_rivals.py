"""The rivals any practitioner has: ridge regression and boosting on hand-made features.

Each variable has a model of its own. An example is one asked value; its features are what is
known of the series when the forecast starts, and the lead time. Training examples are made from
the training series at the protocol's own cut, and what must be chosen is chosen on validation.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from forecast_rules import (
    Decay,
    Known,
    Predictor,
    column_means,
    decayed_means,
    duration,
    fitted_decay,
    known_of,
    training_part,
)
from forecast_tasks import Array, Part, Task, values_of
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

PENALTIES = tuple(10.0**k for k in range(-3, 6))
# Of boosting: more examples of a variable make it slow, not better.
MOST_EXAMPLES = 100_000


class Scale(NamedTuple):
    """Mean and deviation of each variable over the training series, and their duration."""

    mean: Array
    std: Array
    duration: float

    def z(self, x: Array) -> Array:
        return (x - self.mean) / self.std


class Examples(NamedTuple):
    """Asked values of one variable: features of shape (n, F), values (n,) and rows in the part."""

    x: Array
    y: Array
    row: NDArray[np.int64]


def scale_of(task: Task) -> Scale:
    values = values_of(task.train, task.features)
    mean = column_means(values)
    std = np.sqrt(column_means(np.square(values - mean)))
    return Scale(mean, np.maximum(std, 1e-9), duration(task))


def forecast(
    part: Part,
    scale: Scale,
    examples: Callable[[int], Examples],
    models: Sequence[Callable[[Array], Array]],
) -> Array:
    """Forecast every asked value by the model of its variable; NaN where none is asked."""
    out = np.full((len(part.asked), len(models)), np.nan)
    for j, model in enumerate(models):
        x, _, row = examples(j)
        if len(row):
            out[row, j] = scale.mean[j] + scale.std[j] * model(x)
    return out


def ridge(task: Task, *, cross: bool = False) -> Predictor:
    """Fit ridge regression; with cross-features, on every variable's last value too."""
    scale = scale_of(task)
    learn = _ridge_examples(task, scale, training_part(task), cross=cross)
    check = _ridge_examples(task, scale, task.val, cross=cross)
    weights = [_solved(learn(j), check(j)) for j in range(len(task.features))]

    def predict(part: Part) -> Array:
        asked = _ridge_examples(task, scale, part, cross=cross)
        return forecast(part, scale, asked, [partial(np.dot, b=weight) for weight in weights])

    return predict


def _ridge_examples(
    task: Task, scale: Scale, part: Part, *, cross: bool
) -> Callable[[int], Examples]:
    """Give a function from a variable to its examples."""
    known = known_of(task, part)
    targets = scale.z(values_of(part.asked, task.features))
    last = scale.z(known.summaries.last)
    others = np.concatenate(
        [np.clip(np.nan_to_num(last), -5, 5), np.isfinite(last), static_of(task, part)], axis=1
    )

    def examples(j: int) -> Examples:
        row = np.flatnonzero(np.isfinite(targets[:, j]))
        x = _own_features(known, scale, j, row)
        if cross:
            # Scaled down, so that the penalty falls on these.
            x = np.concatenate([x, 0.1 * others[known.row_series[row]]], axis=1)
        return Examples(x, targets[row, j], row)

    return examples


def _own_features(known: Known, scale: Scale, j: int, row: NDArray[np.int64]) -> Array:
    """Give last value, mean, whether there are any, drift, lead time and 1."""
    series = known.row_series[row]
    summaries = known.summaries
    has = np.isfinite(summaries.last[series, j])
    last = np.nan_to_num((summaries.last[series, j] - scale.mean[j]) / scale.std[j])
    mean = np.nan_to_num((summaries.mean[series, j] - scale.mean[j]) / scale.std[j])
    lead = known.lead[row] / scale.duration
    elapsed = lead + np.nan_to_num(summaries.age[series, j]) / scale.duration
    return np.stack([last, mean, has, last * elapsed, lead, np.ones(len(row))], axis=1)


def _solved(learn: Examples, check: Examples) -> Array:
    """Solve for the weights by the penalty that is best on validation."""
    if not len(learn.y):
        return np.zeros(learn.x.shape[1])
    size, vectors = np.linalg.eigh(learn.x.T @ learn.x)
    projected = vectors.T @ (learn.x.T @ learn.y)
    weights = [vectors @ (projected / (size.clip(min=0) + penalty)) for penalty in PENALTIES]
    errors = [np.square(check.x @ weight - check.y).sum() for weight in weights]
    return weights[int(np.argmin(errors))]


def boosting(
    task: Task, *, loss: str = "squared_error", seed: int = 0, max_examples: int = MOST_EXAMPLES
) -> Predictor:
    """Fit gradient boosting, stopped where validation is best."""
    scale, decay = scale_of(task), fitted_decay(task)
    learn = _boosting_examples(task, scale, decay, training_part(task))
    check = _boosting_examples(task, scale, decay, task.val)
    draws = np.random.default_rng(seed)
    models = [
        _boosted(_some(learn(j), max_examples, draws), check(j), loss=loss, seed=seed)
        for j in range(len(task.features))
    ]

    def predict(part: Part) -> Array:
        asked = _boosting_examples(task, scale, decay, part)
        return forecast(part, scale, asked, models)

    return predict


def _boosting_examples(
    task: Task, scale: Scale, decay: Decay, part: Part
) -> Callable[[int], Examples]:
    """Give a function from a variable to its examples."""
    known = known_of(task, part)
    targets = scale.z(values_of(part.asked, task.features))
    decayed = scale.z(decayed_means(known.context, decay))
    own = _own_summaries(known, scale, decayed)
    last = scale.z(known.summaries.last)
    others = np.concatenate([last, decayed, static_of(task, part)], axis=1)
    lead = known.lead[:, None] / scale.duration

    def examples(j: int) -> Examples:
        row = np.flatnonzero(np.isfinite(targets[:, j]))
        series = known.row_series[row]
        x = np.concatenate([own[series, j], lead[row], others[series]], axis=1)
        return Examples(x.astype(np.float32), targets[row, j], row)

    return examples


def _own_summaries(known: Known, scale: Scale, decayed: Array) -> Array:
    """Give the summaries of every series and variable, of shape (B, D, 9)."""
    s = known.summaries
    parts = [
        *(scale.z(s.last), scale.z(s.mean), decayed, scale.z(s.low), scale.z(s.high)),
        *(s.slope * scale.duration / scale.std, s.spread / scale.std),
        *(s.count, s.age / scale.duration),
    ]
    return np.stack(parts, axis=2)


def _some(examples: Examples, n: int, draws: np.random.Generator) -> Examples:
    if len(examples.y) <= n:
        return examples
    chosen = draws.choice(len(examples.y), n, replace=False)
    return Examples(*(part[chosen] for part in examples))


def _boosted(
    learn: Examples, check: Examples, *, loss: str, seed: int
) -> Callable[[Array], Array]:
    if len(learn.y) < 2 or not len(check.y):
        return lambda x: np.zeros(len(x))
    model = HistGradientBoostingRegressor(
        loss=loss,
        learning_rate=0.05,
        max_iter=400,
        max_leaf_nodes=15,
        l2_regularization=1.0,
        early_stopping=True,
        n_iter_no_change=20,
        random_state=seed,
    )
    known = np.isfinite(learn.x).any(axis=0)  # a column without any value stops scikit-learn
    model.fit(learn.x[:, known], learn.y, X_val=check.x[:, known], y_val=check.y)
    return lambda x: model.predict(x[:, known])


def static_of(task: Task, part: Part) -> Array:
    """Give what else is known of each series that is asked about, of shape (B, ...)."""
    series = pd.unique(part.asked["series"])
    if task.static is None:
        return np.empty((len(series), 0))
    return task.static.set_index("series").loc[series].to_numpy(np.float64)


RIVALS: dict[str, Callable[[Task], Predictor]] = {
    "ridge": ridge,
    "ridge, cross-features": lambda task: ridge(task, cross=True),
    "boosting, squared loss": boosting,
    "boosting, absolute loss": lambda task: boosting(task, loss="absolute_error"),
}


def rivals_for(task: Task) -> dict[str, Callable[[Task], Predictor]]:
    """Give the rivals that suit a task: none for interpolation."""
    return RIVALS if task.cut.horizon_from is not None else {}
