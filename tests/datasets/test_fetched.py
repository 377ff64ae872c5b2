"""What is downloaded is read as it was published, and nothing else is."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentode.datasets import (
    DownloadError,
    fetch_human_activity,
    fetch_physionet2012,
    fetch_ushcn,
    physionet,
)
from latentode.datasets.archives import contents_sha256
from latentode.datasets.downloads import file_sha256

COPIES = Path(os.environ.get("LATENTODE_DATA", Path(__file__).parents[3] / "shared" / "data"))
HEADER = "Time,Parameter,Value\n00:00,RecordID,{stay}\n00:00,Age,{age}\n00:00,Height,-1\n"
BODY = "00:00,Weight,{kg}\n00:07,HR,80\n00:07,HR,90\n00:07,,5\n00:07,pH,735\n25:07,Temp,36.5\n"
OUTCOMES = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Publish a set a of two stays and an empty one, and give its folder."""
    folder = tmp_path / "physionet2012"
    folder.mkdir()
    with tarfile.open(folder / "set-a.tar.gz", "w:gz") as archive:
        for stay, kg in ((8, 70.5), (3, -1)):
            add(archive, stay, (HEADER + BODY).format(stay=stay, age=60 + stay, kg=kg))
        add(archive, 5, HEADER.format(stay=5, age=65))
    outcomes = OUTCOMES + "3,6,1,5,-1,0\n5,7,2,3,-1,0\n8,16,8,8,2,1\n"
    (folder / "Outcomes-a.txt").write_text(outcomes)
    know(monkeypatch, folder)
    return folder


def add(archive, stay, text):
    member = tarfile.TarInfo(f"set-a/{stay}.txt")
    member.size = len(text)
    archive.addfile(member, io.BytesIO(text.encode()))


def know(monkeypatch, folder):
    monkeypatch.setitem(physionet._CONTENTS, "a", contents_sha256(folder / "set-a.tar.gz"))
    monkeypatch.setitem(physionet._OUTCOMES, "a", file_sha256(folder / "Outcomes-a.txt"))


def test_a_stay_has_a_row_for_each_minute_at_which_something_was_measured(published):
    stays = fetch_physionet2012("a", path=published)
    assert stays[["stay", "minute"]].to_numpy().tolist() == [
        [3, 7],
        [3, 25 * 60 + 7],
        [8, 0],
        [8, 7],
        [8, 25 * 60 + 7],
    ]
    assert stays.columns.tolist() == ["stay", "minute", *physionet.VARIABLES]


def test_equal_times_are_averaged_impossible_values_stay_and_lines_without_a_name_go(published):
    row = fetch_physionet2012("a", path=published).iloc[0]
    assert (row["HR"], row["pH"]) == (85.0, 735.0)
    assert row.drop(["stay", "minute", "HR", "pH"]).isna().all()


def test_what_is_known_of_a_stay_is_beside_it_and_minus_1_is_missing(published):
    stays = fetch_physionet2012("a", static=True, path=published).set_index("stay")
    assert stays["Age"].unique().tolist() == [63.0, 68.0]
    assert stays["Height"].isna().all()
    assert stays.loc[8, ["Weight0", "Weight"]].iloc[0].tolist() == [70.5, 70.5]
    assert stays.loc[3, "Weight0"].isna().all()
    assert stays.loc[8, "Survival"].unique().tolist() == [2.0]
    assert stays.loc[3, "Survival"].isna().all()
    assert set(stays["set"]) == {"a"}


@pytest.mark.parametrize("name", ["set-a.tar.gz", "Outcomes-a.txt"])
def test_a_changed_copy_is_refused(published, name, monkeypatch):
    if name.endswith(".gz"):
        with tarfile.open(published / name, "w:gz") as archive:
            add(archive, 3, (HEADER + BODY).format(stay=3, age=1, kg=1))
    else:
        (published / name).write_text(OUTCOMES)
    with pytest.raises(OSError, match=rf"(?s){name}.*were published.*Fix: delete it"):
        fetch_physionet2012("a", static=True, path=published)


@pytest.mark.parametrize("sets", ["", "d", "abd"])
def test_only_sets_that_exist_can_be_asked_for(sets):
    with pytest.raises(ValueError, match="one or more of a, b and c"):
        fetch_physionet2012(sets)


