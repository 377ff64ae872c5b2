"""Parquet files: written so that series stand together, cut into groups, checked and refused."""

import numpy as np
import pandas as pd
import pytest

import latentode
from latentode.data import FrameError, ParquetFiles, write_parquet
from latentode.data.layout import find_groups
from latentode.data.parquet import learn_schema, n_rows_of, read_groups


@pytest.fixture
def visits():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 9, 60)
    ids = np.repeat(np.arange(60), sizes)
    df = pd.DataFrame({"id": ids, "time": rng.random(len(ids)), "y": rng.normal(size=len(ids))})
    return df.sample(frac=1, random_state=0, ignore_index=True)


def layout_of(folder, *, least_rows=1):
    files = ParquetFiles(folder).files
    return find_groups(files, learn_schema(files, 10**6, {}), least_rows=least_rows)


def sorted_rows(df):
    return df.sort_values(["id", "time"], ignore_index=True)


@pytest.mark.parametrize("kind", ["frame", "chunks", "csv", "file"])
def test_any_table_is_written_with_its_series_in_one_piece(visits, tmp_path, kind):
    visits.to_csv(tmp_path / "visits.csv", index=False)
    visits.to_parquet(tmp_path / "visits.parquet")
    sources = {
        "frame": visits,
        "chunks": (visits[i : i + 7] for i in range(0, len(visits), 7)),
        "csv": tmp_path / "visits.csv",
        "file": tmp_path / "visits.parquet",
    }
    folder = write_parquet(sources[kind], tmp_path / "out", n_files=3, row_group_rows=10)
    pd.testing.assert_frame_equal(sorted_rows(pd.read_parquet(folder)), sorted_rows(visits))
    for path in folder.iterdir():
        ids = pd.read_parquet(path)["id"]
        assert (ids != ids.shift()).sum() == ids.nunique()


def test_rows_of_a_series_stay_in_their_order(tmp_path):
    df = pd.DataFrame({"id": ["b", "a"] * 50, "time": range(100), "y": 0.5})
    path = write_parquet(df, tmp_path / "out", n_files=1)
    assert pd.read_parquet(path).groupby("id")["time"].is_monotonic_increasing.all()


def test_chunks_of_other_types_are_put_together(tmp_path):
    chunks = [
        pd.DataFrame({"id": ["a", "b"], "time": [1, 2], "y": [1, 2]}),
        pd.DataFrame({"id": ["a", "c"], "time": [3, 4], "y": [0.5, None]}),
    ]
    path = write_parquet(chunks, tmp_path / "out", n_files=2)
    assert sorted(pd.read_parquet(path)["y"].dropna()) == [0.5, 1.0, 2.0]


def test_nothing_is_written_over(visits, tmp_path):
    write_parquet(visits, tmp_path / "out")
    with pytest.raises(FileExistsError, match=r"rmtree"):
        write_parquet(visits, tmp_path / "out")
    with pytest.raises(FrameError, match=r"no column 'idd'.*\nFix: .*E-ID-COL"):
        write_parquet(visits, tmp_path / "other", id_col="idd")


@pytest.mark.parametrize("row_group_rows", [3, 1000])
@pytest.mark.parametrize("least_rows", [1, 40])
def test_groups_hold_whole_series_and_every_row_once(visits, tmp_path, row_group_rows, least_rows):
    folder = write_parquet(visits, tmp_path / "out", n_files=2, row_group_rows=row_group_rows)
    layout = layout_of(folder, least_rows=least_rows)
    parts = [read_groups([group], None) for group in layout.groups]
    assert sum(part["id"].nunique() for part in parts) == 60 == len(layout.keys)
    pd.testing.assert_frame_equal(sorted_rows(pd.concat(parts)), sorted_rows(visits))
    assert n_rows_of(ParquetFiles(folder).files) == len(visits)


@pytest.mark.parametrize("ids", [str, float, "category"])
def test_ids_of_any_type_are_told_apart(visits, tmp_path, ids):
    folder = write_parquet(visits.astype({"id": ids}), tmp_path / "out", n_files=2)
    assert len(layout_of(folder).keys) == 60


def test_several_columns_can_be_the_id(visits, tmp_path):
    df = visits.assign(ward=visits["id"] % 7, id=visits["id"] // 7)
    folder = write_parquet(df, tmp_path / "out", id_col=["ward", "id"], n_files=2)
    files = ParquetFiles(folder).files
    options = {"id_col": ["ward", "id"], "target_cols": "y"}
    schema = learn_schema(files, 10**6, options)
    assert len(find_groups(files, schema, least_rows=1).keys) == 60


@pytest.mark.parametrize("where", ["files", "file"])
def test_a_series_in_two_pieces_is_refused_by_name(visits, tmp_path, where, monkeypatch):
    folder = write_parquet(visits, tmp_path / "out", n_files=1)
    again = pd.read_parquet(folder)
    first = again[again["id"] == again["id"].iloc[0]][:1].assign(time=9.0)
    if where == "files":
        first.to_parquet(folder / "zz.parquet")
    else:
        both = pd.concat([again, first])
        both.to_parquet(folder / "part-00000.parquet", row_group_size=len(again))
    name = "zz.parquet" if where == "files" else "several places of part-00000.parquet"
    with pytest.raises(FrameError, match=rf"series {again['id'].iloc[0]} has .*{name}") as caught:
        layout_of(folder)
    assert caught.value.code == "E-SERIES-SPLIT"
    monkeypatch.chdir(tmp_path)
    exec(caught.value.fix, {"latentode": latentode})
    assert len(layout_of("sorted").keys) == 60


def test_what_is_no_parquet_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        ParquetFiles(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"ends in \.parquet"):
        ParquetFiles(tmp_path)
    (tmp_path / "a.parquet").write_text("id,y")
    with pytest.raises(ValueError, match="is no Parquet file"):
        layout_of(tmp_path)
    with pytest.raises(ValueError, match="buffer_rows=0"):
        ParquetFiles(tmp_path, buffer_rows=0)


def test_types_that_do_not_go_together_are_refused(visits, tmp_path):
    visits.to_parquet(tmp_path / "a.parquet")
    visits.assign(y="text").to_parquet(tmp_path / "b.parquet")
    groups = [group._replace(end=2) for group in _first_rows(tmp_path)]
    with pytest.raises(FrameError, match=r"a\.parquet and others"):
        read_groups(groups, None)


def _first_rows(folder):
    from latentode.data import Group

    return [Group(path, 0, 2) for path in sorted(folder.iterdir())]
