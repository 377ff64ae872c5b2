"""The Rosenbrock method has the order it claims, and its steps are exactly differentiated."""

import cmath
import itertools
import math

import pytest
import torch

from latentode.solvers.rosenbrock import RODAS5P, rosenbrock_method_for, rosenbrock_step

DOUBLE = {"dtype": torch.float64}


def curved(t, y):
    """A nonlinear field that changes with time; `curve` solves it."""
    u, v = y.unbind(-1)
    return torch.stack([-2 * t * u**2, v * u * (1 + t**2) * t.cos()], dim=-1)


def curve(t):
    return torch.stack([1 / (1 + t**2), t.sin().exp()], dim=-1)


def step_from(field, t, dt, y, k=None, sign=None):
    """Take one step of the times and sizes (B,), with fields and signs for time to run in s."""
    method = rosenbrock_method_for(RODAS5P, y, t.dtype)
    towards = torch.ones_like(t) if sign is None else sign
    ts = t + towards * method.c[:, None] * dt
    k = field(t, y) if k is None else k
    return rosenbrock_step(field, method, ts, dt, y, k, sign)


def march(field, t, dt, y, n_steps, sign=None):
    """Take steps of one size and give the last state."""
    towards = torch.ones_like(t) if sign is None else sign
    k = field(t, y)
    for n in range(n_steps):
        y, k, *_ = step_from(field, t + towards * n * dt, dt, y, k, sign)
    return y


def across(step, y, theta):
    """Read the state at theta off a step."""
    return y + sum(power * theta ** (q + 1) for q, power in enumerate(step.powers))


def orders(errors):
    """Give the powers that errors shrink with as a step is halved again and again."""
    return [math.log2(x / y) for x, y in itertools.pairwise(errors)]


def trees(n_nodes):
    """Give all rooted trees, each as the sorted tuple of the subtrees of its root."""
    if n_nodes == 1:
        return {()}
    return {tree for smaller in trees(n_nodes - 1) for tree in _grown(smaller)}


def _grown(tree):
    yield tuple(sorted((*tree, ())))
    for i, child in enumerate(tree):
        for larger in _grown(child):
            yield tuple(sorted((*tree[:i], larger, *tree[i + 1 :])))


def _n_nodes(tree):
    return 1 + sum(map(_n_nodes, tree))


def _density(tree):
    return _n_nodes(tree) * math.prod(map(_density, tree))


def _weights(tree, alpha, beta):
    """Give what a tree asks of every stage: Hairer and Wanner II, theorem IV.7.4."""
    matrix = beta if len(tree) == 1 else alpha
    total = torch.ones(len(alpha), **DOUBLE)
    for child in tree:
        total = total * (matrix @ _weights(child, alpha, beta))
    return total


def _matrix(rows):
    """Fill rows up with zeros."""
    size = len(RODAS5P.c)
    return torch.tensor([[*map(float, row), *[0.0] * (size - len(row))] for row in rows], **DOUBLE)


# From the increments k to the sums U that are solved for: k = GAMMA^-1 U.
GAMMA = torch.linalg.inv(
    torch.eye(len(RODAS5P.c), **DOUBLE) / float(RODAS5P.gamma) - _matrix(RODAS5P.coupling)
)
ALPHA = _matrix(RODAS5P.a) @ GAMMA
M, ERROR = _matrix([RODAS5P.m, RODAS5P.error])


def off_by(weights, n_nodes, theta=1.0):
    """Give by how much weights of the stages fail the conditions of one order at theta."""
    off = []
    for tree in trees(n_nodes):
        found = weights @ GAMMA @ _weights(tree, ALPHA, ALPHA + GAMMA)
        off.append(abs(found.item() - theta**n_nodes / _density(tree)))
    return max(off)


@pytest.mark.parametrize("n_nodes", range(1, 6))
def test_the_conditions_of_order_5_hold(n_nodes):
    assert len(trees(n_nodes)) == [1, 1, 2, 4, 9][n_nodes - 1]
    assert off_by(M, n_nodes) < 1e-13


def test_the_embedded_method_has_order_4_and_no_more():
    assert max(off_by(M - ERROR, n_nodes) for n_nodes in range(1, 5)) < 1e-13
    assert off_by(M - ERROR, 5) > 1e-4


