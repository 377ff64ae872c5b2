"""Large frames: fitted and forecast, in memory in proportion to their rows."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# Each case in a process of its own, whose largest memory is then its own too.
PREAMBLE = """
import json, resource, time
import numpy as np
import pandas as pd
from latentode import LatentODEForecaster

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def timed(name, run):
    began = time.perf_counter()
    out = run()
    told[name] = time.perf_counter() - began
    told[name + " peak MB"] = peak_mb()
    return out

def frame(n_rows, n_series, seed=0):
    rng = np.random.default_rng(seed)
    ids, t = rng.integers(0, n_series, n_rows), rng.permutation(n_rows) / n_rows * 100
    return pd.DataFrame({"id": ids, "time": t, "y": np.sin(t / 5 + ids)})

told = {}
rng = np.random.default_rng(0)
"""

MANY_ROWS = """
df = frame(1_000_000, 20_000)
told["before peak MB"] = peak_mb()
model = LatentODEForecaster(max_epochs=1, refit=False, verbose=0, random_state=0)
timed("fit", lambda: model.fit(df))
out = timed("predict", lambda: model.predict(101.0))
assert len(out) == 20_000 and np.isfinite(out.y).all()
row = pd.DataFrame({"id": [7], "time": [100.5], "y": [0.0]})
timed("update", lambda: model.update(row))
timed("predict one", lambda: model.predict(row))
timed("save", lambda: model.save("m.lode"))
again = timed("load", lambda: LatentODEForecaster.load("m.lode"))
assert again.predict(row).equals(model.predict(row))
"""

MANY_SERIES = """
model = LatentODEForecaster(max_epochs=1, refit=False, verbose=0, random_state=0)
model.fit(frame(4_000, 400))
context = frame(500_000, 100_000, seed=1)
told["before peak MB"] = peak_mb()
for n in (25_000, 50_000, 100_000):
    part = context[context.id < n]
    out = timed(f"predict {n}", lambda: model.predict(101.0, context=part))
    assert np.isfinite(out.y).all()
"""

LONG_SERIES = """
df = frame(50_000, 1).drop(columns="id")
told["before peak MB"] = peak_mb()
model = LatentODEForecaster(max_epochs=1, verbose=0, random_state=0)
timed("fit", lambda: model.fit(df))
out = timed("predict", lambda: model.predict(np.linspace(100, 110, 1000)))
assert len(out) == 1000 and np.isfinite(out.y).all()
"""


def run(case, tmp_path):
    code = PREAMBLE + case + "\nprint(json.dumps(told))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for name, value in told.items():
        sys.stdout.write(f"{name:24s} {value:10.2f}\n")
    return told


def test_a_million_shuffled_rows_of_20_000_series(tmp_path):
    told = run(MANY_ROWS, tmp_path)
    assert told["load peak MB"] < 4000
    assert told["update"] < 1


def test_100_000_series_are_forecast_in_memory_in_proportion_to_what_is_asked(tmp_path):
    told = run(MANY_SERIES, tmp_path)
    first, last = (told[f"predict {n} peak MB"] for n in (25_000, 100_000))
    assert last - first < 75_000 * 0.01  # less than 10 kB for each series more


def test_a_series_of_50_000_rows(tmp_path):
    told = run(LONG_SERIES, tmp_path)
    assert told["predict peak MB"] < 4000
