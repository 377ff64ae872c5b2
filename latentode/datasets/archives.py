"""Archives from elsewhere: no member is written or handed on before all of them were checked."""

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

_SMALL = 16 * 2**20  # below this, no ratio is a danger
_LONGEST_PART, _LONGEST_NAME = 255, 1000
_OPENERS: dict[bytes, Callable[[Path], io.BufferedIOBase]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_DAMAGES = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(NotImplementedError, UnicodeDecodeError),  # a compression or a name that nobody can read
)


class ArchiveError(ValueError):
    """Say which member of an archive was refused, and why."""


class Limits(NamedTuple):
    """What an archive may hold.

    Attributes
    ----------
    members : int
        Files and folders.
    size : int
        Bytes of all of them, unpacked.
    ratio : float
        Unpacked bytes for each byte of the archive, where it is more than 16 MiB.
    """

    members: int = 50_000
    size: int = 2**30
    ratio: float = 200.0


LIMITS = Limits()


class _Member(NamedTuple):
    """A file or folder, as its archive declares it."""

    name: str
    kind: str  # "file", "folder", or what it is instead
    size: int


def read_archive(path: str | os.PathLike, *, limits: Limits = LIMITS) -> dict[str, bytes]:
    """Give the files of a tar or zip archive, once all its members were found harmless.

    Parameters
    ----------
    path : str or PathLike
        A zip archive, or a tar archive: plain or compressed by gzip, bzip2 or xz.
    limits : Limits, optional
        What it may hold.

    Returns
    -------
    dict of bytes
        Contents by name, with folders separated by "/".

    Raises
    ------
    ArchiveError
        If the archive is damaged, holds more than the limits, or has a member that is neither
        file nor folder, has the name of another, or a name that leads out of the folder or is not
        one everywhere.

    Examples
    --------
    >>> import io, tarfile
    >>> with tarfile.open("bad.tar", "w") as archive:  # doctest: +SKIP
    ...     archive.addfile(tarfile.TarInfo("../bashrc"))
    >>> read_archive("bad.tar")  # doctest: +SKIP
    Traceback (most recent call last):
    ...
    latentode.datasets.archives.ArchiveError: bad.tar: member ../bashrc leads out of the folder.
    """
    path = Path(path)
    read = _read_zip if zipfile.is_zipfile(path) else _read_tar
    try:
        return read(path, limits)
    except FileNotFoundError:
        raise
    except _DAMAGES as error:
        raise ArchiveError(f"{path} is damaged, or no archive: {error}") from error


