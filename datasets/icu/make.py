"""Build data.csv.gz from set a of the PhysioNet/CinC Challenge 2012.

Fetch set-a.tar.gz from https://physionet.org/content/challenge-2012/1.0.0/, then

    python datasets/icu/make.py set-a.tar.gz

The SHA-256 below is taken over the records, not over the archive, so an archive that was packed
again is as good as the original.
"""

import gzip
import io
import sys
import tarfile
from hashlib import sha256
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
RECORDS_SHA256 = "44370f3fdae48fa253a14c6aa93cef8fd6e4b018a1e342e53a178d4f9f5a3229"
CSV_SHA256 = "d30a774a865359ecf4c047064f1f46f6d6083198df460262fae720961a96c229"
VITALS = ["HR", "NISysABP", "NIDiasABP", "Temp", "RespRate", "GCS", "Urine", "Glucose"]
N_STAYS = 200


def read_records(archive: Path) -> dict[int, bytes]:
    """Give the text of every stay, by the number of the stay, in ascending order."""
    records = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            file = tar.extractfile(member)
            if file is not None and path.suffix == ".txt":
                records[int(path.stem)] = file.read()
    return dict(sorted(records.items()))


def build(records: dict[int, bytes]) -> bytes:
    """Give the tidy CSV file of a fixed random choice of 200 stays."""
    # RandomState and not default_rng: its stream is frozen, so the choice never changes.
    chosen = np.random.RandomState(0).choice(list(records), N_STAYS, replace=False)
    frame = pd.concat([tidy(int(stay), records[stay]) for stay in sorted(chosen)])
    # Four digits hold every value of the original; only averages are rounded.
    text = frame.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    return text.encode()


def tidy(stay: int, record: bytes) -> pd.DataFrame:
    """Give one row for each minute at which one of the vital signs was recorded."""
    rows = pd.read_csv(io.BytesIO(record))
    rows = rows[rows["Parameter"].isin(VITALS)]
    clock = rows["Time"].str.split(":", expand=True).astype("int64")
    rows = rows.assign(minute=60 * clock[0] + clock[1])
    # A vital sign written down twice for one minute is averaged.
    wide = rows.pivot_table(index="minute", columns="Parameter", values="Value", aggfunc="mean")
    wide = wide.reindex(columns=VITALS).reset_index()
    wide.insert(0, "stay", stay)
    return wide


def to_gzip(content: bytes) -> bytes:
    """Compress without a time or a file name, so that the same content gives the same bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(content)
    return packed.getvalue()


def digest(records: dict[int, bytes]) -> str:
    whole = sha256()
    for stay, record in records.items():
        whole.update(f"{stay} {len(record)}\n".encode() + record)
    return whole.hexdigest()


def check(name: str, found: str, expected: str) -> None:
    if found != expected:
        raise ValueError(f"{name} must have SHA-256 {expected}, but has {found}.")


def main(archive: Path, folder: Path = HERE) -> None:
    records = read_records(archive)
    check(f"the records of {archive}", digest(records), RECORDS_SHA256)
    table = build(records)
    check("data.csv", sha256(table).hexdigest(), CSV_SHA256)
    packed = to_gzip(table)
    (folder / "data.csv.gz").write_bytes(packed)
    print(f"data.csv.gz  SHA-256 {sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
