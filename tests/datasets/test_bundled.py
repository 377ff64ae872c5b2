"""The data sets are what their cards say, and cannot be changed unnoticed."""

import gzip
import importlib.util
import io
import re
import tarfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentode import load_icu, load_pbcseq
from latentode.datasets import bundled

FOLDER = Path(__file__).parents[2] / "datasets"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.csv.gz"))
FRAMES = {"icu": load_icu, "pbcseq": load_pbcseq}


@pytest.fixture(params=FRAMES)
def name(request):
    return request.param


@pytest.fixture
def card(name):
    return (FOLDER / name / "card.md").read_text()


@pytest.fixture
def frame(name):
    return FRAMES[name]()


@pytest.fixture
def make():
    def load(name):
        spec = importlib.util.spec_from_file_location(f"make_{name}", FOLDER / name / "make.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def table(card, heading):
    """Give the rows of the first Markdown table that follows a heading of the card."""
    lines = card.split(f"## {heading}", 1)[1].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


def test_every_file_has_its_checksum_in_the_module_and_in_its_card():
    assert sorted(bundled._SHA256) == FILES
    for file, expected in bundled._SHA256.items():
        folder, base = file.split("/")
        assert sha256((FOLDER / file).read_bytes()).hexdigest() == expected
        assert f"| `{base}` | `{expected}` |" in (FOLDER / folder / "card.md").read_text()


def test_rows_are_unique_and_sorted_by_series_and_time(frame):
    keys = frame.iloc[:, :2]
    pd.testing.assert_frame_equal(keys, keys.drop_duplicates().sort_values([*keys.columns]))
    assert list(frame.index) == list(range(len(frame)))


def test_keys_are_integers_and_values_are_finite_floats_or_nan(frame):
    assert (frame.dtypes.iloc[:2] == "int64").all()
    assert (frame.dtypes.iloc[2:] == "float64").all()
    assert not np.isinf(frame.iloc[:, 2:]).any(axis=None)
    assert frame.iloc[:, 2:].notna().any(axis=1).all()


def test_the_card_describes_every_column(card, frame):
    rows = table(card, "`data.csv.gz`")
    assert [row[0] for row in rows] == list(frame.columns)
    for column, unit, _, *described in rows[2:]:
        values = frame[column]
        numbers = [f"{x:g}" for x in (values.min(), values.median(), values.max())]
        assert unit
        assert described == [*numbers, f"{100 * values.isna().mean():.1f} %"]


def test_the_card_counts_rightly(card, frame):
    key, time = frame.columns[:2]
    times = frame.groupby(key)[time]
    gaps = times.diff().dropna()
    values = frame.iloc[:, 2:]
    assert [row[1] for row in table(card, "How irregular")] == [
        str(times.ngroups),
        str(len(frame)),
        quartiles(times.size()),
        quartiles(gaps),
        f"{gaps.nunique()} of {len(gaps)}",
        quartiles(times.max() - times.min()),
        f"{values.notna().sum().sum()} of {values.size}",
    ]


def quartiles(values):
    return ", ".join(f"{x:.10g}" for x in values.quantile([0, 0.25, 0.5, 0.75, 1]))


def test_the_card_names_source_licence_and_flaws(card):
    for heading in ["Known flaws", "Source, citation and licence"]:
        assert f"## {heading}" in card
    assert re.search(r"LGPL|ODC-By", card)


def test_static_columns_are_the_same_in_every_row_of_a_patient():
    frame = load_pbcseq(static=True)
    pd.testing.assert_frame_equal(frame.iloc[:, :9], load_pbcseq())
    assert list(frame.columns[9:]) == ["age", "sex", "trt", "futime", "status"]
    assert (frame.groupby("patient")[[*frame.columns[9:]]].nunique() == 1).all(axis=None)
    assert frame.iloc[:, 9:].notna().all(axis=None)


def test_static_columns_count_as_the_card_says():
    card = (FOLDER / "pbcseq" / "card.md").read_text()
    static = load_pbcseq(static=True).groupby("patient").first()
    for column in ["sex", "trt", "status"]:
        meaning = next(row[2] for row in table(card, "`static.csv.gz`") if row[0] == column)
        counted = static[column].value_counts().to_list()
        assert sorted(map(int, re.findall(r"\((\d+)\)", meaning)), reverse=True) == counted


@pytest.mark.parametrize("file", FILES)
def test_a_changed_file_is_refused(file, tmp_path, monkeypatch):
    for each in FILES:
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).write_bytes((FOLDER / each).read_bytes())
    content = bytearray((FOLDER / file).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / file).write_bytes(content)
    monkeypatch.setattr(bundled, "_FOLDERS", (tmp_path,))
    with pytest.raises(OSError, match=f"{Path(file).name} must have SHA-256 .* but has"):
        load_icu() if file.startswith("icu") else load_pbcseq(static=True)


