"""What is to be told of each series, in any of the forms that a caller may have it in."""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from latentode.data import FrameError, Schema
from latentode.data.columns import dense
from latentode.data.errors import as_code, count, id_code, listed, name_series, nearest, plainly
from latentode.data.ids import read_series
from latentode.data.rows import Rows, open_frame, open_later, place_of


class Labels(NamedTuple):
    """Labels of series: those of ``keys[i]`` are ``values.iloc[i]``."""

    keys: list[Hashable]
    values: pd.Series
    source: str
    """What Python calls them: "y", or a column of "df"."""
    column: Hashable | None = None
    """The column of the caller's frame that they stand in, if they do."""


def read_labels(y: object, df: object, schema: Schema) -> Labels:
    """Give the label of each series that has one.

    Parameters
    ----------
    y : Series, mapping, DataFrame, array or Hashable
        Labels by the ids of the series; or a frame with the id columns and one other column; or
        the name of a column of ``df``; or one label for each row of ``df``, as scikit-learn has
        them, the same for all rows of a series.
    df : DataFrame
        The rows of the series.
    schema : Schema
        Its columns.

    Returns
    -------
    Labels
        Each series once; missing labels are left out.

    Raises
    ------
    FrameError
        If a label cannot be found, varies within a series, or is given twice.

    Examples
    --------
    >>> from latentode.data import infer_schema
    >>> df = pd.DataFrame({"id": ["b", "a", "a"], "t": [3, 9, 4], "x": [0.3, 0.9, 0.4]})
    >>> read_labels({"a": "died", "b": "lived"}, df, infer_schema(df)).keys
    ['a', 'b']
    >>> read_labels(["lived", "died", "died"], df, infer_schema(df)).values.tolist()
    ['died', 'lived']
    """
    if isinstance(y, Mapping):
        return _present(Labels(list(y), pd.Series(list(y.values())), "y"))
    rows = open_later(df, schema, targets=False)
    if isinstance(y, pd.Series) and not _is_by_row(y, rows, schema):
        return _by_id(y)
    if isinstance(y, str) or (isinstance(y, Hashable) and not hasattr(y, "__len__")):
        return _column(y, rows, schema)
    if getattr(y, "ndim", len(getattr(y, "shape", (0,)))) > 1:
        return _frame(y, schema)
    return _by_row(y, rows, schema)


def in_order(labels: Labels, ids: Sequence[Hashable], schema: Schema) -> pd.Series:
    """Give the labels of some series, in their order; every one must have a label, and no other.

    Parameters
    ----------
    labels : Labels
        Labels, in any order.
    ids : sequence of Hashable
        The series.
    schema : Schema
        The columns of their frame, for the fix of an error.

    Returns
    -------
    Series
        One label for each series.

    Raises
    ------
    FrameError
        If a series has no label, or a label no series; the ids are named.
    """
    place = {key: i for i, key in enumerate(labels.keys)}
    missing = [key for key in ids if key not in place]
    if missing:
        raise FrameError(
            "E-LABEL-MISSING",
            f"{len(missing)} of {len(ids)} series have no label in "
            f"{labels.source}: {_named(missing)}.",
            _with_label(labels, schema),
        )
    others = set(labels.keys) - set(ids)
    if others:
        extra = [key for key in labels.keys if key in others]
        raise FrameError(
            "E-LABEL-EXTRA",
            f"{count(len(extra), 'label')} of {len(labels.keys)} in {labels.source} are of no "
            f"series in df: {_named(extra)}.",
            _with_series(labels, schema),
        )
    return labels.values.iloc[[place[key] for key in ids]].reset_index(drop=True)


def series_of(df: object, schema: Schema) -> list[Hashable]:
    """Give the ids of the series of a frame, in the order in which they first appear.

    Examples
    --------
    >>> from latentode.data import infer_schema
    >>> df = pd.DataFrame({"id": ["b", "a", "b"], "t": [3, 9, 4], "x": [0.3, 0.9, 0.4]})
    >>> series_of(df, infer_schema(df))
    ['b', 'a']
    """
    codes, ids = read_series(open_later(df, schema, targets=False), schema.id_cols)
    return [ids[code] for code in pd.unique(codes)]


def _is_by_row(y: pd.Series, rows: Rows, schema: Schema) -> bool:
    if not (len(y) == len(rows.frame) and y.index.equals(rows.frame.index)):
        return False
    codes, ids = read_series(rows, schema.id_cols)
    of_rows = [ids[code] for code in codes]
    if set(ids) == {*y.index.tolist()} and of_rows != y.index.tolist():
        raise FrameError(
            "E-LABEL-AMBIG",
            "y could be by row or by series: its index is that of df, and also holds all ids, in "
            "another order.",
            "y = y.to_dict()  # by series; or y = y.to_numpy(), by row",
        )
    return True


def _by_id(y: pd.Series) -> Labels:
    again = y.index.duplicated()
    if again.any():
        raise FrameError(
            "E-LABEL-DUP",
            f"{count(int(again.sum()), 'label')} of {len(y)} in y are of a series that has one "
            f"before: {_named(y.index[again].tolist())}.",
            "y = y[~y.index.duplicated()]  # or one label for each row, with the index of df",
        )
    return _present(Labels(y.index.tolist(), dense(y).reset_index(drop=True), "y"))


