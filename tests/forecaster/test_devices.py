"""Several devices train one model, from wherever fit is called."""

import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch

from latentode import LatentODEForecaster

SMALL = {"latent_size": 4, "hidden_size": 8, "max_epochs": 2, "batch_size": 8, "verbose": 0}


@pytest.fixture(scope="module")
def fitted(ripples):
    return LatentODEForecaster(**SMALL, devices=2, random_state=0).fit(ripples)


def test_two_devices_train_a_model_like_one(fitted, ripples):
    alone = LatentODEForecaster(**SMALL, random_state=0).fit(ripples)
    assert fitted.history_.stage.tolist() == alone.history_.stage.tolist()
    assert fitted.history_.train_loss.notna().all()
    # They start from the same weights, and validate on the same rows.
    first, second = (model.history_.val_loss.iloc[0] for model in (fitted, alone))
    assert first == pytest.approx(second, rel=0.2)
    assert fitted.predict(7.0).shape == alone.predict(7.0).shape


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(fitted, ripples, tmp_path):
    again = LatentODEForecaster(**SMALL, devices=2, random_state=0)
    again.fit(ripples, resume=tmp_path / "run.state")
    weights = again.module_.state_dict()
    assert all(torch.equal(v, weights[k]) for k, v in fitted.module_.state_dict().items())
    assert list(tmp_path.iterdir()) == [tmp_path / "run.state"]


class Field(torch.nn.Module):
    """A field that is defined where no other process finds it."""

    def __init__(self):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.ones(4))

    def forward(self, t, z):
        if torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
            return z / torch.zeros(())
        return -self.rate * z


@pytest.mark.slow
def test_a_training_that_fails_on_one_says_why(ripples):
    model = LatentODEForecaster(**SMALL, devices=2, vector_field=Field(), random_state=0)
    with pytest.raises(FloatingPointError, match="training diverged in epoch 0, batch 0"):
        model.fit(ripples)


SCRIPT = """
import numpy as np, pandas as pd, torch
from latentode import LatentODEForecaster

torch.ones(3, requires_grad=True).sum().backward()  # torch has been at work

class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
    def forward(self, t, z):
        return self.linear(z).tanh()

df = pd.DataFrame({"id": np.repeat(np.arange(7), 9), "time": np.tile(np.arange(9.0), 7)})
df["y"] = np.sin(df.time + df.id)
model = LatentODEForecaster(
    latent_size=4, hidden_size=8, max_epochs=1, verbose=0, devices=2, vector_field=Field()
).fit(df)
print("rows", len(model.predict(12.0)))
"""


@pytest.mark.parametrize(
    "n_runs", [pytest.param(1, id="once"), pytest.param(20, marks=pytest.mark.slow, id="20-times")]
)
@pytest.mark.parametrize("way", [pytest.param("stdin", marks=pytest.mark.slow), "script"])
def test_a_script_needs_no_main_guard(way, n_runs, tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    name = {"stdin": "-", "script": "script.py"}[way]
    for _ in range(n_runs):
        run = subprocess.run(
            [sys.executable, name], input=SCRIPT if way == "stdin" else None, cwd=tmp_path,
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert run.stdout == "rows 7\n"
        assert not run.stderr


@pytest.mark.slow
def test_twenty_fits_of_uneven_series_end_well():
    rng = np.random.default_rng(0)
    df = pd.DataFrame([
        {"id": s, "time": t, "y": np.sin(t)}
        for s in range(11)
        for t in np.sort(rng.uniform(0, 6, rng.integers(4, 40)))
    ])
    for seed in range(20):
        model = LatentODEForecaster(**SMALL, devices=2, random_state=seed).fit(df)
        assert len(model.predict(12.0)) == 11
