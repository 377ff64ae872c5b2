"""Known error bars: the standard deviation with which a value was measured, beside the value."""

from collections.abc import Hashable, Mapping

import numpy as np

from latentode.data.columns import Schema
from latentode.data.errors import FrameError, as_code, listed, mend, nearest, say_which
from latentode.data.rows import Rows, place_of
from latentode.data.values import read_numbers


def check_noise(given: object, rows: Rows) -> dict[Hashable, Hashable]:
    """Give the columns of errors by the columns of what they are of, each of which is there.

    >>> import pandas as pd
    >>> from latentode.data.rows import open_frame
    >>> df = pd.DataFrame({"t": [1], "y": [2], "err": [0.1]})
    >>> check_noise({"y": "err"}, open_frame(df, id_col=None, time_col="t"))
    {'y': 'err'}
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(
            "noise_cols must say which column is the error of which, "
            f"noise_cols={{'y': 'y_err'}}, not {type(given).__name__}."
        )
    columns = list(rows.frame.columns)
    for column in given.values():
        if column not in columns:
            near = nearest(column, columns)
            target = as_code(next(key for key, value in given.items() if value == column))
            raise FrameError(
                "E-NOISE-COL",
                f"noise_cols: {rows.name} has no column {as_code(column)}; it has "
                f"{listed(columns)}.",
                f"LatentODEForecaster(noise_cols={{{target}: "
                f"{'...' if near is None else as_code(near)}}})",
            )
    return dict(given)


def noise_of_targets(
    noise: Mapping[Hashable, Hashable], targets: tuple[Hashable, ...]
) -> tuple[Hashable | None, ...]:
    """Put the columns of errors in the order of the targets; none at all is an empty tuple."""
    others = [target for target in noise if target not in targets]
    if others:
        raise FrameError(
            "E-NOISE-COL",
            f"noise_cols: {as_code(others[0])} is not a target; they are {listed(targets)}.",
            f"LatentODEForecaster(noise_cols={{{as_code(targets[0])}: "
            f"{as_code(noise[others[0]])}}})",
        )
    return tuple(noise.get(target) for target in targets) if noise else ()


def read_noise(rows: Rows, schema: Schema, order: np.ndarray) -> np.ndarray | None:
    """Give the errors (N, D) of the rows in an order, NaN where one is not known.

    Those of targets, then those of past covariates, which have none; None if there is no column
    of them.
    """
    if not schema.noise_cols:
        return None
    noise = np.full((len(order), len(schema.feature_cols)), np.nan)
    for d, column in enumerate(schema.noise_cols):
        if column is not None:
            noise[:, d] = _read(rows, column, schema)[order]
    return noise


def require_noise(rows: Rows, schema: Schema) -> None:
    """Refuse rows of a later frame that lack a column of errors of fit."""
    columns = list(rows.frame.columns)
    for column in schema.noise_cols:
        if column is not None and column not in columns:
            raise FrameError(
                "E-NOISE-COL",
                f"{rows.name} has no column {as_code(column)}, of known errors in fit; it has "
                f"{listed(columns)}.",
                f"{rows.before}{rows.name}[{as_code(column)}] = float('nan')  # or its values",
            )


def _read(rows: Rows, column: Hashable, schema: Schema) -> np.ndarray:
    place = place_of(rows, column, "column of errors", schema.id_cols)
    numbers = read_numbers(rows.frame[column], place)
    negative = numbers < 0
    if negative.any():
        raise FrameError(
            "E-NOISE-VALUE",
            say_which(place, negative, "negative value") + " A standard deviation has no sign.",
            mend(place, "{0}.where({0} >= 0)  # NaN: not known"),
        )
    return numbers
