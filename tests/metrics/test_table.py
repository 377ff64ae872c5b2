"""Tables of metrics: which means are taken, and over what."""

import numpy as np
import pandas as pd
import pytest

from latentode.metrics import Forecasts, lead_groups, measure

nan = np.nan


def point(mean):
    mean = np.array(mean, dtype=float)
    return Forecasts(mean, np.zeros(0), np.zeros((*mean.shape, 0)), np.full_like(mean, nan))


TRUTH = np.array([[1.0, 4.0], [3.0, nan], [nan, nan], [5.0, nan]])
TOLD = point(np.zeros((4, 2)))


def test_the_mean_over_variables_is_of_their_means():
    table = measure(TRUTH, TOLD, ["mse", "mae", "rmse"])
    assert table.mse.tolist() == [((1 + 9 + 25) / 3 + 16) / 2]
    assert table.mae.tolist() == [(3 + 4) / 2]
    assert table.rmse.tolist() == [np.sqrt(table.mse[0])]


def test_a_variable_has_its_own_row():
    table = measure(TRUTH, TOLD, ["mae", "rmse"], variables=["a", "b"])
    assert table.loc["a"].tolist() == [3.0, np.sqrt(35 / 3)]
    assert table.loc["b"].tolist() == [4.0, 4.0]


def test_rows_without_a_value_change_nothing():
    more = np.vstack([TRUTH, np.full((3, 2), nan)])
    pd.testing.assert_frame_equal(
        measure(more, point(np.ones((7, 2))), ["mse"]),
        measure(TRUTH, point(np.ones((4, 2))), ["mse"]),
    )


def test_groups_have_rows_of_their_own_and_empty_ones_are_missing():
    groups = pd.Categorical(["x", "x", "z", "y"], categories=["x", "y", "z"])
    table = measure(TRUTH, TOLD, ["mae"], groups=groups)
    assert table.mae.tolist()[:2] == [3.0, 5.0]
    assert np.isnan(table.mae["z"])
    both = measure(TRUTH, TOLD, ["mae"], groups=groups, variables=["a", "b"])
    assert both.mae["x", "a"] == 2.0
    assert both.mae["y", "a"] == 5.0
    assert np.isnan(both.mae["y", "b"])


class TestLeadTimes:
    def test_a_third_of_them_is_in_each_part(self):
        lead = np.random.default_rng(0).uniform(0.1, 9, 300)
        assert np.bincount(lead_groups(lead).codes).tolist() == pytest.approx([100] * 3, abs=1)

    def test_an_edge_belongs_to_the_part_that_it_ends(self):
        groups = lead_groups(np.array([1.0, 1.5, 7.0, 8.0]), [1.0, 7.0])
        assert groups.codes.tolist() == [0, 1, 1, 2]
        assert [str(part) for part in groups.categories] == [
            "(0.0, 1.0]",
            "(1.0, 7.0]",
            "(7.0, 8.0]",
        ]

    def test_equal_ones_are_not_split(self):
        assert lead_groups(np.ones(9)).codes.tolist() == [0] * 9

    @pytest.mark.parametrize("edges", [[3.0, 1.0], [0.0, 1.0], [2.0, 2.0]])
    def test_edges_rise(self, edges):
        with pytest.raises(ValueError, match="must be positive and rise"):
            lead_groups(np.ones(2), edges)

    def test_they_are_positive(self):
        with pytest.raises(ValueError, match=r"lead=-1.0 is not positive"):
            lead_groups(np.array([1.0, -1.0]))
