"""Build data.csv.gz from the table of Stan's case study on predator and prey.

Fetch hudson-bay-lynx-hare.csv from https://github.com/stan-dev/example-models, where it stands in
knitr/lotka-volterra, then

    python datasets/hare_lynx/make.py hudson-bay-lynx-hare.csv
"""

import csv
import gzip
import io
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
CSV_SHA256 = {"data.csv": "3163ba95e65dab241fba14dfa4506c6d63c34e8e3064a67570a179586d3cedab"}


def build(raw: bytes) -> dict[str, bytes]:
    """Give the tidy CSV file; every value keeps the text it has in the original."""
    lines = [line for line in raw.decode().splitlines() if not line.startswith("#")]
    rows = csv.DictReader(lines, skipinitialspace=True)
    years = [["Hudson Bay", row["Year"], row["Hare"], row["Lynx"]] for row in rows]
    return {"data.csv": to_csv(["region", "year", "hare", "lynx"], years)}


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
    for name, table in build(content).items():
        check(name, table, CSV_SHA256[name])
        packed = to_gzip(table)
        (folder / f"{name}.gz").write_bytes(packed)
        print(f"{name}.gz  SHA-256 {sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
