"""What may be read and what is asked is divided as a protocol says."""

import numpy as np
import pandas as pd
import pytest
from forecast_tasks import KEYS, Cut, part_of, select


@pytest.fixture
def frame():
    times = np.arange(10.0)
    parts = [pd.DataFrame({"series": key, "time": times, "x": times + key}) for key in (7, 3)]
    return pd.concat(parts, ignore_index=True)


def test_rows_before_the_horizon_are_read_and_the_others_asked(frame):
    part = part_of(frame, Cut(horizon_from=4.0))
    assert part.context["time"].max() < 4.0 <= part.asked["time"].min()
    together = pd.concat([part.context, part.asked]).sort_values(["series", "time"])
    expected = frame.sort_values(["series", "time"])
    np.testing.assert_array_equal(together, expected)
    assert part.hidden.all()


def test_as_many_rows_are_read_as_the_protocol_says(frame):
    part = part_of(frame, Cut(horizon_from=6.0, n_observed=4))
    assert (part.context.groupby("series").size() == 4).all()
    assert part.context["time"].max() < 6.0
    assert (part.asked.groupby("series").size() == 4).all()


def test_as_many_rows_are_asked_as_the_protocol_says(frame):
    part = part_of(frame, Cut(horizon_from=4.0, n_asked=3))
    assert part.asked["time"].tolist() == [4.0, 5.0, 6.0] * 2


def test_for_interpolation_all_rows_are_asked_and_those_that_were_read_are_not_hidden(frame):
    part = part_of(frame, Cut(horizon_from=None, n_observed=4))
    pd.testing.assert_frame_equal(part.asked, frame)
    read = part.context.set_index(KEYS).index
    assert part.asked.set_index(KEYS).index.isin(read).tolist() == (~part.hidden).tolist()
    assert part.hidden.sum() == 12


def test_rows_read_at_random_are_the_same_for_the_same_seed_only(frame):
    cut = Cut(horizon_from=None, n_observed=4)
    one, again, other = (part_of(frame, cut, seed=seed).context for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one, again)
    assert not one.equals(other)


def test_series_are_selected_whole(frame):
    assert select(frame, [3])["series"].tolist() == [3] * 10
