"""A script that forecasts says what it prints, and nothing else."""

import copy
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from latentode import LatentODEForecaster

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.py"


def test_the_quickstart_is_quiet_with_warnings_as_errors(tmp_path):
    code = f"import runpy; runpy.run_path({str(QUICKSTART)!r})['main'](quick=True)"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.stderr == ""
    assert run.returncode == 0
    assert 1 <= len(run.stdout.splitlines()) <= 15
    assert [path.name for path in tmp_path.iterdir()] == ["quickstart.png"]


def do_everything(df, path):
    """Give what every method that tells something says of a frame."""
    early, late = df[df.time <= 3], df[df.time > 3]
    known = early[early.id < 8]
    model = LatentODEForecaster(
        max_epochs=1, latent_size=2, hidden_size=4, verbose=0, random_state=0
    ).fit(known)
    tables = [
        model.predict(5.0, return_std=True),
        model.predict_quantiles(horizon=1.0, step=0.5),
        model.sample(5.0, 3, random_state=1),
        model.latent(5.0),
        model.smooth(early),
        model.evaluate(late),
        model.backtest(df, horizon=1.5, n_cutoffs=2),
        model.calibrate(df[df.id >= 8]).predict_interval(5.0),
        model.update(late[late.id < 4]).predict(7.0),
        model.partial_fit(late[late.id >= 8], epochs=1).predict(7.0),
    ]
    model.save(path)
    return [*tables, LatentODEForecaster.load(path).predict(7.0)]


def state_of_the_process():
    return {
        "numpy": str(np.random.get_state()),  # noqa: NPY002  it is the global one that counts
        "python": random.getstate(),
        "torch": torch.get_rng_state().tolist(),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warnings": copy.copy(warnings.filters),
        "environment": dict(os.environ),
        "pandas": pd.get_option("display.max_rows"),
    }


def test_every_method_gives_the_same_bits_again_and_leaves_the_process_as_it_was(
    ripples, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    given = ripples.copy(deep=True)
    before = state_of_the_process()
    first = do_everything(ripples, "model.lode")
    assert state_of_the_process() == before
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002  no answer may depend on it
    for one, other in zip(first, do_everything(ripples, "model.lode"), strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=0, atol=0)
    pd.testing.assert_frame_equal(ripples, given)
    assert [path.name for path in tmp_path.iterdir()] == ["model.lode"]
