"""Files of Parquet, and groups of whole series in them."""

import contextlib
import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from latentode.data.columns import Schema, columns_of
from latentode.data.errors import FrameError
from latentode.data.frame import infer_schema
from latentode.data.rows import open_frame
from latentode.data.static import levels_of
from latentode.solvers.checks import check_sizes, check_whole

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_ENDINGS = (".parquet", ".pq")
# What pandas calls an index without a name.
_INDEX = "__index_level_"


class ParquetFiles:
    """A Parquet file, or a folder of them, to be read a part at a time.

    All rows of a series stand together in one file. `write_parquet` makes such a folder of any
    table.

    Parameters
    ----------
    path : path
        A file, or a folder with files that end in ``.parquet`` or ``.pq``, also in folders of it.
    buffer_rows : int, default=500_000
        Rows that are in memory at a time, from which batches are drawn; and in any case those of
        one row group, and those of one series.
    max_val_rows : int, default=200_000
        Rows of the series that are validated on, about: where there are more, series are drawn.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or none in the folder.
    ImportError
        If pyarrow is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        buffer_rows: int = 500_000,
        max_val_rows: int = 200_000,
    ) -> None:
        check_sizes(buffer_rows=buffer_rows)
        check_whole("max_val_rows", max_val_rows, least=0)
        require_pyarrow()
        self.path = Path(path)
        self.buffer_rows = buffer_rows
        self.max_val_rows = max_val_rows
        self.files = _files(self.path)


class Group(NamedTuple):
    """Rows ``first`` up to but not including ``end`` of a file: whole series."""

    file: Path
    first: int
    end: int

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.end - self.first


def require_pyarrow() -> None:
    """Raise if pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ImportError(
            'Parquet needs pyarrow.\nFix: python -m pip install "latentode[parquet]"'
        ) from None


def parquet_files(source: object) -> ParquetFiles | None:
    """Give the files of a path, or those that were given; None of anything else."""
    if isinstance(source, ParquetFiles):
        return source
    return ParquetFiles(source) if isinstance(source, str | os.PathLike) else None


def open_file(path: Path) -> "pq.ParquetFile":
    """Open a file; raise ValueError if it is not of Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is no Parquet file, or is damaged: {error}") from None


def row_group_starts(file: "pq.ParquetFile") -> np.ndarray:
    """Give the first row of each row group of a file, and the number of all rows at the end."""
    metadata = file.metadata
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    return np.concatenate([[0], np.cumsum(sizes)]).astype("int64")


def n_rows_of(files: Sequence[Path]) -> int:
    """Count the rows of files without reading them."""
    n_rows = 0
    for path in files:
        with open_file(path) as file:
            n_rows += file.metadata.num_rows
    return n_rows


def read_groups(groups: Sequence[Group], columns: Sequence[Hashable] | None) -> pd.DataFrame:
    """Read the rows of some groups.

    Of one group, the index is the number of each row in its file.

    Raises
    ------
    FrameError
        If the files have columns that cannot be put together.
    """
    import pyarrow as pa

    tables = [_read_group(group, columns) for group in groups]
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowTypeError as error:
        raise FrameError(
            "E-FILE-TYPES",
            f"{groups[0].file.name} and others hold columns of types that do not go together: "
            f"{error}.",
            "df.astype({'column': 'float64'}).to_parquet(path)  # one type for each column",
        ) from None
    del tables
    frame = to_frame(table)
    if len(groups) == 1:
        frame.index = pd.RangeIndex(groups[0].first, groups[0].end)
    return frame


def to_frame(table: "pa.Table") -> pd.DataFrame:
    """Give a table as pandas, with what was an index among the columns if it had a name."""
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    unnamed = [column for column in frame.columns if str(column).startswith(_INDEX)]
    return frame.drop(columns=unnamed)


def learn_schema(files: Sequence[Path], n_rows: int, options: dict[str, Any]) -> Schema:
    """Tell the columns apart by the first rows of the first file; see `infer_schema`.

    Levels of static covariates are those of all files.
    """
    with open_file(files[0]) as file, naming(files[0]):
        starts = row_group_starts(file)
        n_groups = max(int(np.searchsorted(starts, n_rows)), 1)
        first = file.read_row_groups(range(min(n_groups, file.num_row_groups)))
        schema = infer_schema(to_frame(first.slice(0, n_rows)), **options)
    if options.get("static") is not None or not any(schema.static_levels):
        return schema
    distinct = pd.concat([_distinct(path, schema.static_cols) for path in files])
    rows = open_frame(distinct.assign(id=0), id_col="id", time_col=None)
    return schema._replace(static_levels=levels_of(rows, schema.static_cols))


@contextlib.contextmanager
def naming(file: Path) -> Iterator[None]:
    """Name a file in the errors about what it holds."""
    try:
        yield
    except FrameError as error:
        raise FrameError(error.code, f"{file.name}: {error.what}", error.fix) from error


def read_columns(files: Sequence[Path], schema: Schema) -> list[Hashable] | None:
    """Give the columns of a schema to read; all, if one is missing, to be named in the error."""
    wanted = list(dict.fromkeys(columns_of(schema)))
    for path in files:
        with open_file(path) as file:
            if not {*wanted} <= {*file.schema_arrow.names}:
                return None
    return wanted


def _distinct(path: Path, columns: Iterable[Hashable]) -> pd.DataFrame:
    """Give the distinct rows of some columns of a file."""
    parts = []
    with open_file(path) as file:
        names = [column for column in columns if column in file.schema_arrow.names]
        for i in range(file.num_row_groups):
            parts.append(to_frame(file.read_row_group(i, columns=names)).drop_duplicates())
    return pd.concat(parts).drop_duplicates() if parts else pd.DataFrame()


def _read_group(group: Group, columns: Sequence[Hashable] | None) -> "pa.Table":
    with open_file(group.file) as file:
        starts = row_group_starts(file)
        a = int(np.searchsorted(starts, group.first, side="right")) - 1
        b = int(np.searchsorted(starts, group.end, side="left"))
        names = None if columns is None else list(columns)
        table = file.read_row_groups(range(a, b), columns=names)
    return table.slice(group.first - int(starts[a]), group.n_rows)


def _files(path: Path) -> tuple[Path, ...]:
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}.")
    if path.is_file():
        return (path,)
    found = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in _ENDINGS)
    files = tuple(p for p in found if not p.name.startswith((".", "_")))
    if not files:
        raise FileNotFoundError(f"no file in {path} ends in {' or '.join(_ENDINGS)}.")
    return files
