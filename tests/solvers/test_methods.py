"""The laws of switching between an explicit and a stiff method."""

import pytest
import torch

from latentode.solvers import odeint
from latentode.solvers.methods import next_streak

DOUBLE = {"dtype": torch.float64}


def van_der_pol(mu):
    def f(t, y):
        x, v = y.unbind(1)
        return torch.stack([v, mu * (1 - x**2) * v - x], dim=1)

    return f


def oscillators(mu):
    mu = torch.tensor(mu, **DOUBLE)
    ts = torch.stack([torch.zeros_like(mu), (2 * mu).clamp(min=20)], dim=1)
    return van_der_pol(mu), torch.tensor([[2.0, 0.0]], **DOUBLE).repeat(len(mu), 1), ts


def test_where_nothing_is_stiff_it_is_the_explicit_method():
    f, y0, ts = oscillators([0.5, 1.0])
    auto, explicit = odeint(f, y0, ts, method="auto"), odeint(f, y0, ts, method="tsit5")
    assert torch.equal(auto.ys, explicit.ys)
    assert torch.equal(auto.stats.n_f_evals, explicit.stats.n_f_evals)


def test_a_sample_that_turns_stiff_changes_its_method_alone():
    f, y0, ts = oscillators([1.0, 1000.0])
    options = {"rtol": 1e-5, "atol": 1e-7}
    both = odeint(f, y0, ts, method="auto", **options)
    stiff = odeint(f, y0, ts, method="rodas5p", **options)
    torch.testing.assert_close(both.ys, stiff.ys, rtol=2e-3, atol=2e-3)
    assert both.stats.n_steps[1] < 500
    for i, mu in enumerate((1.0, 1000.0)):
        alone_f, alone_y0, alone_ts = oscillators([mu])
        alone = odeint(alone_f, alone_y0, alone_ts, method="auto", **options)
        assert alone.stats.n_steps[0] == both.stats.n_steps[i]
        assert alone.stats.n_f_evals[0] == both.stats.n_f_evals[i]
        torch.testing.assert_close(alone.ys[0], both.ys[i], rtol=1e-9, atol=1e-9)


def test_it_goes_back_to_the_explicit_method():
    # Stiff until t = 5, with rate 1e4, and then no more.
    def f(t, y):
        rate = torch.where(t < 5, 1e4, 1.0)[:, None]
        return -rate * (y - torch.cos(t)[:, None])

    y0, ts = torch.ones(1, 1, **DOUBLE), torch.tensor([0.0, 20.0], **DOUBLE)
    auto = odeint(f, y0, ts, method="auto", jump_ts=torch.tensor([5.0]))
    stiff = odeint(f, y0, ts, method="rodas5p", jump_ts=torch.tensor([5.0]))
    torch.testing.assert_close(auto.ys, stiff.ys, rtol=1e-4, atol=1e-4)
    # Nine evaluations a step of the stiff method, six of the other.
    assert auto.stats.n_f_evals[0] < 9 * auto.stats.n_steps[0] - 30


@pytest.mark.parametrize("adjoint", ["direct", "replay"])
def test_its_gradients_are_those_of_the_stiff_method(adjoint):
    def end(mu, method, **options):
        y0 = torch.tensor([[2.0, 0.0], [2.0, 0.0]], **DOUBLE)
        scale = torch.tensor([0.01, 1.0], **DOUBLE)
        ts = torch.tensor([0.0, 5.0], **DOUBLE)
        ys = odeint(van_der_pol(mu * scale), y0, ts, method=method, **options).ys
        return ys[:, -1, 0].sum()

    mu = torch.tensor(100.0, **DOUBLE, requires_grad=True)
    tight = {"rtol": 1e-6, "atol": 1e-8}
    (auto,) = torch.autograd.grad(end(mu, "auto", adjoint=adjoint, **tight), mu)
    (exact,) = torch.autograd.grad(end(mu, "rodas5p", **tight), mu)
    torch.testing.assert_close(auto, exact, rtol=1e-2, atol=0)


def test_a_sample_needs_many_stiff_steps_to_change_and_some_to_change_back():
    streak, yes = torch.zeros(1, dtype=torch.long), torch.tensor([True])
    stiff, mild = torch.tensor([4.0]), torch.tensor([1.0])
    for _ in range(9):
        streak = next_streak(streak, stiff, yes)
    assert streak.item() == 9
    assert next_streak(streak, stiff, ~yes).item() == 9  # a rejected step says nothing
    assert next_streak(streak, mild, yes).item() == 0
    streak = next_streak(streak, stiff, yes)
    assert streak.item() == -1
    for _ in range(2):
        streak = next_streak(streak, mild, yes)
    assert streak.item() < 0
    assert next_streak(streak, stiff, yes).item() == -1
    assert next_streak(streak, mild, yes).item() == 0