def _frame(y: object, schema: Schema) -> Labels:
    rows = open_frame(y, id_col=list(schema.id_cols) or None, time_col=None, name="y")
    columns = list(rows.frame.columns)
    others = [column for column in columns if column not in schema.id_cols]
    if len(others) != 1 or len(columns) != 1 + len(schema.id_cols):
        raise FrameError(
            "E-LABEL-COL",
            f"y must have the columns {listed([*schema.id_cols, '...'])}, of ids and of labels; "
            f"it has {listed(columns)}.",
            f"y = y[{as_code([*schema.id_cols, *others[:1]])}]",
        )
    codes, ids = read_series(rows, schema.id_cols)
    again = pd.Series(codes).duplicated().to_numpy()
    if again.any():
        twice = [ids[code] for code in codes[again]]
        raise FrameError(
            "E-LABEL-DUP",
            f"{count(int(again.sum()), 'row')} of {len(codes)} in y are of a series that has one "
            f"before: {_named(twice)}.",
            f"y = y.drop_duplicates({as_code(list(schema.id_cols))})",
        )
    keys = [ids[code] for code in codes]
    label = others[0]
    values = dense(rows.frame[label]).reset_index(drop=True)
    return _present(Labels(keys, values, "y", label))


def _column(name: Hashable, rows: Rows, schema: Schema) -> Labels:
    columns = list(rows.frame.columns)
    if name not in columns:
        near = nearest(name, columns)
        raise FrameError(
            "E-LABEL-COL",
            f"df has no column {as_code(name)} with labels; it has {listed(columns)}.",
            f"y = {'...' if near is None else as_code(near)}",
        )
    labels = _one_of_each(dense(rows.frame[name]), rows, schema, name)
    return labels._replace(source=f"column {as_code(name)}", column=name)


def _by_row(y: object, rows: Rows, schema: Schema) -> Labels:
    values = y if isinstance(y, pd.Series) else pd.Series(np.asarray(y))
    if len(values) != len(rows.frame):
        raise FrameError(
            "E-LABEL-LENGTH",
            f"y has {count(len(values), 'label')}, and df has {count(len(rows.frame), 'row')}: "
            "without ids there must be one label for each row.",
            "y = pd.Series(y, index=...)  # with the ids of the series",
        )
    return _one_of_each(dense(values), rows, schema, None)


def _one_of_each(values: pd.Series, rows: Rows, schema: Schema, column: Hashable | None) -> Labels:
    """Give the label of each series out of those of its rows, which must be the same."""
    codes, ids = read_series(rows, schema.id_cols)
    levels, _ = pd.factorize(values)
    there = np.flatnonzero(levels >= 0)
    first = np.full(len(ids), -1)
    first[codes[there[::-1]]] = there[::-1]
    other = there[levels[there] != levels[first[codes[there]]]]
    if len(other):
        raise _varies(values, (first[codes[other[0]]], other[0]), rows, schema, column)
    known = np.flatnonzero(first >= 0)
    found = values.iloc[first[known]].reset_index(drop=True)
    return Labels([ids[i] for i in known], found, "y")


def _varies(
    values: pd.Series,
    at: tuple[int, int],
    rows: Rows,
    schema: Schema,
    column: Hashable | None,
) -> FrameError:
    place = place_of(rows, schema.time_col, "time column", schema.id_cols)
    one, two = (
        f"{plainly(values.iloc[i])} in row {plainly(rows.frame.index[i])}" for i in map(int, at)
    )
    key = f" of series {name_series(place, int(at[1]))}" if schema.id_cols else ""
    ids = id_code(schema.id_cols)
    code = "y" if column is None else f"df[{as_code(column)}]"
    by = f"df.groupby({ids})[{as_code(column)}]"
    if column is None:
        by = f"pd.Series(np.asarray(y)).groupby(df[{ids}].to_numpy())"
    return FrameError(
        "E-LABEL-VARIES",
        f"a label must not change in a series, and is {one} and {two}{key}.",
        f"{code} = {by}.transform('last')  # or one label for each id",
    )


def _present(labels: Labels) -> Labels:
    """Leave out the labels that are missing."""
    there = labels.values.notna().to_numpy()
    if there.all():
        return labels
    keys = [key for key, present in zip(labels.keys, there, strict=True) if present]
    return labels._replace(keys=keys, values=labels.values[there].reset_index(drop=True))


def _named(keys: Sequence[Hashable]) -> str:
    """Name the first three series."""
    shown = ", ".join(plainly(key) for key in keys[:3])
    return shown + (f", ... ({len(keys)} in all)" if len(keys) > 3 else "")


def _ids_of_rows(schema: Schema) -> str:
    """Write the Python for the id of each row of df."""
    if len(schema.id_cols) == 1:
        return f"df[{as_code(schema.id_cols[0])}]"
    return f"pd.MultiIndex.from_frame(df[{as_code(list(schema.id_cols))}])"


def _with_label(labels: Labels, schema: Schema) -> str:
    """Write the Python that leaves out the rows of series without a label."""
    if labels.source != "y":
        return f"df = df[df[{as_code(labels.column)}].notna()]"
    ids = _ids_of_rows(schema)
    if labels.column is not None:
        key = as_code(list(schema.id_cols))
        return f"y = y.dropna(); df = df.merge(y[{key}], on={key})"
    return f"y = pd.Series(y).dropna(); df = df[{ids}.isin(y.index)]"


def _with_series(labels: Labels, schema: Schema) -> str:
    """Write the Python that leaves out the labels without a series."""
    if labels.column is not None:
        key = as_code(list(schema.id_cols))
        return f"y = y.merge(df[{key}].drop_duplicates(), on={key})"
    return f"y = pd.Series(y); y = y[y.index.isin({_ids_of_rows(schema)})]"
