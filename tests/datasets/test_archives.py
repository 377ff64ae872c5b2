"""Archives from elsewhere write nothing that they should not."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from contextlib import nullcontext

import pytest

from latentode.datasets import ArchiveError, unpack
from latentode.datasets.archives import Limits, contents_sha256, read_archive

FEW = Limits(members=5, size=2**20)
NUL = "a\0.txt"


def tar_of(*members, mode="w:gz"):
    """Give the bytes of a tar archive of (name, content or kind, link)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.GNU_FORMAT) as archive:
        for name, content, *link in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes) and not link and len(content) != 1:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content, link[0] if link else ""
                archive.addfile(info)
    return buffer.getvalue()


def zip_of(*members, method=zipfile.ZIP_DEFLATED):
    """Give the bytes of a zip archive of (name, content, mode)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content, *mode in members:
            info = zipfile.ZipInfo(name)
            info.filename = info.orig_filename = name
            info.compress_type = method
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            with pytest.warns(UserWarning) if name in archive.namelist() else nullcontext():
                archive.writestr(info, content)
    return buffer.getvalue()


def patched(raw, signature, offset, value):
    """Give a zip whose headers of this signature have another number at an offset."""
    raw, at = bytearray(raw), raw.index(signature)
    raw[at + offset : at + offset + 4] = struct.pack("<I", value)
    return bytes(raw)


def lying_zip():
    """Declare 3 bytes for a file of a million, in both headers."""
    raw = zip_of(("a.txt", bytes(10**6)))
    return patched(patched(raw, b"PK\x03\x04", 22, 3), b"PK\x01\x02", 24, 3)


def overlapping_zip():
    """Let two entries of the directory use one file."""
    raw = zip_of(("a.txt", b"x" * 5000), ("b.txt", b"y" * 10), method=zipfile.ZIP_STORED)
    second = raw.rindex(b"PK\x01\x02")
    raw = bytearray(raw)
    raw[second + 20 : second + 28] = struct.pack("<II", 5000, 5000)
    raw[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(raw)


def encrypted_zip():
    raw = bytearray(zip_of(("a.txt", b"secret")))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + offset] |= 1
    return bytes(raw)


def pax_size(size):
    """Declare the size of a file by an extended header."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a.txt")
        info.pax_headers = {"size": str(size)}
        archive.addfile(info)
    return buffer.getvalue()


OK = ("ok.txt", b"fine")
ATTACKS = {
    "tar: up": (tar_of(OK, ("../up.txt", b"evil")), "leads out"),
    "tar: up from within": (tar_of(OK, ("a/../../up.txt", b"evil")), "leads out"),
    "tar: absolute": (tar_of(OK, ("/tmp/evil.txt", b"evil")), "absolute"),
    "tar: drive": (tar_of(OK, ("C:evil.txt", b"evil")), "colon"),
    "tar: backslash": (tar_of(OK, ("..\\evil.txt", b"evil")), "backslash"),
    "tar: symbolic link": (tar_of(OK, ("l", tarfile.SYMTYPE, "/etc")), "symbolic link"),
    "tar: file through a link": (
        tar_of(("l", tarfile.SYMTYPE, ".."), ("l/evil.txt", b"evil")),
        "symbolic link",
    ),
    "tar: hard link": (tar_of(OK, ("h", tarfile.LNKTYPE, "/etc/passwd")), "hard link"),
    "tar: device": (tar_of(OK, ("d", tarfile.CHRTYPE)), "device"),
    "tar: block device": (tar_of(OK, ("d", tarfile.BLKTYPE)), "device"),
    "tar: named pipe": (tar_of(OK, ("p", tarfile.FIFOTYPE)), "named pipe"),
    "tar: unknown kind": (tar_of(OK, ("p", b"V")), "unknown kind"),
    "tar: same name": (tar_of(OK, OK), "name of another"),
    "tar: same name but for case": (tar_of(OK, ("OK.txt", b"evil")), "name of another"),
    "tar: file and folder": (tar_of(("a", b"fine"), ("a/b", b"fine")), "folder as well"),
    "tar: long name": (tar_of(OK, ("x" * 300, b"evil")), "too long"),
    "tar: many long parts": (tar_of(OK, ("/".join(["x" * 200] * 9), b"")), "too long"),
    "tar: control character": (tar_of(OK, ("a\x1b[2J", b"evil")), "control"),
    "tar: too many": (tar_of(*[(f"{k}.txt", b"ab") for k in range(6)]), "6 members"),
    "tar: bomb of gzip": (gzip.compress(bytes(2**21)), "bomb"),
    "tar: declared too large": (pax_size(2**40), "bomb"),
    "tar: negative size": (pax_size(-512), "negative|damaged"),
    "tar: cut off": (tar_of(OK, ("a.txt", bytes(5000)))[:-30], "damaged"),
    "tar: cut off in a member": (tar_of(OK, ("a.txt", b"ab" * 900), mode="w")[:1700], "damaged"),
    "tar: rubbish after a member": (
        tar_of(OK, mode="w")[:1024] + b"\x07" * 1024 + bytes(1024),
        "damaged",
    ),
    "zip: up": (zip_of(OK, ("../up.txt", b"evil")), "leads out"),
    "zip: absolute": (zip_of(OK, ("/tmp/evil.txt", b"evil")), "absolute"),
    "zip: drive": (zip_of(OK, ("C:/evil.txt", b"evil")), "colon"),
    "zip: backslash": (zip_of(OK, ("..\\evil.txt", b"evil")), "backslash"),
    "zip: symbolic link": (zip_of(OK, ("l", b"/etc", stat.S_IFLNK | 0o777)), "symbolic link"),
    "zip: named pipe": (zip_of(OK, ("p", b"", stat.S_IFIFO | 0o644)), "named pipe"),
    "zip: same name": (zip_of(OK, OK), "name of another"),
    "zip: long name": (zip_of(OK, ("x" * 300, b"evil")), "too long"),
    "zip: name with a zero": (zip_of(OK, (NUL, b"evil")), "control"),
    "zip: too many": (zip_of(*[(f"{k}.txt", b"ab") for k in range(6)]), "6 members"),
    "zip: declared too large": (zip_of(("a.txt", bytes(2**21))), "bomb"),
    "zip: more than declared": (lying_zip(), "damaged"),
    "zip: overlapping": (overlapping_zip(), "overlap"),
    "zip: encrypted": (encrypted_zip(), "encrypted"),
    "neither": (b"<html>not found</html>" * 100, "no archive"),
    "nothing": (b"", "no archive"),
}


