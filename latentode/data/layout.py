"""Where the series stand in Parquet files, found by their ids alone."""

import itertools
import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from latentode.data.columns import Schema
from latentode.data.errors import FrameError, id_code, plainly
from latentode.data.ids import ONE_SERIES, read_series
from latentode.data.parquet import Group, open_file, read_groups, row_group_starts, to_frame
from latentode.data.rows import open_later

if TYPE_CHECKING:
    import pyarrow as pa


class Layout(NamedTuple):
    """Groups of whole series, and which series each has: 12 bytes of memory for a series."""

    groups: tuple[Group, ...]
    keys: np.ndarray
    """uint64 of shape (K,): a number made of the id of each series, sorted."""
    group: np.ndarray
    """int32 of shape (K,): the group that it stands in."""

    def groups_with(self, keys: np.ndarray) -> np.ndarray:
        """Give the numbers of the groups in which any of some series stand."""
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found: np.ndarray = np.unique(self.group[at[self.keys[at] == keys]])
        return found

    def keys_in(self, numbers: Sequence[int]) -> np.ndarray:
        """Give the keys of the series of some groups."""
        return self.keys[np.isin(self.group, numbers)]

    def lacks(self, keys: np.ndarray) -> np.ndarray:
        """Tell which series (K,) stand nowhere here."""
        return ~np.isin(keys, self.keys)


def find_groups(files: Sequence[Path], schema: Schema, *, least_rows: int) -> Layout:
    """Cut files into groups of whole series, at the bounds of row groups or just after them.

    Parameters
    ----------
    files : sequence of Path
        The files.
    schema : Schema
        With the columns of the series.
    least_rows : int
        Rows of a group at least, where the file has as many: small row groups are read together.

    Returns
    -------
    Layout
        The groups.

    Raises
    ------
    FrameError
        If the rows of a series stand in two groups.
    """
    groups: list[Group] = []
    keys, numbers = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)]
    for path in files:
        starts, own, bounds = _runs(path, schema.id_cols)
        cuts = _cuts(starts, bounds, least_rows)
        number = np.searchsorted(cuts, starts, side="right") - 1 + len(groups)
        groups += [Group(path, int(a), int(b)) for a, b in itertools.pairwise(cuts)]
        keys.append(own)
        numbers.append(number.astype(np.int32))
    if not groups:
        raise FrameError("E-EMPTY", f"{files[0].parent} has no rows.", "give at least one row")
    layout = _sorted(tuple(groups), np.concatenate(keys), np.concatenate(numbers))
    _refuse_split(layout, schema)
    return layout


def keys_of(ids: pd.DataFrame) -> np.ndarray:
    """Give a number for the ids of each row, uint64 (N,), by which series are found."""
    if not len(ids.columns):
        return np.zeros(len(ids), np.uint64)
    return pd.util.hash_pandas_object(ids, index=False).to_numpy(np.uint64)


def _sorted(groups: tuple[Group, ...], keys: np.ndarray, numbers: np.ndarray) -> Layout:
    order = np.lexsort((numbers, keys))
    keys, numbers = keys[order], numbers[order]
    # A series may stand in several places of one group, where its rows are put together.
    new = np.append(True, (keys[1:] != keys[:-1]) | (numbers[1:] != numbers[:-1]))[: len(keys)]
    return Layout(groups, keys[new], numbers[new])


class _Runs(NamedTuple):
    starts: np.ndarray
    keys: np.ndarray
    bounds: np.ndarray


def _runs(path: Path, id_cols: Sequence[Hashable]) -> _Runs:
    """Give the first row of each run of one id, its key, and the bounds of the row groups."""
    starts, keys = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
    with open_file(path) as file:
        bounds = row_group_starts(file)
        _refuse_missing(path, id_cols, file.schema_arrow.names)
        before = None
        for i in range(file.num_row_groups if id_cols else 0):
            table = file.read_row_group(i, columns=list(id_cols))
            new = np.flatnonzero(_differ(table, before))
            starts.append(bounds[i] + new)
            keys.append(keys_of(to_frame(table.take(new))))
            before = table.slice(max(table.num_rows - 1, 0)) if table.num_rows else before
    if not id_cols and bounds[-1]:
        return _Runs(np.zeros(1, np.int64), np.zeros(1, np.uint64), bounds)
    return _Runs(np.concatenate(starts), np.concatenate(keys), bounds)


def _differ(table: "pa.Table", before: "pa.Table | None") -> np.ndarray:
    """Tell which rows have another id than the row before them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if table.num_rows == 0:
        return np.zeros(0, bool)
    rows = table if before is None else pa.concat_tables([before, table])
    differs = np.zeros(len(rows) - 1, bool)
    for column in rows.columns:
        values: Any = column.combine_chunks()
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        other = pc.not_equal(values.slice(1), values.slice(0, len(values) - 1))
        differs |= other.fill_null(True).to_numpy(zero_copy_only=False)  # noqa: FBT003
    return np.append(True, differs) if before is None else differs


def _cuts(starts: np.ndarray, bounds: np.ndarray, least_rows: int) -> np.ndarray:
    """Give the first row of each group of a file, and the number of its rows at the end."""
    if not len(starts):
        return np.zeros(1, np.int64)
    at = np.searchsorted(starts, bounds[:-1])
    cuts = [0]
    for cut in np.unique(starts[at[at < len(starts)]]).tolist():
        if cut - cuts[-1] >= least_rows:
            cuts.append(cut)
    return np.array([*cuts, int(bounds[-1])])


def _refuse_missing(path: Path, id_cols: Sequence[Hashable], names: Sequence[str]) -> None:
    missing = [column for column in id_cols if column not in names]
    if missing:
        raise FrameError(
            "E-ID-COL",
            f"{path.name} has no column {missing[0]!r}, an id column of the other files.",
            f"pathlib.Path({str(path)!r}).unlink()  # or write it again with that column",
        )


def _refuse_split(layout: Layout, schema: Schema) -> None:
    """Refuse a series that stands in two groups; two ids may have one key."""
    again = np.flatnonzero(layout.keys[1:] == layout.keys[:-1])
    for i in again.tolist():
        one, two = (layout.groups[layout.group[j]] for j in (i, i + 1))
        both = sorted({*_ids(one, schema)} & {*_ids(two, schema)}, key=str)
        if both:
            where = f"in {one.file.name} and in {two.file.name}"
            if one.file == two.file:
                where = f"in several places of {one.file.name}"
            raise FrameError(
                "E-SERIES-SPLIT",
                f"series {plainly(both[0])} has rows {where}: those of a series must stand "
                f"together in one file; {len(again)} series are split.",
                f"latentode.write_parquet({str(_source(layout))!r}, 'sorted', "
                f"id_col={id_code(schema.id_cols)})  # then read 'sorted'",
            )


def _ids(group: Group, schema: Schema) -> tuple[Hashable, ...]:
    if not schema.id_cols:
        return (ONE_SERIES,)
    frame = read_groups([group], schema.id_cols)
    with_time = frame.assign(**{str(schema.time_col): 0})
    return read_series(open_later(with_time, schema, targets=False), schema.id_cols)[1]


def _source(layout: Layout) -> Path:
    """Give the file, or the folder of all files."""
    files = list(dict.fromkeys(group.file for group in layout.groups))
    return files[0] if len(files) == 1 else Path(os.path.commonpath(files))
