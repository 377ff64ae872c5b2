"""Data sets that come with the package, read from files whose checksums are known."""

from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pandas as pd

_SHA256 = {
    "icu/data.csv.gz": "858c59200f61be1ca399ca374b24225b54cf00f2a73da40d5191ede59036142a",
    "pbcseq/data.csv.gz": "7ff4a545255af865037ffb9f86cd6f0e5b987719a96f3de1f2589bd8e4fb0b9d",
    "pbcseq/static.csv.gz": "3f104ecc64d500d4da4fa13504f8040aa03e15e67fe4b101a4357a32b89c8830",
}
# Where a wheel puts the files, then where a checkout has them.
_FOLDERS = (Path(__file__).parents[1] / "_data", Path(__file__).parents[2] / "datasets")


def load_icu() -> pd.DataFrame:
    """Give eight vital signs of 200 stays in intensive care, over the first 48 hours.

    Rows are minutes at which at least one of the vital signs was recorded; 60 % of the values are
    missing. The values are raw: a few are impossible, and ``datasets/icu/card.md`` lists them.

    Returns
    -------
    DataFrame of shape (12171, 10)
        Sorted by ``stay`` (int) and ``minute`` (int, minutes since admission), then, as floats
        with NaN where not measured: ``HR`` (beats/min), ``NISysABP`` and ``NIDiasABP`` (mmHg),
        ``Temp`` (°C), ``RespRate`` (breaths/min), ``GCS`` (3 to 15), ``Urine`` (ml) and
        ``Glucose`` (mg/dl).

    Raises
    ------
    OSError
        The file is not found, or its checksum is not the one this version was published with.

    References
    ----------
    Silva et al. (2012), Predicting in-hospital mortality of ICU patients: the PhysioNet/Computing
    in Cardiology Challenge 2012. Goldberger et al. (2000), PhysioBank, PhysioToolkit, and
    PhysioNet. Open Data Commons Attribution License 1.0.

    Examples
    --------
    >>> from latentode import load_icu
    >>> load_icu()[["stay", "minute", "HR", "Temp"]].head(3)
         stay  minute    HR  Temp
    0  132540      71  88.0  35.2
    1  132540      86  88.0  35.1
    2  132540      87   NaN   NaN
    """
    return _read("icu/data.csv.gz")


def load_pbcseq(*, static: bool = False) -> pd.DataFrame:
    """Give seven blood values of 312 patients with primary biliary cirrhosis, visit by visit.

    Visits were planned at 6 months, at 1 year and yearly after that, and came earlier for those
    who got worse; 7 % of the values are missing. The values are raw and skewed to the right:
    model their logarithms. ``datasets/pbcseq/card.md`` lists the implausible ones.

    Parameters
    ----------
    static : bool, default False
        Add what is known of the patient: ``age`` (years at enrolment), ``sex`` ("f" or "m"),
        ``trt`` (1 D-penicillamine, 0 placebo), ``futime`` (days to death, transplant or end of
        follow-up) and ``status`` then (0 censored, 1 transplant, 2 dead). The last two are known
        only afterwards: as inputs they would leak the future.

    Returns
    -------
    DataFrame of shape (1945, 9), or (1945, 14) with ``static``
        Sorted by ``patient`` (int) and ``day`` (int, days since enrolment), then, as floats with
        NaN where not measured: ``bili`` and ``chol`` (mg/dl), ``albumin`` (g/dl), ``alk_phos``
        (U/liter), ``ast`` (U/ml), ``platelet`` (per cubic ml / 1000) and ``protime`` (seconds).

    Raises
    ------
    OSError
        A file is not found, or its checksum is not the one this version was published with.

    References
    ----------
    Fleming and Harrington (1991), Counting Processes and Survival Analysis. Therneau and Grambsch
    (2000), Modeling Survival Data. From R's package survival, LGPL (>= 2).

    Examples
    --------
    >>> from latentode import load_pbcseq
    >>> load_pbcseq()[["patient", "day", "bili", "chol"]].head(3)
       patient  day  bili   chol
    0        1    0  14.5  261.0
    1        1  192  21.3    NaN
    2        2    0   1.1  302.0
    """
    visits = _read("pbcseq/data.csv.gz")
    if not static:
        return visits
    return visits.merge(_read("pbcseq/static.csv.gz"), on="patient", how="left")


def _read(name: str) -> pd.DataFrame:
    path = _find(name)
    content = path.read_bytes()
    found = sha256(content).hexdigest()
    if found != _SHA256[name]:
        raise OSError(
            f"{path} must have SHA-256 {_SHA256[name]}, but has {found}: it was changed or cut "
            "short. Install latentode again, or restore the file from the repository."
        )
    return pd.read_csv(BytesIO(content), compression="gzip")


def _find(name: str) -> Path:
    for folder in _FOLDERS:
        if (folder / name).is_file():
            return folder / name
    places = " nor in ".join(str(folder) for folder in _FOLDERS)
    raise FileNotFoundError(f"{name} is neither in {places}. Install latentode again.")
