"""Read the stays of the PhysioNet/CinC Challenge 2012 from its text files, and keep them.

Silva et al. (2012), Predicting in-hospital mortality of ICU patients. The files set-a.tar.gz,
set-b.tar.gz and set-c.tar.gz hold 12,000 stays in intensive care of 48 hours, one text file each.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.datasets.archives import read_archive
from latentode.datasets.physionet import stay_lines

# In the order of the first latent-ODE code, which the later papers took over.
VARIABLES = (
    *("Age", "Gender", "Height", "ICUType", "Weight", "Albumin", "ALP", "ALT", "AST", "Bilirubin"),
    *("BUN", "Cholesterol", "Creatinine", "DiasABP", "FiO2", "GCS", "Glucose", "HCO3", "HCT"),
    *("HR", "K", "Lactate", "Mg", "MAP", "MechVent", "Na", "NIDiasABP", "NIMAP", "NISysABP"),
    *("PaCO2", "PaO2", "pH", "Platelets", "RespRate", "SaO2", "SysABP", "Temp", "TroponinI"),
    *("TroponinT", "Urine", "WBC"),
)
DESCRIPTORS = VARIABLES[:5]
ARCHIVES = ("set-a.tar.gz", "set-b.tar.gz", "set-c.tar.gz")
CACHED = "icu_lines.npz"


class Lines(NamedTuple):
    """The lines of all files but the one with the number of the stay, in their order.

    Attributes
    ----------
    stay : ndarray of int32
        Number of the stay. Stays rise.
    minute : ndarray of int16
        Since admission. Minutes of a stay do not fall.
    variable : ndarray of int8
        Place in `VARIABLES`, or -1 for the lines of set c without a name.
    value : ndarray of float32
    """

    stay: NDArray[np.int32]
    minute: NDArray[np.int16]
    variable: NDArray[np.int8]
    value: NDArray[np.float32]


def read_lines(data: Path, cache: Path) -> Lines:
    """Give the lines of all stays: from the cache, or from the archives in a few seconds."""
    cached = cache / CACHED
    if not cached.exists():
        parts = [_lines_of(archive) for archive in _archives(data)]
        whole = Lines(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        np.savez_compressed(cached, **whole._asdict())
    with np.load(cached) as arrays:
        return Lines(**arrays)


def _archives(data: Path) -> list[Path]:
    for folder in (data, data / "physionet2012"):
        if (folder / ARCHIVES[0]).exists():
            return [folder / name for name in ARCHIVES]
    raise FileNotFoundError(
        f"{data} has no {ARCHIVES[0]}: download the archives of the PhysioNet/CinC Challenge 2012."
    )


def _lines_of(archive: Path) -> Lines:
    stay, frame = stay_lines(read_archive(archive))
    return _coded(stay.astype(np.int32), frame)


def _coded(stay: NDArray[np.int32], frame: pd.DataFrame) -> Lines:
    clock = frame["clock"].astype("category")
    minutes = [60 * int(text[:2]) + int(text[3:5]) for text in clock.cat.categories]
    codes = pd.Index(VARIABLES).get_indexer(frame["variable"]).astype(np.int8)
    lines = (
        stay,
        np.array(minutes, np.int16)[clock.cat.codes],
        codes,
        frame["value"].to_numpy(np.float32),
    )
    wanted = (frame["variable"] != "RecordID").to_numpy()
    return Lines(*(column[wanted] for column in lines))
