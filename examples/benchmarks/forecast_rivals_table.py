"""Measure naive rules and tabular rivals on every protocol of forecasting.

What a protocol reads is named in its module. Original files are looked for in the folder given by
--data or LATENTODE_DATA; what is made of them is kept under --cache, LATENTODE_CACHE or
~/.cache/latentode. Without a folder, the protocols that need no files are run.

    python examples/benchmarks/forecast_rivals_table.py --list
    python examples/benchmarks/forecast_rivals_table.py --tasks icu/42 liver --data FOLDER
    python examples/benchmarks/forecast_rivals_table.py --markdown docs/benchmarks.md
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# A script finds the files beside it; one that is run from a test does not.
sys.path.append(str(Path(__file__).parent))

from forecast_arguments import chosen, task_parser, tasks_of
from forecast_protocols import PROTOCOLS, Folders
from forecast_rivals import rivals_for
from forecast_rules import Predictor, rules_for
from forecast_tasks import Task
from solver_tables import Table, markdown, put_into_page


def main(quick: bool = False, arguments: Sequence[str] = ()) -> None:
    asked = parse(arguments)
    if asked.list:
        print("\n".join(PROTOCOLS))
        return
    folders = Folders(asked.data, asked.cache)
    names = ["periodic"] if quick else chosen(asked.tasks)
    for name, task in tasks_of(names, folders):
        text = markdown(rivals_table(task))
        print(f"\n{name}\n\n{text}", flush=True)
        if asked.markdown is not None:
            put_into_page(asked.markdown, f"rivals of {name}", text)


def rivals_table(task: Task) -> Table:
    """Give the table of the rules and rivals that suit a task."""
    return table_of(task, {**rules_for(task), **rivals_for(task)})


def table_of(task: Task, methods: dict[str, Callable[[Task], Predictor]]) -> Table:
    """Give each method a row: its measures on the test part, seconds to fit and forecast."""
    rows = []
    for name, fit in methods.items():
        start = time.process_time()
        measures = task.metrics(fit(task)(task.test), task.test)
        seconds = time.process_time() - start
        rows.append((name, *map(five_digits, measures.values()), f"{seconds:.1f}"))
    return Table(("", *measures, "CPU seconds"), rows)


def five_digits(x: float) -> str:
    return f"{x:.6f}" if abs(x) < 0.1 else f"{x:.4f}"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = task_parser(__doc__)
    parser.add_argument("--list", action="store_true", help="print the names of all tasks")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(arguments=sys.argv[1:])
