"""Tables in and out: CSV and Parquet."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from latentode.data.columns import ID_NAMES, TIME_NAMES, as_labels, usual_names

_CSV = (".csv", ".csv.gz", ".csv.zip", ".csv.bz2", ".csv.xz")
_PARQUET = (".parquet", ".pq")


def read_table(
    path: str, *, ids: object = None, time: object = None, time_format: str | None = None
) -> pd.DataFrame:
    """Read a table whose times and ids are what they look like.

    Parameters
    ----------
    path : str
        The file.
    ids : column or list of them, optional
        Columns of ids; by default the usual names. Those of a CSV are whole numbers only where
        that loses nothing: "007" stays text.
    time : column, optional
        Column of times; by default the usual names. Text there is read as times by ISO 8601,
        where no day can be a month.
    time_format : str, optional
        Another form of the times, as "%d.%m.%Y %H:%M".

    Returns
    -------
    DataFrame
        The table.

    Raises
    ------
    ValueError
        If the file is of no kind that is known here, or its times are of another form.
    OSError
        If it cannot be read.
    """
    frame = _read(path, ids)
    time_cols = usual_names(frame.columns, TIME_NAMES) if time is None else (time,)
    for column in time_cols:
        if column in frame and not pd.api.types.is_numeric_dtype(frame[column]):
            frame[column] = parse_time(frame[column], path, time_format)
    return frame


def parse_time(column: pd.Series, where: str, time_format: str | None) -> pd.Series:
    """Read text as times, by ISO 8601 or another form."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return column
    try:
        return pd.to_datetime(column, format=time_format or "ISO8601")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{where}: {column.name} has times that are not of the form "
            f"{time_format or 'ISO 8601, as 2024-03-01 07:30'}: {error}\n"
            'Fix: time_format: "%d.%m.%Y %H:%M"  # in the config, as they are written'
        ) from None


def write_table(frame: pd.DataFrame, path: str | None) -> None:
    """Write a table, or show it as CSV if no file is named."""
    if path is None:
        frame.to_csv(sys.stdout, index=False)
        return
    if not Path(path).absolute().parent.is_dir():
        raise FileNotFoundError(f"there is no folder to write {path} into.")
    if path.endswith(_PARQUET):
        _check_pyarrow()
        frame.to_parquet(path, index=False)
    else:
        _check_csv(path)
        frame.to_csv(path, index=False)


def _read(path: str, ids: object) -> pd.DataFrame:
    if path.endswith(_PARQUET):
        _check_pyarrow()
        return pd.read_parquet(path)
    _check_csv(path)
    columns = list(pd.read_csv(path, nrows=0).columns)
    named = as_labels(ids, columns) or usual_names(columns, ID_NAMES)
    frame = pd.read_csv(path, dtype=dict.fromkeys(named, "str"))
    for column in named:
        if column in frame:
            frame[column] = _ids(frame[column])
    return frame


def _ids(text: pd.Series) -> pd.Series:
    """Give ids as whole numbers if they are written as such, and as text if not."""
    with_digits = text.str.fullmatch(r"0|-?[1-9][0-9]{0,17}")
    return text.astype("int64") if bool(with_digits.all()) else text


def _check_csv(path: str) -> None:
    if not path.endswith(_CSV):
        raise ValueError(
            f"{path} is of no kind that is known here: give a file that ends in "
            f"{', '.join((*_CSV, *_PARQUET))}."
        )


def _check_pyarrow() -> None:
    if find_spec("pyarrow") is None:  # what pandas reads and writes Parquet with
        raise ImportError(
            'Parquet needs pyarrow.\nFix: python -m pip install "latentode[parquet]"'
        )
