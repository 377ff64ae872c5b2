"""Frames that other libraries take go through as they are, and the right values come out."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest

from latentode.data import infer_schema, query_at, to_panel

STAMPS = pd.DatetimeIndex([
    "2024-01-03 07:13:00",
    "2024-01-01 00:00:00",
    "2024-01-02 23:59:59",
    "2024-01-02 00:00:00",
    "2023-02-01 00:00:00",
])
SERIES = list("aaabb")
VALUES = [0.5, np.nan, 2.0, 3.5, -4.0]
ASKED = pd.Timestamp("2024-02-02 12:00")


class Layout(NamedTuple):
    """A frame of five rows of one series or two, and the columns that it must be read as."""

    frame: object
    ids: tuple
    time: str
    targets: tuple


def long(id_col, time_col, *targets):
    values = {target: np.array(VALUES) + i for i, target in enumerate(targets)}
    return pd.DataFrame({id_col: SERIES, time_col: STAMPS, **values})


def indexed(*names, id_col="id"):
    df = long(id_col, "time", "y").set_index([id_col, "time"])
    return df.rename_axis(list(names))


def polars_of(df):
    return pl.DataFrame({column: df[column].tolist() for column in df})


def alone(df):
    return df.drop(columns=df.columns[0])


SALES = long("item", "ds", "y").assign(shop="A")

LAYOUTS = {
    "nixtla": Layout(long("unique_id", "ds", "y"), ("unique_id",), "ds", ("y",)),
    "nixtla in polars": Layout(
        polars_of(long("unique_id", "ds", "y")), ("unique_id",), "ds", ("y",)
    ),
    "autogluon and gluonts, long": Layout(
        long("item_id", "timestamp", "target"), ("item_id",), "timestamp", ("target",)
    ),
    "autogluon, indexed": Layout(
        long("item_id", "timestamp", "target").set_index(["item_id", "timestamp"]),
        ("item_id",),
        "timestamp",
        ("target",),
    ),
    "chronos": Layout(long("id", "timestamp", "target"), ("id",), "timestamp", ("target",)),
    "prophet": Layout(alone(long("id", "ds", "y")), (), "ds", ("y",)),
    "sktime, named": Layout(
        indexed("instances", "timepoints"), ("instances",), "timepoints", ("y",)
    ),
    "sktime, without names": Layout(indexed(None, None), ("id",), "time", ("y",)),
    "sktime, one level without a name": Layout(
        indexed("patient", None), ("patient",), "time", ("y",)
    ),
    "sktime, hierarchical": Layout(
        SALES.set_index(["shop", "item", "ds"]).rename_axis(["h0", "h1", "timepoints"]),
        ("h0", "h1"),
        "timepoints",
        ("y",),
    ),
    "wide, with a time index": Layout(
        alone(long("id", "time", "hr", "bp")).set_index("time").rename_axis(None),
        (),
        "time",
        ("hr", "bp"),
    ),
    "a Series without a name": Layout(pd.Series(VALUES, index=STAMPS), (), "time", ("y",)),
    "a Series with names": Layout(
        pd.Series(VALUES, index=STAMPS.rename("seen at"), name="hr"), (), "seen at", ("hr",)
    ),
    "wide, in polars": Layout(
        polars_of(long("patient_id", "admitted", "hr", "bp").rename(columns={"patient_id": "id"})),
        ("id",),
        "admitted",
        ("hr", "bp"),
    ),
    "categorical ids": Layout(
        long("unique_id", "ds", "y").astype({"unique_id": "category"}),
        ("unique_id",),
        "ds",
        ("y",),
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_frame_of_another_library_is_read_and_asked_as_it_is(name):
    frame, ids, time, targets = LAYOUTS[name]
    schema = infer_schema(frame)
    assert (schema.id_cols, schema.time_col, schema.target_cols) == (ids, time, targets)

    panel = to_panel(frame, schema)
    order = np.lexsort((STAMPS, SERIES)) if ids else np.argsort(STAMPS)
    values = np.array(VALUES)[order]
    np.testing.assert_array_equal(
        panel.values, np.stack([values + i for i in range(len(targets))], axis=1)
    )
    np.testing.assert_array_equal(panel.times, STAMPS[order].as_unit(schema.time_unit).asi8)
    np.testing.assert_array_equal(panel.offsets, [0, 3, 5] if ids else [0, 5])

    query = query_at(ASKED, schema, panel.ids)
    assert query.ids == panel.ids
    assert list(query.frame.columns) == [*ids, time]
    assert (query.frame[time] == ASKED).all()
    if ids:
        assert list(query.frame[ids[-1]]) == ["a", "b"]
