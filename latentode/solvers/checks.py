"""Checks of one argument: a word among choices, a count, a number within bounds."""

import math
from collections.abc import Iterable
from numbers import Integral, Real


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise if a word is not one of the choices.

    Examples
    --------
    >>> check_choice("method", "rk5", ["rk4", "tsit5"])
    Traceback (most recent call last):
    ValueError: method=rk5 is not known: choose one of rk4, tsit5.
    """
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name}={value} is not known: choose one of {', '.join(known)}.")


def check_whole(name: str, value: object, *, least: int = 1) -> None:
    """Raise if a count is not a whole number, or too small."""
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < least:
        raise ValueError(f"{name}={value} must be a whole number of at least {least}.")


def check_sizes(**sizes: object) -> None:
    """Raise if one of several counts, by their names, is not a whole number of at least 1."""
    for name, size in sizes.items():
        check_whole(name, size)


def check_positive(name: str, value: object) -> None:
    """Raise if a number is not above 0, or not finite."""
    if not 0 < _number(value) < math.inf:
        raise ValueError(f"{name}={value} must be a positive number.")


def check_not_negative(name: str, value: object) -> None:
    """Raise if a number is below 0, or not finite."""
    if not 0 <= _number(value) < math.inf:
        raise ValueError(f"{name}={value} must be a number of at least 0.")


def check_share(name: str, value: object) -> None:
    """Raise if a number is no share of a whole, which may be nothing or all."""
    if not 0 <= _number(value) <= 1:
        raise ValueError(f"{name}={value} must be at least 0 and at most 1.")


def check_part(name: str, value: object) -> None:
    """Raise if a number is no share of a whole that leaves something."""
    if not 0 <= _number(value) < 1:
        raise ValueError(f"{name}={value} must be at least 0 and less than 1.")


def _number(value: object) -> float:
    """Give a number, NaN for anything else: it is within no bounds."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
