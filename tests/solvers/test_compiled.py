"""Compiled steps: the same numbers, one graph, and clear errors."""

import pytest
import torch
from torch import nn

from latentode.solvers import odeint

FIELD = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).double()
TIMES = torch.linspace(0, 3, 7, dtype=torch.float64)


def field(t, y):
    return FIELD(y) - torch.sin(t)[:, None].double() * y


def starts(seed=0, n=3):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_compiled_solve_gives_the_same_numbers_in_one_graph_for_all_batches():
    with torch.no_grad():
        compiled = odeint(field, starts(), TIMES, method="bosh3", compile=True)
        plain = odeint(field, starts(), TIMES, method="bosh3")
        torch.testing.assert_close(compiled.ys, plain.ys, rtol=1e-12, atol=1e-12)
        # What a compiled graph counts, it may count for two rounds at a time, of rest too.
        assert torch.equal(compiled.stats.n_steps, plain.stats.n_steps)
        assert torch.equal(compiled.stats.n_f_evals, plain.stats.n_f_evals)
        with torch.compiler.set_stance("fail_on_recompile"):
            for seed in range(1, 100):
                odeint(field, starts(seed), TIMES, method="bosh3", compile=True)


@pytest.mark.parametrize("adjoint", [pytest.param("direct", marks=pytest.mark.slow), "replay"])
def test_gradients_of_a_compiled_solve_are_the_same(adjoint):
    inputs = [starts().requires_grad_(), TIMES.clone().requires_grad_(), *FIELD.parameters()]

    def gradients(**options):
        ys = odeint(field, inputs[0], inputs[1], adjoint=adjoint, **options).ys
        return torch.autograd.grad(ys.square().sum(), inputs)

    plain, compiled = gradients(), gradients(compile=True)
    for a, b in zip(plain, compiled, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    with torch.compiler.set_stance("fail_on_recompile"):
        for _ in range(3):
            gradients(compile=True)


def test_two_methods_do_not_get_each_others_graphs():
    with torch.no_grad():
        for method in ("bosh3", "heun", "bosh3"):
            compiled = odeint(field, starts(), TIMES, method=method, compile=True).ys
            plain = odeint(field, starts(), TIMES, method=method).ys
            torch.testing.assert_close(compiled, plain, rtol=1e-12, atol=1e-12)


def test_steps_that_are_not_finite_are_taken_again():
    # The square root leaves its domain at a step that is too long.
    def root(t, y):
        return -torch.sqrt(y) * FIELD[0].bias[0].exp()

    y0, ts = torch.ones(2, 1, dtype=torch.float64), TIMES[:3] / 2
    plain = odeint(root, y0, ts, first_step=10.0)
    compiled = odeint(root, y0, ts, first_step=10.0, compile=True)
    torch.testing.assert_close(plain.ys, compiled.ys)
    for solution in (plain, compiled):
        (gradient,) = torch.autograd.grad(solution.ys.sum(), FIELD[0].bias)
        assert gradient.isfinite().all()


def test_a_field_that_cannot_be_compiled_is_refused_with_the_reason():
    def printed(t, y):
        print("looking", end="")  # noqa: T201
        return -y * float(y.sum())

    with pytest.raises(RuntimeError, match="cannot be compiled to one graph"):
        odeint(printed, starts(), TIMES, compile=True)


def test_implicit_methods_are_not_compiled():
    with pytest.raises(ValueError, match="explicit methods, not for method=kvaerno5"):
        odeint(field, starts(), TIMES, method="kvaerno5", compile=True)
