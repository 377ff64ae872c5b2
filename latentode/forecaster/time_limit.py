"""How long a training may take, as a parameter says it."""

import datetime as dt
import re
from numbers import Real

import numpy as np
import pandas as pd

from latentode.solvers.checks import check_positive


def seconds_of(max_time: object) -> float | None:
    """Read a length of time as seconds; None is no limit.

    Parameters
    ----------
    max_time : float, str, timedelta or None
        Seconds, or a length of time with its unit.

    Returns
    -------
    float or None
        Its seconds.

    Raises
    ------
    ValueError
        If it is not above 0, not finite, or text without a unit.
    TypeError
        If it is of another type.

    Examples
    --------
    >>> seconds_of("1h 30min"), seconds_of(90), seconds_of(None)
    (5400.0, 90.0, None)
    """
    if max_time is None:
        return None
    if isinstance(max_time, str):
        max_time = _read(max_time)
    if isinstance(max_time, dt.timedelta | np.timedelta64):  # the latter counts as a number, too
        max_time = pd.Timedelta(max_time).total_seconds()
    if not isinstance(max_time, Real):
        raise TypeError(
            f"max_time={max_time} must be seconds, or a length of time such as '10min', not of "
            f"type {type(max_time).__name__}."
        )
    check_positive("max_time", max_time)
    return float(max_time)


def _read(text: str) -> pd.Timedelta:
    if not re.search(r"[a-zA-Zµ:]", text):
        raise ValueError(f"max_time={text!r} has no unit.\nFix: max_time='{text.strip()}s'")
    try:
        return pd.Timedelta(text)
    except ValueError:
        raise ValueError(
            f"max_time={text!r} cannot be read as a length of time.\nFix: max_time='10min'"
        ) from None