def test_what_is_not_there_is_downloaded_by_the_checksum_of_its_contents(
    published, monkeypatch, tmp_path
):
    asked = []

    def download(url, path, *, sha256, checksum):
        asked.append((url, sha256, checksum))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((published / path.name).read_bytes())
        return path

    monkeypatch.setenv("LATENTODE_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(physionet, "download", download)
    first = fetch_physionet2012("a", static=True)
    again = fetch_physionet2012("a", static=True)
    pd.testing.assert_frame_equal(first, again)
    assert asked == [
        (f"{physionet.URL}/set-a.tar.gz", physionet._CONTENTS["a"], contents_sha256),
        (f"{physionet.URL}/Outcomes-a.txt", physionet._OUTCOMES["a"], file_sha256),
    ]


def test_offline_the_error_names_the_ways_to_do_without(monkeypatch, tmp_path):
    monkeypatch.setenv("LATENTODE_DATA", str(tmp_path))
    monkeypatch.setattr(physionet, "URL", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(DownloadError, match=r"set-a.tar.gz.*\n.*path=.*LATENTODE_DATA"):
        fetch_physionet2012("a")
    with pytest.raises(FileNotFoundError, match=r"holds neither set-a\.tar\.gz"):
        fetch_physionet2012("a", path=tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not (COPIES / "physionet2012").exists(), reason="needs copies of the files")
def test_the_published_stays_are_as_many_as_the_docstring_says():
    stays = fetch_physionet2012(static=True, path=COPIES)
    assert stays.shape == (897_370, 2 + 37 + 11)
    assert stays["stay"].nunique() == 11_990
    assert stays.groupby("set")["stay"].nunique().tolist() == [3997, 3994, 3999]
    assert stays["WBC"].max() == np.float32(6251.9)


ACTIVITY = """\
A01,010-000-024-033,633790226051280329,27.05.2009 14:03:25:127,4.06,1.89,0.50,walking
A01,020-000-033-111,633790226051820913,27.05.2009 14:03:25:183,4.29,1.78,1.34,walking
A01,020-000-032-221,633790226051820913,27.05.2009 14:03:25:183,4.35,1.82,0.96,walking
B02,010-000-030-096,633790226052361498,27.05.2009 14:03:25:237,4.19,1.79,-0.5,lying
"""


def test_activity_has_a_row_a_moment_and_counts_its_seconds_exactly(tmp_path):
    file = tmp_path / "ConfLongDemo_JSI.txt"
    file.write_text(ACTIVITY)
    rows = fetch_human_activity(path=tmp_path)
    assert rows["second"].tolist() == [0.0, 540_584 / 10**7, 0.0]
    assert rows.loc[1, ["chest_x", "belt_z"]].tolist() == [4.29, 0.96]
    assert rows.iloc[1].isna().sum() == 6
    assert rows["activity"].tolist() == ["walking", "walking", "lying"]
    assert len(rows.columns) == 2 + 12 + 1
    file.write_text(ACTIVITY.replace("020-000-032-221", "020"))
    with pytest.raises(ValueError, match="line 3 has not"):
        fetch_human_activity(path=file)


USHCN = """\
ID,Time,Value_0,Value_1,Value_2,Value_3,Value_4,Mask_0,Mask_1,Mask_2,Mask_3,Mask_4
7.0,3.5,0.0,0.0,0.0,1.2,0.0,0.0,0.0,0.0,1.0,1.0
7.0,0.5,0.3,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0
"""


def test_weather_is_missing_where_its_mask_says_so(tmp_path):
    file = tmp_path / "ushcn" / "small_chunked_sporadic.csv"
    file.parent.mkdir()
    file.write_text(USHCN)
    rows = fetch_ushcn(path=tmp_path)
    assert rows[["station", "time"]].to_numpy().tolist() == [[7, 0.5], [7, 3.5]]
    expected = [[0.3, *[np.nan] * 4], [*[np.nan] * 3, 1.2, 0.0]]
    np.testing.assert_array_equal(rows.filter(like="value").to_numpy(), expected)
    file.write_text(USHCN.replace("Mask_4", "Other"))
    with pytest.raises(ValueError, match="has no Mask_4"):
        fetch_ushcn(path=tmp_path)


@pytest.mark.parametrize("fetch", [fetch_human_activity, fetch_ushcn])
def test_a_file_without_a_known_checksum_is_not_downloaded(fetch, monkeypatch, tmp_path):
    monkeypatch.setenv("LATENTODE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"(?s)not downloaded.*Fix: download it from http"):
        fetch()
