"""Both gradients are those of the solution."""

import functools
import math

import pytest
import torch
from torch import nn

from latentode.solvers import METHODS, SolverError, odeint

ADJOINTS = ("direct", "replay", "backsolve")
TIGHT = {"rtol": 1e-10, "atol": 1e-10}


class Pushed(nn.Module):
    """A small network that a wave in time drives."""

    def __init__(self, size=3):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(size, 8), nn.Tanh(), nn.Linear(8, size)).double()

    def forward(self, t, y):
        return self.net(y) * (1 + torch.sin(3 * t))[:, None]


@pytest.fixture
def field():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Pushed()


def problem(direction=1.0):
    random = torch.Generator().manual_seed(1)
    y0 = torch.randn(4, 3, generator=random, dtype=torch.float64)
    ts = direction * torch.rand(4, 5, generator=random, dtype=torch.float64).cumsum(1)
    return y0.requires_grad_(), ts.requires_grad_()


def loss(ys):
    """A function of the states that no symmetry makes blind."""
    weights = torch.linspace(-1, 2, ys[0].numel(), dtype=ys.dtype).view_as(ys[0])
    return (weights * ys + ys.sin()).sum()


def gradients(f, y0, ts, parameters, **options):
    ys = odeint(f, y0, ts, **options).ys
    return torch.autograd.grad(loss(ys), [y0, ts, *parameters])


def steps_for(method):
    return TIGHT if METHODS[method].order == 5 else {"step_size": 0.02}


@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize("method", ["euler", "rk4", "dopri5", "tsit5"])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_gradients_match_finite_differences(adjoint, method, direction, field):
    y0, ts = problem(direction)
    parameter = field.net[0].weight
    got = gradients(
        field, y0, ts, [parameter], adjoint=adjoint, method=method, **steps_for(method)
    )
    # Euler's adjoint solution differs from the gradient of its forward one by its own error.
    rtol = {"euler": 0.1, "rk4": 1e-5}.get(method, 1e-6)
    for x, gradient in zip([y0, ts, parameter], got, strict=True):
        for flat in (0, x.numel() - 1):
            expected = central_difference(field, y0, ts, x, flat, method)
            scale = float(gradient.abs().max())
            assert gradient.flatten()[flat].item() == pytest.approx(expected, abs=rtol * scale)


def central_difference(f, y0, ts, x, flat, method, eps=1e-5):
    values = []
    for shift in (eps, -eps):
        with torch.no_grad():
            x.view(-1)[flat] += shift
            values.append(loss(odeint(f, y0, ts, method=method, **steps_for(method)).ys).item())
            x.view(-1)[flat] -= shift
    return (values[0] - values[1]) / (2 * eps)


