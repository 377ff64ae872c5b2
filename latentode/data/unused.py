"""The columns of a frame that nobody named: an id that was forgotten, or data that is not used."""

from collections.abc import Collection, Hashable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from latentode.data.columns import (
    almost_holds_numbers,
    dense,
    groups_rows,
    holds_numbers,
    number_template,
    sets_apart,
)
from latentode.data.errors import (
    FrameError,
    as_code,
    count,
    id_code,
    listed,
    mend,
    name_rows,
    warn,
)
from latentode.data.rows import Rows, place_of

_MOST_ID_NAMES = 6  # columns of names of which two are tried as the id together


def refuse_hidden_series(rows: Rows, times: np.ndarray, taken: Collection[Hashable]) -> None:
    """Refuse rows that repeat times, if a column that nobody named sets them apart."""
    repeats = pd.Series(times).duplicated().to_numpy()
    if not repeats.any():
        return
    left = [c for c in rows.frame.columns if c not in taken]
    ids = _columns_apart(rows, left, times)
    if not ids:
        return
    place = place_of(rows, ids[0], "column")
    seem = f"{place.title} looks like the id"
    if len(ids) > 1:
        seem = f"columns {listed(ids)} look like the id together"
    raise FrameError(
        "E-ID-MISSING",
        f"no id column was named or found, and {count(repeats.sum(), 'row')} repeat a time: "
        f"{name_rows(place, repeats)}; {seem}.",
        f"LatentODEForecaster(id_col={id_code(ids)})",
    )


def _columns_apart(
    rows: Rows, left: Sequence[Hashable], times: np.ndarray
) -> tuple[Hashable, ...]:
    """Give the first column, or two columns of names, that make a row unique with its time."""
    named = [c for c in left if groups_rows(dense(rows.frame[c]))][:_MOST_ID_NAMES]
    tried = [*((c,) for c in left), *combinations(named, 2)]
    apart = (ids for ids in tried if sets_apart([rows.frame[c] for c in ids], times))
    return next(apart, ())


def warn_of_unused(
    rows: Rows, ids: tuple[Hashable, ...], time: Hashable, targets: tuple[Hashable, ...]
) -> None:
    """Name the columns that look like data, or like the id, and are not used."""
    left = [c for c in rows.frame.columns if c not in {*ids, time, *targets}]
    numbers = [c for c in left if holds_numbers(rows.frame[c])]
    almost = [c for c in left if c not in numbers and almost_holds_numbers(rows.frame[c])]
    names = [c for c in left if not ids and c not in almost and groups_rows(rows.frame[c])]
    notes = []
    if numbers:
        notes.append(
            f"{listed(numbers)}: the target is {listed(targets)}; to forecast them all, "
            f"LatentODEForecaster(target_cols={as_code([*targets, *numbers])}); to read them "
            f"beside it, past_cols={as_code(numbers)}, or known_cols if they are known ahead"
        )
    notes += [f"{as_code(c)}: it does not hold numbers; {as_numbers(rows, c)}" for c in almost]
    notes += [
        f"{as_code(c)}: if it tells series apart, LatentODEForecaster(id_col={as_code(c)})"
        for c in names
    ]
    if notes:
        warn("\n- ".join(["columns that are not used:", *notes]))


def as_numbers(rows: Rows, column: Hashable) -> str:
    """Write the Python that turns a column into numbers."""
    return mend(place_of(rows, column, "column"), number_template(rows.frame[column]))
