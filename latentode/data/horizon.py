"""Lengths of time: how far a forecast goes after the last observation, and in which steps."""

import math

import numpy as np
import pandas as pd

from latentode.data.columns import Schema
from latentode.data.errors import FrameError
from latentode.data.times import INT64, UNITS


def lengths_up_to(
    horizon: object, step: object | None, schema: Schema, *, latest: float
) -> np.ndarray:
    """Give step, 2 step, ... up to the horizon, in the unit of the schema."""
    end = read_length("horizon", horizon, schema)
    by = end if step is None else read_length("step", step, schema)
    if by > end:
        raise FrameError(
            "E-HORIZON",
            f"step={step} is longer than horizon={horizon}: there is no time to forecast.",
            "step = None  # one time, at the horizon",
        )
    if isinstance(end, int) and end + max(int(latest), 0) > INT64.max:
        raise FrameError(
            "E-TIME-RANGE",
            f"horizon={horizon} after the last time {latest} is too far away for 64-bit integers.",
            "ask for a shorter horizon",
        )
    # 0.3 / 0.1 is a rounding error below 3, and 3 * 0.1 one above 0.3.
    n = (
        end // by
        if isinstance(end, int) and isinstance(by, int)
        else math.floor(end / by * (1 + 1e-12))
    )
    return np.minimum(by * np.arange(1, int(n) + 1), end)


def read_length(name: str, value: object, schema: Schema) -> int | float:
    """Read a length of time as a positive number in the unit of the schema."""
    if schema.time_unit is None:
        return _number(name, value, schema)
    return _ticks(name, value, schema.time_unit)


def _number(name: str, value: object, schema: Schema) -> int | float:
    real = isinstance(value, int | float | np.integer | np.floating)
    if not real or isinstance(value, bool | np.timedelta64):
        raise FrameError(
            "E-HORIZON",
            f"{name} must be a number, like the times in column {schema.time_col!r}; got {value}.",
            f"{name} = 1.0  # in the unit of that column",
        )
    _refuse_not_positive(name, value, 0 < value < math.inf, "1.0")  # type: ignore[operator]
    return int(value) if isinstance(value, int | np.integer) else float(value)  # type: ignore[arg-type]


def _ticks(name: str, value: object, unit: str) -> int:
    if _lacks_unit(value):
        raise FrameError(
            "E-HORIZON", f"{name}={value} has no unit.", f"{name} = '{value}D'  # or h, min, s"
        )
    try:
        span = pd.Timedelta(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise FrameError(
            "E-HORIZON", f"{name}={value} cannot be read as a length of time.", f"{name} = '7D'"
        ) from None
    _refuse_not_positive(name, value, span > pd.Timedelta(0), "'7D'")
    ticks, rest = divmod(int(span.asm8.astype("int64")) * UNITS[unit], UNITS[span.unit])
    if rest:
        raise FrameError(
            "E-TIME-UNIT",
            f"{name}={value} is finer than the unit of the fitted times, {unit}.",
            f"{name} = pd.Timedelta({name}).ceil({unit!r})",
        )
    return ticks


def _lacks_unit(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().replace(".", "", 1).isdigit()
    number = isinstance(value, int | float | np.number)
    return number and not isinstance(value, np.timedelta64)


def _refuse_not_positive(name: str, value: object, positive: bool, example: str) -> None:  # noqa: FBT001
    if not positive:
        raise FrameError("E-HORIZON", f"{name}={value} is not positive.", f"{name} = {example}")
