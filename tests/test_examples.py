"""Every example runs, quietly, and leaves only the files it says it wrote."""

import inspect
import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
SLOW = {"two_devices.py"}  # starts processes four times over

every_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
every_example_run = pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[pytest.mark.slow] * (p.name in SLOW)) for p in EXAMPLES],
    ids=lambda path: path.name,
)


@pytest.fixture
def main(path):
    return runpy.run_path(str(path), run_name="example")["main"]


@every_example
def test_an_example_has_a_main_that_is_not_quick_unless_asked(main):
    assert inspect.signature(main).parameters["quick"].default is False


@every_example_run
def test_an_example_runs_and_leaves_only_files_it_names(main, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(quick=True)
    printed = capsys.readouterr().out
    left = {file.name for file in tmp_path.iterdir()}
    assert {name for name in left if name not in printed} == set()
