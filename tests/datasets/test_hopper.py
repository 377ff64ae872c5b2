"""The hopper is simulated where MuJoCo is there, and says what is missing where it is not."""

import sys

import numpy as np
import pandas as pd
import pytest

from latentode.datasets import make_hopper
from latentode.datasets.hopper import JOINTS


@pytest.fixture
def simulated():
    pytest.importorskip("mujoco", reason="needs the extra hopper")
    return make_hopper(20, n_times=150)


def test_without_mujoco_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ImportError, match=r'Fix: python -m pip install "latentode\[hopper\]"'):
        make_hopper(1)


@pytest.mark.parametrize("wrong", [{"n_series": 0}, {"n_times": 2.5}, {"random_state": -1}])
def test_numbers_out_of_range_are_refused_before_anything_is_simulated(wrong, monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        make_hopper(**wrong)


def test_a_fall_depends_on_the_seed_and_not_on_how_many_there_are(simulated):
    again = make_hopper(3, n_times=150)
    pd.testing.assert_frame_equal(again, simulated[simulated.id < 3])
    other = make_hopper(3, n_times=150, random_state=1)
    assert not other.equals(again)


def test_falls_begin_within_the_bounds_of_their_draws(simulated):
    first = simulated[simulated.time == 0]
    positions, speeds = first[[*JOINTS]], first[[f"{joint}_velocity" for joint in JOINTS]]
    assert positions.iloc[:, :2].to_numpy().min() >= 0
    assert positions.iloc[:, :2].to_numpy().max() <= 0.5
    assert 1 < positions.iloc[:, 2:].abs().to_numpy().max() <= 2
    assert 4 < speeds.abs().to_numpy().max() <= 5


def test_velocities_are_the_slopes_of_positions_between_two_steps(simulated):
    one = simulated[simulated.id == 0]
    step = one.time.diff().iloc[1]
    slope, speed = one.waist.diff()[1:] / step, one.waist_velocity
    # What changes a velocity comes in between, and the ground changes it at once.
    between = np.minimum(*[(slope - v).abs() for v in (speed[1:], speed.shift()[1:])])
    assert between.median() < 0.01 * speed.abs().mean()
