"""Logs of events: read from any frame, within windows of any form, or refused."""

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import (
    FrameError,
    event_schema,
    follow,
    hold_out_events,
    scale_log,
    some_series,
    to_event_log,
)

STAMPS = pd.to_datetime(["2024-01-01", "2024-01-03", "2024-01-02", "2024-02-01"])


def calls(**columns):
    df = pd.DataFrame({"id": list("baba"), "time": [3.0, 9.0, 5.0, 4.0]})
    return df.assign(what=["x", "y", "x", "x"]).assign(**columns)


def read(df, **options):
    return to_event_log(df, event_schema(df), **options)


def same(one, other):
    return all(
        np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
        for a, b in zip(one, other, strict=True)
    )


def test_events_are_sorted_and_windows_are_theirs_by_default():
    log = read(calls())
    assert log.ids == ("a", "b")
    assert log.times.tolist() == [4.0, 9.0, 3.0, 5.0]
    assert log.start.tolist() == log.begin.tolist() == [4.0, 3.0] and log.end.tolist() == [9.0, 5]
    assert log.told.tolist() == [False, True, False, True] and log.exposure.tolist() == [5.0, 2.0]


def test_the_order_of_rows_does_not_matter():
    df = calls()
    schema = event_schema(df, kind_col="what")
    assert same(to_event_log(df, schema), to_event_log(df[::-1], schema))


@pytest.mark.parametrize(
    "end",
    [
        pd.Series({"b": 10.0, "a": 12.0}),
        pd.DataFrame({"id": ["b", "a"], "time": [10.0, 12.0]}),
        pd.DataFrame({"time": [10, 12]}, index=pd.Index(["b", "a"], name="id")),
    ],
)
def test_windows_are_a_series_or_a_frame(end):
    log = read(calls(), start=1, end=end)
    assert log.end.tolist() == [12.0, 10.0] and log.start.tolist() == [1.0, 1.0]


def test_events_up_to_the_start_are_known_and_not_told():
    log = read(calls(), start=4.0, end=9)
    assert log.told.tolist() == [False, True, False, True]
    assert log.begin.tolist() == [4.0, 3.0]


def test_a_series_in_which_nothing_happened_has_a_window():
    log = read(calls(), start=0, end=pd.Series({"a": 10.0, "b": 10.0, "c": 4.0}))
    assert log.ids == ("a", "b", "c") and log.offsets.tolist() == [0, 2, 4, 4]
    assert log.exposure.tolist() == [10.0, 10.0, 4.0]


def test_datetimes_with_zones_and_text_are_read_exactly():
    df = calls(time=STAMPS.tz_localize("Europe/Paris"))
    log = read(
        df,
        start=pd.Timestamp("2024-01-01", tz="Europe/Paris"),
        end=STAMPS.max().tz_localize("Europe/Paris"),
    )
    assert (
        log.exposure.tolist()
        == [31 * 86400 * {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[log.schema.time_unit]] * 2
    )
    plain = read(calls(time=STAMPS), start="2024-01-01", end="2024-02-01")
    assert np.array_equal(plain.exposure, log.exposure)


def test_polars_gives_the_same():
    polars = pytest.importorskip("polars")
    df = calls()
    table = polars.DataFrame(df.to_dict("list"))
    assert same(read(df)[:7], read(table)[:7])


def test_several_id_columns_are_one_id():
    df = calls(shop=1)
    schema = event_schema(df, id_col=["shop", "id"])
    end = pd.Series([10.0, 11.0], pd.MultiIndex.from_tuples([(1, "b"), (1, "a")]))
    assert to_event_log(df, schema, end=end).end.tolist() == [11.0, 10.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"end": 8}, r"1 events lie after the end .*row 1 \(series a\).* ends at 8"),
        ({"end": pd.Series({"a": 9.0})}, "end has no time of 1 of 2 series, first of series b"),
        ({"end": pd.Series({"a": 9, "b": 9, "c": 9})}, "1 series have no event, first of them c"),
        ({"start": 10, "end": 9}, "2 windows end before they start, .* a: from 10 to 9"),
        ({"end": pd.Series([9, 9, 9], ["a", "b", "b"])}, "end has several times of one series"),
        ({"end": "later"}, "end holds text"),
    ],
)
def test_windows_that_do_not_fit_are_refused(options, message):
    with pytest.raises(FrameError, match=message):
        read(calls(), **options)


def test_a_list_of_windows_is_refused():
    with pytest.raises(TypeError, match="end must be a time, a Series with the ids in its index"):
        read(calls(), end=[9, 10])


def test_two_events_at_one_time_are_refused():
    with pytest.raises(FrameError, match=r"has 1 event at the time of another .*row 2 \(series b"):
        read(calls(time=[3.0, 9.0, 3.0, 4.0]))


def test_a_kind_that_fit_has_not_seen_is_refused():
    df = calls()
    schema = event_schema(df, kind_col="what")
    levels = to_event_log(df, schema).levels
    assert levels == ("x", "y")
    with pytest.raises(FrameError, match="has 1 event of a kind that fit has not seen, z: row 0"):
        to_event_log(calls(what=["z", "x", "x", "y"]), schema, levels)


class TestParts:
    def test_later_rows_follow_what_is_known(self):
        df = calls()
        schema = event_schema(df)
        known = to_event_log(df, schema, start=0, end=10)
        new = pd.DataFrame({"id": ["a", "a", "c", "c"], "time": [4.0, 11.0, 1.0, 2.0]})
        log = follow(known, to_event_log(new, schema))
        assert log.times.tolist() == [4.0, 9.0, 11.0, 1.0, 2.0]
        assert log.begin.tolist() == [0, 1] and log.start.tolist() == [10, 1]
        assert log.told.tolist() == [False, False, True, False, True]

    def test_what_ends_no_later_is_told_anew(self):
        df = calls()
        log = read(df, start=0, end=10)
        assert same(follow(log, log), log)

    def test_of_many_series_some_are_held_out_of_few_the_last_part(self):
        many = pd.DataFrame({"id": np.arange(60) // 2, "time": np.arange(60.0)})
        learned, validated = hold_out_events(read(many), 0.1, np.random.default_rng(0))
        assert len(validated.ids) == 3 and not {*learned.ids} & {*validated.ids}
        few = read(calls(), start=0, end=10)
        learned, validated = hold_out_events(few, 0.2, np.random.default_rng(0))
        assert learned.end.tolist() == validated.start.tolist() == [8, 8]
        assert learned.told.sum() + validated.told.sum() == few.told.sum()
        assert hold_out_events(few, 0.0, np.random.default_rng(0)).validated is None

    def test_a_batch_has_the_times_since_each_beginning(self):
        log = read(calls(), start=pd.Series({"a": 1.0, "b": 4.0}), end=10)
        batch = scale_log(log, 2.0).events(torch.tensor([1, 0]))
        assert batch.t.tolist() == [[0.0, 1.0], [1.5, 4.0]]
        assert batch.start.tolist() == [0.5, 0.0] and batch.end.tolist() == [3.5, 4.5]
        one = scale_log(some_series(log, np.array([1])), 2.0).events(torch.tensor([0]))
        assert all(torch.equal(a[0], b[0]) for a, b in zip(one, batch, strict=True))

    def test_times_far_from_zero_lose_nothing(self):
        late = calls(time=np.array([3, 9, 5, 4]) + 2**60)
        (a, b), (c, d) = (scale_log(read(df), 1.0)[1:3] for df in (calls(), late))
        assert torch.equal(a, c) and torch.equal(b, d)