def test_a_missing_file_is_an_error_that_names_where_it_was_sought(name, tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "_FOLDERS", (tmp_path / "a", tmp_path / "b"))
    with pytest.raises(FileNotFoundError, match=f"{name}/data.csv.gz is neither in .*/a nor in"):
        FRAMES[name]()


@pytest.mark.parametrize("file", FILES)
def test_files_are_compressed_without_a_time_or_a_name(file):
    flags, mtime = (FOLDER / file).read_bytes()[3], (FOLDER / file).read_bytes()[4:8]
    assert flags == 0
    assert mtime == bytes(4)


def test_compressing_twice_gives_the_same_bytes(make, name):
    module = make(name)
    packed = module.to_gzip(b"a,b\n1,2\n")
    assert packed == module.to_gzip(b"a,b\n1,2\n")
    assert gzip.decompress(packed) == b"a,b\n1,2\n"


def test_pbcseq_is_rebuilt_from_a_table_like_the_original(make):
    module = make("pbcseq")
    visits, static = (
        pd.read_csv(FOLDER / "pbcseq" / f"{file}.csv.gz", dtype=str, keep_default_na=False)
        for file in ("data", "static")
    )
    raw = visits.merge(static, on="patient").assign(stage="4")
    raw = raw.rename(columns={"patient": "id", "alk_phos": "alk.phos"}).iloc[::-1]
    built = module.build(raw.to_csv(index=False).encode())
    for file, content in built.items():
        assert content == gzip.decompress((FOLDER / "pbcseq" / f"{file}.gz").read_bytes())
        assert sha256(content).hexdigest() == module.CSV_SHA256[file]


def archive_of(frame, path):
    """Write a stay's rows as the challenge does: a text file of (time, parameter, value)."""
    long = frame.melt(["stay", "minute"], var_name="parameter").dropna()
    hours, minutes = long["minute"] // 60, long["minute"] % 60
    long["time"] = hours.map("{:02d}".format) + ":" + minutes.map("{:02d}".format)
    with tarfile.open(path, "w:gz") as tar:
        for stay, rows in long.groupby("stay"):
            head = f"Time,Parameter,Value\n00:00,RecordID,{stay}\n00:00,Age,54\n"
            body = rows[["time", "parameter", "value"]].to_csv(index=False, header=False)
            content = (head + body).encode()
            member = tarfile.TarInfo(f"set-a/{stay}.txt")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_icu_is_rebuilt_from_an_archive_like_the_original(make, tmp_path):
    module = make("icu")
    archive_of(load_icu(), tmp_path / "set-a.tar.gz")
    built = module.build(module.read_records(tmp_path / "set-a.tar.gz"))
    assert built == gzip.decompress((FOLDER / "icu" / "data.csv.gz").read_bytes())
    assert sha256(built).hexdigest() == module.CSV_SHA256


def test_a_vital_sign_recorded_twice_in_a_minute_is_averaged(make):
    record = b"Time,Parameter,Value\n00:00,Age,54\n01:10,HR,80\n01:10,HR,83\n01:10,pH,7.4\n"
    row = make("icu").tidy(7, record).iloc[0]
    assert (row["stay"], row["minute"], row["HR"]) == (7, 70, 81.5)
    assert row.notna().sum() == 3


def test_an_original_that_is_not_the_known_one_is_refused(make, name, tmp_path):
    raw = tmp_path / "raw"
    if name == "icu":
        archive_of(load_icu().head(), raw)
    else:
        raw.write_text("id,day\n1,0\n")
    with pytest.raises(ValueError, match="must have SHA-256"):
        make(name).main(raw, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
