"""Files beside memory are measured on the same rows."""

import pandas as pd
import parquet_stream


def test_every_part_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_stream, "_FILE_ROWS", 300)
    (tmp_path / "data").mkdir()
    parquet_stream.write_waves(tmp_path / "data", 1000)
    n_rows = len(pd.read_parquet(tmp_path / "data"))
    assert 500 < n_rows < 1500
    for part in ("fit files", "predict files", "fit memory", "predict memory"):
        result = parquet_stream.phase(part, tmp_path, 200)
        assert result["peak"] >= result["imports"] > 0
