"""People who walk, sit, lie and fall, by the tags on their bodies."""

import os

import numpy as np
import pandas as pd

from latentode.datasets.downloads import found_only

FOLDER, NAME = "human_activity", "ConfLongDemo_JSI.txt"
PAGE = "https://archive.ics.uci.edu/dataset/196/localization+data+for+person+activity"
TAGS = {
    "010-000-024-033": "left_ankle",
    "010-000-030-096": "right_ankle",
    "020-000-033-111": "chest",
    "020-000-032-221": "belt",
}
_COLUMNS = ("sequence", "tag", "ticks", "date", "x", "y", "z", "activity")
_TICKS = 10_000_000  # a second


def fetch_human_activity(*, path: str | os.PathLike | None = None) -> pd.DataFrame:
    """Give where four tags on the bodies of five people were, and what the people did.

    Each of 25 sequences is a person who walked, sat, lay, fell and stood up for some minutes.
    Tags answered one after the other, so that most rows have the place of one of the four. The
    file is not downloaded: no checksum of it is known to us.

    Parameters
    ----------
    path : str or PathLike, optional
        The file ``ConfLongDemo_JSI.txt``, its folder, or the folder above ``human_activity``. By
        default it is looked for in the folder that the environment variable ``LATENTODE_DATA``
        names, or in the cache.

    Returns
    -------
    DataFrame
        Sorted by ``sequence`` (str, such as "A01": person and number) and ``second`` (float,
        since its first row), then ``left_ankle_x`` to ``belt_z`` (m, NaN where the tag did not
        answer), and ``activity`` (str, such as "walking": a label, not a target).

    Raises
    ------
    FileNotFoundError
        If the file is not there; the message says where it is to be had.
    ValueError
        If it is not the file that was meant.

    References
    ----------
    Kaluza, Mirchevska, Dovgan, Lustrek and Gams (2010), An agent-based approach to care in
    independent living. UCI Machine Learning Repository, Localization Data for Person Activity,
    CC BY 4.0. Rubanova, Chen and Duvenaud (2019), Latent ODEs for irregularly-sampled time series.

    Examples
    --------
    >>> from latentode.datasets import fetch_human_activity
    >>> walks = fetch_human_activity(path="ConfLongDemo_JSI.txt")  # doctest: +SKIP
    """
    file = found_only(NAME, FOLDER, PAGE, path)
    lines = pd.read_csv(file, header=None, names=list(_COLUMNS), dtype={"sequence": str})
    part = lines["tag"].map(TAGS)
    if part.isna().any() or lines[["ticks", "x", "y", "z"]].isna().to_numpy().any():
        row = part.isna().to_numpy().argmax() + 1
        raise ValueError(
            f"{file} must have lines of {', '.join(_COLUMNS)}, with the tags "
            f"{', '.join(TAGS)}; line {row} has not.\nFix: download it anew from {PAGE}"
        )
    return _wide(lines.assign(part=part))


def _wide(lines: pd.DataFrame) -> pd.DataFrame:
    keys = ["sequence", "ticks"]
    places = lines.pivot_table(index=keys, columns="part", values=["x", "y", "z"], aggfunc="mean")
    places.columns = places.columns.map(lambda pair: f"{pair[1]}_{pair[0]}")
    wanted = [f"{part}_{axis}" for part in TAGS.values() for axis in "xyz"]
    frame = places.reindex(columns=wanted).reset_index()
    # Of a float64, 633790226051280329 ticks are 128 apart: the difference is taken of integers.
    since = frame["ticks"] - frame.groupby("sequence")["ticks"].transform("min")
    activity = lines.drop_duplicates(keys).set_index(keys)["activity"]
    labels = activity.reindex(pd.MultiIndex.from_frame(frame[keys])).to_numpy()
    frame.insert(1, "second", since.to_numpy(np.int64) / _TICKS)
    return frame.drop(columns="ticks").assign(activity=labels)
