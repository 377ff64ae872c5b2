"""Files from elsewhere: by a known checksum, tried again, and there whole or not at all."""

import os
import secrets
import sys
import time
from collections.abc import Callable
from hashlib import sha256 as new_sha256
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from latentode import __version__
from latentode.datasets.archives import ArchiveError

_CHUNK = 2**16
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers that may be another in a moment
_OFFLINE = (
    "Fix: download it where there is a network, and pass path= or set LATENTODE_DATA to the "
    "folder that holds it."
)


class DownloadError(OSError):
    """Say what could not be downloaded, why, and how to do without."""


class _CutOffError(OSError):
    """A transfer that ended before its end."""


def file_sha256(path: str | os.PathLike) -> str:
    """Give the SHA-256 of a file.

    Parameters
    ----------
    path : str or PathLike
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    total = new_sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def download(
    url: str,
    path: str | os.PathLike,
    *,
    sha256: str,
    checksum: Callable[[Path], str] = file_sha256,
    tries: int = 4,
    wait: float = 1.0,
    timeout: float = 60.0,
    limit: int = 2**30,
) -> Path:
    """Download a file whose checksum is known, unless it is there.

    Bytes go into a file of another name beside it, which takes the name once all are on the disk
    and have the right checksum. So the file is there whole or not at all, however many processes
    do this at once.

    Parameters
    ----------
    url : str
        Of http or https. Redirections are followed, but never from https to http.
    path : str or PathLike
        Where to keep it. A file there with another checksum is replaced.
    sha256 : str
        The checksum.
    checksum : callable, optional
        How it is taken of a file; by default of its bytes.
    tries : int, default=4
        How often to try where the network or the server fails. What has the wrong checksum, or
        is not there, is not asked for again.
    wait : float, default=1.0
        Seconds between the first two tries; twice as many between the next ones, and so on.
    timeout : float, default=60.0
        Seconds without a byte after which a try has failed.
    limit : int, default=2**30
        Most bytes to take.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DownloadError
        If there is no network, or the server fails, or what came has another checksum, or the
        folder cannot be written to.

    Examples
    --------
    >>> from latentode.datasets import download
    >>> url = "https://physionet.org/files/challenge-2012/1.0.0/Outcomes-a.txt"
    >>> known = "2613ea60ccda29f87571a7d6b09ad130858a8ccd66325bd073365925026883c2"
    >>> download(url, "Outcomes-a.txt", sha256=known)  # doctest: +SKIP
    """
    path = Path(path)
    if path.exists() and _is_whole(path, checksum, sha256):
        return path
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(f"url must begin with http:// or https://, got {url}.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    file = _created(temporary)
    try:
        with file:
            _try_often(url, file, tries=tries, wait=wait, timeout=timeout, limit=limit)
        _check(url, temporary, checksum, sha256)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def data_folder() -> Path:
    """Give the folder that downloads are kept in, and looked for.

    Returns
    -------
    Path
        What the environment variable ``LATENTODE_DATA`` says, or ``latentode`` in the place of
        the system for what can be fetched again.
    """
    if own := os.environ.get("LATENTODE_DATA"):
        return Path(own).expanduser()
    if sys.platform == "win32":
        places = [os.environ.get("LOCALAPPDATA"), "~/AppData/Local"]
    elif sys.platform == "darwin":
        places = ["~/Library/Caches"]
    else:
        places = [os.environ.get("XDG_CACHE_HOME"), "~/.cache"]
    return Path(next(place for place in places if place)).expanduser() / "latentode"


def local_copy(name: str, folder: str, path: str | os.PathLike | None) -> Path | None:
    """Give a file that is there: ``path`` itself, in it, or in the data folder, or None.

    Parameters
    ----------
    name : str
        Name of the file.
    folder : str
        Folder of the data set, within ``path`` or the data folder.
    path : str or PathLike, optional
        The file, or a folder that holds it or the folder of the data set; nothing else is looked
        at then.

    Returns
    -------
    Path or None
        The file, if there is one.

    Raises
    ------
    FileNotFoundError
        If it is not in the ``path`` that was given.
    """
    given = data_folder() if path is None else Path(path).expanduser()
    for place in (given, given / name, given / folder / name):
        if place.is_file():
            return place
    if path is None:
        return None
    raise FileNotFoundError(
        f"{given} holds neither {name} nor {folder}/{name}.\nFix: path = the folder that does"
    )


def found_only(name: str, folder: str, page: str, path: str | os.PathLike | None) -> Path:
    """Give a file that must be there, for no checksum of it is known.

    Parameters
    ----------
    name : str
        Name of the file.
    folder : str
        Folder of the data set.
    page : str
        Where it is to be had.
    path : str or PathLike, optional
        As for `local_copy`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    """
    file = local_copy(name, folder, path)
    if file is None:
        raise FileNotFoundError(
            f"{name} is not there, and is not downloaded, for its checksum is not known to us.\n"
            f"Fix: download it from {page} and pass path= its folder"
        )
    return file


def _is_whole(path: Path, checksum: Callable[[Path], str], sha256: str) -> bool:
    try:
        return checksum(path) == sha256
    except ArchiveError:
        return False


def _created(temporary: Path) -> IO[bytes]:
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        return temporary.open("xb")
    except OSError as error:
        raise DownloadError(
            f"{temporary.parent} cannot be written to: {error}.\n"
            "Fix: set LATENTODE_DATA to a folder that can."
        ) from error


def _try_often(
    url: str, file: IO[bytes], *, tries: int, wait: float, timeout: float, limit: int
) -> None:
    for failed in range(1, tries + 1):
        file.seek(0)
        file.truncate()
        try:
            _transfer(url, file, timeout=timeout, limit=limit)
        except (URLError, HTTPException, ConnectionError, TimeoutError, _CutOffError) as error:
            if failed == tries or not _is_passing(error):
                raise DownloadError(
                    f"{url} could not be downloaded in {failed} of {tries} tries: {error}\n"
                    f"{_OFFLINE}"
                ) from error
            time.sleep(wait * 2 ** (failed - 1))
        else:
            return


def _is_passing(error: Exception) -> bool:
    return error.code in _PASSING if isinstance(error, HTTPError) else True


def _transfer(url: str, file: IO[bytes], *, timeout: float, limit: int) -> None:
    headers = {"User-Agent": f"latentode/{__version__}", "Accept-Encoding": "identity"}
    opener = build_opener(_Redirections())
    with opener.open(Request(url, headers=headers), timeout=timeout) as response:
        taken = _copy(response, file, limit)
        declared = response.headers.get("Content-Length")
    # http.client ends a transfer that was cut off as one that was not.
    if declared is not None and taken != int(declared):
        raise _CutOffError(f"cut off after {taken} of {declared} bytes")
    file.flush()
    os.fsync(file.fileno())


def _copy(response: HTTPResponse, file: IO[bytes], limit: int) -> int:
    taken = 0
    while chunk := response.read(_CHUNK):
        taken += len(chunk)
        if taken > limit:
            raise DownloadError(f"{response.url} has more than the {limit} bytes of limit=.")
        file.write(chunk)
    return taken


def _check(url: str, path: Path, checksum: Callable[[Path], str], sha256: str) -> None:
    try:
        found = checksum(path)
    except ArchiveError as error:
        raise DownloadError(f"{url} gave no archive that can be read: {error}") from error
    if found != sha256:
        raise DownloadError(
            f"{url} gave {path.stat().st_size} bytes with the checksum {found}, but {sha256} was "
            f"expected: they were changed on the way, or there is a new version.\n{_OFFLINE}"
        )


class _Redirections(HTTPRedirectHandler):
    """Redirections to the web alone, and none that gives up encryption."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        """Give the next request, as the class above does, unless it leads astray."""
        allowed = {"https"} if urlsplit(req.full_url).scheme == "https" else {"http", "https"}
        if urlsplit(newurl).scheme not in allowed:
            raise DownloadError(f"{req.full_url} redirects to {newurl}, which is not followed.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
