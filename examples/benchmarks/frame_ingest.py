"""Measure how a long frame becomes sorted numbers, beside utilsforecast and gluonts.

The rows are shuffled, the times are irregular, and three columns are read. The variants run in
turns, in an order shuffled anew in every round; gluonts takes a minute a round. Peers that are not
installed are left out; for both of them, ``pip install utilsforecast gluonts``.

    python examples/benchmarks/frame_ingest.py
    python examples/benchmarks/frame_ingest.py --rows 1000000 --ids int --only "latentode*"
    python examples/benchmarks/frame_ingest.py --markdown docs/benchmarks.md
"""

import argparse
import importlib.metadata
import sys
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

# A script finds the files beside it; one that is run from a test does not.
sys.path.append(str(Path(__file__).parent))

from solver_tables import Table, markdown, put_into_page, ratio
from solver_timing import PATIENCE, Outcome, Result, Variant, compare, timed

from latentode.data import infer_schema, to_panel

TARGETS = ["x", "y", "z"]
PEERS = ("utilsforecast", "gluonts")
QUICK_ROWS = 2000
MOST_SERIES = 20_000


def irregular_frame(n_rows: int, ids: str) -> pd.DataFrame:
    """Give shuffled rows of series observed at random times, no two of them at the same."""
    rng = np.random.default_rng(0)
    series = rng.integers(0, min(MOST_SERIES, n_rows // 25), n_rows)
    seconds = 1_700_000_000 + 61 * rng.permutation(n_rows)
    key = series if ids == "int" else [f"series-{number:05d}" for number in series]
    values = {name: rng.normal(size=n_rows) for name in TARGETS}
    stamps = pd.Series(seconds.astype("datetime64[s]")).dt.as_unit("us")
    return pd.DataFrame({"id": key, "ds": stamps, **values})


def read_by_latentode(df: pd.DataFrame) -> np.ndarray:
    return to_panel(df, infer_schema(df, target_cols=TARGETS)).values


def read_by_utilsforecast(df: pd.DataFrame) -> np.ndarray:
    from utilsforecast.processing import process_df

    return process_df(df, "id", "ds", TARGETS[0])[2]  # all columns, its target first


def read_by_gluonts(df: pd.DataFrame) -> np.ndarray:
    from gluonts.dataset.pandas import PandasDataset

    # Unchecked, since it would refuse irregular times.
    dataset = PandasDataset.from_long_dataframe(
        df, item_id="id", timestamp="ds", target=TARGETS, freq="s", unchecked=True
    )
    return np.concatenate([entry["target"] for entry in dataset], axis=1).T


READERS: dict[str, Callable[[pd.DataFrame], np.ndarray]] = {
    "latentode": read_by_latentode,
    "utilsforecast process_df": read_by_utilsforecast,
    "gluonts PandasDataset": read_by_gluonts,
}


def main(quick: bool = False, arguments: Sequence[str] = ()) -> None:
    asked = parse(arguments)
    n_rows = QUICK_ROWS if quick else asked.rows
    df = irregular_frame(n_rows, asked.ids)
    readers = {name: read for name, read in READERS.items() if fnmatch(name, asked.only)}
    variants = [variant(name, read, df) for name, read in readers.items() if installed(name)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the peers
        results = compare(variants, rounds=1 if quick else asked.rounds)
    # Tracing memory makes a reader several times slower.
    quickly = [name for name, result in results.done.items() if result.wall < PATIENCE]
    peaks = {name: peak_memory(readers[name], df) for name in quickly}
    text = f"{markdown(table(results.done, peaks))}\n\n{circumstances(df, asked)}"
    print(f"\n{text}", flush=True)
    for name, reason in results.failed.items():
        print(f"\n{name} failed: {reason}")
    if asked.markdown is not None:
        put_into_page(asked.markdown, f"frame-ingest/{asked.ids}/{n_rows}", text)


def variant(name: str, read: Callable[[pd.DataFrame], np.ndarray], df: pd.DataFrame) -> Variant:
    """Give a reader as something to time; the first rows warm it up."""

    def first() -> Outcome:
        read(df.iloc[:QUICK_ROWS])
        return Outcome((), None)

    return Variant(name, first, lambda: timed(lambda: read(df)))


def installed(name: str) -> bool:
    package = name.split(maxsplit=1)[0]
    there = find_spec(package) is not None
    if not there:
        print(f"{package} is not installed, and left out")
    return there


def peak_memory(read: Callable[[pd.DataFrame], np.ndarray], df: pd.DataFrame) -> float:
    """Give the most memory that reading takes, as a multiple of what the frame takes."""
    tracemalloc.start()
    read(df)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return float(peak / df.memory_usage().sum())


def table(done: dict[str, Result], peaks: dict[str, float]) -> Table:
    ours = done["latentode"].cpu if "latentode" in done else None
    rows = [
        (
            name,
            ratio(result.cpu, ours),
            f"{result.cpu:.3f}",
            f"{result.wall:.3f}",
            f"{peaks[name]:.1f}" if name in peaks else "–",
        )
        for name, result in done.items()
    ]
    return Table(("variant", "ratio", "CPU s", "wall s", "memory / frame"), rows)


def circumstances(df: pd.DataFrame, asked: argparse.Namespace) -> str:
    packages = ("numpy", "pandas", *(peer for peer in PEERS if find_spec(peer)))
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages)
    return (
        f"{len(df):,} shuffled rows of {df['id'].nunique():,} series, ids of {asked.ids}, medians "
        f"of {asked.rounds} rounds; {versions}."
    )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--ids", choices=("str", "int"), default="str")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="*", help="pattern of variants")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="page to put the table into")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(arguments=sys.argv[1:])
