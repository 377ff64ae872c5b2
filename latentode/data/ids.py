"""The ids of a frame: which series each row belongs to."""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import pandas as pd

from latentode.data.columns import dense
from latentode.data.errors import FrameError, Place, mend, name_rows, python_scalar, refuse_rows
from latentode.data.rows import Rows, place_of

ONE_SERIES = 0  # the key of the only series of a frame without an id column


def canonical(ids: Iterable[Hashable]) -> tuple[Hashable, ...]:
    """Put ids in an order that depends on them alone: by type and text if none compares them.

    >>> canonical(["b", 10, "a", 9])
    (10, 9, 'a', 'b')
    """
    ids = tuple(ids)
    if set(map(type, ids)) in ({int}, {str}):  # the same as below, several times faster
        return tuple(sorted(ids))  # type: ignore[type-var]
    # Sorted by text first, so that ids with a partial order, such as frozensets, end up the same.
    by_text = sorted(ids, key=lambda key: (type(key).__name__, str(key)))
    try:
        return tuple(sorted(by_text))  # type: ignore[type-var]
    except TypeError:
        return tuple(by_text)


def read_ids(column: pd.Series, place: Place) -> tuple[np.ndarray, tuple[Hashable, ...]]:
    """Give the position of each row's id, int64 (N,), among the distinct ids in canonical order.

    >>> column = pd.Series(["b", "a", "b"])
    >>> read_ids(column, Place("id column 'id'", column.index, (), "df", "id", ""))
    (array([1, 0, 1]), ('a', 'b'))
    """
    column = dense(column)
    try:
        codes, distinct = pd.factorize(column)
    except TypeError:
        raise FrameError(
            "E-ID-TYPE",
            f"{place.title} holds {type(column.iloc[0]).__name__} values, which cannot be "
            f"compared or hashed: {name_rows(place, np.arange(len(column)) == 0)}.",
            mend(place, "{0}.map(str)"),
        ) from None
    refuse_rows(place, codes < 0, "E-ID-NA", "missing value", "{0}.notna()")
    return _put_in_order(codes, [python_scalar(key) for key in distinct.tolist()])


def read_series(
    rows: Rows, id_cols: Sequence[Hashable]
) -> tuple[np.ndarray, tuple[Hashable, ...]]:
    """Give the position of each row's series, int64 (N,), and the ids; tuples of several columns.

    >>> from latentode.data.rows import open_frame
    >>> df = pd.DataFrame({"shop": ["b", "a", "b"], "item": [1, 1, 1]})
    >>> read_series(open_frame(df, id_col=None, time_col=None), ["shop", "item"])
    (array([1, 0, 1]), (('a', 1), ('b', 1)))
    """
    if not id_cols:
        return np.zeros(len(rows.frame), dtype="int64"), (ONE_SERIES,)
    codes, ids = _read_column(rows, id_cols[0])
    if len(id_cols) == 1:
        return codes, ids
    keys: list[tuple[Hashable, ...]] = [(key,) for key in ids]
    for column in id_cols[1:]:
        more, others = _read_column(rows, column)
        codes, pairs = pd.factorize(codes * len(others) + more)
        parts = (divmod(pair, len(others)) for pair in pairs.tolist())
        keys = [(*keys[i], others[j]) for i, j in parts]
    return _put_in_order(codes, keys)


def _read_column(rows: Rows, column: Hashable) -> tuple[np.ndarray, tuple[Hashable, ...]]:
    return read_ids(rows.frame[column], place_of(rows, column, "id column"))


def _put_in_order(
    codes: np.ndarray, seen: Sequence[Hashable]
) -> tuple[np.ndarray, tuple[Hashable, ...]]:
    """Number distinct ids, which are those of the codes (N,), in canonical order instead."""
    ids = canonical(seen)
    position = {key: i for i, key in enumerate(ids)}
    return np.array([position[key] for key in seen], dtype="int64")[codes], ids
