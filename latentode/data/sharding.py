"""Any large table, written as a folder of Parquet files in which series stand together."""

import os
import tempfile
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from latentode.data.columns import ID_NAMES, as_labels, usual_names
from latentode.data.errors import FrameError, as_code, listed
from latentode.data.layout import keys_of
from latentode.data.parquet import ParquetFiles, open_file, require_pyarrow, to_frame
from latentode.data.rows import open_frame
from latentode.solvers.checks import check_sizes

if TYPE_CHECKING:
    import pyarrow as pa

# Rows that are shared out among the files at a time.
_CHUNK = 500_000


def write_parquet(
    source: object,
    folder: str | os.PathLike[str],
    *,
    id_col: Hashable | Sequence[Hashable] | None = None,
    n_files: int = 32,
    row_group_rows: int = 65_536,
) -> Path:
    """Write a table of any size as Parquet files in which the rows of a series stand together.

    Rows go to one of the files by their id, and within it series stand one after another, their
    rows in the order in which they came. One file at a time is in memory: with 32 files, a table
    of 20 million rows needs room for about 600,000.

    Parameters
    ----------
    source : DataFrame, iterable of DataFrame, or path
        The rows, in any order; or a CSV file, a Parquet file, or a folder of these. Columns of a
        CSV have the types of its first lines, and its ids and times are read as these look.
    folder : path
        Where to; it must not be there yet, or be empty.
    id_col : Hashable or list, optional
        Column of the series, or columns that tell them apart together; by default the usual name.
    n_files : int, default=32
        How many files.
    row_group_rows : int, default=65_536
        Rows of a row group: what is read at a time.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FrameError
        If there is no such column, or no row.
    FileExistsError
        If there is something in the folder.
    ImportError
        If pyarrow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from latentode import load_pbcseq
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = write_parquet(load_pbcseq(), f"{name}/pbc", id_col="patient", n_files=2)
    ...     sorted(path.name for path in folder.iterdir())
    ['part-00000.parquet', 'part-00001.parquet']
    """
    check_sizes(n_files=n_files, row_group_rows=row_group_rows)
    require_pyarrow()
    target = new_folder(folder)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as name:
        ids: tuple[Hashable, ...] = ()
        parts: list[Path] = []
        for frame in _in_chunks(_frames(source)):
            ids = ids or _id_columns(frame, id_col)
            parts.append(_share_out(frame, ids, Path(name, f"{len(parts)}.parquet"), n_files))
        if not parts:
            raise FrameError("E-EMPTY", "there are no rows to write.", "give at least one row")
        _put_together(parts, target, ids, n_files, row_group_rows)
    return target


def new_folder(folder: str | os.PathLike[str]) -> Path:
    """Make a folder; raise FileExistsError if something is in it."""
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(
            f"{path} is there already: give the name of a new folder.\n"
            f"Fix: shutil.rmtree({str(path)!r})  # if nothing in it is needed"
        )
    path.mkdir(parents=True, exist_ok=True)
    return path.absolute()


def _frames(source: object) -> Iterator[pd.DataFrame]:
    if isinstance(source, str | os.PathLike):
        for path in _paths(Path(source)):
            yield from _frames_of_csv(path) if _is_csv(path) else _frames_of_parquet(path)
        return
    is_many = isinstance(source, Iterable) and not hasattr(source, "columns")
    for frame in source if is_many else [source]:  # type: ignore[attr-defined]
        yield open_frame(frame, id_col=None, time_col=None).frame


def _paths(path: Path) -> Sequence[Path]:
    if path.is_dir() and any(map(_is_csv, path.iterdir())):
        return sorted(filter(_is_csv, path.iterdir()))
    return ParquetFiles(path).files


def _is_csv(path: Path) -> bool:
    return ".csv" in path.suffixes[-2:]


def _frames_of_csv(path: Path) -> Iterator[pd.DataFrame]:
    import pyarrow.csv

    with pyarrow.csv.open_csv(path) as reader:
        for batch in reader:
            yield to_frame(pyarrow.Table.from_batches([batch]))


def _frames_of_parquet(path: Path) -> Iterator[pd.DataFrame]:
    import pyarrow as pa

    with open_file(path) as file:
        for batch in file.iter_batches(batch_size=_CHUNK):
            yield to_frame(pa.Table.from_batches([batch]))


def _in_chunks(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Put small frames together."""
    some: list[pd.DataFrame] = []
    for frame in frames:
        some.append(frame)
        if sum(map(len, some)) >= _CHUNK:
            yield pd.concat(some, ignore_index=True) if len(some) > 1 else some[0]
            some = []
    if some:
        yield pd.concat(some, ignore_index=True)


def _id_columns(frame: pd.DataFrame, given: object) -> tuple[Hashable, ...]:
    columns = list(frame.columns)
    named = as_labels(given, columns) or tuple(usual_names(columns, ID_NAMES))
    if not named or (given is None and len(named) > 1):
        what = (
            f"it is not clear which column tells series apart, of {listed(columns)}: pass id_col."
        )
        raise FrameError("E-ID-COL", what, f"write_parquet(..., id_col={as_code(columns[0])})")
    missing = [column for column in named if column not in columns]
    if missing:
        what = f"id_col: there is no column {as_code(missing[0])}; there are {listed(columns)}."
        raise FrameError("E-ID-COL", what, f"write_parquet(..., id_col={as_code(columns[0])})")
    return named


def _share_out(frame: pd.DataFrame, ids: Sequence[Hashable], path: Path, n_files: int) -> Path:
    """Write the rows of each file to be as a row group of its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = (keys_of(frame[list(ids)]) % np.uint64(n_files)).astype(np.int64)
    order = np.argsort(number, kind="stable")
    table = pa.Table.from_pandas(frame, preserve_index=False).take(order)
    ends = np.cumsum(np.bincount(number, minlength=n_files)).tolist()
    with pq.ParquetWriter(path, table.schema) as writer:
        for first, end in zip([0, *ends[:-1]], ends, strict=True):
            writer.write_table(table.slice(first, end - first), row_group_size=max(len(table), 1))
    return path


def _put_together(
    parts: Sequence[Path], folder: Path, ids: Sequence[Hashable], n_files: int, rows: int
) -> None:
    """Write each file, with its series one after another."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas = []
    for path in parts:
        with open_file(path) as file:
            schemas.append(file.schema_arrow.remove_metadata())
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    for number in range(n_files):
        table = _bucket(parts, number).cast(schema)
        if len(table):
            by_series = table.take(np.argsort(_numbers(table, ids), kind="stable"))
            pq.write_table(by_series, folder / f"part-{number:05d}.parquet", row_group_size=rows)


def _bucket(parts: Sequence[Path], number: int) -> "pa.Table":
    import pyarrow as pa

    tables = []
    for path in parts:
        with open_file(path) as file:
            tables.append(file.read_row_group(number).replace_schema_metadata(None))
    return pa.concat_tables(tables, promote_options="permissive")


def _numbers(table: "pa.Table", ids: Sequence[Hashable]) -> np.ndarray:
    """Number the series of the rows (N,), in the order of their first ones."""
    frame = to_frame(table.select(list(ids)))
    numbers: np.ndarray = frame.groupby(list(ids), sort=False, dropna=False).ngroup().to_numpy()
    return numbers
