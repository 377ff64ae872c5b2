"""Training that is gone on with ends where it would have ended, to the bit."""

import copy
import io

import pytest
import torch

from latentode.models import ELBO, SeriesDataModule, going_on, train


class Interruption(Exception):
    """Stands for whatever may end a process."""


@pytest.fixture
def always_due(monkeypatch):
    monkeypatch.setattr(going_on, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(going_on, "_TIMES_WRITING", 0.0)


@pytest.fixture
def run(build, waves):
    """Give what trains a model that draws, of batches and in its layers."""

    def run(*, keep=None, state=None, averaging=0.9, **options):
        data = SeriesDataModule(waves, batch_size=4, random_state=1)
        model = build(objective=ELBO(), observation_dropout=0.3)
        history = train(
            model,
            data,
            **{"max_epochs": 3, "patience": None, "accelerator": "cpu", "label": None, **options},
            averaging=averaging,
            seed=5,
            keep=keep,
            state=state,
        )
        return {k: v.clone() for k, v in model.state_dict().items()}, history

    return run


def as_in_a_file(state):
    """Give a state as it would be read from a file, without leave to run code."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def same(first, second):
    weights, history = first
    return history == second[1] and all(torch.equal(weights[k], second[0][k]) for k in weights)


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_it_ends_the_same_from_wherever_it_goes_on(run, averaging, always_due):
    states = []
    whole = run(keep=lambda state: states.append(as_in_a_file(state)), averaging=averaging)
    assert same(run(averaging=averaging), whole)  # to look at it changes nothing
    assert len(states) == 14  # in the middle of epochs, too
    torch.manual_seed(9)
    for state in states[::4] + states[4:5]:  # at the end of an epoch, too
        kept = []
        resumed = run(keep=kept.append, state=copy.deepcopy(state), averaging=averaging)
        assert same(resumed, whole)
        assert len(kept) < len(states)


def test_early_stopping_stops_where_it_would_have(run, always_due):
    states = []
    options = {"max_epochs": 20, "patience": 2, "averaging": 0.0}
    whole = run(keep=lambda state: states.append(as_in_a_file(state)), **options)
    assert len(whole[1]) < 20
    assert same(run(keep=[].append, state=states[-1], **options), whole)


def test_what_stops_it_is_not_kept_silent(run, always_due):
    def keep(state):
        raise Interruption

    with pytest.raises(Interruption):
        run(keep=keep)


def test_states_are_handed_over_now_and_then(run):
    states = []
    run(keep=states.append)
    assert 1 <= len(states) < 15


def test_a_step_seeds_no_device_that_is_not_in_use(run, monkeypatch):
    seed_all = torch.cuda.manual_seed_all
    seeded = []
    monkeypatch.setattr(
        torch.cuda, "manual_seed_all", lambda seed: (seeded.append(seed), seed_all(seed))
    )
    run()
    assert len(seeded) <= 2  # at the start, and not in each step: torch keeps a note of all
