"""The series and times that a forecast is asked for."""

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd

from latentode.data.columns import Schema
from latentode.data.errors import FrameError, Place, as_code, mend, name_rows, plainly
from latentode.data.horizon import lengths_up_to
from latentode.data.ids import canonical, read_series
from latentode.data.rows import Rows, open_later, place_of
from latentode.data.times import convert_times, read_times, times_as_column

__all__ = ["Query", "pairs_frame", "query_at", "query_horizon"]


class Query(NamedTuple):
    """The P pairs of a series and a time that a forecast was asked for, in the order asked."""

    ids: tuple[Hashable, ...]
    """The distinct series asked for, in canonical order."""
    series: np.ndarray
    """int64 of shape (P,): position of each pair's series in `ids`."""
    times: np.ndarray
    """int64 or float64 of shape (P,), in the unit of the schema."""
    frame: pd.DataFrame
    """Id and time columns to give back; if a frame was asked the caller's own, with its index."""
    backend: str = "pandas"
    """Whose frame to give back, with `as_native`: the one asked, else the one that was fitted."""


def query_at(at: object, schema: Schema, known_ids: Iterable[Hashable]) -> Query:
    """Ask for every known series at some times, or for exactly the rows of a frame.

    Parameters
    ----------
    at : time, sequence of times, or DataFrame
        A time or several, of which text is read by ISO 8601, the year first; or a frame with the
        id and time columns of the schema, whose other columns are ignored.
    schema : Schema
        The columns and times of fit.
    known_ids : iterable of Hashable
        The series that have a history.

    Returns
    -------
    Query
        For times, series after series with a new index; for a frame, its rows in their order,
        with ids and times in the index or in columns, wherever they stood.

    Raises
    ------
    FrameError
        If nothing was asked for, if a series is not known, or if the times are not like those of
        the schema.
    TypeError
        If `at` is a mapping or a lazy frame.

    Examples
    --------
    >>> schema = Schema(("id",), "ds", ("y",), "datetime", "s", None, ())
    >>> query_at(["2024-03-01", "2024-03-01 07:30"], schema, ["b", "a"]).frame
      id                  ds
    0  a 2024-03-01 00:00:00
    1  a 2024-03-01 07:30:00
    2  b 2024-03-01 00:00:00
    3  b 2024-03-01 07:30:00
    """
    if is_frame(at):
        rows = open_later(at, schema, targets=False, name="times")
        return _query_rows(rows, schema, tuple(known_ids))
    return _query_grid(_series_of_times(at), schema, _known(known_ids))


def query_horizon(
    horizon: object, step: object | None, last_times: Mapping[Hashable, float], schema: Schema
) -> Query:
    """Ask for each series at regular times after its last observation.

    Parameters
    ----------
    horizon : Timedelta, str or number
        How far to go, that far included: ``"7D"`` for datetimes and timedeltas, a number for
        numbers.
    step : Timedelta, str, number or None
        Distance of the times; None asks for one time, at the horizon.
    last_times : mapping of Hashable to number
        The last time of each series, in the unit of the schema as in `Panel.times`.
    schema : Schema
        The columns and times of fit.

    Returns
    -------
    Query
        Series after series, with a new index.

    Raises
    ------
    FrameError
        If horizon or step is not a positive length of time, or the step is the longer one.

    Examples
    --------
    >>> schema = Schema(("id",), "t", ("y",), "number", None, None, ())
    >>> query_horizon(2.5, 1, {"a": 10, "b": 7}, schema).times
    array([11., 12.,  8.,  9.])
    """
    ids = _known(last_times)
    last = np.array([last_times[key] for key in ids])
    lengths = lengths_up_to(horizon, step, schema, latest=last.max())
    times = (last[:, None] + lengths).ravel()
    series = np.repeat(np.arange(len(ids)), len(lengths))
    frame = pairs_frame(ids, series, times, schema)
    return Query(ids, series, times, frame, schema.backend)


