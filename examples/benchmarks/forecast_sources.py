"""Where the benchmarks of forecasts find their data, and keep what they made of them."""

import os
from pathlib import Path


def data_folder(given: Path | None = None) -> Path:
    """Give the folder with the original files: as given, or from LATENTODE_DATA."""
    folder = given or os.environ.get("LATENTODE_DATA")
    if folder is None:
        raise FileNotFoundError(
            "this benchmark reads original files: name their folder by --data or LATENTODE_DATA."
        )
    return Path(folder)


def cache_folder(given: Path | None = None) -> Path:
    """Give the folder to keep files in, made if need be: LATENTODE_CACHE or ~/.cache/latentode."""
    folder = Path(given or os.environ.get("LATENTODE_CACHE") or "~/.cache/latentode").expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder
