"""Stays are read as the papers read them, and no stay is in two parts."""

import io
import tarfile

import forecast_icu
import numpy as np
import pytest
from forecast_icu import stays_frame
from forecast_icu_source import ARCHIVES, DESCRIPTORS, read_lines

HEADER = "Time,Parameter,Value\n00:00,RecordID,{stay}\n00:00,Age,{age}\n00:00,Weight,-1\n"
BODY = "00:07,HR,80\n00:07,HR,90\n00:07,,5\n01:30,Temp,36.5\n25:00,HR,{hr}\n26:00,HR,70\n"


@pytest.fixture
def folder(tmp_path):
    """Three archives with ten stays each, the later numbers first."""
    for k, name in enumerate(ARCHIVES):
        with tarfile.open(tmp_path / name, "w:gz") as archive:
            for stay in reversed(range(10 * k, 10 * k + 10)):
                text = (HEADER + BODY).format(stay=stay, age=20 + stay, hr=60 + stay).encode()
                member = tarfile.TarInfo(f"set/{stay}.txt")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text))
    return tmp_path


@pytest.fixture
def frame(folder):
    return stays_frame(read_lines(folder, folder))


def test_what_was_measured_twice_in_a_minute_is_averaged(frame):
    row = frame[(frame["series"] == 12) & (frame["time"] > 0)].iloc[0]
    assert (row["time"], row["HR"]) == (pytest.approx(7 / 60), 85.0)
    assert np.isnan(row["Temp"])


def test_descriptors_stand_at_time_0_and_an_unknown_one_is_minus_1(frame):
    start = frame[frame["series"] == 12].iloc[0]
    assert (start["time"], start["Age"], start["Weight"]) == (0.0, 32.0, -1.0)
    assert frame.loc[frame["time"] > 0, list(DESCRIPTORS)].isna().all(axis=None)


def test_lines_from_the_cache_are_those_of_the_archives(folder):
    first, again = read_lines(folder, folder), read_lines(folder, folder)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_parts_are_disjoint_and_scaled_by_what_may_be_seen(folder):
    task = forecast_icu.task(42, data=folder, cache=folder)
    parts = [set(part["series"]) for part in (task.train, task.val.asked, task.test.asked)]
    assert [len(part) for part in parts] == [18, 6, 6]
    assert len(set.union(*parts)) == 30
    seen = task.train[list(task.features)].min().min()
    assert seen >= 0
    assert task.test.context["time"].max() < 24 <= task.test.asked["time"].min()


def test_the_official_like_split_names_7200_2400_and_2400_stays():
    stays = np.arange(12_000)
    parts = forecast_icu.split_of(stays, "official-like")
    assert [len(part) for part in parts] == [7200, 2400, 2400]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), stays)


def test_a_folder_without_the_archives_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"set-a\.tar\.gz"):
        read_lines(tmp_path, tmp_path)
