"""Calendar cutoffs: times at which all series are cut alike."""

from collections.abc import Hashable
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from latentode.data import FrameError, Schema, infer_schema, read_length, times_as_column
from latentode.data.columns import TIME_NAMES, holds_stamps, usual_names
from latentode.data.errors import as_code, listed, plainly
from latentode.data.rows import open_frame, place_of
from latentode.data.times import convert_times, read_times

_TARGET = object()  # a column that no frame has


class Calendar(NamedTuple):
    """The times of the N rows of a frame.

    Attributes
    ----------
    times : ndarray of shape (N,)
        In the unit of the schema.
    schema : Schema
        How to read and write times; it names nothing but the time column.
    """

    times: np.ndarray
    schema: Schema

    @classmethod
    def of(cls, df: object, time_col: Hashable | None, *, asker: str) -> Self:
        """Read the times of a frame; an error's fix gives the time column to the asker."""
        rows = open_frame(df, id_col=None, time_col=time_col)
        column = _time_col(rows.frame, time_col, asker)
        alone = pd.DataFrame({column: rows.frame[column].reset_index(drop=True), _TARGET: 0.0})
        schema = infer_schema(alone, time_col=column, target_cols=[_TARGET])
        place = place_of(rows, column, "time column")
        return cls(convert_times(read_times(rows.frame[column], place), schema, place), schema)

    def length(self, name: str, value: object) -> float:
        """Read a positive length of time, in the unit of the schema."""
        return read_length(name, value, self.schema)

    def plainly(self, time: float) -> str:
        """Write a time as in the frame."""
        return plainly(self.column(np.array([time])).iloc[0])

    def column(self, times: np.ndarray) -> pd.Series:
        """Give times as in the frame."""
        return times_as_column(times, self.schema)

    def last_ends(self, n: int, step: float) -> np.ndarray:
        """Give n times, each a step apart, the last of which is the last of the frame."""
        ends: np.ndarray = self.times.max() - step * np.arange(n - 1, -1, -1)
        return ends


def _time_col(frame: pd.DataFrame, given: Hashable | None, asker: str) -> Hashable:
    columns = list(frame.columns)
    if given is not None and given in columns:
        return given
    usual = usual_names(columns, TIME_NAMES)
    found = usual or [column for column in columns if holds_stamps(frame[column])]
    if given is None and len(found) == 1:
        return found[0]
    code = "E-TIME-AMBIG" if given is None and found else "E-TIME-COL"
    what = {
        "E-TIME-AMBIG": f"columns {listed(found)} could each be the time",
        "E-TIME-COL": f"df has no time column{'' if given is None else f' {as_code(given)}'}",
    }
    wanted = as_code(found[0]) if found else "..."
    raise FrameError(
        code, f"{what[code]}; it has {listed(columns)}.", f"{asker}(time_col={wanted})"
    )
