"""Compiled loops of many rounds: what a round at a time gives, also where samples fail."""

import pytest
import torch

from latentode.solvers import SolverError, odeint

TIMES = torch.tensor([[0.0, 0.5, 1.0, 3.0], [0.0, 0.1, 0.1, 2.0], [0.0, 0.0, 0.0, 0.0]])
STARTS = torch.tensor([[0.5, -1.0], [1.0, 0.3], [2.0, 1.0]])
RATES = torch.tensor([[1.0], [2.0], [0.5]], requires_grad=True)


def field(t, y):
    return RATES * torch.cos(y) - torch.sin(t)[:, None] * y


def both(f, y0, ts, **options):
    y0, ts = y0.double(), ts.double()
    with torch.no_grad():
        return [odeint(f, y0, ts, compile=compiled, **options) for compiled in (False, True)]


@pytest.mark.parametrize(
    "options",
    [
        {"max_step": 0.01},  # more rounds than one loop has
        {"step_ts": torch.tensor([0.7, 1.9]), "clip_end": True, "control": "joint"},
        {"method": "rk4", "step_size": 0.05},
    ],
    ids=["many rounds", "stops", "fixed steps"],
)
def test_a_compiled_loop_gives_the_numbers_and_counts_of_single_rounds(options):
    plain, compiled = both(field, STARTS, TIMES, **options)
    torch.testing.assert_close(compiled.ys, plain.ys, rtol=1e-12, atol=1e-12)
    for a, b in zip(plain.stats, compiled.stats, strict=True):
        assert torch.equal(a, b)


def test_time_may_run_backward_and_a_field_may_return_its_state():
    def same(t, y):
        return y

    plain, compiled = both(same, STARTS, -TIMES)
    torch.testing.assert_close(compiled.ys, plain.ys, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("least", [0.0, 1e-4], ids=["no step moves it", "min_step is too long"])
def test_a_sample_that_fails_in_a_compiled_loop_fails_alone(least):
    def explode(t, y):
        return y * y

    y0 = torch.tensor([[-1.0], [1.0], [0.3]])
    options = {"rtol": 1e-6, "min_step": least}
    plain, compiled = both(explode, y0, torch.linspace(0, 3, 9), on_failure="mask", **options)
    assert list(plain.failures) == list(compiled.failures) == [1]
    assert str(plain.failures[1])[:60] == str(compiled.failures[1])[:60]
    torch.testing.assert_close(compiled.ys, plain.ys, rtol=1e-10, atol=1e-10, equal_nan=True)
    assert compiled.ys[1].isnan().any()
    assert not compiled.ys[[0, 2]].isnan().any()


def test_too_many_steps_are_as_many_in_a_compiled_loop():
    y0, ts = STARTS.double(), TIMES.double()
    for most in (7, 8):
        errors = []
        for compiled in (False, True):
            with pytest.raises(SolverError, match=f"max_steps={most} steps") as error:
                odeint(
                    field, y0, ts, max_step=0.01, max_steps=most, compile=compiled, adjoint="none"
                )
            errors.append(str(error.value))
        assert errors[0] == errors[1]


def test_a_field_of_which_no_loop_is_compiled_is_solved_by_single_rounds():
    seen, pair = [], torch.tensor([1.0, 2.0]).double()
    faster, slower = pair[1:], pair[:1]  # two views of one tensor

    def viewing(t, y):
        return -faster * y + slower

    def watched(t, y):
        seen.append(t)
        return -y

    for f in (viewing, watched):
        for _ in range(2):
            plain, compiled = both(f, STARTS, TIMES)
            torch.testing.assert_close(compiled.ys, plain.ys, rtol=1e-12, atol=1e-12)
