"""A script that forecasts says what it prints, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.py"


def test_the_quickstart_is_quiet_with_warnings_as_errors(tmp_path):
    code = f"import runpy; runpy.run_path({str(QUICKSTART)!r})['main'](quick=True)"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.stderr == ""
    assert run.returncode == 0
    assert 1 <= len(run.stdout.splitlines()) <= 15
    assert [path.name for path in tmp_path.iterdir()] == ["quickstart.png"]
