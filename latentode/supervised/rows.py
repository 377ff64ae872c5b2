"""Rows of an array: which are fit to learn from, how much each counts, which are held out."""

import numpy as np
from sklearn.base import BaseEstimator


def refuse_not_finite(X: np.ndarray, estimator: BaseEstimator) -> None:
    """Raise if a value is NaN or infinite, and say where."""
    bad = ~np.isfinite(X)
    if not bad.any():
        return
    row, column = np.argwhere(bad)[0]
    names = getattr(estimator, "feature_names_in_", None)
    name = column if names is None else f"'{names[column]}'"
    raise ValueError(
        f"X has {bad.sum()} values that are NaN or infinite (inf), in {bad.any(axis=1).sum()} of "
        f"{len(X)} rows: the first is in row {row}, column {name}.\n"
        "Fix: keep = np.isfinite(X).all(axis=1); X, y = X[keep], y[keep]"
    )


def weights_of(sample_weight: object, n_rows: int) -> np.ndarray:
    """Give the weights (n,) of rows, which are all 1 where none are given.

    Raises
    ------
    ValueError
        If there is not one for each row, one is negative or not finite, or all are 0.
    """
    if sample_weight is None:
        return np.ones(n_rows)
    weights = np.asarray(sample_weight, dtype=float)
    if weights.shape != (n_rows,):
        raise ValueError(
            f"sample_weight must have shape ({n_rows},), one for each row, not {weights.shape}."
        )
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"sample_weight must be numbers of at least 0, but {bad.sum()} are not: the first is "
            f"{weights[row]}, in row {row}.\n"
            "Fix: sample_weight = np.nan_to_num(sample_weight, posinf=0).clip(min=0)"
        )
    if not weights.any():
        raise ValueError(
            f"every weight in sample_weight is zero, for {n_rows} rows: nothing is learned.\n"
            "Fix: sample_weight = None"
        )
    return weights


def balanced(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give factors for rows, by which all classes come to have the same weight in all.

    Examples
    --------
    >>> balanced(np.array([0, 0, 0, 1]), np.ones(4)).round(3)
    array([0.667, 0.667, 0.667, 2.   ])
    """
    of_class = np.bincount(codes, weights)
    return (weights.sum() / (len(of_class) * of_class))[codes]


def held_out(codes: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Choose a share of the rows of each class, rounded down, and mark them True.

    Examples
    --------
    >>> codes = np.array([0, 0, 0, 0, 1])
    >>> marked = held_out(codes, 0.25, np.random.default_rng(0))
    >>> np.bincount(codes[marked], minlength=2)
    array([1, 0])
    """
    marked = np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes):
        rows = random.permutation(np.flatnonzero(codes == code))
        marked[rows[: int(share * len(rows))]] = True
    return marked
