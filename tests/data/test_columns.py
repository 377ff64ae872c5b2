import numpy as np
import pandas as pd
import pytest

from latentode.data import infer_schema, to_panel


@pytest.mark.parametrize(
    ("dtype", "unit"),
    [("timestamp[us, tz=UTC]", "us"), ("timestamp[s]", "s"), ("date32[day]", "s")],
)
def test_arrow_columns_are_read_where_pyarrow_is_there(dtype, unit):
    pytest.importorskip("pyarrow")
    days = pd.date_range("1970-01-02", periods=5, tz="UTC" if "UTC" in dtype else None)
    df = pd.DataFrame({"id": list("aaabb"), "time": days, "y": np.arange(5)})
    kinds = {"id": "string[pyarrow]", "time": f"{dtype}[pyarrow]", "y": "int8[pyarrow]"}
    df = df.astype(kinds)
    panel = to_panel(df, infer_schema(df))
    assert panel.schema.time_unit == unit
    np.testing.assert_array_equal(
        panel.times, np.arange(1, 6) * 86400 * 10 ** (6 * (unit == "us"))
    )
    np.testing.assert_array_equal(panel.values[:, 0], np.arange(5.0))
