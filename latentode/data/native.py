"""A pandas frame given back as the kind of frame that the caller came with."""

from collections.abc import Hashable
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import narwhals as nw
import numpy as np
import pandas as pd

from latentode.data.columns import dense

PANDAS = "pandas"


def as_native(frame: pd.DataFrame, backend: str) -> Any:  # noqa: ANN401  any kind of frame
    """Give a frame of pandas as one of another library, without its index.

    Parameters
    ----------
    frame : DataFrame
        Any frame of pandas.
    backend : str
        Where it is to belong: "pandas", "polars" or another name that narwhals knows, as in
        `Query.backend` and `Schema.backend`.

    Returns
    -------
    DataFrame
        Stamps keep their unit, where the library has it, and their zone, which is UTC in place
        of a mere offset; names become text. For "pandas", the very frame.

    Examples
    --------
    >>> stamps = pd.to_datetime(["2024-03-01 07:30"]).as_unit("us").tz_localize("Europe/Paris")
    >>> as_native(pd.DataFrame({"ds": stamps, "y": [0.5]}), "polars").schema
    Schema([('ds', Datetime(time_unit='us', time_zone='Europe/Paris')), ('y', Float64)])
    """
    if backend == PANDAS:
        return frame
    names = [str(label) for label in frame.columns]
    columns = [dense(frame.iloc[:, i]) for i in range(frame.shape[1])]
    values = {name: _values(column) for name, column in zip(names, columns, strict=True)}
    table = nw.from_dict(values, backend=backend)  # type: ignore[arg-type]
    zones = {name: _zone_name(c) for name, c in zip(names, columns, strict=True) if _has_zone(c)}
    zoned = [
        nw.col(name).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        for name, zone in zones.items()
    ]
    return table.with_columns(*zoned).to_native() if zoned else table.to_native()


def without_column(df: object, column: Hashable) -> Any:  # noqa: ANN401  any kind of frame
    """Give a frame without one of its columns; what has no such column is given as it is.

    Parameters
    ----------
    df : object
        A frame of any library that narwhals reads, or anything else.
    column : Hashable
        The name of the column.

    Returns
    -------
    object
        Another frame of the same library; the one given is not changed.

    Examples
    --------
    >>> list(without_column(pd.DataFrame({"t": [1], "died": [0]}), "died").columns)
    ['t']
    """
    if not hasattr(df, "columns") or column not in list(df.columns):
        return df
    if isinstance(df, pd.DataFrame):
        return df.drop(columns=[column])  # narwhals takes names of text only
    table: Any = nw.from_native(df, eager_only=True)
    return table.drop([column]).to_native()


def _has_zone(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.DatetimeTZDtype)


def _zone_name(column: pd.Series) -> str:
    """Give the zone of a column as other libraries know it, by its name alone."""
    zone = str(column.dt.tz)
    try:
        return ZoneInfo(zone).key
    except (OSError, ValueError, ZoneInfoNotFoundError):  # an offset such as UTC+02:00
        return "UTC"


def _values(column: pd.Series) -> np.ndarray | list[Any]:
    """Give what stands in a dense column as something any library reads, stamps in UTC."""
    dtype: Any = column.dtype
    if _has_zone(column):
        return _values(column.dt.tz_convert("UTC").dt.tz_localize(None))
    if dtype.kind in "mM":
        # Polars has no seconds; narwhals reads no other unit than these.
        return column.dt.as_unit("ms" if column.dt.unit == "s" else column.dt.unit).to_numpy()
    if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
        return column.to_numpy()
    missing = column.isna()
    return [None if gone else value for value, gone in zip(column.tolist(), missing, strict=True)]
