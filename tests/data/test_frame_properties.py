"""What must not matter to a frame, on generated frames of every dtype the contract allows."""

import copy

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latentode.data import infer_schema, to_panel

IDS = {
    "text": ["b", "a", "c"],
    "integers": [3, -1, 10],
    "mixed": [1, "1", "b"],
    "tuples": [("a", 1), ("a", 2), ("b", 1)],
    "none": [0],
}
TIMES = ["int64", "float64", "M8[s]", "M8[ms]", "M8[us]", "M8[ns]", "m8[s]", "m8[ns]", "zone"]
FINER = {"s": "ms", "ms": "us", "us": "ns", "ns": "ns"}
SETTINGS = settings(suppress_health_check=[HealthCheck.too_slow])


@st.composite
def frames(draw):
    """Draw shuffled rows of up to three series, with NaN and a duplicated index."""
    ids = IDS[draw(st.sampled_from(sorted(IDS)))]
    pairs = st.tuples(st.integers(0, len(ids) - 1), st.integers(-10_000, 10_000))
    rows = draw(st.lists(pairs, min_size=1, max_size=12, unique=True))
    kind = draw(st.sampled_from(TIMES))
    ticks = np.array([tick for _, tick in rows])
    stamps = pd.Series(ticks.astype("M8[us]" if kind == "zone" else kind))
    if kind == "zone":
        stamps = stamps.dt.tz_localize("UTC").dt.tz_convert("America/St_Johns")
    columns = {"t": stamps}
    if len(ids) > 1:
        columns["id"] = pd.Series([ids[s] for s, _ in rows])
    number = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
    for name, dtype in (("x", "float64"), ("z", "Float64")):
        cells = [1.0, *draw(st.lists(number, min_size=len(rows) - 1, max_size=len(rows) - 1))]
        columns[name] = pd.Series(cells, dtype=dtype)
    labels = draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    return pd.DataFrame(columns).set_axis(labels)


def read(df):
    return to_panel(df, infer_schema(df, target_cols=["x", "z"]))


def assert_same_numbers(one, other):
    assert one.offsets.tobytes() == other.offsets.tobytes()
    assert one.times.tobytes() == other.times.tobytes()
    assert one.values.tobytes() == other.values.tobytes()


@SETTINGS
@given(frames(), st.data())
def test_the_order_of_rows_changes_no_bit(df, data):
    order = data.draw(st.permutations(range(len(df))))
    one, other = read(df), read(df.iloc[order])
    assert (one.ids, one.schema) == (other.ids, other.schema)
    assert_same_numbers(one, other)


@SETTINGS
@given(frames())
def test_the_names_of_series_change_no_bit(df):
    if "id" not in df:
        return
    panel = read(df)
    position = {key: f"series {i}" for i, key in enumerate(panel.ids)}
    renamed = df.assign(id=[position[key] for key in df["id"]])
    assert_same_numbers(panel, read(renamed))


@SETTINGS
@given(frames())
def test_the_labels_of_rows_change_no_bit(df):
    assert_same_numbers(read(df), read(df.reset_index(drop=True)))
    assert_same_numbers(read(df), read(df.set_axis([f"row {i}" for i in range(len(df))])))


@SETTINGS
@given(frames())
def test_a_finer_unit_changes_the_times_by_its_factor_and_nothing_else(df):
    panel = read(df)
    unit = panel.schema.time_unit
    if unit is None:
        return
    fine = read(df.assign(t=df["t"].dt.as_unit(FINER[unit])))
    factor = 1 if unit == "ns" else 1000
    np.testing.assert_array_equal(fine.times, panel.times * factor)
    assert fine.ids == panel.ids
    assert fine.values.tobytes() == panel.values.tobytes()
    # In the schema of the coarser frame they are the very same.
    finer = df.assign(t=df["t"].dt.as_unit(FINER[unit]))
    assert_same_numbers(to_panel(finer, panel.schema), panel)


@SETTINGS
@given(frames(), st.sampled_from(["raise", "mean", "last", "merge"]))
def test_the_frame_of_the_caller_stays_as_it_was(df, on_duplicates):
    before, cells = df.copy(deep=True), copy.deepcopy(df.to_dict(orient="list"))
    panel = to_panel(df, infer_schema(df, target_cols=["x", "z"]), on_duplicates=on_duplicates)
    panel.values[:], panel.times[:] = 7.0, 7
    pd.testing.assert_frame_equal(df, before)
    assert str(df.to_dict(orient="list")) == str(cells)
    assert [type(label) for label in df.columns] == [type(label) for label in before.columns]
