"""Forecasts from Parquet files to Parquet files, with a part of them in memory at a time."""

import os
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from latentode.data import (
    FrameError,
    LatentODEWarning,
    Panel,
    ParquetFiles,
    Schema,
    new_folder,
    parquet_files,
)
from latentode.data.errors import as_code, count, listed, warn
from latentode.data.layout import Layout, find_groups, keys_of
from latentode.data.parquet import Group, naming, read_columns, read_groups
from latentode.data.rows import open_frame, open_later

# Groups that a buffer is made of, where there are as many.
_GROUPS = 4


class Asked(Protocol):
    """What is asked of the series that are in memory."""

    def of(self, keys: np.ndarray) -> Sequence[object]:
        """Give the times or rows of some series, as a list of them; empty if there are none."""
        ...


class Streaming(ABC):
    """A forecaster that can forecast more than there is room for in memory.

    Attributes
    ----------
    schema_ : Schema
        The columns in use, and the type of the times.
    """

    schema_: Schema
    predict: Callable[..., pd.DataFrame]
    predict_quantiles: Callable[..., pd.DataFrame]

    @abstractmethod
    def _panel(self, df: object, static: object = None) -> Panel:
        """Read a frame with the columns of fit."""

    def predict_parquet(
        self,
        context: str | os.PathLike[str] | ParquetFiles,
        out: str | os.PathLike[str],
        at: object = None,
        *,
        horizon: object = None,
        step: object = None,
        cutoff: object = None,
        static: object = None,
        return_std: bool = False,
        quantiles: Sequence[float] | None = None,
    ) -> Path:
        """Forecast from Parquet files to Parquet files, a part of the series at a time.

        The numbers are those of `predict` with all rows of the files as its context, and memory
        is that of a buffer of them. See ``docs/large-data.md``.

        Parameters
        ----------
        context : path or ParquetFiles
            What was observed: a file, or a folder of files, in each of which series stand
            together, as `write_parquet` writes them.
        out : path
            A new folder for the forecasts, which appear in it once all are there.
        at : time, sequence of times, DataFrame, Path or ParquetFiles, optional
            As in `predict`; or the rows to tell as files, with series that stand together. Text
            is a time, and not a path.
        horizon, step : Timedelta, str or number, optional
            As in `predict`.
        cutoff : time, optional
            As in `predict`.
        static : DataFrame, optional
            As in `predict`.
        return_std : bool, default=False
            As in `predict`.
        quantiles : sequence of float, optional
            Give these quantiles instead, as `predict_quantiles` does.

        Returns
        -------
        Path
            The folder, with a file for each buffer: ``part-00000.parquet`` and so on. Series
            come in the order of the files, and rows asked in their own within each file.

        Raises
        ------
        FrameError
            As in `predict`; of a row, the file is named.
        FileExistsError
            If there is something in ``out``.
        NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> import tempfile
        >>> from latentode import LatentODEForecaster, load_pbcseq, write_parquet
        >>> model = LatentODEForecaster(id_col="patient", time_col="day", max_epochs=2, verbose=0)
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = write_parquet(load_pbcseq(), f"{name}/pbc", id_col="patient")
        ...     told = model.fit(folder).predict_parquet(folder, f"{name}/told", 5000)
        ...     len(pd.read_parquet(told))
        312
        """
        check_is_fitted(self)
        files = parquet_files(context)
        if files is None:
            raise TypeError(
                f"context must be a path or ParquetFiles, not {type(context).__name__}: of a "
                "frame, model.predict(..., context=df) tells."
            )
        layout = _layout(files, self.schema_)
        asked = _asked(at, layout, self.schema_)
        options = {"horizon": horizon, "step": step, "cutoff": cutoff, "static": static}
        tell = partial(self.predict, **options, return_std=return_std)
        if quantiles is not None:
            tell = partial(self.predict_quantiles, quantiles=quantiles, **options)
        columns = read_columns(files.files, self.schema_)
        check = partial(self._panel, static=static)
        folder = new_folder(out)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", LatentODEWarning)
                for numbers, rows in _parts(layout, files.buffer_rows, asked):
                    groups = [layout.groups[i] for i in numbers]
                    table = _told(tell, rows, groups, columns, check)
                    table.to_parquet(Path(name, f"{numbers[0]:09d}"), index=False)
            _warn_of(caught)
            for i, path in enumerate(sorted(Path(name).iterdir())):
                path.rename(folder / f"part-{i:05d}.parquet")
        return folder


