"""Benchmarks are scripts: put their folder, and this one, where their modules are found."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"
sys.path += [str(BENCHMARKS), str(Path(__file__).parent)]
