"""The stays in intensive care of the PhysioNet/CinC Challenge 2012."""

import os
import re
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from latentode.datasets.archives import contents_sha256, read_archive, texts_sha256
from latentode.datasets.downloads import data_folder, download, file_sha256, local_copy

FOLDER = "physionet2012"
URL = "https://physionet.org/files/challenge-2012/1.0.0"
VARIABLES = (
    *("Albumin", "ALP", "ALT", "AST", "Bilirubin", "BUN", "Cholesterol", "Creatinine", "DiasABP"),
    *("FiO2", "GCS", "Glucose", "HCO3", "HCT", "HR", "K", "Lactate", "MAP", "MechVent", "Mg"),
    *("Na", "NIDiasABP", "NIMAP", "NISysABP", "PaCO2", "PaO2", "pH", "Platelets", "RespRate"),
    *("SaO2", "SysABP", "Temp", "TroponinI", "TroponinT", "Urine", "WBC", "Weight"),
)
DESCRIPTORS = ("Age", "Gender", "Height", "ICUType", "Weight")
# Of the texts within, in the order of their names: archives of them may be packed in many ways.
_CONTENTS = {
    "a": "ac8a8d13105cefc873b69a70581d156575b4c9de6d2a0c7307b14ced9954621b",
    "b": "2d6e39abd1ca24d50461832098f53437bdf83a9157618c6bea39ba63f141f071",
    "c": "21e90470c899ea088d04f94ee6f4d736f0ade98a7dc2ba747aa477d4a3a726c4",
}
_OUTCOMES = {
    "a": "2613ea60ccda29f87571a7d6b09ad130858a8ccd66325bd073365925026883c2",
    "b": "1305f29734da374a809483229a99f33a9230aa8d4fa74b1a2d6ad788136423d5",
    "c": "0b32dcb7753c0f18f2f5fde498a28618b8879c5e527ce0dae8ad120dd7e205c9",
}


class StayLines(NamedTuple):
    """The lines of all files of a set, in their order, less the headers.

    Attributes
    ----------
    stay : ndarray of int
        Number of the stay; stays rise.
    lines : DataFrame
        Columns ``clock`` ("00:07"), ``variable`` (NaN where a line names none) and ``value``.
    """

    stay: np.ndarray
    lines: pd.DataFrame