@pytest.mark.parametrize(("raw", "why"), ATTACKS.values(), ids=list(ATTACKS))
def test_an_attack_is_refused_before_anything_is_written(raw, why, tmp_path):
    (tmp_path / "in").mkdir()
    archive = tmp_path / "in" / "archive"
    archive.write_bytes(raw)
    with pytest.raises(ArchiveError, match=why) as raised:
        unpack(archive, tmp_path / "out" / "here", limits=FEW)
    assert str(archive) in str(raised.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "archive"]


def test_a_bomb_within_the_limit_of_bytes_is_found_by_its_ratio(tmp_path):
    for name, raw in {
        "tar": gzip.compress(bytes(2**25)),
        "zip": zip_of(("a", bytes(2**25))),
    }.items():
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(ArchiveError, match="bomb"):
            read_archive(tmp_path / name)


@pytest.mark.parametrize(
    "raw",
    [
        *(tar_of(("./a/b.txt", b"one"), ("a/c.txt", b"two"), mode=f"w:{z}") for z in ("gz", "xz")),
        tar_of(("a/", tarfile.DIRTYPE), ("a/b.txt", b"one"), ("a/c.txt", b"two"), mode="w"),
        zip_of(("a/", b""), ("a/b.txt", b"one"), ("a/c.txt", b"two")),
    ],
    ids=["gzip", "xz", "plain", "zip"],
)
def test_a_harmless_archive_is_unpacked_whole(raw, tmp_path):
    archive, folder = tmp_path / "archive", tmp_path / "new" / "folder"
    archive.write_bytes(raw)
    assert read_archive(archive) == {"a/b.txt": b"one", "a/c.txt": b"two"}
    unpack(archive, folder)
    assert (folder / "a" / "b.txt").read_bytes() == b"one"
    assert {path.name for path in folder.parent.iterdir()} == {"folder"}
    with pytest.raises(FileExistsError, match="exists"):
        unpack(archive, folder)


def test_the_checksum_of_contents_does_not_depend_on_the_packing(tmp_path):
    one, other, third = tmp_path / "one", tmp_path / "other", tmp_path / "third"
    one.write_bytes(tar_of(("set/a.txt", b"x\ny\n"), ("set/b.txt", b"z\n")))
    other.write_bytes(zip_of(("b.txt", b"z\r\n"), ("a.txt", b"x\r\ny\r\n")))
    third.write_bytes(zip_of(("b.txt", b"z\n"), ("a.txt", b"x\ny\n\n")))
    assert contents_sha256(one) == contents_sha256(other) != contents_sha256(third)


def test_an_archive_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.tar"):
        read_archive(tmp_path / "no.tar")
