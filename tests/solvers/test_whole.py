"""Compiled loops of many rounds: what a round at a time gives, also where samples fail."""

import runpy
import sys

import pytest
import torch

from latentode.solvers import SolverError, odeint, whole

TIMES = torch.tensor([[0.0, 0.5, 1.0, 3.0], [0.0, 0.1, 0.1, 2.0], [0.0, 0.0, 0.0, 0.0]])
STARTS = torch.tensor([[0.5, -1.0], [1.0, 0.3], [2.0, 1.0]])
RATES = torch.tensor([[1.0], [2.0], [0.5]], requires_grad=True)
N_CALLS, PAIR = torch.zeros(()), torch.tensor([1.0, 2.0]).double()
FASTER, SLOWER = PAIR[1:], PAIR[:1]  # two views of one tensor
# The second of them explodes at t=1.
BLASTS, BLAST_TIMES = torch.tensor([[-1.0], [1.0], [0.3]]), torch.linspace(0, 3, 9)
# More rounds than one loop has, of a method that is soon compiled.
MANY_ROUNDS = {"method": "bosh3", "rtol": 1e-3, "max_step": 0.01}


def field(t, y):
    return RATES * torch.cos(y) - torch.sin(t)[:, None] * y


def explode(t, y):
    return y * y


def both(f, y0, ts, **options):
    y0, ts = y0.double(), ts.double()
    with torch.no_grad():
        return [odeint(f, y0, ts, compile=compiled, **options) for compiled in (False, True)]


def assert_same_numbers(plain, compiled):
    torch.testing.assert_close(compiled.ys, plain.ys, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"max_step": 0.01},
        {"step_ts": torch.tensor([0.7, 1.9]), "clip_end": True, "control": "joint"},
        {"method": "rk4", "step_size": 0.05},
        {"method": "rk4", "step_size": 0.05, "on_failure": "mask"},
    ],
    ids=["many rounds", "stops", "fixed steps", "fixed steps that may fail"],
)
def test_a_compiled_loop_gives_the_numbers_and_counts_of_single_rounds(options):
    plain, compiled = both(field, STARTS, TIMES, **options)
    assert_same_numbers(plain, compiled)
    for a, b in zip(plain.stats, compiled.stats, strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
def test_time_may_run_backward_and_a_field_may_return_its_state():
    def same(t, y):
        return y

    assert_same_numbers(*both(same, STARTS, -TIMES))


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"min_step": 1e-4}, marks=pytest.mark.slow),
        pytest.param({"method": "rk4", "step_size": 0.25}, marks=pytest.mark.slow),
    ],
    ids=["no step moves it", "min_step is too long", "steps of a given size"],
)
def test_a_sample_that_fails_in_a_compiled_loop_fails_alone(options):
    options = {**({} if "step_size" in options else MANY_ROUNDS), **options}
    plain, compiled = both(explode, BLASTS, BLAST_TIMES, on_failure="mask", **options)
    assert list(plain.failures) == list(compiled.failures) == [1]
    assert str(plain.failures[1])[:60] == str(compiled.failures[1])[:60]
    torch.testing.assert_close(compiled.ys, plain.ys, rtol=1e-10, atol=1e-10, equal_nan=True)
    assert compiled.ys[1].isnan().any()
    for a, b in zip(plain.stats, compiled.stats, strict=True):
        assert torch.equal(a[[0, 2]], b[[0, 2]])


def test_too_many_steps_are_as_many_in_a_compiled_loop():
    for most in (7, 8):
        errors = []
        for compiled in (False, True):
            options = {**MANY_ROUNDS, "max_steps": most, "compile": compiled}
            late = pytest.raises(SolverError, match=f"max_steps={most} steps")
            with torch.no_grad(), late as error:
                odeint(explode, BLASTS.double(), BLAST_TIMES.double(), **options)
            errors.append(str(error.value))
        assert errors[0] == errors[1]


def viewing(t, y):
    return -FASTER * y + SLOWER


def counted(t, y):
    N_CALLS.add_(1)
    return -y


@pytest.mark.parametrize("f", [viewing, pytest.param(counted, marks=pytest.mark.slow)])
def test_a_field_of_which_no_loop_is_compiled_is_solved_by_single_rounds(f):
    for _ in range(2):
        assert_same_numbers(*both(f, STARTS, TIMES, method="heun"))


def test_where_torch_has_no_loops_single_rounds_are_compiled(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch._higher_order_ops.while_loop", None)
    assert runpy.run_path(whole.__file__)["HAS_LOOPS"] is False
    monkeypatch.setattr(whole, "HAS_LOOPS", False)
    monkeypatch.setattr(whole, "compiled", None)  # which compiles loops here
    assert_same_numbers(*both(field, STARTS, TIMES, method="heun"))


def test_a_compiler_that_fails_at_a_loop_is_warned_of_and_single_rounds_are_compiled(monkeypatch):
    def fail(*args):
        raise torch._dynamo.exc.BackendCompilerFailed(fail, OSError("no space"), None)

    monkeypatch.setattr(whole, "compiled", lambda *args, **options: fail)
    monkeypatch.setattr(whole, "_REFUSED", set())
    with pytest.warns(RuntimeWarning, match=r"(?s)makes no loop of the steps.*no space"):
        solutions = both(field, STARTS, TIMES, method="heun")
    assert_same_numbers(*solutions)