def _query_rows(rows: Rows, schema: Schema, known_ids: tuple[Hashable, ...]) -> Query:
    place = place_of(rows, schema.time_col, "time column", schema.id_cols)
    times = convert_times(read_times(rows.frame[schema.time_col], place), schema, place)
    series, asked = read_series(rows, schema.id_cols)
    if schema.id_cols:
        _refuse_unseen(series, asked, known_ids, rows, schema.id_cols)
    # What stands in the caller's index comes back there, and not as a column of the same name too.
    columns = [c for c in (*schema.id_cols, schema.time_col) if c not in rows.levels]
    frame = rows.frame[columns].copy()
    return Query(asked, series, times, frame, rows.backend)


def _query_grid(by_hand: pd.Series, schema: Schema, ids: tuple[Hashable, ...]) -> Query:
    """Ask for every series at the same times."""
    place = Place("times", by_hand.index, (), "times", None, "")
    read = read_times(_read_text(by_hand, schema, place), place)
    asked = convert_times(read, schema, place)
    series = np.repeat(np.arange(len(ids)), len(asked))
    times = np.tile(asked, len(ids))
    frame = pairs_frame(ids, series, times, schema._replace(time_zone=read.zone))
    return Query(ids, series, times, frame, schema.backend)


def _known(ids: Iterable[Hashable]) -> tuple[Hashable, ...]:
    known = canonical(ids)
    if not known:
        raise FrameError("E-EMPTY", "no series is known.", "model.fit(df)")
    return known


def is_frame(at: object) -> bool:
    """Tell whether what was asked is a frame, of pandas or another library."""
    if isinstance(at, pd.DataFrame | pd.Series | pd.Index):
        return isinstance(at, pd.DataFrame)
    native: Any = nw.from_native(at, pass_through=True)
    return isinstance(native, nw.DataFrame | nw.LazyFrame)


def _series_of_times(at: object) -> pd.Series:
    """Put one time, or any sequence of times, into a Series."""
    if isinstance(at, Mapping | set | frozenset):
        raise TypeError(
            f"times must be a time, a sequence of times or a frame, got a {type(at).__name__}"
        )
    if isinstance(at, np.ndarray) and at.ndim != 1:
        at = at[()] if at.ndim == 0 else at.tolist()
    known = pd.Series | pd.Index | np.ndarray | pd.api.extensions.ExtensionArray
    if isinstance(at, known) and not isinstance(at, pd.MultiIndex):
        times = pd.Series(at)
    elif isinstance(at, Iterable) and not isinstance(at, str | bytes):
        times = pd.Series(list(at), dtype=object)
    else:
        times = pd.Series([at], dtype=object)
    if not len(times):
        raise FrameError("E-EMPTY", "times is empty.", "name at least one time")
    return times


def _read_text(column: pd.Series, schema: Schema, place: Place) -> pd.Series:
    """Read the times that were typed by hand."""
    text = np.array([isinstance(value, str) for value in column])
    if not text.any():
        return column
    if schema.time_kind == "number":
        raise FrameError(
            "E-TIME-KIND",
            f"times holds text, but the model was fitted on numbers, in column "
            f"{schema.time_col!r}: {name_rows(place, text)}.",
            "times = pd.to_numeric(pd.Series(times))",
        )
    moments = [_read_one(v, schema) if isinstance(v, str) else v for v in column]
    return pd.Series(moments, index=column.index, dtype=object)


def _read_one(text: str, schema: Schema) -> pd.Timestamp | pd.Timedelta:
    if schema.time_kind == "timedelta":
        try:
            return pd.Timedelta(text)
        except ValueError:
            raise _no_time(text, "timedelta", "times = '7D'  # written like this") from None
    try:
        return pd.to_datetime(text, format="ISO8601")
    except ValueError:
        raise _no_date(text) from None


