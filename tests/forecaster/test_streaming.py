"""Files in, files out: the numbers of `predict`, whatever is in memory at a time."""

import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

from latentode import (
    FrameError,
    LatentODEForecaster,
    LatentODEWarning,
    ParquetFiles,
    ResumeError,
    write_parquet,
)


@pytest.fixture(scope="module")
def folder(ripples, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "ripples"
    return write_parquet(ripples, path, n_files=2, row_group_rows=10)


@pytest.fixture(scope="module")
def fitted(folder, small):
    return LatentODEForecaster(**small).fit(folder)


def told(path):
    return pd.read_parquet(path).sort_values(["id", "time"], ignore_index=True)


def assert_same(one, other):
    pd.testing.assert_frame_equal(one, other, rtol=1e-12, atol=1e-12)


def test_a_fit_on_files_that_fit_into_the_buffer_is_that_on_a_frame(fitted, ripples, small):
    held = LatentODEForecaster(**small).fit(ripples)
    losses = ["train_loss", "val_loss"]
    pd.testing.assert_frame_equal(held.history_[losses], fitted.history_[losses], rtol=1e-4)
    assert held.history_.stage.tolist() == fitted.history_.stage.tolist()


@pytest.mark.parametrize("buffer_rows", [1, 30, 10**6])
def test_forecasts_are_those_in_memory_whatever_the_buffer(
    fitted, folder, ripples, tmp_path, buffer_rows
):
    files = ParquetFiles(folder, buffer_rows=buffer_rows)
    options = {"horizon": 2.0, "step": 1.0}
    out = fitted.predict_parquet(files, tmp_path / "out", **options, return_std=True)
    assert len(list(out.iterdir())) > (2 if buffer_rows < 100 else 0)
    assert_same(told(out), fitted.predict(**options, context=ripples, return_std=True))


def test_rows_are_asked_as_a_frame_or_as_files(fitted, folder, ripples, tmp_path):
    asked = ripples.loc[ripples.id % 3 == 0, ["id", "time"]].reset_index(drop=True)
    files = ParquetFiles(folder, buffer_rows=30)
    held = fitted.predict_quantiles(asked, [0.1, 0.9], context=ripples)
    in_files = write_parquet(asked.sample(frac=1, random_state=0), tmp_path / "asked", n_files=3)
    for name, at in {"frame": asked, "files": in_files}.items():
        out = fitted.predict_parquet(files, tmp_path / name, at, quantiles=[0.1, 0.9])
        assert_same(told(out), held)


@pytest.mark.parametrize("kind", ["frame", "files"])
def test_series_that_are_in_no_file_are_refused(fitted, folder, tmp_path, kind):
    asked = pd.DataFrame({"id": [1, 99], "time": 7.0})
    at = asked if kind == "frame" else write_parquet(asked, tmp_path / "asked", n_files=1)
    with pytest.raises(FrameError, match=r"in no file of the context: 99\.\nFix:"):
        fitted.predict_parquet(folder, tmp_path / "out", at)


def test_a_warning_comes_once(fitted, folder, tmp_path):
    files = ParquetFiles(folder, buffer_rows=1)
    with pytest.warns(LatentODEWarning, match=r"The same is true of \d+ other parts") as caught:
        fitted.predict_parquet(files, tmp_path / "out", horizon=99)
    assert len(caught) == 1


def test_an_error_leaves_nothing_and_names_the_file(fitted, folder, ripples, tmp_path):
    ripples.assign(a=np.inf).to_parquet(tmp_path / "odd.parquet")
    with pytest.raises(FrameError, match=r"^odd\.parquet: target column 'a'"):
        fitted.predict_parquet(tmp_path / "odd.parquet", tmp_path / "out", 7.0)
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(FileExistsError, match="new folder"):
        fitted.predict_parquet(folder, tmp_path / "out", 7.0)
    with pytest.raises(TypeError, match="must be a path"):
        fitted.predict_parquet(ripples, tmp_path / "other", 7.0)


def test_without_a_context_the_way_is_named(fitted, tmp_path):
    fitted.save(tmp_path / "model.lode")
    again = LatentODEForecaster.load(tmp_path / "model.lode")
    assert "none kept" in again.summary()
    for model in (fitted, again):
        with pytest.raises(FrameError, match=r"Fix: model\.predict_parquet"):
            model.predict(7.0)


def test_a_loaded_model_forecasts_the_same(fitted, folder, ripples, tmp_path):
    fitted.save(tmp_path / "model.lode")
    again = LatentODEForecaster.load(tmp_path / "model.lode")
    one, two = (
        told(model.predict_parquet(folder, tmp_path / name, 7.0))
        for name, model in (("one", fitted), ("two", again))
    )
    pd.testing.assert_frame_equal(one, two)
    again.update(ripples)
    assert_same(again.predict(7.0), two)
    with pytest.raises(FrameError, match="set_context"):
        fitted.evaluate(ripples)  # beside rules that need rows


def test_training_on_files_is_gone_on_with(folder, small, fitted, tmp_path):
    first = LatentODEForecaster(**small).fit(folder, resume=tmp_path / "state")
    again = LatentODEForecaster(**small).fit(folder, resume=tmp_path / "state")
    for model in (first, again):
        assert model.history_.train_loss.tolist() == fitted.history_.train_loss.tolist()
    files = ParquetFiles(folder, buffer_rows=20)
    with pytest.raises(ResumeError, match="other data"):
        LatentODEForecaster(**small).fit(files, resume=tmp_path / "state")


@pytest.mark.slow
def test_two_processes_train_on_files_together(folder, small):
    model = LatentODEForecaster(**{**small, "devices": 2, "batch_size": 4})
    files = ParquetFiles(folder, buffer_rows=20)
    history = model.fit(files).history_
    assert history.train_loss.notna().all()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_rows(tmp_path):
    code = textwrap.dedent("""
        import resource, sys
        import numpy as np, pandas as pd
        from pathlib import Path
        from latentode import LatentODEForecaster, ParquetFiles
        folder, n_files = Path(sys.argv[1]), int(sys.argv[2])
        folder.mkdir()
        rng = np.random.default_rng(0)
        for i in range(n_files):
            ids = np.repeat(np.arange(1000 * i, 1000 * (i + 1)), 50)
            times = rng.random(len(ids)).cumsum()
            frame = pd.DataFrame({"id": ids, "time": times, "y": rng.normal(size=len(ids))})
            frame.to_parquet(folder / f"{i:04d}.parquet", row_group_size=10_000)
        files = ParquetFiles(folder, buffer_rows=50_000, max_val_rows=10_000)
        model = LatentODEForecaster(
            latent_size=2, hidden_size=4, batch_size=1000, max_epochs=1, refit=False, verbose=0
        ).fit(files)
        model.predict_parquet(files, folder / "out", horizon=1.0)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    """)
    peaks = []
    for n_files in (4, 24):
        run = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / str(n_files)), str(n_files)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        peaks.append(float(run.stdout.split()[-1]))
    assert peaks[1] < peaks[0] + 60  # of which 1,000,000 rows more are 24 MB in numbers alone
