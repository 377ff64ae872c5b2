"""What every test starts from: a fixed seed, and plots that open no window."""

import os

import pytest
import torch
from hypothesis import settings

os.environ["MPLBACKEND"] = "Agg"
if "PYTEST_XDIST_WORKER" in os.environ:  # two processes with two threads each get in their way
    torch.set_num_threads(1)
# No test is timed: a busy machine says nothing about the package. `.ci/run --all` is thorough.
settings.register_profile("default", max_examples=25, deadline=None)
settings.register_profile("thorough", deadline=None)
settings.load_profile("default")


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.default_generator.manual_seed(0)  # that of the processor: to seed all takes milliseconds
