"""The defaults beside naive forecasters."""

import forecaster_naive


def test_it_puts_a_row_for_each_forecaster_into_a_page(monkeypatch, tmp_path):
    monkeypatch.setattr(forecaster_naive, "SETS", {"liver": forecaster_naive.liver})
    monkeypatch.setattr(forecaster_naive.torch, "set_num_threads", lambda _: None)
    page = tmp_path / "page.md"
    forecaster_naive.main(quick=True, page=page)
    lines = page.read_text().splitlines()
    assert sum(line.startswith("| L") for line in lines) == 3  # LatentODE..., LastValue, Linear...
    assert any("TrainingMean" in line for line in lines)
    assert lines[-1] == "<!-- end of defaults/liver -->"
