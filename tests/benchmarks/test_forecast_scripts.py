"""The scripts that train write a table, and into a page where they are told."""

import forecast
import forecast_defaults
import pytest

SCRIPTS = {"latent ODE": forecast, "geometric mean": forecast_defaults}


@pytest.mark.parametrize("word", SCRIPTS)
def test_a_script_prints_its_table(word, capsys):
    SCRIPTS[word].main(quick=True)
    printed = capsys.readouterr().out
    assert "liver/0" in printed
    assert word in printed


@pytest.mark.parametrize("script", SCRIPTS.values())
def test_a_script_that_finds_no_data_says_so(script, capsys, tmp_path):
    folders = ["--data", str(tmp_path), "--cache", str(tmp_path)]
    script.main(arguments=["--tasks", "icu/42", *folders])
    assert "left out" in capsys.readouterr().out


def test_errors_are_multiples_of_the_first_recipe():
    table = forecast_defaults.ratios_table(["one", "two"], {"a": [1.0, 4.0], "b": [2.0, 32.0]})
    assert table.rows == [("a", "1.000", "1.000", "1.000"), ("b", "2.000", "8.000", "4.000")]


def test_models_are_chosen_by_how_their_names_begin():
    both = forecast.recipes_of("spirals/30", ["latent ODE", "RNN"], quick=True)
    assert list(both) == ["latent ODE", "RNN"]
    assert both["RNN"].field == "gru"
    every = forecast.recipes_of("spirals/30", forecast.parse(["--ablations"]).models, quick=True)
    assert set(both) < set(every)
    alone = forecast.recipes_of("spirals/30", forecast.parse([]).models, quick=True)
    assert list(alone) == ["latent ODE"]
