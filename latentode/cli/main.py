"""The entry point: arguments in, an exit code out."""

import argparse
import sys
from collections.abc import Sequence

from latentode.cli.parser import build_parser

# What shells take for: all is well, it failed, ended by Ctrl-C.
_WELL, _FAILED, _INTERRUPTED = 0, 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands after ``latentode``; by default that of the process.

    Returns
    -------
    int
        0 if all went well, 1 if not, and 130 after Ctrl-C. Arguments that cannot be read end the
        process with 2.

    Examples
    --------
    >>> main(["datasets", "list"])  # doctest: +ELLIPSIS
    epica ...
    0
    """
    asked = build_parser().parse_args(arguments)
    try:
        _run(asked)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except _expected() as error:
        sys.stderr.write(f"latentode {asked.command}: {error}\n")
        return _FAILED
    return _WELL


def _run(asked: argparse.Namespace) -> None:
    from latentode.cli.commands import run

    run(asked)


def _expected() -> tuple[type[Exception], ...]:
    """Give what tells the user what to mend; anything else is a mistake of ours, and shown so."""
    return (ValueError, TypeError, OSError, FloatingPointError, ImportError)
