"""All protocols of forecasting by name, each a function from folders to its task."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import forecast_icu
from forecast_tasks import Task


class Folders(NamedTuple):
    """Where original files are, and where to keep what is made of them; None for the default."""

    data: Path | None = None
    cache: Path | None = None


def _icu(split: str | int, folders: Folders) -> Task:
    return forecast_icu.task(split, data=folders.data, cache=folders.cache)


PROTOCOLS: dict[str, Callable[[Folders], Task]] = {
    f"icu/{split}": partial(_icu, split) for split in ("official-like", *forecast_icu.PLAIN_SEEDS)
}
