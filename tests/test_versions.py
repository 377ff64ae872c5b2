"""The versions of what is installed."""

import subprocess
import sys

import pandas as pd

import latentode
from latentode import show_versions


def test_what_is_installed_is_printed(capsys):
    show_versions()
    printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert printed["latentode"] == latentode.__version__
    assert printed["pandas"] == pd.__version__
    assert printed["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert {"system", "torch", "lightning", "numpy", "narwhals", "polars", "cuda"} <= set(printed)


def test_no_more_is_imported_than_torch():
    code = "import sys, latentode; latentode.show_versions(); print(sorted(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    modules = run.stdout.splitlines()[-1]
    for name in ("pandas", "lightning", "sklearn", "polars", "matplotlib"):
        assert f"'{name}'" not in modules
