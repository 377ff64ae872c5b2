"""The command line: from a table to a model to a forecast, and what it says when it cannot."""

import subprocess
import sys

import pandas as pd
import pytest

from latentode import LatentODEForecaster, load_pbcseq
from latentode.cli import main

QUICK = ["max_epochs=1", "latent_size=4", "hidden_size=8", "verbose=0", "random_state=0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give a folder with a table and the model of it."""
    folder = tmp_path_factory.mktemp("cli")
    visits().to_csv(folder / "visits.csv", index=False)
    (folder / "config.yaml").write_text(
        "model:\n  id_col: patient\n  time_col: day\n  target_cols: [bili, albumin]\n"
    )
    assert (
        run(folder, "fit", "--config", "config.yaml", "--data", "visits.csv", *set_(*QUICK)) == 0
    )
    return folder


def visits():
    df = load_pbcseq()[["patient", "day", "bili", "albumin"]]
    df = df[df.patient <= 20].assign(
        day=lambda df: pd.Timestamp("2020-01-01") + pd.to_timedelta(df.day, unit="D"),
        patient=lambda df: df.patient.map("{:03d}".format),
    )
    return df.reset_index(drop=True)


def set_(*changes):
    return ["--set", *changes]


def run(folder, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return main(list(map(str, arguments)))


def test_a_model_is_what_python_would_have_made(folder):
    columns = {"id_col": "patient", "time_col": "day", "target_cols": ["bili", "albumin"]}
    options = {"max_epochs": 1, "latent_size": 4, "hidden_size": 8, "verbose": 0}
    expected = LatentODEForecaster(**columns, **options, random_state=0).fit(visits())
    model = LatentODEForecaster.load(folder / "model.lode")
    at = pd.Timestamp("2031-01-01")
    pd.testing.assert_frame_equal(model.predict(at), expected.predict(at))
    assert model.predict(at).patient[0] == "001"  # no number was made of an id


def test_forecasts_are_those_of_python(folder):
    model = LatentODEForecaster.load(folder / "model.lode")
    asked = visits().iloc[[3, 1, 7]][["patient", "day"]]
    asked.to_csv(folder / "asked.csv", index=False)

    run(folder, "predict", "--model", "model.lode", "--at", "asked.csv", "--out", "told.csv")
    told = pd.read_csv(folder / "told.csv", dtype={"patient": str}, parse_dates=["day"])
    expected = model.predict(asked.reset_index(drop=True))
    pd.testing.assert_frame_equal(told, expected, check_dtype=False)

    options = ["--quantiles", 0.1, 0.9, "--horizon", "300D", "--step", "100D"]
    run(folder, "predict", "--model", "model.lode", *options, "--out", "told.csv")
    told = pd.read_csv(folder / "told.csv")
    assert len(told) == 60
    assert {"bili_q0.1", "albumin_q0.9"} <= set(told)


def test_a_table_is_shown_where_no_file_is_named(folder, capsys):
    run(folder, "predict", "--model", "model.lode", "--times", "2031-01-01", "2031-06-01 12:00")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "patient,day,bili,albumin"
    assert len(lines) == 41


def test_a_context_is_forecast_from_instead(folder):
    visits().query("patient == '001'").assign(patient="new").to_csv(
        folder / "new.csv", index=False
    )
    options = ["--context", "new.csv", "--horizon", "100D", "--out", "told.csv"]
    assert run(folder, "predict", "--model", "model.lode", *options) == 0
    assert pd.read_csv(folder / "told.csv").patient.tolist() == ["new"]


def test_evaluate_and_backtest_write_measures_beside_rules(folder):
    run(folder, "evaluate", "--model", "model.lode", "--data", "visits.csv", "--out", "e.csv")
    config = ["--config", "config.yaml", "--data", "visits.csv", *set_(*QUICK)]
    options = ["--horizon", "700D", "--n-cutoffs", 1, "--out", "b.csv"]
    assert run(folder, "backtest", *config, *options) == 0
    for name in ("e.csv", "b.csv"):
        assert pd.read_csv(folder / name).filter(like="crps").notna().to_numpy().any()


def test_validate_tells_what_a_table_holds(folder, capsys):
    assert run(folder, "validate", "--config", "config.yaml", "--data", "visits.csv") == 0
    out = capsys.readouterr().out
    assert "column 'patient', as given" in out
    assert "can be fitted" in out


def test_training_goes_on(folder):
    command = ["fit", "--config", "config.yaml", "--data", "visits.csv", *set_(*QUICK)]
    for _ in range(2):
        assert run(folder, *command, "--out", "m.lode", "--resume", "run.state") == 0
    assert (folder / "run.state").exists()


class TestDataSets:
    def test_they_are_listed_told_about_and_written(self, tmp_path, capsys):
        assert main(["datasets", "list"]) == 0
        assert "pbcseq" in capsys.readouterr().out
        assert main(["datasets", "info", "icu"]) == 0
        assert "Open Data Commons" in capsys.readouterr().out
        path = tmp_path / "pbcseq.csv.gz"
        assert main(["datasets", "save", "pbcseq", "--out", str(path)]) == 0
        pd.testing.assert_frame_equal(pd.read_csv(path), load_pbcseq())

    def test_one_that_is_misspelt(self, capsys):
        assert main(["datasets", "info", "pbcsec"]) == 1
        assert "Did you mean pbcseq?" in capsys.readouterr().err


class TestWhatCannotBe:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["predcit"], "Did you mean predict?"),
            (["fit", "--data", "x.csv", "--confg", "y"], "Did you mean --config?"),
            (["predict", "--modle", "m.lode"], "Did you mean --model?"),
            (["predict", "--model", "m.lode"], "one of the arguments --at --times --horizon"),
        ],
    )
    def test_arguments_that_are_misspelt_end_with_2(self, arguments, message, capsys):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ("model: {max_epoch: 3}", "max_epoch is no parameter of the model. Did you mean max_"),
            ("modle: {}", "modle is no key. Did you mean model?"),
            ("- 1", "must be a mapping"),
            ("a: [", "is no YAML"),
            ("model: {rtol: -1}", "rtol=-1"),
        ],
    )
    def test_a_config_with_mistakes_ends_with_1(self, config, message, folder, capsys):
        (folder / "bad.yaml").write_text(config)
        assert run(folder, "fit", "--config", "bad.yaml", "--data", "visits.csv") == 1
        err = capsys.readouterr().err
        assert err.startswith("latentode fit: ")
        assert message in err

    def test_a_table_with_mistakes_ends_with_1(self, folder, capsys):
        frame = pd.read_csv(folder / "visits.csv", dtype=str)
        frame.loc[3, "day"] = "31.12.2020"
        frame.to_csv(folder / "bad.csv", index=False)
        assert run(folder, "validate", "--config", "config.yaml", "--data", "bad.csv") == 1
        err = capsys.readouterr().err
        assert "31.12.2020" in err
        assert "Fix: time_format:" in err

    def test_files_that_are_not_there_or_of_no_known_kind(self, folder, capsys):
        assert run(folder, "fit", "--data", "nowhere.csv") == 1
        assert "nowhere.csv" in capsys.readouterr().err
        assert run(folder, "fit", "--data", "visits.xlsx") == 1
        assert "of no kind that is known here" in capsys.readouterr().err


def test_capitals_in_the_names_of_columns_do_not_matter(tmp_path, capsys):
    table = tmp_path / "stations.csv"
    table.write_text("ID,Date,y\n007,2024-03-01 07:30,1\n007,2024-03-02,2\n")
    assert main(["validate", "--data", str(table)]) == 0
    shown = capsys.readouterr().out
    assert "column 'ID'" in shown
    assert "column 'Date'" in shown


def test_times_of_another_form(tmp_path, capsys):
    frame = visits().assign(day=lambda df: df.day.dt.strftime("%d.%m.%Y"))
    frame.to_csv(tmp_path / "german.csv", index=False)
    text = 'time_format: "%d.%m.%Y"\nmodel: {id_col: patient, time_col: day}\n'
    (tmp_path / "config.yaml").write_text(text)
    assert run(tmp_path, "validate", "--config", "config.yaml", "--data", "german.csv") == 0
    assert "2020-01-01" in capsys.readouterr().out


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom latentode.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print({'torch', 'pandas', 'numpy', 'lightning'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "latentode", "--version"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("latentode 0.")
