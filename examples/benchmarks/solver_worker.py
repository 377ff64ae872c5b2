"""Processes that prepare variants and time them, asked by lines of JSON: both sides of it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from solver_timing import Timing

Request = dict[str, Any]
# From a request to what measures it once more, and the answer.
Prepare = Callable[[Request], tuple[Callable[[], Timing], dict[str, Any]]]


class Worker:
    """A process that measures for this one, and a folder for the arrays of both."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder

    def prepare(self, name: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401
        """Have a variant prepared and run once, and give the answer."""
        return self._ask(request | {"name": name, "folder": str(self.folder)})

    def measure(self, name: str) -> Timing:
        """Have a variant that is prepared measured once more."""
        return Timing(**self._ask({"name": name}))

    def _ask(self, request: Request) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the process that was to measure has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


@contextmanager
def worker(script: str, environment: dict[str, str]) -> Iterator[Worker]:
    """Start a script beside this one, and end it afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name(script))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | environment,
            text=True,
        ) as process,
    ):
        yield Worker(process, Path(folder))


def serve(prepare: Prepare) -> None:
    """Answer requests until there are no more."""
    prepared: dict[str, Callable[[], Timing]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = _answer(request, prepare, prepared)
        except Exception as error:  # noqa: BLE001 - the other side reports it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def _answer(
    request: Request, prepare: Prepare, prepared: dict[str, Callable[[], Timing]]
) -> dict[str, Any]:
    name = request["name"]
    if "folder" not in request:
        return prepared[name]()._asdict()
    prepared[name], answer = prepare(request)
    return answer