def fetch_physionet2012(
    sets: Iterable[str] = "abc",
    *,
    static: bool = False,
    path: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Give the 12,000 stays in intensive care of the PhysioNet challenge of 2012.

    37 variables over the first 48 hours, in three sets of 4,000 stays. Rows are minutes at which
    something was measured; 84 % of the values are missing. What was measured twice in a minute is
    averaged, lines without a variable are left out, and impossible values (a pH of 735) stay. Ten
    stays of which nothing was measured have no row.

    Parameters
    ----------
    sets : iterable of str, default="abc"
        Which sets.
    static : bool, default False
        Add what is known of the stay: ``set``; at admission ``Age`` (years), ``Gender`` (1 male,
        0 female), ``Height`` (cm), ``ICUType`` (1 coronary, 2 cardiac surgery recovery, 3 medical,
        4 surgical) and ``Weight0`` (kg); and afterwards ``SAPS-I``, ``SOFA``, ``Length_of_stay``
        and ``Survival`` (days) and ``In-hospital_death``. As inputs, the last five would leak the
        future. -1, for what is not known, is NaN.
    path : str or PathLike, optional
        Folder with copies of ``set-a.tar.gz``, ``Outcomes-a.txt`` and so on, or with a folder
        ``physionet2012`` of these. By default they are looked for in the folder that
        the environment variable ``LATENTODE_DATA`` names, or in a cache, and downloaded to it, 20
        MB in all.

    Returns
    -------
    DataFrame
        Sorted by ``stay`` (int) and ``minute`` (int, since admission), then 37 variables as
        float32 with NaN where not measured; of all three sets, 897,370 rows.

    Raises
    ------
    DownloadError
        If a file is not there and cannot be downloaded.
    FileNotFoundError
        If it is not in ``path``.
    OSError
        If a file is there, but not as it was published.

    References
    ----------
    Silva et al. (2012), Predicting in-hospital mortality of ICU patients: the PhysioNet/Computing
    in Cardiology Challenge 2012. Goldberger et al. (2000), PhysioBank, PhysioToolkit, and
    PhysioNet. Open Data Commons Attribution License 1.0.

    Examples
    --------
    >>> from latentode.datasets import fetch_physionet2012
    >>> stays = fetch_physionet2012("a")  # doctest: +SKIP
    """
    wanted = sorted(set(sets))
    if not wanted or not set(wanted) <= set(_CONTENTS):
        raise ValueError(f"sets must be one or more of a, b and c, got {sets}.")
    frames = [_set(which, path, static=static) for which in wanted]
    return pd.concat(frames, ignore_index=True).sort_values(["stay", "minute"], ignore_index=True)


def stay_lines(contents: dict[str, bytes]) -> StayLines:
    """Give the lines of all files of a set.

    Parameters
    ----------
    contents : dict of bytes
        Texts by name, as `read_archive` gives them.

    Returns
    -------
    StayLines
        The lines, stay after stay.
    """
    found = {name: re.search(r"(\d+)\.txt$", name) for name in contents}
    stays = sorted((int(number[1]), name) for name, number in found.items() if number)
    texts = [contents[name].partition(b"\n")[2].rstrip(b"\r\n") + b"\n" for _, name in stays]
    lines = pd.read_csv(
        BytesIO(b"".join(texts)), header=None, names=["clock", "variable", "value"]
    )
    numbers = np.array([number for number, _ in stays])
    return StayLines(np.repeat(numbers, [text.count(b"\n") for text in texts]), lines)


def minutes_of(clock: pd.Series) -> np.ndarray:
    """Give the minutes since admission of times such as "25:07".

    Parameters
    ----------
    clock : Series of str
        Hours and minutes.

    Returns
    -------
    ndarray of int
        60 times the hours, and the minutes.
    """
    codes, texts = pd.factorize(clock)
    return np.array([60 * int(text[:-3]) + int(text[-2:]) for text in texts])[codes]


def _set(which: str, path: str | os.PathLike | None, *, static: bool) -> pd.DataFrame:
    stay, lines = stay_lines(_contents(which, path))
    minute = minutes_of(lines["clock"])
    frame = _wide(stay, minute, lines)
    if not static:
        return frame
    known = _descriptors(stay, minute, lines).merge(_outcomes(which, path), on="stay", how="left")
    return frame.merge(known.assign(set=which), on="stay", how="left")


def _wide(stay: np.ndarray, minute: np.ndarray, lines: pd.DataFrame) -> pd.DataFrame:
    """Give a row for each minute at which something is known, with means of equal variables."""
    variable = pd.Index(VARIABLES).get_indexer(pd.Index(lines["variable"]))
    value = lines["value"].to_numpy(np.float64)
    is_known = (variable >= 0) & ~((lines["variable"] == "Weight").to_numpy() & (value == -1))
    stay, minute, variable, value = (a[is_known] for a in (stay, minute, variable, value))

    times, row = np.unique(stay.astype(np.int64) << 16 | minute, return_inverse=True)
    cells, cell = np.unique(row * len(VARIABLES) + variable, return_inverse=True)
    table = np.full((len(times), len(VARIABLES)), np.nan, np.float32)
    table.flat[cells] = np.bincount(cell, value) / np.bincount(cell)
    keys = pd.DataFrame({"stay": times >> 16, "minute": times & 0xFFFF})
    return pd.concat([keys, pd.DataFrame(table, columns=list(VARIABLES))], axis=1)


def _descriptors(stay: np.ndarray, minute: np.ndarray, lines: pd.DataFrame) -> pd.DataFrame:
    is_one = (minute == 0) & lines["variable"].isin(DESCRIPTORS).to_numpy()
    first = lines[is_one].assign(stay=stay[is_one]).drop_duplicates(["stay", "variable"])
    table = first.pivot(index="stay", columns="variable", values="value")
    columns = table.reindex(columns=list(DESCRIPTORS)).rename(columns={"Weight": "Weight0"})
    return columns.replace(-1.0, np.nan).rename_axis(columns=None).reset_index()


def _contents(which: str, path: str | os.PathLike | None) -> dict[str, bytes]:
    name = f"set-{which}.tar.gz"
    file = _file(name, _CONTENTS[which], path)
    contents = read_archive(file)
    if texts_sha256(contents) != _CONTENTS[which]:
        raise _changed(file, f"{len(contents)} texts, which")
    return contents


def _outcomes(which: str, path: str | os.PathLike | None) -> pd.DataFrame:
    file = _file(f"Outcomes-{which}.txt", _OUTCOMES[which], path)
    if file_sha256(file) != _OUTCOMES[which]:
        raise _changed(file, "outcomes, which")
    outcomes = pd.read_csv(file).rename(columns={"RecordID": "stay"})
    return outcomes.replace(-1, np.nan)


def _file(name: str, sha256: str, path: str | os.PathLike | None) -> Path:
    file = local_copy(name, FOLDER, path)
    if file is not None:
        return file
    checksum = contents_sha256 if name.endswith(".gz") else file_sha256
    place = data_folder() / FOLDER / name
    return download(f"{URL}/{name}", place, sha256=sha256, checksum=checksum)


def _changed(file: Path, what: str) -> OSError:
    return OSError(
        f"{file} holds {what} are not those that were published: it was changed or cut short.\n"
        f"Fix: delete it, and download it anew from {URL}/{file.name}"
    )