@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize("method", ["dopri5", "tsit5"])
def test_gradients_of_an_exact_solution(adjoint, method):
    """y = y0 exp(-rate (t - t0)): every gradient is known."""
    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[2.0]], dtype=torch.float64, requires_grad=True)
    ts = torch.tensor([0.5, 1.5, 2.25], dtype=torch.float64, requires_grad=True)
    ys = odeint(lambda t, y: -rate * y, y0, ts, adjoint=adjoint, method=method, **TIGHT).ys
    ys.sum().backward()
    since = (ts - ts[0]).detach()
    exact = 2 * torch.exp(-0.7 * since)
    torch.testing.assert_close(y0.grad[0, 0], (exact / 2).sum(), rtol=1e-8, atol=0)
    torch.testing.assert_close(rate.grad, (-since * exact).sum(), rtol=1e-8, atol=0)
    slopes = -0.7 * exact
    expected = torch.cat([-slopes[1:].sum()[None], slopes[1:]])
    torch.testing.assert_close(ts.grad, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_gradients_do_not_depend_on_batch_mates_or_padding(adjoint, field):
    y0, ts = problem()
    padded = torch.cat([ts, ts[:, -1:].expand(-1, 3)], dim=1)
    ys = odeint(field, y0, padded, adjoint=adjoint, **TIGHT).ys[:, :5]
    together = torch.autograd.grad(loss(ys), [y0, ts])
    for i in range(len(y0)):
        alone = gradients(field, y0[i : i + 1], ts[i : i + 1], [], adjoint=adjoint, **TIGHT)
        for whole, part in zip(together, alone, strict=True):
            torch.testing.assert_close(whole[i], part[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize("kept_in", ["closure", "partial", "method", "attribute", "leaf", "list"])
def test_a_tensor_gets_its_gradient_wherever_the_field_keeps_it(adjoint, kept_in):
    base = torch.tensor([0.3, 0.5], dtype=torch.float64, requires_grad=True)
    rate = base if kept_in == "leaf" else base * 2  # an inner node of somebody's graph, or a leaf

    def plain(t, y, rate=None):
        return -rate * y

    class Decay:
        def __init__(self):
            self.rate = rate

        def run(self, t, y):
            return -self.rate * y

        def __call__(self, t, y):
            return self.run(t, y)

    rates = [rate]
    fields = {
        "closure": lambda t, y: -rate * y,
        "leaf": lambda t, y: -rate * y,
        "partial": functools.partial(plain, rate=rate),
        "method": Decay().run,
        "attribute": Decay(),
        "list": lambda t, y: -rates[0] * y,
    }
    y0 = torch.ones(3, 2, dtype=torch.float64)
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    ys = odeint(fields[kept_in], y0, ts, adjoint=adjoint, **TIGHT).ys
    ys[:, 1].sum().backward()
    factor = 1 if kept_in == "leaf" else 2
    expected = -3 * factor * torch.exp(-factor * base.detach())
    torch.testing.assert_close(base.grad, expected, rtol=1e-8, atol=0)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_a_tensor_and_what_was_computed_from_it_are_not_counted_twice(adjoint):
    class Decay(nn.Module):
        def __init__(self):
            super().__init__()
            self.log_rate = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
            self.rate = self.log_rate.exp()

        def forward(self, t, y):
            return -self.rate * y + self.log_rate

    def end(log_rate):  # y' = a - b y from 1, with b = exp(a)
        b = math.exp(log_rate)
        return log_rate / b + (1 - log_rate / b) * math.exp(-b)

    f, ts = Decay(), torch.tensor([0.0, 1.0], dtype=torch.float64)
    y0 = torch.ones(1, 1, dtype=torch.float64)
    odeint(f, y0, ts, adjoint=adjoint, **TIGHT).ys[0, 1, 0].backward()
    expected = (end(0.3 + 1e-6) - end(0.3 - 1e-6)) / 2e-6
    assert f.log_rate.grad.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_a_tensor_that_is_used_only_later_gets_its_gradient(adjoint):
    late = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def field(t, y):
        return -late * y if float(t.max()) > 0.5 else -y.detach()

    y0, ts = torch.ones(1, 1, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    ys = odeint(field, y0, ts, adjoint=adjoint, method="rk4", step_size=0.01).ys
    (gradient,) = torch.autograd.grad(ys[0, 1, 0], late)
    assert gradient.item() == pytest.approx(-0.5 * math.exp(-0.5) * math.exp(-0.15), rel=0.05)


@pytest.mark.parametrize("adjoint", ["replay", "backsolve"])
def test_a_stale_graph_kept_by_the_field_is_left_alone(adjoint):
    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
            self.energy = None

        def forward(self, t, y):
            k = -self.rate * y
            self.energy = (k**2).sum()
            return k

    f, ts = Watched(), torch.tensor([0.0, 1.0], dtype=torch.float64)
    for _ in range(2):
        f.rate.grad = None
        y0 = torch.ones(1, 1, dtype=torch.float64)
        odeint(f, y0, ts, adjoint=adjoint, **TIGHT).ys[0, 1, 0].backward()
        assert f.rate.grad.item() == pytest.approx(-math.exp(-0.3), rel=1e-7)
        if f.energy.requires_grad:
            f.energy.backward()


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_the_times_of_a_sample_that_rests_move_its_state(adjoint):
    ts = torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    y0 = torch.ones(2, 1, dtype=torch.float64)
    ys = odeint(lambda t, y: -y, y0, ts, adjoint=adjoint, **TIGHT).ys
    (gradient,) = torch.autograd.grad(ys[:, 1].sum(), ts)
    expected = torch.tensor([[1.0, -1.0], [math.exp(-1), -math.exp(-1)]], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_gradients_under_autocast_are_those_of_the_numbers_returned(adjoint):
    net = nn.Linear(4, 4)
    y0, ts = torch.randn(3, 4), torch.tensor([0.0, 1.0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ys = odeint(lambda t, y: net(y).tanh(), y0, ts, adjoint=adjoint, method="rk4",
                    step_size=0.25).ys  # fmt: skip
    (gradient,) = torch.autograd.grad(ys.sum(), net.bias)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        direct = odeint(lambda t, y: net(y).tanh(), y0, ts, method="rk4", step_size=0.25).ys
    (expected,) = torch.autograd.grad(direct.sum(), net.bias)
    torch.testing.assert_close(gradient, expected, rtol=0.02, atol=0.02)


def test_backsolve_stays_between_the_times_asked():
    seen = []

    def field(t, y):
        seen.append(t.detach())
        return torch.full_like(y, 1e-3) * y / y.detach()

    y0 = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    odeint(field, y0, ts, adjoint="backsolve", clip_end=True).ys.sum().backward()
    assert torch.cat(seen).min() >= 0
    assert torch.cat(seen).max() <= 1


def test_gradients_of_any_size_come_back(field):
    y0 = torch.ones(1, 3, requires_grad=True)
    ys = odeint(lambda t, y: -y, y0, torch.tensor([0.0, 1.0]), adjoint="backsolve").ys
    (gradient,) = torch.autograd.grad(1e30 * ys[:, 1].sum(), y0)
    torch.testing.assert_close(
        gradient, torch.full_like(y0, 1e30 * math.exp(-1)), rtol=1e-2, atol=0
    )


RATE = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_a_global_tensor_gets_its_gradient(adjoint):
    y0, ts = torch.ones(1, 1, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    ys = odeint(lambda t, y: -RATE * y, y0, ts, adjoint=adjoint, **TIGHT).ys
    (gradient,) = torch.autograd.grad(ys[0, 1, 0], RATE)
    assert gradient.item() == pytest.approx(-math.exp(-0.5), rel=1e-8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_replay_gives_the_numbers_of_direct(method, direction, field):
    y0, ts = problem(direction)
    y0.data[2] *= 10  # one sample that needs more steps, and has some rejected
    options = {} if METHODS[method].order > 2 and method != "rk4" else {"step_size": 0.1}
    direct, replay = (
        gradients(
            field, y0, ts, list(field.parameters()), method=method, adjoint=adjoint, **options
        )
        for adjoint in ("direct", "replay")
    )
    # Newton's method solves a stage again only as exactly as the tolerances ask.
    rtol = 1e-6 if METHODS[method].is_implicit else 1e-12
    for x, y in zip(direct, replay, strict=True):
        torch.testing.assert_close(x, y, rtol=rtol, atol=rtol * float(x.abs().max()))


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_a_start_asked_twice_gives_the_start_its_gradient(adjoint, field):
    y0 = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    ts = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    got = torch.autograd.grad(odeint(field, y0, ts, adjoint=adjoint).ys.sum(), [y0, ts])
    assert torch.equal(got[0], torch.full_like(y0, 2.0))
    slope = field(ts[:, 0], y0).sum(dim=1)
    torch.testing.assert_close(got[1], torch.stack([-slope, slope], dim=1))


def saved_bytes(adjoint, n_periods, field):
    """Count what autograd keeps for the backward pass of a solve."""
    total = []

    def pack(x):
        total.append(x.numel() * x.element_size())
        return x

    y0 = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    ts = torch.tensor([0.0, float(n_periods)], dtype=torch.float64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        odeint(field, y0, ts, adjoint=adjoint)
    return sum(total)


def test_autograd_remembers_nothing_of_the_steps_but_in_direct(field):
    assert saved_bytes("backsolve", 100, field) == saved_bytes("backsolve", 1, field)
    assert saved_bytes("direct", 100, field) > 10 * saved_bytes("direct", 1, field)
    assert saved_bytes("replay", 100, field) == saved_bytes("replay", 1, field)


@pytest.mark.parametrize("adjoint", ["replay", "backsolve"])
def test_their_forward_solve_keeps_no_stages(adjoint, field, monkeypatch):
    def refuse(*_):
        raise AssertionError("steps were kept")

    monkeypatch.setattr("latentode.solvers.adjoint.solve_keeping", refuse)
    y0, ts = problem()
    loss(odeint(field, y0, ts, adjoint=adjoint).ys).backward()


@pytest.mark.parametrize(("adjoint", "besides"), [("replay", 0), ("backsolve", 5)])
def test_evaluations_of_the_backward_pass_are_counted(adjoint, besides, field):
    y0, ts = problem()
    calls = []

    def counted(t, y):
        calls.append(None)
        return field(t, y)

    solution = odeint(counted, y0[:1], ts[:1], adjoint=adjoint)
    assert solution.stats.n_f_evals_backward.tolist() == [0]
    calls.clear()
    solution.ys.sum().backward()
    # Besides its solve, backsolve reads the field at each of the 5 times, for their gradients.
    assert solution.stats.n_f_evals_backward.tolist() == [len(calls) - besides]


def test_direct_can_be_differentiated_twice():
    y0 = torch.tensor([[0.4]], dtype=torch.float64, requires_grad=True)
    ts = torch.tensor([0.0, 0.5], dtype=torch.float64)
    end = odeint(lambda t, y: y**2, y0, ts, **TIGHT).ys[0, 1, 0]  # y0 / (1 - t y0)
    (first,) = torch.autograd.grad(end, y0, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), y0)
    assert first.item() == pytest.approx(1 / (1 - 0.2) ** 2, rel=1e-7)
    assert second.item() == pytest.approx(2 * 0.5 / (1 - 0.2) ** 3, rel=1e-6)


@pytest.mark.parametrize("adjoint", ["replay", "backsolve"])
def test_the_others_refuse_to_be_differentiated_twice(adjoint):
    y0 = torch.tensor([[0.4]], dtype=torch.float64, requires_grad=True)
    ts = torch.tensor([0.0, 0.5], dtype=torch.float64)
    end = odeint(lambda t, y: y**2, y0, ts, adjoint=adjoint).ys[0, 1, 0]
    with pytest.raises(RuntimeError, match=r"no second derivative: use adjoint=direct"):
        torch.autograd.grad(end, y0, create_graph=True)


def test_a_failure_of_the_backward_solve_names_the_way_out():
    y0 = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    ts = torch.tensor([0.0, 20.0], dtype=torch.float64)
    decay = lambda t, y: -y
    n_steps = int(odeint(decay, y0, ts).stats.n_steps)
    end = odeint(decay, y0, ts, adjoint="backsolve", max_steps=n_steps).ys[0, 1, 0]
    # Backward in time, the solution grows: it takes more steps than it took forward.
    with pytest.raises(SolverError, match=r"backward for the gradient: .*use adjoint=direct"):
        end.backward()


def test_a_loss_that_is_not_finite_is_named():
    y0 = torch.ones(1, 1, requires_grad=True)
    ys = odeint(lambda t, y: -y, y0, torch.tensor([0.0, 1.0]), adjoint="backsolve").ys
    with pytest.raises(FloatingPointError, match="gradient of the loss"):
        (ys / 0).sum().backward()


def test_direct_passes_gradcheck():
    field = lambda t, y: torch.sin(t[:, None] * y) - y
    solve = lambda y0, ts: odeint(field, y0, ts, method="rk4", step_size=0.1).ys
    y0, ts = (x[:2].detach().requires_grad_() for x in problem())
    assert torch.autograd.gradcheck(lambda y0: solve(y0, ts.detach()), y0)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_complex_gradients_agree_with_real_ones(adjoint):
    rate = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    ts = torch.tensor([0.0, 2.0], dtype=torch.float64)
    y0 = torch.ones(1, 1, dtype=torch.complex128)
    ys = odeint(lambda t, y: 1j * rate * y, y0, ts, adjoint=adjoint, **TIGHT).ys
    ys[0, 1, 0].real.backward()  # cos(rate t)
    assert rate.grad.item() == pytest.approx(-2 * math.sin(0.6), rel=1e-8)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_states_of_any_shape_have_gradients(adjoint):
    y0 = torch.ones(2, 3, 4, dtype=torch.float64, requires_grad=True)
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    odeint(lambda t, y: -y, y0, ts, adjoint=adjoint, **TIGHT).ys[:, 1].sum().backward()
    torch.testing.assert_close(y0.grad, torch.full_like(y0, math.exp(-1)), rtol=1e-8, atol=0)


def test_nothing_is_recorded_without_gradients(field):
    y0, ts = problem()
    with torch.no_grad():
        for adjoint in ADJOINTS:
            assert not odeint(field, y0, ts, adjoint=adjoint).ys.requires_grad


@pytest.mark.parametrize("adjoint", ["direct", "replay", "backsolve"])
def test_a_row_padded_at_its_end_has_the_gradient_of_the_short_row(adjoint):
    ts = torch.tensor([[0.0, 1.0, 2.0], [0.0, 1.0, 1.0]], dtype=torch.float64)
    y0 = torch.ones(2, 1, dtype=torch.float64, requires_grad=True)
    ys = odeint(lambda t, y: -y, y0, ts, adjoint=adjoint, **TIGHT).ys
    (gradient,) = torch.autograd.grad(ys.sum(), y0)
    exact = torch.exp(-ts).sum(dim=1, keepdim=True)
    torch.testing.assert_close(gradient, exact, rtol=1e-7, atol=0)
