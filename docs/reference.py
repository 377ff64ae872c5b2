"""The page of the reference: what is public, in the module where it is best taken from."""

import inspect
from importlib import import_module
from pathlib import Path

MODULES = {
    "latentode": "What most programs need",
    "latentode.datasets": "Data sets: bundled, generated, downloaded",
    "latentode.data": "Frames, panels, batches",
    "latentode.models": "Models for Lightning",
    "latentode.nn": "Parts of models",
    "latentode.solvers": "The solver",
    "latentode.metrics": "Metrics of arrays",
    "latentode.plotting": "Plots",
    "latentode.adapters": "Frames of other packages",
}


def write_reference(path: Path) -> None:
    """Write the page; what two modules give stands where it comes first."""
    seen: set[int] = set()
    parts = [_part(module, title, seen) for module, title in MODULES.items()]
    head = "# Reference\n\nMade from the docstrings.\n\n"
    path.write_text(head + "\n".join(parts), encoding="utf-8")


def _part(name: str, title: str, seen: set[int]) -> str:
    module = import_module(name)
    things = {public: getattr(module, public) for public in sorted(module.__all__)}
    new = [
        public
        for public, thing in things.items()
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and id(thing) not in seen
    ]
    seen.update(id(thing) for thing in things.values())
    rows = "".join(f"   {public}\n" for public in new)
    table = f".. currentmodule:: {name}\n\n.. autosummary::\n   :toctree: reference\n\n{rows}"
    return f"## {title}\n\n`{name}`\n\n```{{eval-rst}}\n{table}```\n"


def is_foreign(
    app: object, what: str, name: str, thing: object, skip: bool, options: object
) -> bool | None:
    """Say that a member is left out if it was not written here; None leaves it as it was."""
    function = getattr(thing, "fget", thing)
    home = getattr(function, "__module__", None) or ""
    return None if home.partition(".")[0] == "latentode" else True
