"""The laws of events: exact times, exact gradients, and what must not matter."""

import functools
import math

import pytest
import torch

from latentode.solvers import Event, SolverError, odeint
from tests.solvers.swings import DOUBLE, swing

ADJOINTS = ("auto", "direct", "replay", "backsolve")
TIGHT = {"rtol": 1e-10, "atol": 1e-10, "method": "dop853"}


def height(t, y):
    return y[:, 0]


LANDS = Event(height, direction=-1, terminal=True)


def falling(gravity):
    def f(t, y):
        return torch.stack([y[:, 1], -gravity * torch.ones_like(t)], dim=1)

    return f


def turning(t, y):
    """A circle: (sin t, cos t) from (0, 1)."""
    return torch.stack([y[:, 1], -y[:, 0]], dim=1)


def ahead(end, n=5):
    return torch.linspace(0, end, n, **DOUBLE)


@pytest.fixture
def swings():
    random = torch.Generator().manual_seed(0)
    y0 = torch.randn(6, 2, generator=random, dtype=torch.float64)
    ts = torch.rand(6, 9, generator=random, dtype=torch.float64).cumsum(1) * 2 - 1
    return y0, ts


@pytest.mark.parametrize("method", ["tsit5", "dop853", "bosh3", "rk4", "kvaerno5"])
def test_a_ball_lands_when_it_must(method):
    heights = torch.tensor([1.0, 5.0, 20.0], **DOUBLE)
    y0 = torch.stack([heights, torch.zeros(3, **DOUBLE)], dim=1)
    options = {"step_size": 0.3} if method == "rk4" else {}
    solution = odeint(falling(9.81), y0, ahead(3.0), events=[LANDS], method=method, **options)
    exact = (2 * heights / 9.81).sqrt()
    assert solution.events[0].n.tolist() == [1, 1, 1]
    torch.testing.assert_close(solution.events[0].ts[:, 0], exact, rtol=1e-12, atol=0)
    landed = torch.stack([torch.zeros(3, **DOUBLE), -9.81 * exact], dim=1)
    torch.testing.assert_close(solution.events[0].ys[:, 0], landed, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_its_gradients_are_those_of_the_closed_form(adjoint):
    def landing(f, y0, ts):
        found = odeint(f, y0, ts, events=[LANDS], adjoint=adjoint, **TIGHT)
        return found.events[0].ts[:, 0], found.events[0].ys[:, 0], found.ys[:, -1]

    h, gravity = (torch.tensor(x, requires_grad=True, **DOUBLE) for x in (5.0, 9.81))
    y0 = torch.stack([h, torch.zeros_like(h)])[None]
    t, y, rest = landing(falling(gravity), y0, ahead(3.0))
    dt = torch.autograd.grad(t.sum(), [h, gravity], retain_graph=True)
    torch.testing.assert_close(dt[0], 1 / (2 * h * gravity).sqrt())
    torch.testing.assert_close(dt[1], -(h / (2 * gravity**3)).sqrt())
    for state in (y, rest):
        assert torch.autograd.grad(state[0, 0], [h, gravity], retain_graph=True) == pytest.approx(
            [0.0, 0.0], abs=1e-9
        )
        dv = torch.autograd.grad(state[0, 1], [h, gravity], retain_graph=True)
        torch.testing.assert_close(dv[0], -(gravity / (2 * h)).sqrt())
        torch.testing.assert_close(dv[1], -(h / (2 * gravity)).sqrt())


def pushed(direction):
    """Give all that moves two events, and a function of it and of the adjoint."""
    y0 = torch.tensor([[0.3, 1.1], [-0.2, 0.7]], **DOUBLE)
    ts = (direction * ahead(4.0) + torch.tensor([[0.2], [0.7]], **DOUBLE)).clone()
    push, level = torch.tensor(0.8, **DOUBLE), torch.tensor(0.1, **DOUBLE)

    def f(t, y):
        return torch.stack([y[:, 1], push * torch.cos(2 * t) - torch.sin(y[:, 0])], dim=1)

    def loss(adjoint):
        crosses = Event(lambda t, y: y[:, 0] - level * torch.cos(3 * t))
        slows = Event(lambda t, y: y[:, 1] * level + 0.02, terminal=True)
        solution = odeint(f, y0, ts, events=[crosses, slows], adjoint=adjoint, **TIGHT)
        total = (solution.ys.sin() * ts.cos()[..., None]).sum() + solution.ys[:, -1].square().sum()
        for event in solution.events:
            there = ~event.ts.isnan()
            assert there.any()
            total = total + event.ts[there].square().sum() + event.ys[there].cos().sum()
        return total

    return [y0, ts, push, level], loss


@functools.cache
def differences(direction):
    inputs, loss = pushed(direction)
    return [[difference(loss, x.view(-1), i) for i in range(x.numel())] for x in inputs]


def difference(loss, x, i, eps=1e-5):
    values = []
    for shift in (eps, -2 * eps):
        x[i] += shift
        values.append(loss("none").item())
    x[i] += eps
    return (values[0] - values[1]) / (2 * eps)


@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_gradients_match_finite_differences(adjoint, direction):
    inputs, loss = pushed(direction)
    for x in inputs:
        x.requires_grad_()
    got = torch.autograd.grad(loss(adjoint), inputs)
    for gradient, expected in zip(got, differences(direction), strict=True):
        assert gradient.flatten().tolist() == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("adjoint", ["none", "direct"])
@pytest.mark.parametrize(("direction", "zeros"), [(0, 9), (1, 4), (-1, 5)])
def test_every_zero_of_a_sine_is_found(adjoint, direction, zeros):
    y0 = torch.tensor([[0.0, 1.0]], requires_grad=True, **DOUBLE)
    times = ahead(9.5 * math.pi)
    event = Event(height, direction=direction)
    found = odeint(turning, y0, times, events=[event], adjoint=adjoint, **TIGHT).events[0]
    n = {0: range(1, 10), 1: range(2, 10, 2), -1: range(1, 10, 2)}[direction]
    assert found.n.tolist() == [zeros]
    exact = math.pi * torch.tensor([list(n)], **DOUBLE)
    torch.testing.assert_close(found.ts, exact, rtol=0, atol=1e-8)


def test_direction_is_that_of_the_solve_where_time_runs_backward():
    y0 = torch.tensor([[0.0, 1.0], [0.0, 1.0]], **DOUBLE)
    # Samples of one batch may run in both directions.
    ts = torch.stack([ahead(-7.0), ahead(7.0)])
    events = [Event(height, direction=1), Event(height, direction=-1)]
    rising, falling_ = odeint(turning, y0, ts, events=events, **TIGHT).events
    exact = math.pi * torch.tensor([[-1.0], [2.0]], **DOUBLE)
    torch.testing.assert_close(rising.ts, exact, rtol=0, atol=1e-8)
    torch.testing.assert_close(falling_.ts, -exact[[1, 0]], rtol=0, atol=1e-8)


@pytest.mark.parametrize("adjoint", ["none", "direct"])
def test_a_sample_does_not_depend_on_its_batch(adjoint, swings):
    y0, ts = swings
    y0[3] *= 20
    y0.requires_grad_(adjoint == "direct")
    events = [Event(height), Event(lambda t, y: y[:, 1] - 0.5, direction=-1)]
    events.append(Event(lambda t, y: y[:, 0] - 1.5, terminal=True))
    together = odeint(swing, y0, ts, events=events, adjoint=adjoint)
    assert len({x.item() for x in together.events[0].n}) > 1
    for i in range(len(y0)):
        one = slice(i, i + 1)
        alone = odeint(swing, y0[one], ts[one], events=events, adjoint=adjoint)
        torch.testing.assert_close(together.ys[one], alone.ys, rtol=1e-12, atol=1e-12)
        assert [x[i] for x in together.stats[:4]] == [x[0] for x in alone.stats[:4]]
        for a, b in zip(together.events, alone.events, strict=True):
            n = b.n.item()
            assert a.n[i] == n
            assert a.ts[i, n:].isnan().all() and a.ys[i, n:].isnan().all()
            torch.testing.assert_close(a.ts[one, :n], b.ts, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(a.ys[one, :n], b.ys, rtol=1e-12, atol=1e-12)


def test_gradients_change_nothing(swings):
    y0, ts = swings
    events = [Event(height), Event(lambda t, y: y[:, 0] - 1.0, terminal=True)]
    without = odeint(swing, y0, ts, events=events)
    with_them = odeint(swing, y0.clone().requires_grad_(), ts, events=events)
    torch.testing.assert_close(with_them.ys.detach(), without.ys, rtol=1e-12, atol=1e-12)
    for a, b in zip(without.events, with_them.events, strict=True):
        assert torch.equal(a.ts.nan_to_num(), b.ts.detach().nan_to_num())
        torch.testing.assert_close(a.ys, b.ys.detach(), rtol=1e-12, atol=1e-12, equal_nan=True)
    assert torch.equal(without.stats.n_steps, with_them.stats.n_steps)


def test_an_event_does_not_depend_on_the_times_asked(swings):
    y0, ts = swings
    events = [Event(height), Event(lambda t, y: y[:, 0] - 1.0, terminal=True)]
    many = odeint(swing, y0, ts, events=events)
    two = odeint(swing, y0, ts[:, [0, -1]], events=events)
    for a, b in zip(many.events, two.events, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("clip_end", [False, True])
def test_the_steps_are_those_without_an_event_that_does_not_stop(training, clip_end, swings):
    y0, ts = swings
    y0.requires_grad_(training)
    watched = odeint(swing, y0, ts, events=[Event(height)], clip_end=clip_end)
    plain = odeint(swing, y0, ts, clip_end=clip_end)
    torch.testing.assert_close(watched.ys, plain.ys, rtol=1e-14, atol=1e-14)
    for field in ("n_steps", "n_accepted", "n_rejected"):
        assert torch.equal(getattr(watched.stats, field), getattr(plain.stats, field))
    evals, n = plain.stats.n_f_evals, watched.events[0].n
    assert torch.equal(watched.stats.n_f_evals, 2 * evals + n if training else evals)


@pytest.mark.parametrize("adjoint", ["none", "auto", "backsolve"])
def test_where_nothing_happens_there_are_no_times(adjoint):
    y0 = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True, **DOUBLE)
    never = Event(lambda t, y: y[:, 0] - 2, terminal=True)
    solution = odeint(turning, y0, ahead(1.0), events=[never, Event(height)], adjoint=adjoint)
    for found in solution.events:
        assert found.n.tolist() == [0, 0]
        assert found.ts.shape == (2, 0)
        assert found.ys.shape == (2, 0, 2)
    plain = odeint(turning, y0, ahead(1.0), adjoint=adjoint)
    torch.testing.assert_close(solution.ys, plain.ys, rtol=1e-14, atol=1e-14)


def test_a_sample_without_an_event_does_not_spoil_the_gradient_of_another():
    y0 = torch.tensor([[0.5, 0.0], [0.0, 0.0]], requires_grad=True, **DOUBLE)
    level = torch.tensor([0.25, 1.0], requires_grad=True, **DOUBLE)
    # The second one rests, with an infinite derivative of g.
    event = Event(lambda t, y: y[:, 0].abs().sqrt() - level, terminal=True)
    solution = odeint(turning, y0, ahead(2.0), events=[event], **TIGHT)
    found = solution.events[0]
    assert found.n.tolist() == [1, 0]
    total = found.ts.nansum() + found.ys.nansum()
    for gradient in torch.autograd.grad(total, [y0, level]):
        assert gradient.isfinite().all()
        assert gradient[1].eq(0).all()
        assert gradient[0].ne(0).all()


@pytest.mark.parametrize("speed", [1.0, -1.0])
def test_a_zero_at_the_start_is_no_event(speed):
    y0 = torch.tensor([[0.0, speed]], **DOUBLE)
    found = odeint(turning, y0, ahead(4.0), events=[Event(height)], **TIGHT).events[0]
    torch.testing.assert_close(found.ts, torch.tensor([[math.pi]], **DOUBLE))


def test_a_ball_bounces_on_from_where_it_landed():
    y0, start = torch.tensor([[5.0, 0.0]], **DOUBLE), torch.zeros(1, **DOUBLE)
    exact = flight = math.sqrt(10 / 9.81)
    for bounce in range(8):
        ts = torch.stack([start, start + 9], dim=1)
        found = odeint(falling(9.81), y0, ts, events=[LANDS]).events[0]
        assert found.n.item() == 1
        assert found.ts.item() == pytest.approx(exact, abs=1e-11)
        start = found.ts[:, 0]
        y0 = found.ys[:, 0] * torch.tensor([1.0, -0.8], **DOUBLE)
        exact += 2 * flight * 0.8 ** (bounce + 1)


def test_two_crossings_in_one_step_are_found():
    y0 = torch.tensor([[0.0, 1.0]], **DOUBLE)
    above = Event(lambda t, y: y[:, 0] - 0.9)
    solution = odeint(turning, y0, ahead(3.0), events=[above], step_size=3.0, method="dop853")
    assert solution.stats.n_steps.item() == 1
    found = solution.events[0]
    assert found.n.item() == 2
    exact = torch.tensor([[math.asin(0.9), math.pi - math.asin(0.9)]], **DOUBLE)
    torch.testing.assert_close(found.ts, exact, rtol=0, atol=1e-2)


@pytest.mark.parametrize("end", [0.5, 1.0])
def test_only_what_happens_until_the_last_time_counts(end):
    y0 = torch.zeros(1, 1, **DOUBLE)
    event = Event(lambda t, y: t - 0.75)
    # A step leads past the end.
    found = odeint(lambda t, y: torch.ones_like(y), y0, ahead(end), events=[event], step_size=2.0)
    assert found.events[0].n.item() == (end > 0.75)


def test_what_is_reached_at_the_last_time_counts_once():
    y0 = torch.full((1, 1), -1.0, **DOUBLE)
    rise = lambda t, y: torch.ones_like(y)
    event = Event(height)
    found = odeint(rise, y0, ahead(1.0), events=[event], step_size=0.25, method="rk4").events[0]
    assert found.n.item() == 1
    assert found.ts.item() == 1.0
    onward = odeint(rise, y0, ahead(2.0), events=[event], step_size=0.25, method="rk4").events[0]
    assert onward.ts.tolist() == [[1.0]]


@pytest.mark.parametrize("adjoint", ["none", *ADJOINTS])
def test_a_sample_rests_at_its_terminal_event(adjoint):
    y0 = torch.tensor([[0.0, 1.0], [0.0, 0.5]], requires_grad=True, **DOUBLE)
    stop = Event(lambda t, y: y[:, 0] - 0.7, terminal=True)
    ts = ahead(3.0, 31)
    solution = odeint(turning, y0, ts, events=[stop, Event(height)], adjoint=adjoint, **TIGHT)
    plain = odeint(turning, y0, ts, **TIGHT).ys
    stopped, crossed = solution.events
    assert stopped.n.tolist() == [1, 0]
    assert crossed.n.tolist() == [0, 0]
    late = ts > math.asin(0.7)
    torch.testing.assert_close(solution.ys[0, ~late], plain[0, ~late], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(solution.ys[1], plain[1], rtol=1e-9, atol=1e-9)
    rest = stopped.ys[0].expand(int(late.sum()), -1)
    torch.testing.assert_close(solution.ys[0, late], rest, rtol=0, atol=0)


def test_times_after_a_terminal_event_have_no_gradient():
    y0 = torch.tensor([[0.0, 1.0]], **DOUBLE)
    ts = ahead(2.0, 5)[None].clone().requires_grad_()
    stop = Event(lambda t, y: y[:, 0] - 0.7, terminal=True)
    (gradient,) = torch.autograd.grad(
        odeint(turning, y0, ts, events=[stop], **TIGHT).ys[0, :, 0].sum(), ts
    )
    # The start moves its own state, and that of time 0.5; the event moves along with it.
    exact = [-math.cos(0.5), math.cos(0.5), 0.0, 0.0, 0.0]
    assert gradient[0].tolist() == pytest.approx(exact, abs=1e-8)


def test_of_two_terminal_events_in_a_step_the_first_wins():
    y0 = torch.tensor([[0.0, 0.0], [0.0, 0.0]], **DOUBLE)
    rise = lambda t, y: torch.ones_like(y)
    levels = torch.tensor([[0.2, 0.25], [0.22, 0.21]], **DOUBLE)
    events = [
        Event(lambda t, y: y[:, 0] - levels[:, 0], terminal=True),
        Event(lambda t, y: y[:, 0] - levels[:, 1], terminal=True),
        Event(lambda t, y: y[:, 0] - 0.15),
        Event(lambda t, y: y[:, 0] - 0.215),
    ]
    options = {"step_size": 2.0, "method": "rk4"}
    solution = odeint(rise, y0, ahead(2.0), events=events, **options)
    assert [x.n.tolist() for x in solution.events] == [[1, 0], [0, 1], [1, 1], [0, 0]]
    assert solution.ys[:, -1, 0].tolist() == pytest.approx([0.2, 0.21], abs=1e-12)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_parameters_of_g_have_gradients_also_where_the_field_has_none(adjoint):
    level = torch.nn.Linear(2, 1).double()
    with torch.no_grad():
        level.weight.copy_(torch.tensor([[1.0, 0.2]]))
        level.bias.fill_(-0.6)
    y0 = torch.tensor([[0.0, 1.0]], **DOUBLE)
    event = Event(lambda t, y: level(y)[:, 0])
    found = odeint(turning, y0, ahead(1.5), events=[event], adjoint=adjoint, **TIGHT).events[0]
    y, slope = found.ys[0, 0].detach(), turning(found.ts[0], found.ys[:, 0])[0].detach()
    rate = (level.weight[0] * slope).sum()
    gradients = torch.autograd.grad(found.ts.sum(), [level.weight, level.bias])
    torch.testing.assert_close(gradients[0][0], -y / rate, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(gradients[1][0], -1 / rate, rtol=1e-7, atol=1e-9)


def test_an_event_of_time_alone_is_where_time_says():
    y0, at = torch.ones(1, 1, **DOUBLE), torch.tensor(0.3, requires_grad=True, **DOUBLE)
    event = Event(lambda t, y: t - at, terminal=True)
    solution = odeint(lambda t, y: -y, y0, ahead(1.0), events=[event], **TIGHT)
    assert solution.events[0].ts.item() == pytest.approx(0.3, abs=1e-15)
    (by_time,) = torch.autograd.grad(solution.events[0].ts.sum(), at, retain_graph=True)
    assert by_time.item() == pytest.approx(1.0)
    (by_state,) = torch.autograd.grad(solution.ys[0, -1, 0], at)
    assert by_state.item() == pytest.approx(-math.exp(-0.3))


def test_states_have_any_shape():
    y0 = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0), **DOUBLE)
    level = 0.5 * y0.sum(dim=(1, 2))

    def halves(t, y):
        assert y.shape == (4, 2, 3)
        assert t.shape == (4,)
        return y.sum(dim=(1, 2)) - level

    found = odeint(lambda t, y: -y, y0, ahead(2.0), events=[Event(halves)], **TIGHT).events[0]
    assert found.ys.shape == (4, 1, 2, 3)
    torch.testing.assert_close(found.ts, torch.full((4, 1), math.log(2), **DOUBLE))
    torch.testing.assert_close(found.ys[:, 0], y0 / 2)


def test_states_have_any_structure():
    y0 = {"angle": torch.zeros(2, **DOUBLE), "speed": torch.ones(2, 1, **DOUBLE)}
    f = lambda t, y: {"angle": y["speed"][:, 0], "speed": -y["angle"][:, None]}
    event = Event(lambda t, y: y["speed"][:, 0])
    found = odeint(f, y0, ahead(2.0), events=[event], **TIGHT).events[0]
    torch.testing.assert_close(found.ts, torch.full((2, 1), math.pi / 2, **DOUBLE))
    torch.testing.assert_close(found.ys["angle"], torch.ones(2, 1, **DOUBLE))


def test_a_complex_state_crosses_too():
    turn = torch.tensor(1.0, requires_grad=True, **DOUBLE)
    y0 = torch.ones(1, 1, dtype=torch.complex128)
    event = Event(lambda t, y: y[:, 0].real)
    found = odeint(lambda t, y: 1j * turn * y, y0, ahead(3.0), events=[event], **TIGHT).events[0]
    assert found.ts.item() == pytest.approx(math.pi / 2)
    (gradient,) = torch.autograd.grad(found.ts.sum(), turn)
    assert gradient.item() == pytest.approx(-math.pi / 2)


def test_a_coarse_state_has_exact_enough_times():
    y0 = torch.tensor([[5.0, 0.0]], requires_grad=True)
    ts = 1.7e9 + ahead(3.0)
    found = odeint(falling(9.81), y0, ts, events=[LANDS]).events[0]
    assert found.ts.item() - 1.7e9 == pytest.approx(math.sqrt(10 / 9.81), abs=1e-6)
    found.ts.sum().backward()
    assert y0.grad[0, 0].item() == pytest.approx(1 / math.sqrt(2 * 5 * 9.81), rel=1e-5)


def test_a_function_that_is_not_a_number_is_an_error():
    y0 = torch.ones(3, 1, **DOUBLE)
    where = torch.tensor([0.0, 1.0, 0.0], **DOUBLE)
    bad = Event(lambda t, y: (0.5 - where * t).sqrt() + 1)
    with pytest.raises(SolverError, match=r"sample 1 of 3 .*events\[1\] is NaN") as caught:
        odeint(lambda t, y: -y, y0, ahead(1.0), events=[Event(height), bad])
    assert caught.value.sample == 1
    assert 0.5 < caught.value.t <= 1


def test_nor_may_it_be_one_between_two_signs():
    y0 = torch.zeros(2, 1, **DOUBLE)
    level = torch.tensor([0.4, 0.6], **DOUBLE)
    gap = torch.tensor([0.0, 0.05], **DOUBLE)

    def g(t, y):
        height = y[:, 0] - level
        return height.masked_fill(height.abs() < gap, torch.nan)

    options = {"step_size": 1.0, "method": "rk4", "events": [Event(g)]}
    rise = lambda t, y: torch.ones_like(y)
    with pytest.raises(SolverError, match=r"sample 1 of 2 .*events\[0\] is NaN"):
        odeint(rise, y0, ahead(2.0), **options)
    solution = odeint(rise, y0, ahead(2.0), on_failure="mask", **options)
    assert list(solution.failures) == [1]
    assert solution.events[0].n.tolist() == [1, 0]
    assert solution.ys[0].isfinite().all()
    assert solution.ys[1, 1:].isnan().all()


@pytest.mark.parametrize("training", [False, True])
def test_a_sample_may_fail_by_it_alone(training):
    y0 = torch.ones(3, 1, requires_grad=training, **DOUBLE)
    where = torch.tensor([0.0, 1.0, 0.0], **DOUBLE)
    bad = Event(lambda t, y: (1.2 - where * t).sqrt().clamp(max=0) + y[:, 0] - 0.3)
    f, ts = lambda t, y: -y, ahead(2.0)
    options = {"step_size": 0.125, "method": "rk4"}
    solution = odeint(f, y0, ts, events=[bad], on_failure="mask", **options)
    assert list(solution.failures) == [1]
    assert solution.events[0].n.tolist() == [1, 0, 1]
    assert solution.ys[1].isfinite()[:, 0].tolist() == [True, True, True, False, False]
    assert solution.ys[[0, 2]].isfinite().all()
    if training:
        (gradient,) = torch.autograd.grad(solution.events[0].ts.nansum(), y0)
        assert gradient.isfinite().all()


def test_g_need_not_exist_past_a_terminal_event():
    y0 = torch.ones(1, 1, **DOUBLE)
    stop = Event(lambda t, y: y[:, 0] - 0.5, terminal=True)
    root = Event(lambda t, y: (y[:, 0] - 0.49).sqrt() + 1)
    f = lambda t, y: -torch.ones_like(y)
    solution = odeint(f, y0, ahead(4.0), events=[root, stop], step_size=4.0, method="rk4")
    assert solution.events[1].ts.item() == pytest.approx(0.5)


def test_a_touch_has_an_infinite_gradient_and_harms_no_other():
    y0 = torch.full((2, 1), -1.0, **DOUBLE)
    shift = torch.tensor([0.0, -0.25], requires_grad=True, **DOUBLE)
    event = Event(lambda t, y: y[:, 0].square() + shift, direction=-1)
    f = lambda t, y: torch.ones_like(y)
    found = odeint(f, y0, ahead(2.0), events=[event], step_size=1.0, method="rk4").events[0]
    assert found.ts.tolist() == [[1.0], [0.5]]
    touches, crosses = (torch.autograd.grad(t, shift, retain_graph=True)[0] for t in found.ts)
    assert touches.isinf().tolist() == [True, False]
    assert touches[1].item() == 0
    assert crosses.tolist() == [0.0, 1.0]


def test_second_derivatives_are_refused():
    y0 = torch.tensor([[5.0, 0.0]], requires_grad=True, **DOUBLE)
    found = odeint(falling(9.81), y0, ahead(3.0), events=[LANDS], adjoint="direct").events[0]
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(found.ts.sum(), y0, create_graph=True)


def test_torch_func_is_refused():
    def time(y0):
        return odeint(falling(9.81), y0, ahead(3.0), events=[LANDS]).events[0].ts.sum()

    with pytest.raises(RuntimeError, match=r"not by torch\.func"):
        torch.func.grad(time)(torch.tensor([[5.0, 0.0]], **DOUBLE))


def test_the_dense_solution_leads_to_the_event():
    y0 = torch.tensor([[0.0, 1.0]], **DOUBLE)
    stop = Event(lambda t, y: y[:, 0] - 0.7, terminal=True)
    solution = odeint(
        turning, y0, ahead(3.0), events=[stop], adjoint="direct", dense=True, **TIGHT
    )
    assert solution.dense(torch.tensor([0.4], **DOUBLE))[0, 0, 0].item() == pytest.approx(
        math.sin(0.4)
    )


@pytest.mark.parametrize("shape", [(0, 2), (3, 2)])
def test_a_batch_that_goes_nowhere_has_no_events(shape):
    y0 = torch.ones(shape, **DOUBLE)
    solution = odeint(turning, y0, torch.zeros(2, **DOUBLE), events=[Event(height)])
    assert solution.events[0].ts.shape == (shape[0], 0)
    assert solution.ys.shape == (shape[0], 2, 2)


@pytest.mark.parametrize(
    ("event", "error", "message"),
    [
        (height, TypeError, r"events\[0\] must be an Event\(g, \.\.\.\), not function"),
        (Event(3), TypeError, r"g of events\[0\] must be callable as g\(t, y\), not int"),
        (Event(height, direction=2), ValueError, "direction=2 .* must be -1, 0 or 1"),
        (Event(lambda t, y: 0.0), TypeError, "must return a Tensor, not float"),
        (Event(lambda t, y: y), ValueError, r"shape \(1,\), but it returned \(1, 2\)"),
        (Event(lambda t, y: y[:, 0] > 0), ValueError, r"real numbers, not torch\.bool"),
    ],
)
def test_what_is_no_event_is_refused(event, error, message):
    with pytest.raises(error, match=message):
        odeint(turning, torch.ones(1, 2, **DOUBLE), ahead(1.0), events=[event])


def test_events_are_a_sequence():
    with pytest.raises(TypeError, match=r"events must be a sequence: \[Event\(g, \.\.\.\)\]"):
        odeint(turning, torch.ones(1, 2, **DOUBLE), ahead(1.0), events=LANDS)
