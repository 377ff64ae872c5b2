"""Build data.csv.gz from the weekly table `co2` of statsmodels.

The table stands in the package, and its SHA-256 is the one below:

    python -m pip download --no-deps statsmodels==0.15.0
    unzip -p statsmodels-0.15.0-*.whl statsmodels/datasets/co2/co2.csv > co2.csv
    python datasets/mauna_loa_co2/make.py co2.csv
"""

import csv
import gzip
import io
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
RAW_SHA256 = "16695fa2786e53414e5a6b54767a3fdf5de99cfbc68617f69d1362d92776a92f"
CSV_SHA256 = {"data.csv": "d5de7577f9ff7e3f85806fc379772b0cd8e5b2098e20097c75db1d5d30fc9f72"}


def build(raw: bytes) -> dict[str, bytes]:
    """Give the tidy CSV file: the weeks with a value, with their dates in ISO form."""
    rows = csv.DictReader(io.StringIO(raw.decode()))
    weeks = [["MLO", iso(row["date"]), row["co2"]] for row in rows if row["co2"]]
    return {"data.csv": to_csv(["site", "date", "co2"], weeks)}


def iso(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"


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


def main(raw: Path, folder: Path = HERE) -> None:
    content = raw.read_bytes()
    check(str(raw), content, RAW_SHA256)
    for name, table in build(content).items():
        check(name, table, CSV_SHA256[name])
        packed = to_gzip(table)
        (folder / f"{name}.gz").write_bytes(packed)
        print(f"{name}.gz  SHA-256 {sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
