"""The line after "Fix:" mends what it speaks of, for every error of docs/the-frame.md."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from latentode import from_arrays, from_events
from latentode.data import (
    FrameError,
    Schema,
    event_schema,
    infer_schema,
    known_of_query,
    query_at,
    query_horizon,
    to_event_log,
    to_panel,
)
from latentode.supervised.label_values import classes_of
from latentode.supervised.labels import in_order, read_labels

PAGE = Path(__file__).parents[2] / "docs" / "the-frame.md"
STAMPS = pd.date_range("2024-01-01", periods=5, freq="7h", unit="us")
HOURS = Schema(("id",), "time", ("y",), "number", None, None, ())
SECONDS = Schema(("id",), "time", ("y",), "datetime", "s", None, ())
LOG = {"id": "id", "time": "time", "variable": "lab", "value": "y"}


def visits(**columns):
    return pd.DataFrame({"id": list("aaabb"), "time": STAMPS, "y": np.arange(5.0)}).assign(
        **columns
    )


def read(*, df, **names):
    return to_panel(df, infer_schema(df, **names)).times


def read_later(schema):
    return lambda *, df: to_panel(df, schema).times


def merge(*, df):
    return to_panel(df, infer_schema(df), on_duplicates="merge").times


def ask(schema):
    return lambda *, times: query_at(times, schema, ["a", "b"]).times


def ask_horizon(*, horizon, step):
    return query_horizon(horizon, step, {"a": 0}, SECONDS).times


def make_log(*, df, **roles):
    return from_events(df, **LOG | roles)


def make_frame(*, values, mask=None, names=None):
    return from_arrays([[1.0, 2.0]], values, mask=mask, names=names)


def read_static(*, df, static=None, **names):
    fitted = infer_schema(visits(sex=list("fffmm")), target_cols="y", static_cols="sex")
    schema = fitted if not names else infer_schema(df, target_cols="y", **names)
    return to_panel(df, schema, static=static).static


def read_covariates(*, df, **names):
    return to_panel(df, infer_schema(df, target_cols="y", **names)).times


def read_wards(*, df):
    named = [column for column in df.columns if column.startswith("ward")]
    return read_covariates(df=df, known_cols=named)


def ask_known(*, times):
    df = visits(rate=np.nan)
    panel = to_panel(df, infer_schema(df, target_cols="y", known_cols="rate"))
    return known_of_query(times, query_at(times, panel.schema, panel.ids), panel).known.values


def read_events(*, df, start=None, end=None, **names):
    return to_event_log(df, event_schema(df, **names), start=start, end=end).times


def read_known_kinds(*, df):
    return to_event_log(df, event_schema(df, kind_col="y"), (0.0, 1.0, 2.0, 3.0)).times


def read_kinds(*, df, y):
    schema = infer_schema(df, target_cols="y")
    labels = in_order(read_labels(y, df, schema), sorted(set(df["id"])), schema)
    return classes_of(labels, sorted(set(df["id"]))).codes


class Case(NamedTuple):
    """What is done with variables of the caller, which the fix changes."""

    do: Callable
    given: dict


CASES = {
    "E-COLS-DUP": Case(read, {"df": visits(z=1).set_axis(["id", "time", "y", "y"], axis=1)}),
    "E-COLS-DUP, of a log": Case(make_log, {"df": visits(lab=["time", "x", "x", "x", "x"])}),
    "E-COLS-MULTI": Case(
        read,
        {"df": visits().set_axis(pd.MultiIndex.from_product([visits().columns, [""]]), axis=1)},
    ),
    "E-ROLE-DUP": Case(read, {"df": visits(), "target_cols": ["y", "y", "id"]}),
    "E-ROLE-DUP, of ids": Case(read, {"df": visits(), "id_col": ["id", "id"]}),
    "E-ID-COL": Case(read, {"df": visits(), "id_col": "idd"}),
    "E-ID-COL, of several": Case(
        read, {"df": visits(ward=1), "id_col": ["id", "wart"], "target_cols": "y"}
    ),
    "E-ID-COL, later": Case(
        read_later(SECONDS._replace(time_unit="us")), {"df": visits().rename(columns={"id": "ID"})}
    ),
    "E-ID-AMBIG": Case(read, {"df": visits(item_id=1), "target_cols": "y"}),
    "E-ID-MISSING": Case(
        read,
        {"df": visits(time=STAMPS[[0, 1, 2, 0, 1]]).rename(columns={"id": "shop"})},
    ),
    "E-ID-NA": Case(read, {"df": visits(id=["a", None, "b", "b", "b"])}),
    "E-ID-TYPE": Case(read, {"df": visits(id=[[1], [1], [1], [2], [2]])}),
    "E-ID-UNSEEN": Case(
        lambda *, times: query_at(times, HOURS, [1, 2]).times,
        {"times": pd.DataFrame({"id": ["1", "2"], "time": [1.0, 2.0]})},
    ),
    "E-TIME-COL": Case(read, {"df": visits(), "time_col": "tme"}),
    "E-TIME-AMBIG": Case(read, {"df": visits(ds=range(5)), "target_cols": "y"}),
    "E-TIME-NAT": Case(read, {"df": visits(time=STAMPS.where(np.arange(5) != 2))}),
    "E-TIME-DTYPE": Case(read, {"df": visits(time=STAMPS.strftime("%Y-%m-%d %H:%M"))}),
    "E-TIME-TZMIX": Case(
        read,
        {"df": visits(time=pd.Series([*STAMPS[:4], STAMPS[4].tz_localize("UTC")], dtype=object))},
    ),
    "E-TIME-ZONE": Case(
        ask(SECONDS), {"times": pd.DatetimeIndex(["2024-03-01"], tz="Europe/Paris")}
    ),
    "E-TIME-KIND": Case(read_later(HOURS), {"df": visits()}),
    "E-TIME-UNIT": Case(ask(SECONDS), {"times": pd.Timestamp("2024-03-01 07:30:00.5")}),
    "E-TIME-RANGE": Case(read, {"df": visits(time=np.arange(5, dtype="uint64") + 2**63)}),
    "E-TIME-DUP": Case(read, {"df": visits(time=STAMPS[[0, 0, 1, 2, 2]])}),
    "E-DUP-MERGE": Case(merge, {"df": visits(time=STAMPS[[0, 0, 1, 2, 2]])}),
    "E-TARGET-COL": Case(read, {"df": visits(hr=1.0), "target_cols": ["HR"]}),
    "E-TARGET-AMBIG": Case(read, {"df": visits(value=1.0)}),
    "E-TARGET-NONE": Case(read, {"df": visits(y=list("12345")).rename(columns={"y": "hr"})}),
    "E-TARGET-DTYPE": Case(read, {"df": visits(y=list("1x345"))}),
    "E-TARGET-EMPTY": Case(read, {"df": visits(hr=np.nan, bp=1.0).drop(columns="y")}),
    "E-VALUE-INF": Case(read, {"df": visits(y=[1, np.inf, 2, -np.inf, 3])}),
    "E-VARIABLE-COL": Case(make_log, {"df": visits(lab="x"), "variable": "labs"}),
    "E-ARRAY, names": Case(make_frame, {"values": [[5, 6]], "names": ["time"]}),
    "E-PAST-COL": Case(read_covariates, {"df": visits(pulse=1.0), "past_cols": ["puls"]}),
    "E-KNOWN-COL": Case(read_covariates, {"df": visits(rate=1.0), "known_cols": ["rat"]}),
    "E-KNOWN-DTYPE": Case(read_wards, {"df": visits(ward=list("abaab"))}),
    "E-KNOWN-EMPTY": Case(ask_known, {"times": visits().drop(columns="y")}),
    "E-STATIC-COL": Case(
        read_covariates, {"df": visits(sex=list("fffmm")), "static_cols": ["sx"]}
    ),
    "E-STATIC-VARIES": Case(
        read_static, {"df": visits(sex=list("ffmmm")), "static_cols": ["sex"]}
    ),
    "E-STATIC-LEVEL": Case(read_static, {"df": visits(sex=list("fffxx"))}),
    "E-STATIC-MISSING": Case(
        read_static, {"df": visits(), "static": pd.DataFrame({"id": ["a"], "sex": ["f"]})}
    ),
    "E-STATIC-DUP": Case(
        read_static,
        {"df": visits(), "static": pd.DataFrame({"id": list("abb"), "sex": list("fmm")})},
    ),
    "E-NOISE-COL": Case(read_covariates, {"df": visits(y_err=0.1), "noise_cols": {"y": "y_er"}}),
    "E-NOISE-COL, of another": Case(
        read_covariates, {"df": visits(y_err=0.1), "noise_cols": {"z": "y_err"}}
    ),
    "E-NOISE-VALUE": Case(
        read_covariates,
        {"df": visits(y_err=[0.1, -0.1, 0.2, np.nan, 0]), "noise_cols": {"y": "y_err"}},
    ),
    "E-KIND-COL": Case(read_events, {"df": visits(what="x"), "kind_col": "wat"}),
    "E-KIND-UNSEEN": Case(read_known_kinds, {"df": visits()}),
    "E-ROLE-DUP, of kinds": Case(read_events, {"df": visits(), "kind_col": "id"}),
    "E-TIME-DUP, of events": Case(read_events, {"df": visits(time=STAMPS[[0, 0, 1, 2, 2]])}),
    "E-WINDOW": Case(read_events, {"df": visits(), "end": STAMPS[3]}),
    "E-WINDOW, of each": Case(
        read_events, {"df": visits(), "end": pd.Series({"a": STAMPS[1], "b": STAMPS[4]})}
    ),
    "E-WINDOW, in a frame": Case(
        read_events,
        {"df": visits(), "end": pd.DataFrame({"id": ["a", "b"], "time": STAMPS[[1, 4]]})},
    ),
    "E-WINDOW, twice": Case(
        read_events,
        {"df": visits(), "end": pd.DataFrame({"id": list("aab"), "time": STAMPS[[4, 4, 4]]})},
    ),
    "E-WINDOW, missing": Case(read_events, {"df": visits(), "end": pd.Series({"a": STAMPS[4]})}),
    "E-WINDOW, backward": Case(
        read_events, {"df": visits(), "start": STAMPS[4] + pd.Timedelta("1D")}
    ),
    "E-WINDOW, without events": Case(
        read_events,
        {"df": visits(), "end": pd.Series(dict.fromkeys("abc", STAMPS[4]))},
    ),
    "E-LABEL-COL": Case(read_kinds, {"df": visits(kind=list("mmmff")), "y": "kin"}),
    "E-LABEL-COL, of a frame": Case(
        read_kinds,
        {
            "df": visits(),
            "y": pd.DataFrame({"id": list("ab"), "kind": list("mf"), "age": [40, 60]}),
        },
    ),
    "E-LABEL-MISSING": Case(
        read_kinds, {"df": visits(id=list("abbcc")), "y": {"a": 1, "b": None, "c": 2}}
    ),
    "E-LABEL-MISSING, of a column": Case(
        read_kinds, {"df": visits(id=list("abbcc"), kind=[1, None, None, 2, 2]), "y": "kind"}
    ),
    "E-LABEL-EXTRA": Case(read_kinds, {"df": visits(), "y": {"a": 1, "b": 2, "c": 1}}),
    "E-LABEL-EXTRA, of a frame": Case(
        read_kinds, {"df": visits(), "y": pd.DataFrame({"id": list("abc"), "kind": [1, 2, 3]})}
    ),
    "E-LABEL-DUP": Case(
        read_kinds, {"df": visits(), "y": pd.Series([1, 2, 2], index=list("abb"))}
    ),
    "E-LABEL-DUP, of a frame": Case(
        read_kinds, {"df": visits(), "y": pd.DataFrame({"id": list("abb"), "kind": [1, 2, 2]})}
    ),
    "E-LABEL-VARIES": Case(read_kinds, {"df": visits(kind=list("mfffm")), "y": "kind"}),
    "E-LABEL-VARIES, by row": Case(read_kinds, {"df": visits(), "y": list("mfffm")}),
    "E-LABEL-AMBIG": Case(
        read_kinds,
        {"df": visits(id=[1, 0, 2, 4, 3]), "y": pd.Series(list("mffmf"))},
    ),
    "E-LABEL-TYPE": Case(read_kinds, {"df": visits(), "y": {"a": 1, "b": "x"}}),
    "E-HORIZON": Case(ask_horizon, {"horizon": 7, "step": None}),
    "E-HORIZON, step": Case(ask_horizon, {"horizon": "1D", "step": "2D"}),
}
# Nothing that could be pasted brings back rows or times that are not there.
TOLD = {
    *("E-EMPTY", "E-TIME-FLAT", "E-NOTHING-TO-TELL", "E-CUTOFF"),
    *("E-LABEL-ONE", "E-LABEL-LENGTH"),
}
# Of files, and so tried where there are some.
TOLD |= {"E-CONTEXT", "E-SERIES-SPLIT", "E-FILE-TYPES"}


def code_of(name):
    return name.partition(",")[0]


def paste(error, given):
    """Run the fix of an error as a reader would, and give the variables that it leaves."""
    fix = str(error).split("\nFix: ")[1].rsplit("  [", 1)[0]
    named = {}
    scope = {**given, "pd": pd, "np": np}
    for name in (
        "LatentODEForecaster",
        "EventForecaster",
        "from_events",
    ):  # a call of these names arguments
        scope[name] = lambda *_, **arguments: named.update(arguments)
    exec(fix, scope)
    return {name: scope[name] for name in given} | named


@pytest.mark.filterwarnings("ignore::latentode.LatentODEWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_fix_of_an_error_can_be_pasted_and_mends_it(name):
    do, given = CASES[name]
    with pytest.raises(FrameError) as caught:
        do(**given)
    assert caught.value.code == code_of(name)
    assert len(do(**paste(caught.value, given))) > 0


def test_every_error_of_the_page_has_a_fix_that_is_tried():
    text = PAGE.read_text(encoding="utf-8")
    codes = set(re.findall(r"^\| `(E-[A-Z-]+)`", text, re.MULTILINE))
    assert codes == {code_of(name) for name in CASES} | TOLD
