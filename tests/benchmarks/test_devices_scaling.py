"""Several processes are measured beside one."""

import devices_scaling
import numpy as np
import pytest


def test_twice_as_fast_on_two_is_an_efficiency_of_one():
    seconds = {
        ("short fit", 1): 12.0, ("long fit", 1): 20.0, ("predict", 1): 6.1,
        ("short fit", 2): 10.0, ("long fit", 2): 14.0, ("predict", 2): 9.0,
        ("predict of a row", 1): 0.1, ("predict of a row", 2): 5.0,
    }  # fmt: skip
    table = devices_scaling.table_of(seconds, (1, 2), n_epochs=4)
    assert table["epoch"].tolist() == [2.0, 1.0]
    np.testing.assert_allclose(table["epoch efficiency"], [1.0, 1.0])
    np.testing.assert_allclose(table["predict efficiency"], [1.0, 0.75])
    assert table["start"].tolist() == [0.1, 5.0]


@pytest.mark.slow
def test_all_of_it_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(devices_scaling.torch, "set_num_threads", lambda _: None)
    table = devices_scaling.main(quick=True)
    assert table.index.tolist() == [1, 2]
    assert np.isfinite(table).all(axis=None)
    assert "fit beside a bare loop" in capsys.readouterr().out
