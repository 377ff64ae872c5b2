"""A training on a budget: how its stages share the time, and which of several starts is kept."""

import io

import pandas as pd
import pytest
import torch

from latentode import LatentODEForecaster
from latentode.forecaster import resume, stages
from latentode.models import going_on, in_time, run_ranks
from latentode.models.objectives import fit_of_mean
from tests.ticks import Ticks

SMALL = {"latent_size": 4, "hidden_size": 8, "max_epochs": 10, "verbose": 0, "random_state": 0}
N_BATCHES = 4  # of an epoch


@pytest.fixture
def ticks(monkeypatch):
    ticks = Ticks()
    monkeypatch.setattr(in_time, "time", ticks)
    return ticks


def small(**options):
    return LatentODEForecaster(**{**SMALL, **options})


def same(first, second):
    weights, others = first.module_.state_dict(), second.module_.state_dict()
    return first.history_.equals(second.history_) and all(
        torch.equal(weights[name], others[name]) for name in weights
    )


class TestTime:
    def test_the_fit_and_the_refit_share_it_as_they_share_epochs(self, ripples, ticks):
        model = small(max_time=32).fit(ripples)
        assert 32 <= ticks.now <= 34
        n_epochs = model.history_.groupby("stage").size()
        assert n_epochs.to_dict() == {"fit": 5, "refit": 3}  # 18 steps and 11
        ended = model.history_.stage[model.history_.out_of_time]
        assert ended.tolist() == ["fit", "refit"]
        assert "max_time ended fit, refit" in model.summary()

    def test_what_early_stopping_leaves_is_for_the_refit(self, ripples, ticks):
        model = small(max_time=100, patience=1, learning_rate=1e-9).fit(ripples)
        n_epochs = model.history_.stage.value_counts()
        assert n_epochs["fit"] < 10
        assert n_epochs["refit"] == 6
        assert not model.history_.out_of_time.any()
        assert "max_time was enough" in model.summary()

    def test_an_epoch_is_trained_and_a_refit_is_not_begun_too_late(self, ripples, ticks):
        model = small(max_time=2).fit(ripples)
        assert model.history_.stage.tolist() == ["fit"]
        assert "max_time ended fit and left nothing for the refit" in model.summary()
        assert model.predict(7.0).notna().all(axis=None)

    def test_training_further_has_as_much_again(self, ripples, ticks):
        early, late = ripples[ripples.time <= 4], ripples[ripples.time > 4]
        model = small(max_time=12).fit(early)
        before = ticks.now
        model.partial_fit(late, epochs=50)
        assert 12 <= ticks.now - before <= 15
        assert model.history_.out_of_time.iloc[-1]

    def test_it_is_part_of_what_is_saved(self, ripples, ticks, tmp_path):
        model = small(max_time=pd.Timedelta("20s")).fit(ripples)
        model.save(tmp_path / "model.lode")
        again = LatentODEForecaster.load(tmp_path / "model.lode")
        assert again.max_time == model.max_time
        assert again.summary() == model.summary()

    def test_a_resumed_fit_counts_what_was_spent_before(
        self, ripples, tmp_path, monkeypatch, ticks
    ):
        monkeypatch.setattr(going_on, "_LEAST_SECONDS", 0.0)
        monkeypatch.setattr(going_on, "_TIMES_WRITING", 0.0)
        contents = []
        path = tmp_path / "run.state"
        monkeypatch.setattr(resume, "replace_file", lambda _, data: contents.append(data))
        small(max_time=30).fit(ripples, resume=path)
        assert 30 <= ticks.now <= 34
        content = contents[len(contents) // 2]
        path.write_bytes(content)
        spent = saved_in(content)["seconds"]
        assert spent > 10
        ticks.now = 1e6
        small(max_time=30).fit(ripples, resume=path)
        assert 29 <= spent + ticks.now - 1e6 <= 35


def saved_in(data):
    """Give what torch wrote into the file of a training, after two lines of text."""
    return torch.load(io.BytesIO(data.split(b"\n", 2)[2]), weights_only=True)


@pytest.fixture(scope="module")
def best_of_three(ripples):
    return small(max_epochs=2, n_restarts=3, refit=False).fit(ripples)


class TestRestarts:
    def test_the_best_start_is_kept(self, best_of_three, ripples):
        lowest = best_of_three.history_.groupby("stage", sort=False).val_loss.min()
        assert lowest.index.tolist() == ["fit", "fit 2", "fit 3"]
        assert lowest.nunique() == 3
        data = best_of_three._data(ripples, 0)
        (batch,) = data.val_dataloader()
        module = best_of_three.module_
        with torch.no_grad():
            kept = fit_of_mean(module, batch, module.objective.loss).loss
        assert float(kept) == pytest.approx(lowest.min(), rel=1e-5)

    def test_the_first_is_that_of_a_single_fit(self, best_of_three, ripples):
        alone = small(max_epochs=2, refit=False).fit(ripples)
        assert best_of_three.history_[best_of_three.history_.stage == "fit"].equals(alone.history_)

    def test_the_same_seed_gives_the_same_model(self, best_of_three, ripples):
        assert same(small(max_epochs=2, n_restarts=3, refit=False).fit(ripples), best_of_three)

    def test_the_summary_tells_the_losses_of_all(self, best_of_three):
        lowest = best_of_three.history_.groupby("stage").val_loss.min()
        (line,) = [line for line in best_of_three.summary().split("\n") if "best val_loss" in line]
        assert f"{lowest.min():.4f} nats a value, after" in line
        assert f" of {lowest.idxmin()}; " in line
        assert all(f"{loss:.4f}" in line for loss in lowest)

    def test_they_share_the_time(self, ripples, ticks):
        model = small(n_restarts=3, max_time=30, refit=False).fit(ripples)
        assert model.history_.stage.value_counts().to_dict() == {"fit": 3, "fit 2": 3, "fit 3": 2}
        assert 30 <= ticks.now <= 32

    def test_a_start_without_time_is_left_out(self, ripples, ticks):
        model = small(n_restarts=3, max_time=9).fit(ripples)
        assert model.history_.stage.tolist() == ["fit", "fit 2"]  # of an epoch of 4 steps each
        assert "left nothing for 1 of 3 starts" in str(model.summary())

    def test_a_fit_goes_on_in_the_middle_of_any(self, ripples, tmp_path, monkeypatch):
        monkeypatch.setattr(going_on, "_LEAST_SECONDS", 0.0)
        monkeypatch.setattr(going_on, "_TIMES_WRITING", 0.0)
        path, contents, write = tmp_path / "run.state", {}, resume.replace_file

        def keep(path, data):
            write(path, data)
            contents.setdefault(saved_in(data)["running"][0], []).append(data)

        monkeypatch.setattr(resume, "replace_file", keep)
        whole = small(max_epochs=1, n_restarts=2).fit(ripples, resume=path)
        monkeypatch.setattr(resume, "replace_file", write)
        assert list(contents) == ["fit", None, "fit 2", "refit"]
        for stage in ("fit", "fit 2"):
            path.write_bytes(contents[stage][1])
            assert same(small(max_epochs=1, n_restarts=2).fit(ripples, resume=path), whole)

    @pytest.mark.slow
    def test_ranks_agree_on_what_there_is_time_for(self, ripples):
        model = small(n_restarts=3, max_time=24, devices=2, batch_size=16)
        data = model._data(ripples, 0)
        module = model.build_module(data.schema)

        def learned():
            rank = torch.distributed.get_rank()
            in_time.time = Ticks(1.0 + rank)
            history = stages.learn(module, stages.Job(model, data, resume.Training(0)))
            mine = history.stage.tolist(), history.out_of_time.tolist()
            of_both = [None, None]
            torch.distributed.all_gather_object(of_both, mine)
            return of_both

        first, second = run_ranks(learned, 2)
        assert first == second
        assert {"fit", "fit 2"} <= set(first[0])

    def test_there_must_be_something_to_choose_by(self, ripples):
        for options in ({"objective": "interpolation"}, {"val_fraction": 0.0}):
            with pytest.raises(ValueError, match=r"n_restarts=2 keeps .*\nFix: model\.set_params"):
                small(n_restarts=2, **options).fit(ripples)
