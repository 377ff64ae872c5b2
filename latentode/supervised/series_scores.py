"""How well classes or values of series were told."""

import numpy as np
import pandas as pd
from sklearn.metrics import (
    average_precision_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from latentode.data.errors import listed
from latentode.supervised.label_values import codes_of


def class_scores(truth: np.ndarray, p: np.ndarray, names: np.ndarray) -> pd.Series:
    """Measure probabilities of classes.

    Parameters
    ----------
    truth : ndarray of shape (S,)
        Labels.
    p : ndarray of shape (S, K)
        Probabilities of the classes.
    names : ndarray of shape (K,)
        The classes.

    Returns
    -------
    Series
        See `SeriesClassifier.evaluate`.

    Raises
    ------
    ValueError
        If a label is none of the classes, or a class has no series.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
    >>> scores = class_scores(np.array([0, 1, 1]), p, np.array([0, 1]))
    >>> float(scores.auroc), round(float(scores.brier), 3)
    (1.0, 0.22)
    """
    codes = codes_of(truth, names)
    is_true = codes[:, None] == np.arange(len(names))
    absent = names[~is_true.any(axis=0)]
    if len(absent):
        raise ValueError(
            f"none of the {len(truth)} series is of class {listed(absent.tolist())}: how well it "
            "is told cannot be measured.\nFix: df = ...  # series of every class"
        )
    # With two classes, the first against the second is the second against the first.
    looked_for = range(1, 2) if len(names) == 2 else range(len(names))
    pairs = [(is_true[:, k], p[:, k]) for k in looked_for]
    return pd.Series({
        "auroc": np.mean([roc_auc_score(*pair) for pair in pairs]),
        "average_precision": np.mean([average_precision_score(*pair) for pair in pairs]),
        "log_loss": log_loss(codes, p, labels=np.arange(len(names))),
        "brier": np.square(p - is_true).sum(axis=1).mean() / 2,
        "accuracy": np.mean(p.argmax(axis=1) == codes),
        "prevalence": np.mean([there.mean() for there, _ in pairs]),
    })


def value_scores(truth: np.ndarray, told: np.ndarray) -> pd.Series:
    """Measure values told.

    Parameters
    ----------
    truth, told : ndarray of shape (S,)
        What was, and what was told.

    Returns
    -------
    Series
        Errors in the units of the values, and the share of their variance that is told.

    Examples
    --------
    >>> value_scores(np.array([1.0, 3.0]), np.array([2.0, 3.0])).round(3).to_dict()
    {'rmse': 0.707, 'mae': 0.5, 'r2': 0.5}
    """
    return pd.Series({
        "rmse": root_mean_squared_error(truth, told),
        "mae": mean_absolute_error(truth, told),
        "r2": r2_score(truth, told),
    })
