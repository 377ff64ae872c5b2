"""The probabilities that quantiles are asked for."""

from collections.abc import Iterable
from numbers import Real


def probabilities(quantiles: object) -> list[float]:
    """Give the probabilities asked, or refuse what is none.

    >>> probabilities((0.1, 0.9))
    [0.1, 0.9]
    """
    if not isinstance(quantiles, Iterable) or isinstance(quantiles, str | bytes):
        raise TypeError(f"quantiles must be a list of numbers, such as [0.1, 0.9]: {quantiles}.")
    levels = [probability("quantile", level) for level in quantiles]
    if not levels:
        raise ValueError("quantiles is empty: give at least one.")
    for level in levels:
        if levels.count(level) > 1:
            raise ValueError(f"quantile {level} is asked more than once.")
    return levels


def probability(name: str, value: object) -> float:
    """Give a number above 0 and below 1, or refuse what is none.

    >>> probability("coverage", 90)
    Traceback (most recent call last):
    ValueError: coverage 90 must be above 0 and below 1: 0.9 is nine in ten.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number above 0 and below 1, not {value}.")
    if not 0 < float(value) < 1:
        raise ValueError(f"{name} {value} must be above 0 and below 1: 0.9 is nine in ten.")
    return float(value)
