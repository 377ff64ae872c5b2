"""Measure the solver beside torchdiffeq, torchode and diffrax: time, memory and accuracy.

The variants of a case run in turns, in an order shuffled anew in every round; diffrax runs in a
process of its own and times itself there. Peers that are not installed are left out; for all of
them, ``pip install torchdiffeq torchode "jax[cpu]" diffrax``. docs/benchmarks.md says more.

    python examples/benchmarks/solver.py --list
    python examples/benchmarks/solver.py --tasks forward gradient/50
    python examples/benchmarks/solver.py --tasks gradient/50/1e-06 --only "latentode*" torchdiffeq
    python examples/benchmarks/solver.py --markdown docs/benchmarks.md
"""

import argparse
import importlib.metadata
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch

# A script finds the files beside it; one that is run from a test does not.
sys.path.append(str(Path(__file__).parent))

from solver_cases import CASES, DIFFRAX, Settings
from solver_diffrax import diffrax
from solver_tables import markdown, put_into_page
from solver_variants import OPTIONS, missing

PACKAGES = ("torch", "torchdiffeq", "torchode", "jax", "diffrax")


def main(quick: bool = False, arguments: Sequence[str] = ()) -> None:
    asked = parse(arguments)
    quick = quick or asked.quick
    if asked.list:
        print("\n".join(CASES))
        return
    print_what_is_missing()
    settings = Settings(
        rounds=1 if quick else asked.rounds,
        n_threads=asked.threads,
        only=tuple(asked.only),
        quick=quick,
        worker=None,
    )
    beside = diffrax(asked.threads) if settings.chosen(DIFFRAX) else nullcontext()
    with threads(asked.threads), beside as process:
        settings = settings._replace(worker=process)
        for name in chosen_cases(asked.tasks, quick):
            run(name, settings, asked.markdown)


def run(name: str, settings: Settings, page: Path | None) -> None:
    """Make the table of a case, print it, and put it into a page if there is one."""
    if not settings.quick:
        torch.compiler.reset()  # what one case compiled is of no use to the next
    start = time.perf_counter()
    text = f"{markdown(CASES[name](settings))}\n\n{circumstances(settings)}"
    print(f"\n{name} (took {time.perf_counter() - start:.0f} s)\n\n{text}", flush=True)
    if page is not None:
        put_into_page(page, name, text)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print the names of all cases")
    parser.add_argument("--tasks", nargs="+", default=[""], help="how names of cases begin")
    parser.add_argument("--only", nargs="+", default=["*"], help="patterns of variants")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, choices=(1, 2), default=1)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="page to put tables into")
    parser.add_argument("--quick", action="store_true", help="run the smallest thing that works")
    return parser.parse_args(arguments)


def chosen_cases(tasks: Sequence[str], quick: bool) -> list[str]:
    chosen = [name for name in CASES if name.startswith(tuple(tasks))]
    if not chosen:
        raise SystemExit(f"no case begins with {', '.join(tasks)}: choose from --list.")
    if not quick:
        return chosen
    first_of_task = {name.partition("/")[0]: name for name in reversed(chosen)}
    first_of_task.pop("memory", None)  # its processes take seconds to start
    return list(first_of_task.values())[::-1]


def print_what_is_missing() -> None:
    names = (*OPTIONS, "torchdiffeq", "torchode", "diffrax")
    reasons = {reason for name in names if (reason := missing(name)) is not None}
    for reason in sorted(reasons):
        print(f"left out: {reason}")


def circumstances(settings: Settings) -> str:
    """Say what was measured with what."""
    versions = [
        f"{package} {importlib.metadata.version(package)}"
        for package in PACKAGES
        if missing(package) is None
    ]
    threads = "1 thread" if settings.n_threads == 1 else f"{settings.n_threads} threads"
    rounds = "1 round" if settings.rounds == 1 else f"medians of {settings.rounds} rounds"
    return f"{threads} of {os.cpu_count()} cores, {rounds}; {', '.join(versions)}."


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Have torch use n threads, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main(arguments=sys.argv[1:])
