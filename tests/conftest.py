"""What every test starts from: a fixed seed, and plots that open no window."""

import os

import pytest
import torch

os.environ["MPLBACKEND"] = "Agg"
if "PYTEST_XDIST_WORKER" in os.environ:  # two processes with two threads each get in their way
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)
