"""Implicit methods solve stiff equations, and are differentiated."""

import pytest
import torch
from scipy.integrate import solve_ivp

from latentode.solvers import METHODS, SolverError, odeint
from latentode.solvers.implicit import jacobian_of

IMPLICIT = [name for name, tableau in METHODS.items() if tableau.is_implicit]
DOUBLE = {"dtype": torch.float64}


def van_der_pol(t, y, mu=1000.0):
    x, v = y.unbind(-1)
    return torch.stack([v, mu * (1 - x**2) * v - x], dim=-1)


def robertson(t, y):
    a, b, c = y.unbind(-1)
    slow, back, fast = 0.04 * a, 1e4 * b * c, 3e7 * b**2
    return torch.stack([-slow + back, slow - back - fast, fast], dim=-1)


def hires(t, y):
    """High irradiance response: Hairer and Wanner II, section IV.10."""
    a, b, c, d, e, f, g, h = y.unbind(-1)
    r = 280 * f * h
    return torch.stack(
        [
            -1.71 * a + 0.43 * b + 8.32 * c + 0.0007,
            1.71 * a - 8.75 * b,
            -10.03 * c + 0.43 * d + 0.035 * e,
            8.32 * b + 1.71 * c - 1.12 * d,
            -1.745 * e + 0.43 * f + 0.43 * g,
            -r + 0.69 * d + 1.71 * e - 0.43 * f + 0.69 * g,
            r - 1.81 * g,
            -r + 1.81 * g,
        ],
        dim=-1,
    )


STIFF = {
    "van der Pol": (van_der_pol, [2.0, 0.0], 1000.0, 1e-6),
    "Robertson": (robertson, [1.0, 0.0, 0.0], 1e5, 1e-9),
    "HIRES": (hires, [1.0, 0, 0, 0, 0, 0, 0, 0.0057], 321.8122, 1e-8),
}


@pytest.mark.parametrize("problem", STIFF)
def test_stiff_problems_take_few_steps(problem):
    field, y0, end, atol = STIFF[problem]
    exact = solve_ivp(
        lambda t, y: field(torch.tensor([t]), torch.tensor(y)[None])[0].numpy(),
        (0, end), y0, method="Radau", rtol=1e-9, atol=1e-3 * atol,
    ).y[:, -1]  # fmt: skip
    start = torch.tensor([y0], **DOUBLE)
    solution = odeint(
        field, start, torch.tensor([0.0, end], **DOUBLE), method="kvaerno5", rtol=1e-5, atol=atol
    )
    assert solution.stats.n_steps < 500
    torch.testing.assert_close(solution.ys[0, 1], torch.tensor(exact), rtol=1e-3, atol=100 * atol)


@pytest.mark.parametrize("rate", [1e3, 1e5])
@pytest.mark.parametrize("adjoint", ["direct", "replay"])
def test_gradients_of_stiff_decay(rate, adjoint):
    """y' = rate (cos(w t) - y) follows cos(w t): its gradient for w is that of the cosine."""
    w = torch.tensor(1.0, requires_grad=True, **DOUBLE)
    y0 = torch.zeros(1, 1, requires_grad=True, **DOUBLE)
    field = lambda t, y: rate * (torch.cos(w * t)[:, None] - y)
    options = {"method": "kvaerno5", "rtol": 1e-6, "atol": 1e-8}
    ys = odeint(field, y0, torch.tensor([0.0, 2.0], **DOUBLE), adjoint=adjoint, **options).ys
    ys[0, 1].sum().backward()
    assert w.grad.item() == pytest.approx(-2 * torch.tensor(2.0).sin().item(), rel=1e-2)
    assert y0.grad.abs() < 1e-4


@pytest.mark.parametrize("method", ["kvaerno3", "kvaerno5"])
def test_gradients_of_a_stiff_oscillator_match_finite_differences(method):
    mu = torch.tensor(20.0, requires_grad=True, **DOUBLE)
    ts, options = torch.tensor([0.0, 3.0], **DOUBLE), {"rtol": 1e-7, "atol": 1e-9}

    def end(mu):
        start = torch.tensor([[2.0, 0.0]], **DOUBLE)
        field = lambda t, y: van_der_pol(t, y, mu)
        return odeint(field, start, ts, method=method, **options).ys[0, 1, 0]

    (gradient,) = torch.autograd.grad(end(mu), mu)
    with torch.no_grad():
        expected = (end(mu + 1e-3) - end(mu - 1e-3)) / 2e-3
    assert gradient.item() == pytest.approx(expected.item(), rel=1e-3)


def test_implicit_methods_stay_stable_where_explicit_ones_do_not():
    field = lambda t, y: -1e4 * y
    y0, ts = torch.ones(1, 1, **DOUBLE), torch.tensor([0.0, 10.0], **DOUBLE)
    for method in ("implicit_euler", "kvaerno3", "kvaerno5"):  # L-stable
        assert odeint(field, y0, ts, method=method, step_size=1.0).ys[0, 1].abs() < 1e-3
    with pytest.raises(SolverError, match="not finite"):
        odeint(field, y0, torch.tensor([0.0, 1000.0], **DOUBLE), method="rk4", step_size=1.0)


