"""The README's commands are the ones that work and that continuous integration runs."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTALL = "python -m pip install -q -r requirements-dev.txt"


@pytest.fixture
def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["python examples/quickstart.py", "python -m pytest -q"])
def test_the_readme_shows_how_to_run_the_quickstart_and_the_tests(readme, command):
    lines = [line.strip() for line in readme.splitlines()]
    assert f"{INSTALL} && {command}" in lines


@pytest.mark.parametrize("command", [INSTALL, "python -m pytest -q"])
def test_continuous_integration_runs_the_commands_of_the_readme(command):
    lines = [line.strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()]
    assert command in lines


def test_the_files_that_the_commands_name_exist():
    assert (ROOT / "requirements-dev.txt").is_file()
    assert (ROOT / "examples" / "quickstart.py").is_file()


def test_the_readme_has_python_to_start_from(readme):
    assert "```python\n" in readme
