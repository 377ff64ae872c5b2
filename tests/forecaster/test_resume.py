"""Training that is kept in a file ends the same, whatever ended it on the way."""

import errno
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

from latentode import LatentODEForecaster, ResumeError
from latentode.forecaster import resume
from latentode.models import going_on

SMALL = {"latent_size": 4, "hidden_size": 8, "max_epochs": 3, "batch_size": 8, "verbose": 0}


def small(**options):
    return LatentODEForecaster(**{**SMALL, "random_state": 0, **options})


def same(first, second):
    weights, others = first.module_.state_dict(), second.module_.state_dict()
    return first.history_.equals(second.history_) and all(
        torch.equal(weights[name], others[name]) for name in weights
    )


@pytest.fixture
def always_due(monkeypatch):
    monkeypatch.setattr(going_on, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(going_on, "_TIMES_WRITING", 0.0)


def test_it_goes_on_from_any_state_of_any_stage(ripples, tmp_path, monkeypatch, always_due):
    path, contents = tmp_path / "run.state", []
    write = resume.replace_file
    monkeypatch.setattr(
        resume, "replace_file", lambda path, data: (contents.append(data), write(path, data))
    )
    whole = small(patience=1).fit(ripples, resume=path)
    monkeypatch.setattr(resume, "replace_file", write)

    assert same(small(patience=1).fit(ripples), whole)
    assert set(whole.history_.stage) == {"fit", "refit"}
    assert len(contents) > 10
    for content in contents[:: len(contents) // 5] + contents[-1:]:
        path.write_bytes(content)
        assert same(small(patience=1).fit(ripples, resume=path), whole)


def test_one_that_is_over_gives_the_model_at_once(ripples, tmp_path, monkeypatch):
    path = tmp_path / "run.state"
    whole = small(random_state=None).fit(ripples, resume=path)
    monkeypatch.setattr(resume, "train", None)  # not to be called again
    again = small(random_state=None).fit(ripples, resume=path)
    assert same(again, whole)  # with the seed of the first
    assert again.predict(7.0).equals(whole.predict(7.0))
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture(scope="module")
def path(ripples, tmp_path_factory):
    """Give the file of a training that is over."""
    path = tmp_path_factory.mktemp("resume") / "run.state"
    small(max_epochs=1).fit(ripples, resume=path)
    return path


class TestWhatIsRefused:
    def test_other_data(self, path, ripples):
        other = ripples.assign(a=ripples.a.where(ripples.index != 3, 0.5))
        with pytest.raises(ResumeError, match=r"run\.state keeps a training on other data"):
            small(max_epochs=1).fit(other, resume=path)

    def test_other_parameters(self, path, ripples):
        with pytest.raises(
            ResumeError, match=r"now max_epochs=2 \(was 1\), rtol=0.1 \(was 0.001\)"
        ):
            small(max_epochs=2, rtol=0.1).fit(ripples, resume=path)

    def test_but_not_rows_in_another_order_nor_another_verbosity(self, path, ripples, monkeypatch):
        monkeypatch.setattr(resume, "train", None)
        small(max_epochs=1, verbose=1).fit(ripples.sample(frac=1.0, random_state=0), resume=path)

    def test_a_damaged_file(self, path, ripples, tmp_path):
        data = bytearray(path.read_bytes())
        for place in np.random.default_rng(0).integers(0, len(data), 5):
            damaged = tmp_path / "damaged.state"
            flipped = data.copy()
            flipped[place] ^= 1
            damaged.write_bytes(flipped)
            with pytest.raises(ResumeError, match=r"damaged\.state"):
                small(max_epochs=1).fit(ripples, resume=damaged)
        damaged.write_bytes(data[:-1])
        with pytest.raises(ResumeError, match=r"is damaged[^\n]*\nFix: pathlib.Path\("):
            small(max_epochs=1).fit(ripples, resume=damaged)

    def test_a_file_that_is_something_else(self, ripples, tmp_path):
        path = tmp_path / "notes.txt"
        path.write_text("dear diary")
        with pytest.raises(ResumeError, match=r"notes\.txt holds no training"):
            small().fit(ripples, resume=path)
        assert path.read_text() == "dear diary"

    def test_a_folder_that_is_not_there(self, ripples, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no folder"):
            small().fit(ripples, resume=tmp_path / "nowhere" / "run.state")


def test_a_full_disk_keeps_the_state_there_was(ripples, tmp_path, monkeypatch, always_due):
    path = tmp_path / "run.state"
    small(max_epochs=1).fit(ripples, resume=path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(resume, "replace_file", full)
    path.rename(tmp_path / "old.state")
    with pytest.raises(OSError, match="No space left"):
        small().fit(ripples, resume=path)
    assert (tmp_path / "old.state").read_bytes() == before
    assert not path.exists()


SCRIPT = """
    import hashlib, sys
    import numpy as np, pandas as pd, torch
    from latentode import LatentODEForecaster

    rng = np.random.default_rng(0)
    df = pd.DataFrame({
        "id": np.repeat(np.arange(40), 20), "time": np.tile(np.arange(20.0), 40),
    }).assign(y=lambda df: np.sin(df.time + df.id) + 0.1 * rng.normal(size=800))
    model = LatentODEForecaster(max_epochs=12, batch_size=8, random_state=0, verbose=0)
    print("begun", flush=True)
    model.fit(df, resume=sys.argv[1] if len(sys.argv) > 1 else None)
    digest = hashlib.sha256(model.history_.to_csv().encode())
    for weight in model.module_.state_dict().values():
        digest.update(weight.numpy().tobytes())
    print(digest.hexdigest())
"""


def script(*arguments):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("n_kills", [1, 20])
def test_a_fit_that_is_killed_ends_with_the_same_weights(n_kills, tmp_path):
    rng = np.random.default_rng(n_kills)
    alone = script()
    expected = alone.communicate()[0].split()[-1]
    for n in range(n_kills):
        path = tmp_path / f"{n}.state"
        for _ in range(min(n_kills, 3)):
            process = script(path)
            assert process.stdout.readline() == "begun\n"
            time.sleep(rng.uniform(0.0, 2.0))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert script(path).communicate()[0].split()[-1] == expected