@pytest.mark.parametrize("theta", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("n_nodes", range(1, 5))
def test_the_conditions_of_order_4_hold_within_a_step(n_nodes, theta):
    powers = theta ** torch.arange(1, 5, **DOUBLE)
    within = torch.tensor([[*map(float, row)] for row in RODAS5P.dense], **DOUBLE) @ powers
    assert off_by(within, n_nodes, theta) < 1e-13


def test_the_dense_output_ends_at_the_result():
    assert all(sum(row) == m for row, m in zip(RODAS5P.dense, RODAS5P.m, strict=True))


def test_time_passes_as_a_state_would():
    """Nodes and weights of df/dt are the row sums that make t' = 1 one more equation."""
    nodes, slopes = _matrix([RODAS5P.c, RODAS5P.d])
    torch.testing.assert_close(ALPHA.sum(dim=1), nodes, rtol=0, atol=1e-13)
    torch.testing.assert_close(GAMMA.sum(dim=1), slopes, rtol=0, atol=1e-13)


def test_the_method_is_stiffly_accurate():
    torch.testing.assert_close(M @ GAMMA, (ALPHA + GAMMA)[-1], rtol=0, atol=1e-13)
    assert RODAS5P.c[-1] == 1


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_method_has_order_5_forward_and_backward(sign):
    t0, sign = torch.tensor([0.8 - 0.5 * sign], **DOUBLE), torch.tensor([sign], **DOUBLE)
    field = lambda t, y: sign * curved(t, y)
    errors = []
    for n_steps in (16, 32, 64):
        end = march(field, t0, torch.ones_like(t0) / n_steps, curve(t0), n_steps, sign)
        errors.append((end - curve(t0 + sign)).norm().item())
    assert min(orders(errors)) > 4.7


def test_the_error_estimate_has_order_5():
    """Of one step, as the error of the embedded method has."""
    t0, sizes = torch.tensor([0.3], **DOUBLE), [0.025, 0.0125, 0.00625]
    steps = [step_from(curved, t0, torch.full_like(t0, h), curve(t0)) for h in sizes]
    for order in orders([step.errors[0].norm().item() for step in steps]):
        assert order == pytest.approx(5, abs=0.4)


def test_the_state_within_a_step_has_an_error_of_order_5():
    t0, thetas, errors = torch.tensor([0.3], **DOUBLE), torch.linspace(0, 1, 9, **DOUBLE), []
    for h in (0.05, 0.025, 0.0125):
        step = step_from(curved, t0, torch.full_like(t0, h), curve(t0))
        off = [across(step, curve(t0), theta) - curve(t0 + theta * h) for theta in thetas]
        errors.append(torch.stack(off).norm(dim=-1).max().item())
    assert min(orders(errors)) > 4.7


def test_the_polynomial_across_a_step_meets_both_ends():
    t0 = torch.tensor([0.3], **DOUBLE)
    step = step_from(curved, t0, t0, curve(t0))
    torch.testing.assert_close(across(step, curve(t0), 1.0), step.y1)
    torch.testing.assert_close(step.k1, curved(2 * t0, step.y1))


def test_samples_do_not_depend_on_their_batch_mates():
    t0, dt = torch.tensor([0.1, 0.7, -0.4], **DOUBLE), torch.tensor([0.3, 0.01, 0.0], **DOUBLE)
    sign, y0 = torch.tensor([1.0, -1.0, 1.0], **DOUBLE), curve(t0)

    def parts_of(which):
        field = lambda t, y: sign[which, None] * curved(t, y)
        step = step_from(field, t0[which], dt[which], y0[which], sign=sign[which])
        return torch.cat([torch.stack([step.y1, step.k1, *step.errors]), step.powers])

    together = parts_of(slice(None))
    for i in range(3):
        alone = parts_of(slice(i, i + 1))
        torch.testing.assert_close(together[:, i : i + 1], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("field", [lambda t, y: -y.sqrt(), lambda t, y: y - t[:, None].sqrt()])
def test_a_resting_sample_rests_even_where_a_slope_is_infinite(field):
    y0 = torch.tensor([[1.0], [0.0]], **DOUBLE)
    t0, dt = torch.tensor([1.0, 0.0], **DOUBLE), torch.tensor([0.1, 0.0], **DOUBLE)
    y1, k1, powers, (error,), *_ = step_from(field, t0, dt, y0)
    for x in (y1, k1, powers, error):
        assert not x[..., 1, :].any()
    torch.testing.assert_close(y1[:1], step_from(field, t0[:1], dt[:1], y0[:1]).y1)


def test_a_resting_sample_keeps_the_field_that_it_is_given():
    t0, y0 = torch.tensor([0.3, 0.6], **DOUBLE), torch.ones(2, 2, **DOUBLE)
    k = torch.full_like(y0, 7.0)
    step = step_from(curved, t0, torch.tensor([0.1, 0.0], **DOUBLE), y0, k)
    torch.testing.assert_close((step.y1[1], step.k1[1]), (y0[1], k[1]), rtol=0, atol=0)


def test_a_resting_sample_has_the_gradients_of_one_left_alone():
    y0 = curve(torch.tensor([0.3, 0.6], **DOUBLE)).requires_grad_()
    t0 = torch.tensor([0.3, 0.6], requires_grad=True, **DOUBLE)
    dt = torch.tensor([0.1, 0.0], requires_grad=True, **DOUBLE)
    y1, k1, *_ = step_from(curved, t0, dt, y0)
    k0 = curved(t0, y0)
    torch.testing.assert_close((y1[1], k1[1]), (y0[1], k0[1]), rtol=0, atol=0)
    by_y, by_t, by_dt = torch.autograd.grad(y1[1].sum(), (y0, t0, dt), retain_graph=True)
    torch.testing.assert_close(by_y, torch.tensor([[0.0, 0.0], [1.0, 1.0]], **DOUBLE))
    assert not by_t.any()
    torch.testing.assert_close(by_dt[1], k0[1].sum())  # a step would move it as the field says
    found = torch.autograd.grad(k1[1].sum(), (y0, t0))
    torch.testing.assert_close(found, torch.autograd.grad(k0[1].sum(), (y0, t0)))


@pytest.mark.parametrize("rate", [1e3, 1e6, 1e9])
def test_stiff_decay_is_damped_in_one_long_step(rate):
    y0, one = torch.ones(1, 2, **DOUBLE), torch.ones(1, **DOUBLE)
    step = step_from(lambda t, y: -rate * y, 0 * one, one, y0)
    assert step.y1.abs().max() < 20 / rate


@pytest.mark.parametrize("rate", [1e2, 1e4, 1e6])
def test_a_stiff_equation_is_followed_with_long_steps(rate):
    """Prothero and Robinson: y' = rate (cos t - y) - sin t has the solution cos t."""
    field = lambda t, y: rate * (t.cos()[:, None] - y) - t.sin()[:, None]
    t0 = torch.zeros(1, **DOUBLE)
    y1 = march(field, t0, t0 + 0.1, torch.ones(1, 1, **DOUBLE), 20)
    assert y1.item() == pytest.approx(math.cos(2.0), abs=1e-6)


def test_a_stiff_oscillator_is_followed_with_long_steps():
    """Van der Pol's slow decline; a method that is not stable would need steps of 1e-3."""

    def field(t, y):
        x, v = y.unbind(-1)
        return torch.stack([v, 1000 * (1 - x**2) * v - x], dim=-1)

    t0, y0 = torch.zeros(1, **DOUBLE), torch.tensor([[2.0, 0.0]], **DOUBLE)
    y0 = march(field, t0, t0 + 1e-3, y0, 30)  # past the first transient
    coarse, fine = (march(field, t0, t0 + 100 / n, y0, n) for n in (10, 80))
    torch.testing.assert_close(coarse, fine, rtol=1e-6, atol=0)


WEIGHT = torch.tensor([[0.3, -1.2, 0.4], [0.9, 0.1, -0.7], [-0.2, 0.8, 0.5]], **DOUBLE)


def bent(t, y, weight=WEIGHT):
    """Have a Jacobian and a slope in time that depend on everything."""
    return torch.tanh(y @ weight) * (1 + t[:, None]) ** 2 - (2 * y).sin()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_gradients_are_those_of_finite_differences(sign):
    y0 = torch.tensor([[0.5, -0.3, 1.0], [1.2, 0.1, -0.6]], requires_grad=True, **DOUBLE)
    t0 = torch.tensor([0.2, -0.1], requires_grad=True, **DOUBLE)
    dt = torch.tensor([0.3, 0.15], requires_grad=True, **DOUBLE)
    weight = WEIGHT.clone().requires_grad_()
    sign = torch.full((2,), sign, **DOUBLE)

    def end(y0, t0, dt, weight):
        field = lambda t, y: sign[:, None] * bent(t, y, weight)
        return march(field, t0, dt, y0, 3, sign)

    inputs = (y0, t0, dt, weight)
    assert torch.autograd.gradcheck(end, inputs, eps=1e-5, atol=1e-7, rtol=1e-6)


def test_gradients_for_parameters_need_no_others():
    weight = WEIGHT.clone().requires_grad_()
    t0, y0 = torch.zeros(1, **DOUBLE), torch.tensor([[0.5, -0.3, 1.0]], **DOUBLE)
    end = lambda weight: march(lambda t, y: bent(t, y, weight), t0, t0 + 0.3, y0, 2)
    assert torch.autograd.gradcheck(end, (weight,), eps=1e-5, atol=1e-7, rtol=1e-6)


def test_a_step_has_second_derivatives():
    y0 = torch.tensor([[0.5, -0.3, 1.0]], requires_grad=True, **DOUBLE)
    t0, weight = torch.zeros(1, **DOUBLE), WEIGHT.clone().requires_grad_()
    end = lambda y0, weight: march(lambda t, y: bent(t, y, weight), t0, t0 + 0.3, y0, 1)
    assert torch.autograd.gradgradcheck(end, (y0, weight), eps=1e-5, atol=1e-6, rtol=1e-5)


def test_gradients_of_what_is_read_within_a_step():
    y0 = torch.tensor([[0.5, -0.3, 1.0]], requires_grad=True, **DOUBLE)
    t0 = torch.zeros(1, **DOUBLE)
    read = lambda y0: across(step_from(bent, t0, t0 + 0.2, y0), y0, 0.3)
    assert torch.autograd.gradcheck(read, (y0,), eps=1e-5, atol=1e-7, rtol=1e-6)


def test_a_tensor_that_a_field_keeps_is_not_the_state():
    """y' = -c y has the Jacobian -c also where c is the very tensor of the state, or the time."""
    y0 = torch.tensor([[0.7]], requires_grad=True, **DOUBLE)
    t0 = torch.full((1,), 0.4, requires_grad=True, **DOUBLE)
    kept = step_from(lambda t, y: -(y0 + t0[:, None]) * y, t0, t0 + 0.1, y0).y1
    apart = step_from(lambda t, y: -1.1 * y, t0, t0 + 0.1, y0).y1
    torch.testing.assert_close(kept, apart)


def test_the_error_estimate_has_no_graph():
    t0, y0 = torch.zeros(1, **DOUBLE), torch.ones(1, 3, requires_grad=True, **DOUBLE)
    step = step_from(bent, t0, t0 + 0.1, y0)
    assert step.powers.requires_grad
    assert not step.errors[0].requires_grad


def test_without_gradients_no_graph_is_kept():
    t0, y0 = torch.zeros(1, **DOUBLE), torch.ones(1, 3, **DOUBLE)
    assert not step_from(bent, t0, t0 + 0.1, y0).y1.requires_grad
    with torch.no_grad():
        assert not step_from(bent, t0, t0 + 0.1, y0.clone().requires_grad_()).y1.requires_grad


def test_inference_mode_changes_nothing():
    t0, dt = torch.tensor([0.3], **DOUBLE), torch.tensor([0.1], **DOUBLE)
    expected = step_from(curved, t0, dt, curve(t0)).y1
    with torch.inference_mode():
        found = step_from(curved, t0 + 0, dt + 0, curve(t0)).y1
    torch.testing.assert_close(found.clone(), expected, rtol=0, atol=0)


def test_a_field_without_derivatives_is_summed():
    t0, y0 = torch.zeros(2, **DOUBLE), torch.ones(2, 3, **DOUBLE)
    y1 = step_from(lambda t, y: torch.full_like(y, 2.0), t0, t0 + 0.5, y0).y1
    torch.testing.assert_close(y1, y0 + 1)


def test_states_in_single_precision_may_have_times_in_double():
    t0 = torch.tensor([0.3], **DOUBLE)
    step = step_from(lambda t, y: curved(t, y).float(), t0, t0, curve(t0).float())
    assert step.y1.dtype == step.powers.dtype == step.errors[0].dtype == torch.float32
    torch.testing.assert_close(step.y1, curve(2 * t0).float(), rtol=1e-4, atol=1e-4)


def test_holomorphic_fields_turn_as_the_exponential_does():
    t0, y0 = torch.zeros(1, **DOUBLE), torch.tensor([[1.0, 0.5 - 1j]], dtype=torch.complex128)
    rate = torch.tensor([2j - 0.3, 1.0 + 1j], dtype=torch.complex128)
    errors = []
    for n_steps in (8, 16, 32):
        y1 = march(lambda t, y: rate * 2 * t[:, None] * y, t0, t0 + 1 / n_steps, y0, n_steps)
        errors.append((y1 - y0 * torch.exp(rate)).abs().max().item())
    assert errors[-1] < 1e-7
    assert min(orders(errors)) > 4.7


def test_complex_fields_may_use_the_conjugate():
    """z' = (i - |z|^2) z has r = |z|^2 with r' = -2 r^2, and the angle t."""
    t0, y0 = torch.zeros(1, **DOUBLE), torch.ones(1, 1, dtype=torch.complex128)
    errors = []
    for n_steps in (16, 32, 64):
        y1 = march(lambda t, y: (1j - y * y.conj()) * y, t0, t0 + 1 / n_steps, y0, n_steps)
        errors.append(abs(y1.item() - cmath.exp(1j) / math.sqrt(3)))
    assert min(orders(errors)) > 4.7


def test_a_complex_field_may_be_a_conjugate():
    t0, y0 = torch.zeros(1, **DOUBLE), torch.tensor([[1.0 + 1j]], dtype=torch.complex128)
    y1 = step_from(lambda t, y: y.conj(), t0, t0 + 0.1, y0).y1.item()
    assert y1 == pytest.approx(complex(math.exp(0.1), math.exp(-0.1)), abs=1e-8)


def test_complex_gradients_are_those_of_finite_differences():
    y0 = torch.tensor([[0.4 + 0.2j, -0.3j]], dtype=torch.complex128, requires_grad=True)
    rate = torch.tensor([1j, 0.5 - 1j], dtype=torch.complex128, requires_grad=True)
    t0 = torch.zeros(1, **DOUBLE)
    end = lambda y0, rate: march(lambda t, y: rate * y**2 * y.flip(1), t0, t0 + 0.2, y0, 2)
    assert torch.autograd.gradcheck(end, (y0, rate), eps=1e-5, atol=1e-7, rtol=1e-6)


UNSOLVABLE = {
    "not finite at the start": lambda t, y: (t - 0.5).sqrt() * y,
    "not finite at a stage": lambda t, y: torch.where(t == 0, 1, (t - 0.7).sqrt()) * y,
    "an infinite Jacobian": lambda t, y: 1 + y.sqrt(),
    "an infinite slope in time": lambda t, y: 1 + t.sqrt() + 0 * y,
}


@pytest.mark.parametrize("field", UNSOLVABLE.values(), ids=UNSOLVABLE)
def test_what_cannot_be_solved_is_not_finite(field):
    """The second sample can, and is."""
    t0, y0 = torch.tensor([0.0, 1.0], **DOUBLE), torch.tensor([[0.0], [1.0]], **DOUBLE)
    y1 = step_from(lambda t, y: field(t[:, None], y), t0, torch.ones_like(t0), y0).y1
    assert y1.isfinite().flatten().tolist() == [False, True]


def test_a_singular_matrix_is_not_solved():
    """In floating point, I - h gamma J is a multiple of J where that is large."""
    t0, y0 = torch.zeros(1, **DOUBLE), torch.ones(1, 2, **DOUBLE)
    y1 = step_from(lambda t, y: 1e20 * (y + y.flip(1)), t0, t0 + 1, y0).y1
    assert not y1.isfinite().any()
