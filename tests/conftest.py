"""What every test starts from: a fixed seed, and plots that open no window."""

import os

import pytest
import torch

os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)
