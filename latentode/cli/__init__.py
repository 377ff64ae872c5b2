"""The command line: ``latentode fit``, ``predict`` and the others.

Nothing heavy is imported before it is known what is asked.
"""

from latentode.cli.main import main

__all__ = ["main"]
