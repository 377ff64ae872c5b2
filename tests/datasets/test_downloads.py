"""A download is there whole, with the right checksum, or not at all."""

import socket
import sys
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from latentode.datasets import DownloadError, data_folder, download
from latentode.datasets.archives import contents_sha256
from latentode.datasets.downloads import local_copy

BODY = b"one,two\n1,2\n" * 20_000
KNOWN = sha256(BODY).hexdigest()
ROOT = Path(__file__).parents[2]
# A package in name alone, so that a process need not import torch for a download.
ALONE = """
import sys, types
package = sys.modules["latentode.datasets"] = types.ModuleType("latentode.datasets")
package.__path__ = ["latentode/datasets"]
from latentode.datasets.downloads import download
download(sys.argv[1], sys.argv[2], sha256=sys.argv[3], wait=0.01)
"""


class Server(ThreadingHTTPServer):
    """A server that answers by a list of plans, the last of them for ever."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.plans = [], ["whole"]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file.csv"

    def handle_error(self, request, client_address):
        """Say nothing where a client hangs up."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        plans, asked = self.server.plans, self.server.asked
        plan = plans[min(len(asked), len(plans) - 1)]
        asked.append(self.path)
        if isinstance(plan, int):
            self.send_error(plan)
        elif plan.startswith("to "):
            self.send_response(302)
            self.send_header("Location", plan.removeprefix("to "))
            self.end_headers()
        else:
            self.send_response(200)
            if plan != "no length":
                self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY[:1000] if plan == "cut off" else BODY)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server, path, **options):
    options = {"sha256": KNOWN, "wait": 0.0, "timeout": 5.0} | options
    return download(server.url, path, **options)


@pytest.mark.parametrize(
    ("plans", "n_asked"),
    [
        (["whole"], 1),
        (["no length"], 1),
        ([503, 500, "whole"], 3),
        ([429, "whole"], 2),
        (["cut off", "cut off", "whole"], 3),
        (["to /elsewhere", "whole"], 2),
    ],
    ids=str,
)
def test_a_file_comes_whole_in_the_end(server, plans, n_asked, tmp_path):
    server.plans = plans
    path = tmp_path / "new" / "file.csv"
    assert fetch(server, path) == path
    assert path.read_bytes() == BODY
    assert len(server.asked) == n_asked
    assert [each.name for each in path.parent.iterdir()] == ["file.csv"]


@pytest.mark.parametrize(
    ("plans", "options", "why", "n_asked"),
    [
        (["whole"], {"sha256": "0" * 64}, "checksum", 1),
        (["whole"], {"checksum": contents_sha256}, "no archive", 1),
        (["whole"], {"limit": 1000}, "1000 bytes", 1),
        ([404], {}, "404", 1),
        ([403], {}, "403", 1),
        ([500], {}, "500", 4),
        ([500], {"tries": 2}, "in 2 of 2 tries", 2),
        (["cut off"], {}, "cut off after 1000 of 240000", 4),
        (["to file:///etc/passwd"], {}, "file:///etc/passwd", 1),
        (["to ftp://127.0.0.1/x"], {}, "not followed", 1),
        (["to /again"], {}, "redirect", 5),
    ],
    ids=lambda value: (
        getattr(value, "__name__", None) or "-".join(map(str, value))
        if isinstance(value, dict | list)
        else str(value)
    ),
)
def test_what_is_not_the_file_leaves_nothing(server, plans, options, why, n_asked, tmp_path):
    server.plans = plans
    path = tmp_path / "file.csv"
    path.write_bytes(b"an older one")
    with pytest.raises(DownloadError, match=why):
        fetch(server, path, **options)
    assert len(server.asked) == n_asked
    assert [each.name for each in tmp_path.iterdir()] == ["file.csv"]
    assert path.read_bytes() == b"an older one"


def test_without_a_network_the_error_says_how_to_do_without(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
    with pytest.raises(DownloadError, match=r"in 3 of 3 tries.*\n.*path=.*LATENTODE_DATA"):
        download(url, tmp_path / "x", sha256=KNOWN, tries=3, wait=0.0)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_says_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(DownloadError, match="timed out"):
            download(url, tmp_path / "x", sha256=KNOWN, tries=2, wait=0.0, timeout=0.05)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "x.csv"])
def test_only_the_web_is_asked(url, tmp_path):
    with pytest.raises(ValueError, match="http"):
        download(url, tmp_path / "x", sha256=KNOWN)


def test_a_file_that_is_there_is_not_asked_for(server, tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(BODY)
    fetch(server, path)
    assert server.asked == []


def test_a_cache_that_cannot_be_written_to_is_named(server, tmp_path):
    (tmp_path / "cache").write_text("a file in the place of the folder")
    with pytest.raises(DownloadError, match=r"cannot be written to.*\n.*LATENTODE_DATA"):
        fetch(server, tmp_path / "cache" / "file.csv")
    assert server.asked == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder closed even to root")
def test_a_read_only_cache_is_named(server):
    with pytest.raises(DownloadError, match="cannot be written to"):
        fetch(server, Path("/proc/self/task/file.csv"))


def test_the_wait_doubles_from_try_to_try(server, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    server.plans = [503]
    with pytest.raises(DownloadError):
        fetch(server, tmp_path / "x", wait=0.5)
    assert waits == [0.5, 1.0, 2.0]


def test_two_processes_at_once_both_get_it(server, tmp_path):
    server.plans = [503, 503, "cut off", "whole"]
    command = [sys.executable, "-c", ALONE, server.url, str(tmp_path / "file.csv"), KNOWN]
    both = [Popen(command, stderr=PIPE, cwd=ROOT) for _ in range(2)]
    assert [process.communicate()[1] for process in both] == [b"", b""]
    assert (tmp_path / "file.csv").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["file.csv"]


def test_the_data_folder_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("LATENTODE_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.delenv("LATENTODE_DATA")
    assert data_folder().name == "latentode"


def test_a_local_copy_is_found_by_itself_or_in_its_folders(monkeypatch, tmp_path):
    file = tmp_path / "set" / "x.csv"
    file.parent.mkdir()
    file.write_text("x")
    for path in (file, file.parent, tmp_path, str(tmp_path)):
        assert local_copy("x.csv", "set", path) == file
    monkeypatch.setenv("LATENTODE_DATA", str(tmp_path))
    assert local_copy("x.csv", "set", None) == file
    assert local_copy("y.csv", "set", None) is None
    with pytest.raises(FileNotFoundError, match=r"holds neither y.csv nor set/y.csv"):
        local_copy("y.csv", "set", tmp_path)