def unpack(
    archive: str | os.PathLike, folder: str | os.PathLike, *, limits: Limits = LIMITS
) -> Path:
    """Unpack a tar or zip archive into a new folder: all of it, or nothing.

    Parameters
    ----------
    archive : str or PathLike
        As for `read_archive`.
    folder : str or PathLike
        Where to; must not exist.
    limits : Limits, optional
        What it may hold.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ArchiveError
        As for `read_archive`; nothing was written then.
    FileExistsError
        If the folder exists.

    Examples
    --------
    >>> from latentode.datasets import unpack
    >>> unpack("set-a.tar.gz", "stays")  # doctest: +SKIP
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} exists: unpack into a folder that does not.")
    contents = read_archive(archive, limits=limits)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpack-") as temporary:
        staging = Path(temporary) / "contents"
        staging.mkdir()
        for name, content in contents.items():
            target = staging / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        staging.rename(folder)
    return folder


def contents_sha256(path: str | os.PathLike) -> str:
    """Give a checksum of an archive's text files that does not depend on how it was packed.

    Parameters
    ----------
    path : str or PathLike
        As for `read_archive`.

    Returns
    -------
    str
        SHA-256 of the last parts of all names, each with the text behind it, in the order of
        names, with ends of lines as on Unix.
    """
    return texts_sha256(read_archive(path))


def texts_sha256(contents: dict[str, bytes]) -> str:
    """Give the checksum of `contents_sha256` for what `read_archive` gave."""
    total = sha256()
    for name in sorted(contents, key=lambda name: PurePosixPath(name).name):
        text = contents[name].replace(b"\r\n", b"\n")
        total.update(f"{PurePosixPath(name).name}\0{len(text)}\0".encode() + text)
    return total.hexdigest()


def _read_tar(path: Path, limits: Limits) -> dict[str, bytes]:
    raw = _decompressed(path, limits)
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
        infos = []
        for info in archive:
            _check(path, [_tar_member(info)], limits)  # at once: a negative size leads back
            infos.append(info)
            if len(infos) > limits.members:
                break
        names = _check(path, [_tar_member(info) for info in infos], limits)
        contents = {
            name: _all_of(archive.extractfile(info), info.size)
            for name, info in zip(names, infos, strict=True)
            if info.isreg()
        }
    # A header that is no header ends the loop above as the end of the archive does.
    end = max((info.offset_data + info.size for info in infos), default=0)
    if raw[end:].strip(b"\0"):
        raise ArchiveError(f"{path} is damaged: byte {end} of the unpacked tar has no header.")
    return contents


def _decompressed(path: Path, limits: Limits) -> bytes:
    packed = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(6)
    opened = next((o for magic, o in _OPENERS.items() if start.startswith(magic)), _opened)
    most = min(limits.size, max(_SMALL, int(limits.ratio * packed)))
    with opened(path) as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise ArchiveError(f"{path} is a bomb: {packed} bytes unpack to more than {most}.")
    return raw


def _opened(path: Path) -> io.BufferedIOBase:
    return path.open("rb")


def _tar_member(info: tarfile.TarInfo) -> _Member:
    kinds = {
        "folder": info.isdir(),
        "symbolic link": info.issym(),
        "hard link": info.islnk(),
        "device": info.ischr() or info.isblk(),
        "named pipe": info.isfifo(),
        "sparse file": info.issparse(),
        "file": info.isreg(),
    }
    kind = next((kind for kind, is_it in kinds.items() if is_it), "thing of an unknown kind")
    return _Member(info.name, kind, info.size)


def _read_zip(path: Path, limits: Limits) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        names = _check(path, [_zip_member(info) for info in infos], limits)
        _check_packed(path, infos, limits)
        return {
            name: _all_of(archive.open(info), info.file_size)
            for name, info in zip(names, infos, strict=True)
            if not info.is_dir()
        }


def _zip_member(info: zipfile.ZipInfo) -> _Member:
    mode = info.external_attr >> 16
    kinds = {
        "encrypted file": info.flag_bits & 1,
        "symbolic link": stat.S_ISLNK(mode),
        "device": stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
        "named pipe": stat.S_ISFIFO(mode),
        "socket": stat.S_ISSOCK(mode),
        "folder": info.is_dir(),
    }
    kind = next((kind for kind, is_it in kinds.items() if is_it), "file")
    # zipfile cuts a name at its first zero byte; what was there is in orig_filename.
    return _Member(info.orig_filename, kind, info.file_size)


def _check_packed(path: Path, infos: list[zipfile.ZipInfo], limits: Limits) -> None:
    packed = path.stat().st_size
    if sum(info.compress_size for info in infos) > packed:
        raise ArchiveError(f"{path} is a bomb: its members overlap.")
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max(_SMALL, limits.ratio * packed):
        raise ArchiveError(f"{path} is a bomb: {packed} bytes unpack to {unpacked}.")


def _all_of(file: IO[bytes] | None, size: int) -> bytes:
    if file is None:
        raise EOFError("a file without content")
    with file:
        content = file.read(size + 1)
    if len(content) != size:
        raise EOFError(f"a file of {size} bytes has {len(content)}")
    return content


def _check(path: Path, members: list[_Member], limits: Limits) -> list[str]:
    """Give the names of harmless members, less what means nothing, or raise."""
    if len(members) > limits.members:
        raise ArchiveError(
            f"{path} has {len(members)} members, and may have {limits.members} at most."
        )
    total, files, folders = 0, set[str](), set[str]()
    names = []
    for member in members:
        why = _fault(member)
        if why:
            raise ArchiveError(f"{path}: member {_shown(member.name)} {why}.")
        name = str(PurePosixPath(member.name))
        if member.kind == "file":
            _take(path, name, files, folders)
        else:
            folders.update(_keys(name))
        total += member.size
        if total > limits.size:
            raise ArchiveError(
                f"{path} is a bomb: its members have more than {limits.size} bytes."
            )
        names.append(name)
    if clash := files & folders:
        raise ArchiveError(f"{path}: {min(clash)} is a file, and a folder as well.")
    return names


def _fault(member: _Member) -> str:
    name = member.name
    parts = name.rstrip("/").split("/")
    faults = {
        f"is a {member.kind}, and neither file nor folder": member.kind not in {"file", "folder"},
        "has a negative size": member.size < 0,
        "has no name": not name.strip("/") or (parts == ["."] and member.kind == "file"),
        "has a backslash in its name": "\\" in name,
        "has an absolute name": name.startswith("/"),
        "has a colon in its name, as drives have": ":" in name,
        "has a control character in its name": bool(re.search(r"[\x00-\x1f\x7f]", name)),
        "leads out of the folder": ".." in parts,
        "has a name that is too long": (
            len(name.encode("utf-8", "surrogateescape")) > _LONGEST_NAME
            or max(len(part.encode("utf-8", "surrogateescape")) for part in parts) > _LONGEST_PART
        ),
    }
    return next((fault for fault, is_so in faults.items() if is_so), "")


def _take(path: Path, name: str, files: set[str], folders: set[str]) -> None:
    *above, own = _keys(name)
    if own in files:
        raise ArchiveError(
            f"{path}: member {_shown(name)} has the name of another, at least where upper and "
            "lower case are one."
        )
    files.add(own)
    folders.update(above)


def _keys(name: str) -> Iterator[str]:
    """Give a name and the folders it is in, outermost first, as a careless disk sees them."""
    plain = unicodedata.normalize("NFC", name).casefold()
    parts = PurePosixPath(plain).parts
    for n in range(1, len(parts) + 1):
        yield "/".join(parts[:n])


def _shown(name: str) -> str:
    return ascii(name)[1:-1] if len(name) <= 80 else f"{ascii(name[:77])[1:-1]}..."
