"""Training of flows: how many steps points share."""

from itertools import pairwise

import pytest
import torch

from latentode.models.density import _enough_steps, _mean_loss
from latentode.nn import ContinuousFlow, FlowField


@pytest.fixture
def flow():
    torch.manual_seed(0)
    return ContinuousFlow(2, FlowField(2, 8), rtol=1e-4, atol=1e-4).double()


@pytest.fixture
def x():
    return torch.randn(40, 2).double()


def test_a_smooth_field_keeps_its_steps(flow, x):
    assert _enough_steps(flow, x, 4) == 4


def test_a_rough_field_gets_as_many_as_tell_its_density(flow, x):
    for p in flow.parameters():
        torch.nn.init.normal_(p, std=0.9)
    counts = [1]
    for _ in range(6):
        counts.append(_enough_steps(flow, x, counts[-1]))
    assert all(n <= more <= 2 * n for n, more in pairwise(counts))
    assert 1 < counts[-1] < 64
    assert _mean_loss(flow, x, counts[-1]) == pytest.approx(_mean_loss(flow, x), abs=0.05)


class Cubic(torch.nn.Module):
    """Points fall to zero backward in time, and leave for infinity over long steps."""

    def forward(self, t, z):
        return z**3


def test_a_loss_over_steps_that_is_not_finite_doubles_them():
    flow = ContinuousFlow(1, Cubic(), rtol=1e-3, atol=1e-3)
    assert _enough_steps(flow, torch.full((2, 1), 1e3).double(), 4) == 8
