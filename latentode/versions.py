"""The versions of what is installed, for reports of errors."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from latentode import __version__

PACKAGES = ("torch", "lightning", "pandas", "numpy", "scikit-learn", "narwhals", "safetensors")
OPTIONAL = ("polars", "pyarrow", "matplotlib")


def show_versions() -> None:
    """Print the versions of Python, of the system and of all packages that matter here.

    Only torch is imported, for its threads and devices; of the others, what is installed is read.

    Examples
    --------
    >>> show_versions()
    latentode     0.1.0
    python        ...
    """
    import torch

    facts = {
        "latentode": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        **{name: _installed(name) for name in (*PACKAGES, *OPTIONAL)},
        "threads": f"{torch.get_num_threads()} of torch, {os.cpu_count()} of the machine",
        "cuda": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no device",
    }
    sys.stdout.write("".join(f"{name:13s} {fact}\n" for name, fact in facts.items()))


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