class _Anything:
    """The same of every series: times, or None for a horizon."""

    def __init__(self, at: object) -> None:
        self._at = at

    def of(self, keys: np.ndarray) -> Sequence[object]:
        return [self._at]


class _RowsAsked:
    """The rows of a frame."""

    def __init__(self, at: object, layout: Layout, schema: Schema) -> None:
        self._rows = open_later(at, schema, targets=False, name="times").frame
        self._keys = keys_of(self._rows[list(schema.id_cols)])
        _refuse_unseen(self._rows[layout.lacks(self._keys)], schema)

    def of(self, keys: np.ndarray) -> Sequence[object]:
        rows = self._rows[np.isin(self._keys, keys)]
        return [rows] if len(rows) else []


class _FilesAsked:
    """The rows of files, in which series stand together."""

    def __init__(self, files: ParquetFiles, layout: Layout, schema: Schema) -> None:
        self._layout = _layout(files, schema)
        self._schema = schema
        unseen = layout.lacks(self._layout.keys)
        if unseen.any():
            group = self._layout.groups[self._layout.group[unseen][0]]
            rows = read_groups([group], schema.id_cols)
            with naming(group.file):
                _refuse_unseen(rows[layout.lacks(keys_of(rows))], schema)

    def of(self, keys: np.ndarray) -> Sequence[object]:
        groups = [self._layout.groups[i] for i in self._layout.groups_with(keys)]
        schema, parts = self._schema, []
        for group in groups:
            rows = read_groups([group], None)
            parts.append(rows[np.isin(keys_of(rows[list(schema.id_cols)]), keys)])
        return [pd.concat(parts, ignore_index=True)] if parts else []


def _asked(at: object, layout: Layout, schema: Schema) -> Asked:
    files = None if isinstance(at, str) else parquet_files(at)
    if files is not None:
        return _FilesAsked(files, layout, schema)
    return _RowsAsked(at, layout, schema) if hasattr(at, "columns") else _Anything(at)


def _layout(files: ParquetFiles, schema: Schema) -> Layout:
    return find_groups(files.files, schema, least_rows=max(files.buffer_rows // _GROUPS, 1))


def _parts(layout: Layout, buffer_rows: int, asked: Asked) -> Iterator[tuple[list[int], object]]:
    """Go through buffers of groups, by their numbers, with what is asked of them."""
    for numbers in _buffers(layout, buffer_rows):
        for rows in asked.of(layout.keys_in(numbers)):
            yield numbers, rows


def _buffers(layout: Layout, buffer_rows: int) -> Iterator[list[int]]:
    """Put groups together that follow each other, up to a number of rows."""
    some: list[int] = []
    n_rows = 0
    for number, group in enumerate(layout.groups):
        if some and n_rows + group.n_rows > buffer_rows:
            yield some
            some, n_rows = [], 0
        some.append(number)
        n_rows += group.n_rows
    yield some


def _told(
    tell: Callable[..., pd.DataFrame],
    rows: object,
    groups: Sequence[Group],
    columns: list[Any] | None,
    check: Callable[[pd.DataFrame], Panel],
) -> pd.DataFrame:
    """Tell what is asked of the series of some groups; an error names the file."""
    frame = read_groups(groups, columns)
    try:
        return open_frame(tell(rows, context=frame), id_col=None, time_col=None).frame
    except FrameError:
        for group in groups:
            with naming(group.file):
                check(read_groups([group], columns))
        raise


def _warn_of(caught: Sequence[warnings.WarningMessage]) -> None:
    """Give the first warning about forecasts, whatever the number of parts that it is true of."""
    ours = [w for w in caught if issubclass(w.category, LatentODEWarning)]
    for other in caught:
        if other not in ours:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    if ours:
        more = f" The same is true of {count(len(ours) - 1, 'other part')} of the files."
        warn(f"{ours[0].message}{more if len(ours) > 1 else ''}")


def _refuse_unseen(rows: pd.DataFrame, schema: Schema) -> None:
    """Refuse rows of series that are in no file."""
    if not len(rows):
        return
    ids = rows[list(schema.id_cols)].drop_duplicates()
    keys = ids.iloc[:, 0] if len(schema.id_cols) == 1 else ids.itertuples(index=False, name=None)
    raise FrameError(
        "E-ID-UNSEEN",
        f"{count(len(rows), 'row')} asked, the first in row {rows.index[0]}, are of series that "
        f"are in no file of the context: {listed(keys, 3)}.",
        f"times = times[times[{as_code(schema.id_cols[0])}].isin(...)]  # or give their rows",
    )
