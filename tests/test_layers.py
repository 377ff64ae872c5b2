"""The layers of the package: what each may import, of ours and of others'."""

import ast
import functools
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import latentode

PACKAGE = Path(latentode.__file__).parent
ROOT_NAMES = {"__version__"}  # all that may be taken from the package itself


class Layer(NamedTuple):
    """What the files of a layer may import, beside the standard library and each other."""

    ours: set[str]
    theirs: set[str]


LAYERS = {
    "solvers": Layer(set(), {"torch"}),
    "nn": Layer({"solvers"}, {"torch"}),
    "data": Layer({"solvers", "nn"}, {"torch", "numpy", "pandas", "narwhals", "pyarrow"}),
    "models": Layer(
        {"solvers", "nn", "data"}, {"torch", "numpy", "lightning", "tqdm", "cloudpickle"}
    ),
    "metrics": Layer(set(), {"numpy", "pandas"}),
    "adapters": Layer(set(), {"numpy", "pandas"}),
    "plotting": Layer(set(), {"numpy", "pandas", "matplotlib"}),
    "cli": Layer(
        {"data", "models", "forecaster", "datasets", "versions"}, {"numpy", "pandas", "yaml"}
    ),
    "__main__": Layer({"cli"}, set()),
    "datasets": Layer({"solvers"}, {"torch", "numpy", "pandas", "mujoco"}),
    "versions": Layer(set(), {"torch"}),
    "supervised": Layer(
        {"solvers", "nn", "data", "models", "forecaster"}, {"torch", "numpy", "pandas", "sklearn"}
    ),
    "forecaster": Layer(
        {"solvers", "nn", "data", "models", "metrics", "plotting"},
        {"torch", "numpy", "pandas", "sklearn", "safetensors", "matplotlib"},
    ),
}
LAZY = {"mujoco", "matplotlib", "pyarrow"}  # optional, so never imported with the module
EVERYWHERE = sys.stdlib_module_names | {"latentode"}
SLOW = {"torch", "pandas", "lightning", "sklearn"}
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def place(path):
    return path.relative_to(PACKAGE)


def layer_of(path):
    return place(path).with_suffix("").parts[0]


def imported_names(tree):
    """Give the full name of everything a syntax tree imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def imported_at_once(tree):
    """Give what is imported with the module: not in functions, not for type checkers alone."""
    for statement in tree.body:
        deferred = isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef))
        if not deferred and "TYPE_CHECKING" not in ast.unparse(statement).split("\n")[0]:
            yield from imported_names(statement)


@functools.cache
def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_that(is_wrong, imported=imported_names):
    """Give where a name is imported that is wrong in the layer of the file."""
    return [
        f"{place(path)} imports {name}"
        for path in FILES
        for name in imported(parse(path))
        if is_wrong(name, layer_of(path))
    ]


def test_every_file_belongs_to_a_layer():
    assert {layer_of(path) for path in FILES} == set(LAYERS)


def test_imports_of_ours_point_down():
    def is_wrong(name, layer):
        first, second, *_ = [*name.split("."), ""]
        return first == "latentode" and second not in {layer, *LAYERS[layer].ours, *ROOT_NAMES}

    assert not imports_that(is_wrong)


def test_foreign_packages_are_imported_only_where_they_are_at_home():
    assert not imports_that(
        lambda name, layer: name.split(".")[0] not in LAYERS[layer].theirs | EVERYWHERE
    )


def test_imports_are_absolute_and_name_what_they_take():
    wrong = [
        f"{place(path)}, line {node.lineno}"
        for path in FILES
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and (node.level > 0 or node.names[0].name == "*")
    ]
    assert not wrong


def test_optional_packages_are_imported_when_needed():
    assert not imports_that(lambda name, _: name.split(".")[0] in LAZY, imported_at_once)


def test_a_file_is_named_for_what_it_holds():
    vague = {"utils", "util", "misc", "common", "helpers", "helper"}
    assert not [place(path) for path in FILES if vague & set(place(path).with_suffix("").parts)]


def test_importing_the_package_imports_nothing_slow():
    code = f"""
import sys, time
start = time.perf_counter()
import latentode
print(time.perf_counter() - start)
sys.exit(", ".join(sorted({SLOW} & set(sys.modules))) or 0)
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stdout.write(f"import latentode: {run.stdout.strip()} s")
    assert run.returncode == 0, f"import latentode imports {run.stderr}"


@pytest.mark.parametrize("name", latentode.__all__)
def test_every_public_name_is_found(name):
    assert getattr(latentode, name) is not None
    assert name in dir(latentode)


def test_parts_are_found_without_an_import_of_their_own():
    run = "import latentode; latentode.plotting.plot_forecast, latentode.metrics"
    subprocess.run([sys.executable, "-c", run], check=True)
    assert latentode.datasets.fetch_ushcn.__module__ == "latentode.datasets.climate"
    assert {"datasets", "nn", "plotting"} < {*dir(latentode)}


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'forecast'"):
        _ = latentode.forecast
