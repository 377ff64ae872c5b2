"""The series and times that a forecast is asked for."""

import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd

from latentode.data.columns import Schema
from latentode.data.errors import FrameError, Place, mend, name_rows, plainly
from latentode.data.rows import Rows, open_frame, place_of, require_columns
from latentode.data.times import INT64, UNITS, convert_times, read_times, times_as_column
from latentode.data.values import ONE_SERIES, canonical, read_ids

__all__ = ["Query", "query_at", "query_horizon", "read_length"]


class Query(NamedTuple):
    """The P pairs of a series and a time that a forecast was asked for, in the order asked."""

    ids: tuple[Hashable, ...]
    """The distinct series asked for, in canonical order."""
    series: np.ndarray
    """int64 of shape (P,): position of each pair's series in `ids`."""
    times: np.ndarray
    """int64 or float64 of shape (P,), in the unit of the schema."""
    frame: pd.DataFrame
    """Id and time columns to give back; the caller's own rows and index if a frame was asked."""


def query_at(at: object, schema: Schema, known_ids: Iterable[Hashable]) -> Query:
    """Ask for every known series at some times, or for exactly the rows of a frame.

    Parameters
    ----------
    at : time, sequence of times, or DataFrame
        A time or several, of which text is read by ``pd.Timestamp``; or a frame with the id and
        time columns of the schema, whose other columns are ignored.
    schema : Schema
        The columns and times of fit.
    known_ids : iterable of Hashable
        The series that have a history.

    Returns
    -------
    Query
        For times, series after series with a new index; for a frame, its rows in their order.

    Raises
    ------
    FrameError
        If nothing was asked for, if a series is not known, or if the times are not like those of
        the schema.
    TypeError
        If `at` is a mapping or a lazy frame.

    Examples
    --------
    >>> schema = Schema("id", "ds", ("y",), "datetime", "s", None, ())
    >>> query_at(["2024-03-01", "2024-03-01 07:30"], schema, ["b", "a"]).frame
      id                  ds
    0  a 2024-03-01 00:00:00
    1  a 2024-03-01 07:30:00
    2  b 2024-03-01 00:00:00
    3  b 2024-03-01 07:30:00
    """
    if _is_frame(at):
        rows = open_frame(at, id_col=schema.id_col, time_col=schema.time_col, name="times")
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
    >>> schema = Schema("id", "t", ("y",), "number", None, None, ())
    >>> query_horizon(2.5, 1, {"a": 10, "b": 7}, schema).times
    array([11., 12.,  8.,  9.])
    """
    ids = _known(last_times)
    last = np.array([last_times[key] for key in ids])
    lengths = _lengths(horizon, step, schema, latest=last.max())
    times = (last[:, None] + lengths).ravel()
    series = np.repeat(np.arange(len(ids)), len(lengths))
    return Query(ids, series, times, _frame(ids, series, times, schema))


def _query_rows(rows: Rows, schema: Schema, known_ids: tuple[Hashable, ...]) -> Query:
    require_columns(rows, schema, targets=False)
    place = place_of(rows, schema.time_col, "time column", schema.id_col)
    times = convert_times(read_times(rows.frame[schema.time_col], place), schema, place)
    if schema.id_col is None:
        series, ids = np.zeros(len(times), dtype="int64"), (ONE_SERIES,)
        return Query(ids, series, times, rows.frame[[schema.time_col]].copy())
    place = place_of(rows, schema.id_col, "id column")
    series, asked = read_ids(rows.frame[schema.id_col], place)
    _refuse_unseen(series, asked, known_ids, place)
    return Query(asked, series, times, rows.frame[[schema.id_col, schema.time_col]].copy())


def _query_grid(by_hand: pd.Series, schema: Schema, ids: tuple[Hashable, ...]) -> Query:
    """Ask for every series at the same times."""
    place = Place("times", by_hand.index, None, "times", None, "")
    read = read_times(_read_text(by_hand, schema, place), place)
    asked = convert_times(read, schema, place)
    series = np.repeat(np.arange(len(ids)), len(asked))
    times = np.tile(asked, len(ids))
    frame = _frame(ids, series, times, schema._replace(time_zone=read.zone))
    return Query(ids, series, times, frame)


def _known(ids: Iterable[Hashable]) -> tuple[Hashable, ...]:
    known = canonical(ids)
    if not known:
        raise FrameError("E-EMPTY", "no series is known.", "model.fit(df)")
    return known


def _is_frame(at: object) -> bool:
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
    read = pd.Timestamp if schema.time_kind == "datetime" else pd.Timedelta
    moments = [
        _read_one(value, read, schema) if isinstance(value, str) else value for value in column
    ]
    return pd.Series(moments, index=column.index, dtype=object)


def _read_one(text: str, read: type[pd.Timestamp] | type[pd.Timedelta], schema: Schema) -> object:
    try:
        return read(text)
    except ValueError:
        example = "2024-03-01 07:30" if schema.time_kind == "datetime" else "7D"
        raise FrameError(
            "E-TIME-DTYPE",
            f"{text} cannot be read as a {schema.time_kind}.",
            f"times = {example!r}  # written like this",
        ) from None


def _refuse_unseen(
    series: np.ndarray, asked: tuple[Hashable, ...], known_ids: tuple[Hashable, ...], place: Place
) -> None:
    known = set(known_ids)
    unseen = [key for key in asked if key not in known]
    if not unseen:
        return
    shown = ", ".join(plainly(key) for key in unseen[:3])
    shown += f", ... ({len(unseen)} in all)" if len(unseen) > 3 else ""
    were = "is not known: it was" if len(unseen) == 1 else "are not known: they were"
    rows = np.array([key not in known for key in asked])[series]
    what = (
        f"series {shown} {were} not in fit, and no context was given; column {place.column!r}, "
        f"{name_rows(place, rows)}."
    )
    twin = {str(key): type(key) for key in known_ids}.get(str(unseen[0]))
    if twin in {int, str}:
        kinds = f" The ids in fit are {twin.__name__}, these are {type(unseen[0]).__name__}."
        raise FrameError(
            "E-ID-UNSEEN", what + kinds, mend(place, f"{{0}}.astype({twin.__name__})")
        )
    raise FrameError("E-ID-UNSEEN", what, "model.predict(times, context=df_with_its_rows)")


def _lengths(horizon: object, step: object | None, schema: Schema, *, latest: float) -> np.ndarray:
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


def _frame(
    ids: tuple[Hashable, ...], series: np.ndarray, times: np.ndarray, schema: Schema
) -> pd.DataFrame:
    """Give the pairs as a frame with a new index."""
    column = times_as_column(times, schema)
    if schema.id_col is None:
        return pd.DataFrame({schema.time_col: column})
    keys = pd.Series(list(ids)).iloc[series].reset_index(drop=True)
    return pd.DataFrame({schema.id_col: keys, schema.time_col: column})
