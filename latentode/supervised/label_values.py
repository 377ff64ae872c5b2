"""What labels of series must be: classes to tell apart, or numbers."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import type_of_target

from latentode.data import FrameError
from latentode.data.errors import as_code, listed, plainly


class Classes(NamedTuple):
    """The K classes, sorted, and the number (S,) of that of each series."""

    names: np.ndarray
    codes: np.ndarray


def classes_of(labels: pd.Series, ids: Sequence[Hashable]) -> Classes:
    """Give the classes of labels.

    Parameters
    ----------
    labels : Series of shape (S,)
        The label of each series.
    ids : sequence of Hashable
        The series, for errors.

    Returns
    -------
    Classes
        At least two.

    Raises
    ------
    FrameError
        If there is one class only, the labels are measurements, or of types that cannot be
        sorted.

    Examples
    --------
    >>> classes_of(pd.Series(["m", "f", "m"]), [1, 2, 3]).codes
    array([1, 0, 1])
    """
    values = labels.to_numpy()
    try:
        names, codes = np.unique(values, return_inverse=True)
    except TypeError:
        kinds = sorted({type(value).__name__ for value in values})
        raise FrameError(
            "E-LABEL-TYPE",
            f"labels of the types {' and '.join(kinds)} cannot be sorted together.",
            "y = pd.Series(y).map(str)  # or give labels of one type",
        ) from None
    if len(names) < 2:
        shown = ", ".join(plainly(key) for key in ids[:3])
        raise FrameError(
            "E-LABEL-ONE",
            f"all {len(ids)} series have the label {plainly(names[0])}, as {shown}: with one "
            "class there is nothing to tell apart.",
            "give series of another class too",
        )
    if values.dtype.kind == "f" and type_of_target(values) == "continuous":
        raise FrameError(
            "E-LABEL-TYPE",
            f"labels are numbers with fractions, {len(names)} different ones as "
            f"{plainly(names[0])}, and no classes.",
            "y = pd.Series(y).map(str)  # if they are; or SeriesRegressor, which tells numbers",
        )
    return Classes(names, codes)


def numbers_of(labels: pd.Series, ids: Sequence[Hashable]) -> np.ndarray:
    """Give labels (S,) as numbers.

    Parameters
    ----------
    labels : Series of shape (S,)
        The label of each series.
    ids : sequence of Hashable
        The series, for errors.

    Returns
    -------
    ndarray of shape (S,), dtype=float64
        The same, all finite.

    Raises
    ------
    FrameError
        If one is no finite number; its series is named.
    """
    numbers = pd.to_numeric(labels, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        first = int(bad[0])
        raise FrameError(
            "E-LABEL-TYPE",
            f"{len(bad)} of {len(ids)} labels are no finite numbers, the first is "
            f"{plainly(labels.iloc[first])} of series {plainly(ids[first])}.",
            "y = pd.to_numeric(pd.Series(y), errors='coerce')"
            ".replace([np.inf, -np.inf], np.nan).dropna()",
        )
    return numbers


def codes_of(truth: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Give the number of the class of each label.

    Parameters
    ----------
    truth : ndarray of shape (S,)
        Labels.
    names : ndarray of shape (K,)
        The classes.

    Returns
    -------
    ndarray of shape (S,), dtype=int64
        Places among the classes.

    Raises
    ------
    ValueError
        If a label is none of the classes.

    Examples
    --------
    >>> codes_of(np.array(["m", "f"]), np.array(["f", "m"]))
    array([1, 0])
    """
    place = {name: i for i, name in enumerate(names.tolist())}
    others = [label for label in dict.fromkeys(truth.tolist()) if label not in place]
    if others:
        raise ValueError(
            f"the label {as_code(others[0])} was not there in fit: the classes are "
            f"{listed(names.tolist())}.\n"
            "Fix: df = df[df[...].isin(model.classes_)]  # leave out series of other classes"
        )
    return np.array([place[label] for label in truth.tolist()], dtype=np.int64)
