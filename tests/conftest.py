"""What every test starts from: a fixed seed, and plots that open no window."""

import os

import pytest
import torch
from hypothesis import settings

os.environ["MPLBACKEND"] = "Agg"
if "PYTEST_XDIST_WORKER" in os.environ:  # two processes with two threads each get in their way
    torch.set_num_threads(1)
# No test is timed: a busy machine says nothing about the package.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)
