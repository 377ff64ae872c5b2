"""Fit and forecast from Parquet files, beside the same in memory: rows a second, and memory.

``python examples/benchmarks/parquet_stream.py --rows 20_000_000 --no-memory`` is the large set.
Each figure is of a process of its own; on a busy machine, compare seconds of the processor.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

_LENGTH = 100  # rows of a series, in the mean
_FILE_ROWS = 500_000
_MODEL = {
    "latent_size": 4,
    "hidden_size": 16,
    "batch_size": 256,
    "max_epochs": 1,
    "refit": False,
    "rtol": 1e-2,
    "atol": 1e-2,
    "random_state": 0,
    "verbose": 0,
}


def write_waves(folder: Path, n_rows: int) -> None:
    """Write sine waves of any phase and frequency, with noise, at irregular times."""
    rng = np.random.default_rng(0)
    n_series = max(n_rows // _LENGTH, 2)
    per_file = max(_FILE_ROWS // _LENGTH, 1)
    for number, first in enumerate(range(0, n_series, per_file)):
        ids = np.arange(first, min(first + per_file, n_series))
        sizes = rng.integers(_LENGTH // 2, 3 * _LENGTH // 2, len(ids))
        rows = np.repeat(np.arange(len(ids)), sizes)
        times = rng.exponential(1.0, len(rows)).cumsum()
        phase, pace = rng.uniform(0, 6, len(ids))[rows], rng.uniform(0.05, 0.2, len(ids))[rows]
        noise = rng.normal(0, 0.1, (2, len(rows)))
        frame = pd.DataFrame({
            "id": ids[rows],
            "time": times,
            "a": np.sin(pace * times + phase) + noise[0],
            "b": np.where(rng.random(len(rows)) < 0.5, np.cos(pace * times) + noise[1], np.nan),
        })
        frame.to_parquet(folder / f"part-{number:05d}.parquet", row_group_size=65_536)


def phase(name: str, folder: Path, buffer_rows: int) -> dict[str, float]:
    """Run one part in this process, and give its seconds, steps and memory in megabytes."""
    from latentode import LatentODEForecaster, ParquetFiles

    before = _memory()
    files = ParquetFiles(folder / "data", buffer_rows=buffer_rows)
    cpu, began = _cpu(), time.perf_counter()
    if name.startswith("fit"):
        data = files if name == "fit files" else pd.read_parquet(folder / "data")
        model = LatentODEForecaster(**_MODEL).fit(data)
        seconds = time.perf_counter() - began
        model.save(folder / "model.lode")
    elif name == "predict files":
        model = LatentODEForecaster.load(folder / "model.lode")
        out = Path(tempfile.mkdtemp(dir=folder))
        model.predict_parquet(files, out, horizon=10.0, step=1.0)
        seconds = time.perf_counter() - began
    else:
        model = LatentODEForecaster.load(folder / "model.lode")
        context = pd.read_parquet(folder / "data")
        model.predict(horizon=10.0, step=1.0, context=context).to_parquet(folder / "told.parquet")
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "cpu": _cpu() - cpu, "imports": before, "peak": _memory()}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(name: str, folder: Path, buffer_rows: int) -> dict[str, float]:
    """Run one part in a process of its own."""
    command = [sys.executable, __file__, "--phase", name, "--folder", str(folder)]
    command += ["--buffer-rows", str(buffer_rows)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{name} failed:\n{run.stderr}")
    result: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return result


def main(
    n_rows: int = 200_000, *, buffer_rows: int = 500_000, in_memory: bool = True, rounds: int = 1
) -> pd.DataFrame:
    """Measure all parts, one after another and again, and give a table of the best of each."""
    parts = ["fit files", "predict files"]
    if in_memory:
        parts = ["fit files", "fit memory", "predict files", "predict memory"]
    results: dict[str, list[dict[str, float]]] = {part: [] for part in parts}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        write_waves(folder / "data", n_rows)
        for part in parts * rounds:
            results[part].append(measured(part, folder, buffer_rows))
            print(part, results[part][-1], file=sys.stderr, flush=True)
    best = {part: min(some, key=lambda r: r["seconds"]) for part, some in results.items()}
    table = pd.DataFrame(best).T
    table["rows/s"] = n_rows / table["seconds"]
    table["rows/s of cpu"] = n_rows / table["cpu"]
    return table.round(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--buffer-rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--phase")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.phase:
        print(json.dumps(phase(asked.phase, asked.folder, asked.buffer_rows)))
    else:
        print(
            main(
                asked.rows,
                buffer_rows=asked.buffer_rows,
                in_memory=not asked.no_memory,
                rounds=asked.rounds,
            )
        )
