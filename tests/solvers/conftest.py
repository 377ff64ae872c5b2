"""What tests of what a solve may be told start from."""

import pytest
import torch
from torch import nn

from tests.solvers.swings import DOUBLE


@pytest.fixture
def swings():
    """Starts and per-sample times of five swings."""
    random = torch.Generator().manual_seed(0)
    y0 = torch.randn(5, 2, generator=random, **DOUBLE)
    ts = torch.rand(5, 4, generator=random, **DOUBLE).cumsum(1) - 1
    return y0.requires_grad_(), ts.requires_grad_()


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).double()
