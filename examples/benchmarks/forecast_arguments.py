"""What the scripts of forecasting are asked on the command line, and the tasks that this names."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from forecast_protocols import PROTOCOLS, Folders
from forecast_tasks import Task


def task_parser(description: str | None) -> argparse.ArgumentParser:
    """Give a parser of what all scripts are asked: which tasks, and from and to which files."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", default=[""], help="how names of tasks begin")
    parser.add_argument("--data", type=Path, help="folder with original files")
    parser.add_argument("--cache", type=Path, help="folder for what is made of them")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="page to put tables into")
    return parser


def chosen(beginnings: Sequence[str]) -> list[str]:
    """Give the names of the tasks that begin so."""
    names = [name for name in PROTOCOLS if name.startswith(tuple(beginnings))]
    if not names:
        raise SystemExit(
            f"no task begins with {', '.join(beginnings)}: choose from {', '.join(PROTOCOLS)}."
        )
    return names


def tasks_of(names: Sequence[str], folders: Folders) -> Iterator[tuple[str, Task]]:
    """Give name and task one by one; those whose files are not there are left out, and said."""
    for name in names:
        try:
            task = PROTOCOLS[name](folders)
        except FileNotFoundError as error:
            print(f"\n{name}: left out, for {error}", flush=True)
            continue
        yield name, task
