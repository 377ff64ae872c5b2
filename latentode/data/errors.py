"""What is wrong with a frame: what, where, how often, and the Python that mends it."""

import difflib
import sys
import warnings
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd


class FrameError(ValueError):
    """Say what is wrong with a frame, where, and what to do about it.

    Parameters
    ----------
    code : str
        Stable name of the error, such as ``"E-TIME-NAT"``; docs/the-frame.md explains each.
    what : str
        What was expected and what came, with counts and the first row labels.
    fix : str
        What to do: most often Python to paste, for a frame called ``df``.

    Examples
    --------
    >>> print(FrameError("E-EMPTY", "df has no rows.", "df = pd.read_csv(path)"))
    df has no rows.
    Fix: df = pd.read_csv(path)  [E-EMPTY]
    """

    def __init__(self, code: str, what: str, fix: str) -> None:
        super().__init__(code, what, fix)  # all three, so that it can be sent between processes
        self.code = code
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\nFix: {self.fix}  [{self.code}]"


class LatentODEWarning(UserWarning):
    """Warn of something that is allowed, but may not be what was meant."""


def warn(text: str) -> None:
    """Warn at the line that called the package, however deep in it the reason was found."""
    frame, depth = sys._getframe(1), 2
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(text, LatentODEWarning, stacklevel=depth)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == __name__.partition(".")[0]


class Place(NamedTuple):
    """Where values stand in what the caller gave, for errors and their fixes."""

    title: str
    """What to call them: "time column 'ds'"."""
    labels: pd.Index
    """The caller's label of each row."""
    ids: tuple[pd.Series, ...]
    """The columns that say which series each row belongs to; none where that is not known."""
    name: str
    """The caller's variable: "df" or "times"."""
    column: Hashable | None
    """Its column; None if the variable itself is the list of values."""
    before: str
    """Python that a fix has to begin with, such as "df = df.reset_index(); "."""


def mend(place: Place, template: str) -> str:
    """Write the Python that puts an expression, with {0} for the column, in the column's place.

    >>> place = Place("time column 't'", pd.RangeIndex(1), (), "df", "t", "")
    >>> mend(place, "{0} / 3600")
    "df['t'] = df['t'] / 3600"
    """
    column = _column_code(place)
    target = place.name if place.column is None else column
    return f"{place.before}{target} = {template.format(column)}"


def refuse_rows(place: Place, bad: np.ndarray, code: str, noun: str, condition: str) -> None:
    """Refuse rows that can only be left out, by a condition with {0} for the column."""
    if not bad.any():
        return
    column = _column_code(place)
    rows = column if place.column is None else place.name
    fix = f"{place.before}{place.name} = {rows}[{condition.format(column)}]"
    raise FrameError(code, say_which(place, bad, noun), fix)


def say_which(place: Place, bad: np.ndarray, noun: str, why: str = "") -> str:
    """Say how many values of a column are bad, why, and in which rows."""
    return f"{place.title} has {count(bad.sum(), noun)}{why}: {name_rows(place, bad)}."


def name_rows(place: Place, bad: np.ndarray) -> str:
    """Name the first three rows of those that are bad, each with its series.

    >>> place = Place("time column 't'", pd.RangeIndex(5), (), "df", "t", "")
    >>> name_rows(place, np.full(5, True))
    'row 0, row 1, row 2, ... (5 in all)'
    """
    at = np.flatnonzero(bad)
    shown = [f"row {plainly(place.labels[i])}" for i in at[:3]]
    if place.ids:
        shown = [
            f"{row} (series {name_series(place, int(i))})"
            for row, i in zip(shown, at, strict=False)
        ]
    return ", ".join(shown) + (f", ... ({len(at)} in all)" if len(at) > 3 else "")


def name_series(place: Place, row: int) -> str:
    """Name the series of a row, by all of its id columns.

    >>> ids = pd.Series(["a", "b"]), pd.Series([1, 2])
    >>> name_series(Place("time column 't'", pd.RangeIndex(2), ids, "df", "t", ""), 1)
    '(b, 2)'
    """
    keys = tuple(column.iloc[row] for column in place.ids)
    return plainly(keys[0] if len(keys) == 1 else keys)


def plainly(label: object) -> str:
    """Print a label or a time as the caller would write it, without the types of numpy.

    >>> plainly((np.int64(3), "a"))
    '(3, a)'
    """
    if isinstance(label, tuple):
        return f"({', '.join(plainly(part) for part in label)})"
    return str(label)


def count(n: int, noun: str) -> str:
    """Say how many of something there are.

    >>> count(2, "row")
    '2 rows'
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def as_code(label: object) -> str:
    """Write a label as Python."""
    return repr(python_scalar(label))


def id_code(ids: Sequence[Hashable]) -> str:
    """Write the argument `id_col` for some columns.

    >>> id_code(["shop"]), id_code(["shop", "item"])
    ("'shop'", "['shop', 'item']")
    """
    return as_code(list(ids) if len(ids) > 1 else next(iter(ids), None))


def listed(labels: Iterable[object], most: int = 5) -> str:
    """Write the first labels as Python, and how many there are if there are more."""
    labels = list(labels)
    shown = ", ".join(as_code(label) for label in labels[:most])
    return shown + (f", ... ({len(labels)} in all)" if len(labels) > most else "")


def python_scalar(label: Hashable) -> Hashable:
    """Give the number or text inside a scalar of numpy's, so that it prints and saves plainly."""
    if isinstance(label, np.generic) and not isinstance(label, np.datetime64 | np.timedelta64):
        return label.item()
    return label


def nearest(column: object, columns: Sequence[Hashable]) -> Hashable | None:
    """Give the column that was most likely meant; None if none is close."""
    by_text = {str(c).lower(): c for c in reversed(columns)}
    near = difflib.get_close_matches(str(column).lower(), list(by_text), n=1)
    return by_text[near[0]] if near else None


def _column_code(place: Place) -> str:
    """Write the Python for a column, as a Series."""
    if place.column is None:
        return f"pd.Series({place.name})"
    return f"{place.name}[{as_code(place.column)}]"