MILD = {
    "decay": (lambda t, y: -(y**2), [[1.0], [3.0]]),
    "growth to a limit": (lambda t, y: y * (1 - y), [[0.1], [2.0]]),
    "pendulum": (lambda t, y: torch.stack([y[:, 1], -y[:, 0].sin()], 1), [[1.0, 0.0], [2.0, 1.0]]),
    "square root": (lambda t, y: -0.5 * y.abs().sqrt(), [[1.0], [10.0]]),
    "saturation": (lambda t, y: -20 * torch.tanh(5 * y), [[1.0], [3.0]]),
    "large numbers": (lambda t, y: -1e3 * (y - 1e6 * t.cos()[:, None]), [[1.0], [3.0]]),
}


@pytest.mark.parametrize("problem", MILD)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_long_steps_of_one_size_solve_the_equation_of_the_method(problem, dtype):
    field, y0 = MILD[problem]
    y0, ts = torch.tensor(y0, dtype=dtype), torch.arange(5.0, **DOUBLE)
    solution = odeint(field, y0, ts, method="implicit_euler", step_size=1.0)
    for j in range(1, 5):
        before, after = solution.ys[:, j - 1], solution.ys[:, j]
        slope = field(ts[j].to(dtype).expand(2), after)
        jacobian = jacobian_of(field, ts[j].to(dtype).expand(2), after)
        off = torch.linalg.solve(torch.eye(y0.shape[1]) - jacobian, before + slope - after)
        assert (off.abs() <= 100 * torch.finfo(dtype).eps * (1 + after.abs())).all()


@pytest.mark.parametrize("method", ["implicit_euler", "implicit_midpoint", "kvaerno5"])
@pytest.mark.parametrize("adjoint", ["direct", "replay"])
def test_their_gradients_match_finite_differences(method, adjoint):
    y0 = torch.tensor([[1.0, 0.0], [2.0, 1.0]], requires_grad=True, **DOUBLE)
    options = {"method": method, "step_size": 1.0, "adjoint": adjoint}
    ts = torch.tensor([0.0, 2.5], **DOUBLE)
    assert torch.autograd.gradcheck(
        lambda y0: odeint(MILD["pendulum"][0], y0, ts, **options).ys, y0
    )


def test_a_sample_with_a_long_step_changes_nothing_for_the_others():
    field, ts = MILD["decay"][0], torch.tensor([0.0, 3.0], **DOUBLE)
    options = {"method": "implicit_euler", "step_size": 1.0}
    both = odeint(field, torch.tensor([[1e-3], [30.0]], **DOUBLE), ts, **options)
    alone = odeint(field, torch.tensor([[1e-3]], **DOUBLE), ts, **options)
    assert torch.equal(both.ys[:1], alone.ys)
    assert both.stats.n_f_evals[0] == alone.stats.n_f_evals[0]


def test_a_step_that_has_no_solution_is_said_to_be_too_long():
    """The state after implicit Euler's step for y' = y^2 is not real from h y0 = 1/4."""
    y0, ts = torch.tensor([[0.1], [1.0]], **DOUBLE), torch.tensor([0.0, 2.0], **DOUBLE)
    options = {"method": "implicit_euler", "step_size": 0.5}
    with pytest.raises(SolverError, match=r"sample 1 .* step_size=0\.5, .* too long .* shorter"):
        odeint(lambda t, y: y**2, y0, ts, **options)
    masked = odeint(lambda t, y: y**2, y0, ts, on_failure="mask", **options)
    assert list(masked.failures) == [1]
    assert masked.ys[0].isfinite().all()


def test_the_jacobian_is_that_of_every_sample():
    y = torch.randn(5, 3, **DOUBLE)
    scale = torch.arange(5, **DOUBLE)[:, None]  # a field that treats its samples differently
    field = lambda t, y: scale * y.sin() * y.roll(1, dims=1)
    jacobian = jacobian_of(field, torch.zeros(5), y)
    for i in range(5):
        alone = torch.autograd.functional.jacobian(
            lambda x, i=i: (scale * x.sin() * x.roll(1, dims=1))[i], y
        )
        torch.testing.assert_close(jacobian[i], alone[:, i])


def test_a_field_that_ignores_the_state_has_no_jacobian():
    field = lambda t, y: t[:, None].expand_as(y)
    assert not jacobian_of(field, torch.ones(2), torch.ones(2, 3)).any()
    y0, ts = torch.zeros(2, 3, **DOUBLE), torch.tensor([0.0, 2.0], **DOUBLE)
    ys = odeint(field, y0, ts, method="kvaerno3").ys
    torch.testing.assert_close(ys[:, 1], torch.full_like(y0, 2.0))


@pytest.mark.parametrize("method", IMPLICIT)
def test_what_they_cannot_do_is_refused(method):
    y0 = torch.ones(1, 1, requires_grad=True, **DOUBLE)
    ts = torch.tensor([0.0, 1.0], **DOUBLE)
    with pytest.raises(ValueError, match="implicit: use adjoint=direct or adjoint=replay"):
        odeint(lambda t, y: -y, y0, ts, method=method, adjoint="backsolve", step_size=0.1)
    if method in ("rodas5p", "auto"):  # nothing is iterated: they can
        return
    end = odeint(lambda t, y: -(y**2), y0, ts, method=method, step_size=0.1).ys[0, 1, 0]
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(end, y0, create_graph=True)