def _no_date(text: str) -> FrameError:
    """Tell how to write text that is no ISO 8601, and may be one date or another."""
    try:
        moment = pd.Timestamp(text)
    except ValueError:
        return _no_time(text, "datetime", "times = '2024-03-01 07:30'  # written like this")
    what, fix = f"{text} is not written by ISO 8601, the year first", f"times = '{moment}'"
    if re.match(r"\d{1,2}[-./ ]\d{1,2}[-./ ]\d", text):
        what += ": day and month could be swapped"
        fix = f"times = pd.to_datetime({text!r}, dayfirst=True)  # or dayfirst=False"
    return FrameError("E-TIME-DTYPE", f"{what}.", fix)


def _no_time(text: str, kind: str, fix: str) -> FrameError:
    return FrameError("E-TIME-DTYPE", f"{text} cannot be read as a {kind}.", fix)


def _refuse_unseen(
    series: np.ndarray,
    asked: tuple[Hashable, ...],
    known_ids: tuple[Hashable, ...],
    rows: Rows,
    id_cols: tuple[Hashable, ...],
) -> None:
    known = set(known_ids)
    unseen = [key for key in asked if key not in known]
    if not unseen:
        return
    shown = ", ".join(plainly(key) for key in unseen[:3])
    shown += f", ... ({len(unseen)} in all)" if len(unseen) > 3 else ""
    none = "is not known: no row of it was" if len(unseen) == 1 else "are not known: none was"
    bad = np.array([key not in known for key in asked])[series]
    columns = "column" if len(id_cols) == 1 else "columns"
    what = (
        f"series {shown} {none} read, in fit or as context; {columns} "
        f"{', '.join(map(as_code, id_cols))}, {name_rows(place_of(rows, id_cols[0], ''), bad)}."
    )
    other = _other_type(unseen[0], known_ids, id_cols)
    if other is None:
        raise FrameError("E-ID-UNSEEN", what, "model.predict(times, context=df_with_its_rows)")
    column, fitted, came = other
    kinds = f" In fit, {as_code(column)} is {fitted.__name__}, here it is {came.__name__}."
    fix = mend(place_of(rows, column, "id column"), f"{{0}}.astype({fitted.__name__})")
    raise FrameError("E-ID-UNSEEN", what + kinds, fix)


def _other_type(
    unseen: Hashable, known_ids: tuple[Hashable, ...], id_cols: tuple[Hashable, ...]
) -> tuple[Hashable, type, type] | None:
    """Find the id column whose ids would be known if they were whole numbers, or text."""
    parts = _parts(unseen, id_cols)
    twins = (key for key in known_ids if _as_text(_parts(key, id_cols)) == _as_text(parts))
    twin = next(twins, None)
    if twin is None:
        return None
    types = [(type(a), type(b)) for a, b in zip(_parts(twin, id_cols), parts, strict=True)]
    apart = [(c, a, b) for c, (a, b) in zip(id_cols, types, strict=True) if a != b]
    return apart[0] if apart and apart[0][1] in {int, str} else None


def _parts(key: Any, id_cols: tuple[Hashable, ...]) -> tuple[Hashable, ...]:  # noqa: ANN401
    """Give what stands in each id column."""
    return (key,) if len(id_cols) == 1 else key


def _as_text(parts: tuple[Hashable, ...]) -> list[str]:
    return [str(part) for part in parts]


def pairs_frame(
    ids: tuple[Hashable, ...], series: np.ndarray, times: np.ndarray, schema: Schema
) -> pd.DataFrame:
    """Give the pairs as a frame with a new index."""
    column = times_as_column(times, schema)
    parts = [_parts(key, schema.id_cols) for key in ids] if schema.id_cols else []
    columns = {
        label: pd.Series([part[i] for part in parts]).iloc[series].reset_index(drop=True)
        for i, label in enumerate(schema.id_cols)
    }
    return pd.DataFrame({**columns, schema.time_col: column})
