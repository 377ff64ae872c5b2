"""Programs for torchdiffeq run here: every row of docs/migrating-from-torchdiffeq.md."""

import inspect
import math
from typing import NamedTuple

import pytest
import torch

from latentode import SolverError
from latentode.solvers import odeint as native_odeint
from latentode.solvers import torchdiffeq
from latentode.solvers.events import Event
from latentode.solvers.torchdiffeq import odeint, odeint_adjoint, odeint_event

DOUBLE = {"dtype": torch.float64}
TIGHT = {"rtol": 1e-10, "atol": 1e-10}
ADAPTIVE = ["dopri5", "dopri8", "bosh3", "adaptive_heun"]
ON_GRID = ["euler", "midpoint", "heun2", "rk4"]
IMPLICIT = ["implicit_euler", "implicit_midpoint", "trapezoid"]
BOTH = pytest.mark.parametrize("solve", [odeint, odeint_adjoint])


@pytest.fixture
def theirs():
    return pytest.importorskip("torchdiffeq")


class Spiral(torch.nn.Module):
    """The field of torchdiffeq's examples/ode_demo.py, with its network, and a push."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2, 10), torch.nn.Tanh(), torch.nn.Linear(10, 2)
        )

    def forward(self, t, y):
        assert t.shape == ()
        return self.net(y**3) + 0.1 * torch.sin(t)


class Moment(NamedTuple):
    """A solve to compare: a field, its start and its times."""

    func: torch.nn.Module
    y0: torch.Tensor
    t: torch.Tensor


@pytest.fixture(params=["forward", "backward"])
def moment(request):
    t = torch.tensor([0.2, 0.5, 0.6, 1.3, 2.0], **DOUBLE)
    y0 = torch.tensor([[[0.8, 0.1], [-0.3, 0.7]]] * 3, **DOUBLE)
    return Moment(Spiral().double(), y0, t if request.param == "forward" else t.flip(0))


def decay(t, y):
    return -y


def turning(t, y):
    """A turning plane: at t, what was at the start is turned by t."""
    return y @ torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=y.dtype)


def close(a, b, **tolerance):
    torch.testing.assert_close(a, b, **({"rtol": 0, "atol": 1e-13} | tolerance))


@pytest.mark.parametrize("solve", [odeint, odeint_adjoint, odeint_event])
def test_the_arguments_and_defaults_are_those_of_torchdiffeq(theirs, solve):
    ours, other = (
        {
            name: (parameter.kind, parameter.default)
            for name, parameter in inspect.signature(function).parameters.items()
            if name != "odeint_interface"  # its default is each one's own
        }
        for function in (solve, getattr(theirs, solve.__name__))
    )
    assert list(ours) == list(other)
    assert ours == other


@pytest.mark.parametrize("method", [None, *ADAPTIVE, "tsit5", "kvaerno5", "ralston"])
def test_it_gives_the_exact_solution(method):
    t = torch.linspace(0, 2, 9, **DOUBLE)
    loose = 1e-6 if method in ("adaptive_heun", "ralston") else 1e-8
    y = odeint(decay, torch.tensor(2.0, **DOUBLE), t, method=method, rtol=loose, atol=loose)
    close(y, 2 * torch.exp(-t), atol=20 * loose)


@BOTH
@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3, 4), (0, 2)])
@pytest.mark.parametrize("method", ["dopri5", "midpoint"])
def test_states_of_any_shape_come_back_with_time_first(solve, shape, method):
    def field(t, y):
        assert t.shape == ()
        assert y.shape == shape
        return -t * y

    y0 = torch.rand(shape)
    y = solve(field, y0, torch.linspace(0, 1, 5), method=method)
    assert y.shape == (5, *shape)
    assert y.dtype == y0.dtype
    close(y[0], y0)


@BOTH
def test_a_tuple_of_states_is_a_tuple_of_solutions(solve):
    def field(t, state):
        angle, speed = state
        return [speed.sum(), -angle * torch.ones(3, 1)]

    t = torch.linspace(0, 1, 4)
    solution = solve(field, (torch.tensor(1.0), torch.zeros(3, 1)), t)
    assert isinstance(solution, tuple)
    assert [part.shape for part in solution] == [(4,), (4, 3, 1)]
    close(solution[0], torch.cos(math.sqrt(3) * t), atol=1e-5)


def test_times_may_be_one_or_repeat():
    assert odeint(decay, torch.ones(2), torch.tensor([3.0])).tolist() == [[1.0, 1.0]]
    still = torch.tensor([3.0, 3.0])
    for options in ({}, {"step_size": 0.1}, {"grid_constructor": lambda func, y0, t: t}):
        y = odeint(decay, torch.ones(2), still, method="euler", options=options)
        assert y.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    repeated = torch.tensor([0.0, 1.0, 1.0, 2.0])
    for method in ("dopri5", "euler"):
        y = odeint(decay, torch.ones(2), repeated, method=method)
        close(y[1], y[2])


def test_times_in_float32_serve_a_state_in_float64():
    y = odeint(decay, torch.ones(1, **DOUBLE), torch.tensor([0.0, 1.0]))
    assert y.dtype == torch.float64
    close(y[1, 0], torch.tensor(math.exp(-1), **DOUBLE), atol=1e-6)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_adaptive_methods_agree_to_their_tolerances(theirs, moment, method):
    # What torchdiffeq reads off within a step of bosh3 or dopri8 is of a lower order: end them.
    options = {"step_t": moment.t[1:]}
    tolerance = 1e-5 if method == "adaptive_heun" else 1e-7
    with torch.no_grad():
        ours = odeint(*moment, method=method, options=options, rtol=tolerance, atol=tolerance)
        other = theirs.odeint(
            *moment, method=method, options=options, rtol=tolerance, atol=tolerance
        )
    close(ours, other, atol=10 * tolerance)


@pytest.mark.parametrize("method", ["bosh3", "dopri8"])
def test_a_state_between_two_steps_is_as_accurate_as_one_at_their_end(theirs, method):
    y0, t = torch.tensor([0.0, 1.0], **DOUBLE), torch.linspace(0, 3, 50, **DOUBLE)
    exact = torch.stack([torch.sin(t), torch.cos(t)], dim=1)
    ours, other = (
        float((solve(turning, y0, t, method=method, rtol=1e-7, atol=1e-7) - exact).abs().max())
        for solve in (odeint, theirs.odeint)
    )
    assert ours < 1e-6
    assert ours < other / 10


GRIDS = {
    "times": {},
    "step_size": {"step_size": 0.07},
    "grid_constructor": {
        "grid_constructor": lambda func, y0, t: torch.lerp(
            t[0], t[-1], torch.linspace(0, 1, 9, **DOUBLE) ** 2
        )
    },
    "perturb": {"step_size": 0.07, "perturb": True},
}


@BOTH
@pytest.mark.parametrize("options", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("method", ["euler", "midpoint", "heun2"])
def test_fixed_grids_agree_to_rounding(theirs, moment, solve, method, options):
    ours = solve(*moment, method=method, options=options)
    other = theirs.odeint(*moment, method=method, options=options)
    close(ours, other)
    weights = list(moment.func.parameters())
    for mine, others in zip(
        torch.autograd.grad(ours.square().sum(), weights),
        torch.autograd.grad(other.square().sum(), weights),
        strict=True,
    ):
        close(mine, others, atol=1e-12)


def test_complex_states_agree_too(theirs):
    t = torch.linspace(0, 2, 7, **DOUBLE)
    y0 = torch.tensor([1.0 + 0.5j, 2.0], dtype=torch.complex128)
    for method, options in (("dopri5", {}), ("midpoint", {"step_size": 0.15})):
        ours, other = (
            solve(lambda t, y: 1j * y, y0, t, method=method, options=options, rtol=1e-8)
            for solve in (odeint, theirs.odeint)
        )
        close(ours, other, atol=1e-6 if method == "dopri5" else 1e-13)


def test_a_grid_in_float32_agrees_too(theirs):
    moment = Moment(Spiral(), torch.rand(3, 2), torch.linspace(0, 2, 11))
    exact_grid = torch.linspace(0, 2, 21, **DOUBLE)
    for options in ({}, {"step_size": 0.1}, {"grid_constructor": lambda f, y, t: exact_grid}):
        ours = odeint(*moment, method="midpoint", options=options)
        close(ours, theirs.odeint(*moment, method="midpoint", options=options), atol=1e-6)


def test_rk4_is_the_classic_one_and_agrees_to_its_order(theirs, moment):
    differences = []
    with torch.no_grad():
        for n in (4, 8, 16):
            t = torch.linspace(float(moment.t[0]), float(moment.t[-1]), n + 1, **DOUBLE)
            ours = odeint(moment.func, moment.y0, t, method="rk4")[-1]
            other = theirs.odeint(moment.func, moment.y0, t, method="rk4")[-1]
            differences.append(float((ours - other).abs().max()))
    assert differences[0] < 1e-3
    assert math.log2(differences[0] / differences[-1]) / 2 > 3.7


@pytest.mark.parametrize("method", IMPLICIT)
def test_implicit_methods_step_from_time_to_time(method):
    growth = {"implicit_euler": 1 / 1.5, "implicit_midpoint": 0.75 / 1.25, "trapezoid": 0.6}
    t = torch.tensor([0.0, 0.5, 1.0], **DOUBLE)
    y = odeint(decay, torch.ones(1, **DOUBLE), t, method=method)
    close(y[:, 0], growth[method] ** torch.arange(3, **DOUBLE), atol=1e-9)


@pytest.mark.parametrize("method", ["midpoint", "heun2", "rk4"])
def test_cubic_reading_keeps_the_order_that_linear_reading_loses(method):
    t = torch.tensor([0.0, 0.55, 1.0], **DOUBLE)
    errors = {
        interp: [
            float(
                odeint(
                    decay,
                    torch.ones(1, **DOUBLE),
                    t,
                    method=method,
                    options={"step_size": h, "interp": interp},
                )[1, 0]
                - math.exp(-0.55)
            )
            for h in (0.1, 0.1 / 3)  # 0.55 is midway between two steps of both
        ]
        for interp in ("linear", "cubic")
    }
    orders = {interp: math.log(abs(a / b), 3) for interp, (a, b) in errors.items()}
    assert orders["linear"] < 2.3
    assert abs(errors["cubic"][1]) < abs(errors["linear"][1])
    assert orders["cubic"] > (3.5 if method == "rk4" else 1.8)


@pytest.mark.parametrize("method", ["dopri5", "euler"])
def test_the_gradient_is_that_of_torchdiffeq(theirs, moment, method):
    def gradients(solve):
        y0, t = moment.y0.clone().requires_grad_(), moment.t.clone().requires_grad_()
        # A constant field has no error, so that also Euler's times have the exact gradient.
        func = (
            moment.func
            if method == "dopri5"
            else lambda t, y: moment.func.net[0].bias[:2].expand(3, 2, 2)
        )
        y = solve(func, y0, t, method=method, rtol=1e-9, atol=1e-9)
        wanted = (y0, t, moment.func.net[0].bias)
        return torch.autograd.grad(y.square().mean(), wanted)

    for mine, others in zip(gradients(odeint), gradients(theirs.odeint), strict=True):
        close(mine, others, atol=1e-6)


def test_with_fixed_steps_a_state_does_not_depend_on_the_times_before(theirs):
    for solve, is_theirs in ((odeint, False), (theirs.odeint, True)):
        t = torch.tensor([0.0, 0.2, 0.5], **DOUBLE, requires_grad=True)
        y = solve(decay, torch.ones(1, **DOUBLE), t, method="euler")
        (gradient,) = torch.autograd.grad(y[-1].sum(), t)
        assert bool(gradient[1] != 0) == is_theirs
        assert float(gradient[0]) > 0 > float(gradient[2])


def test_the_adjoint_has_the_gradient_of_the_steps_and_theirs_only_to_tolerance(theirs, moment):
    def gradients(solve):
        y0, t = moment.y0.clone().requires_grad_(), moment.t.clone().requires_grad_()
        y = solve(moment.func, y0, t, rtol=1e-5, atol=1e-5)
        return torch.autograd.grad(y.square().sum(), (y0, t, *moment.func.parameters()))

    exact, ours, other = map(gradients, (odeint, odeint_adjoint, theirs.odeint_adjoint))
    for mine, others, right in zip(ours, other, exact, strict=True):
        close(mine, right, atol=1e-12)
        close(others, right, atol=1e-2)


def test_the_adjoint_needs_no_module_and_no_parameters():
    rate = torch.tensor(0.5, **DOUBLE, requires_grad=True)
    t = torch.tensor([0.0, 2.0], **DOUBLE)
    y0 = torch.ones(1, **DOUBLE)
    plain = odeint_adjoint(lambda t, y: -rate * y, y0, t)
    told = odeint_adjoint(
        lambda t, y: -rate * y,
        y0,
        t,
        adjoint_rtol=1e-3,
        adjoint_atol=1e-3,
        adjoint_method="rk4",
        adjoint_options={"norm": "seminorm"},
        adjoint_params=(),
    )
    for y in (plain, told):
        (gradient,) = torch.autograd.grad(y[-1].sum(), rate)
        close(gradient, torch.tensor(-2 * math.exp(-1), **DOUBLE), atol=1e-6)


def test_odeint_can_be_differentiated_twice_and_the_adjoint_says_why_not():
    y0 = torch.ones(1, **DOUBLE, requires_grad=True)
    t = torch.tensor([0.0, 1.0], **DOUBLE)
    (first,) = torch.autograd.grad(odeint(lambda t, y: -(y**2), y0, t)[-1], y0, create_graph=True)
    (second,) = torch.autograd.grad(first, y0)
    close(second, torch.tensor([-0.25], **DOUBLE), atol=1e-6)
    y = odeint_adjoint(lambda t, y: -(y**2), y0, t)[-1]
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(y, y0, create_graph=True)


@BOTH
def test_the_demo_trains(solve):
    true = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
    y0, t = torch.tensor([[2.0, 0.0]]), torch.linspace(0, 1, 20)
    with torch.no_grad():
        target = solve(lambda t, y: (y**3) @ true, y0, t, method="dopri5")
    func = Spiral()
    optimizer = torch.optim.RMSprop(func.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = (solve(func, y0, t, rtol=1e-5, atol=1e-5) - target).abs().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


@BOTH
def test_a_continuous_flow_may_differentiate_within_its_field(theirs, solve):
    """The field of torchdiffeq's examples/cnf.py, which asks y for gradients."""
    net = Spiral().double().net

    def flow(t, states):
        z, _ = states
        with torch.enable_grad():
            z.requires_grad_(True)
            dz = net(z) * torch.cos(t)
            columns = [
                torch.autograd.grad(dz[:, i].sum(), z, create_graph=True)[0][:, i]
                for i in range(2)
            ]
        return dz, -sum(columns)[:, None]

    y0 = (torch.rand(4, 2, **DOUBLE), torch.zeros(4, 1, **DOUBLE))
    t = torch.tensor([1.0, 0.0], **DOUBLE)
    results = []
    for solver in (solve, theirs.odeint):
        z, log_density = solver(flow, y0, t, **TIGHT)
        weights = list(net.parameters())[:2]
        gradients = torch.autograd.grad((z - log_density).sum(), weights)
        results.append((z, log_density, *gradients))
    for mine, others in zip(*results, strict=True):
        close(mine, others, atol=1e-7)


def test_steps_end_at_step_t_and_the_field_is_never_asked_at_jump_t(moment):
    seen = []

    def field(t, y):
        seen.append(float(t))
        return torch.where(t < 0.5, 1.0, -1.0) * torch.ones_like(y)

    y0, t = torch.zeros(1, **DOUBLE), torch.tensor([0.0, 1.0, 2.0], **DOUBLE)
    times = torch.tensor([0.5], **DOUBLE)
    y = odeint(field, y0, t, options={"step_t": times})
    assert 0.5 in seen
    seen.clear()
    y = odeint(field, y0, t, options={"jump_t": times})
    assert 0.5 not in seen
    close(y[:, 0], torch.tensor([0.0, 0.0, -1.0], **DOUBLE), atol=1e-12)


def test_options_of_steps_are_kept():
    seen = []

    def field(t, y):
        seen.append(float(t))
        return -y

    t = torch.tensor([0.0, 1.0], **DOUBLE)

    def count(**options):
        seen.clear()
        odeint(field, torch.ones(1, **DOUBLE), t, options=options, rtol=1e-3, atol=1e-3)
        return len(seen)

    plain = count()
    assert count(dtype=torch.float32) == plain
    assert count(max_step=0.01) > 5 * plain
    assert count(max_step=torch.tensor(0.01, **DOUBLE)) == count(max_step=0.01)
    assert count(first_step=1e-6) > plain
    assert count(first_step=0.1) < plain + 6
    with pytest.raises(SolverError, match="max_steps=2 steps"):
        count(max_num_steps=2, first_step=1e-6)
    with pytest.raises(SolverError, match="min_step"):
        odeint(lambda t, y: -50 * y, torch.ones(1), t, options={"min_step": 0.5})


def test_the_steps_are_not_limited_but_on_the_way_to_an_event(monkeypatch):
    limits, solve_batch = [], torchdiffeq.solve_batch

    def spy(*arguments, max_steps, **more):
        limits.append(max_steps)
        return solve_batch(*arguments, max_steps=max_steps, **more)

    monkeypatch.setattr(torchdiffeq, "solve_batch", spy)
    t = torch.tensor([0.0, 1.0])
    odeint(decay, torch.ones(1), t)
    odeint(decay, torch.ones(1), t, options={"max_num_steps": 99})
    odeint(decay, torch.ones(1), t, event_fn=lambda t, y: y - 0.5)
    assert limits == [2**31 - 1, 99, 20_000]


def test_tolerances_may_be_one_for_each_entry():
    y0, t = torch.tensor([1.0, 1.0], **DOUBLE), torch.linspace(0, 3, 7, **DOUBLE)
    loose, tight = (odeint(turning, y0, t, rtol=0.0, atol=atol) for atol in (1e-2, 1e-10))
    mixed = odeint(turning, y0, t, rtol=0.0, atol=torch.tensor([1e-2, 1e-10]))
    error = float((mixed - tight).abs().max())
    assert error < 1e-7 < float((loose - tight).abs().max())

    def halves(t, state):
        both = turning(t, torch.stack(state))
        return both[0], both[1]

    split = odeint(halves, (y0[0], y0[1]), t, rtol=0.0, atol=(1e-2, torch.tensor([1e-10])))
    close(torch.stack(split, dim=1), mixed, atol=1e-12)


# Events


def falling(gravity):
    def field(t, state):
        _, speed = state
        return speed, -gravity * torch.ones_like(speed)

    return field


def bounces(odeint_event, interface, n=3):
    """Give the times of n bounces, as torchdiffeq's examples/bouncing_ball.py, and gradients."""
    height = torch.tensor([5.0], **DOUBLE, requires_grad=True)
    gravity = torch.tensor(9.81, **DOUBLE, requires_grad=True)
    t0 = torch.tensor(0.5, **DOUBLE, requires_grad=True)
    t, state, times = t0, (height, torch.zeros(1, **DOUBLE)), []
    for _ in range(n):
        t, (heights, speeds) = odeint_event(
            falling(gravity),
            state,
            t,
            event_fn=lambda t, state: state[0],
            odeint_interface=interface,
            **TIGHT,
        )
        assert heights.shape == (2, 1)
        times.append(t)
        state = (heights[-1] + 1e-9, -0.8 * speeds[-1])
    return torch.stack(times), torch.autograd.grad(times[-1], (height, gravity, t0))


@BOTH
def test_a_ball_bounces_when_it_must(solve):
    times, (by_height, by_gravity, by_start) = bounces(odeint_event, solve)
    fall = math.sqrt(2 * 5 / 9.81)
    exact = fall * torch.tensor([1.0, 1 + 2 * 0.8, 1 + 2 * (0.8 + 0.64)], **DOUBLE)
    close(times.detach(), 0.5 + exact, atol=1e-7)
    # A time of n falls is proportional to sqrt(height / gravity).
    close(by_height[0], exact[-1] / 10, atol=1e-7)
    close(by_gravity, -exact[-1] / (2 * 9.81), atol=1e-7)
    close(by_start, torch.tensor(1.0, **DOUBLE), atol=1e-7)


def test_a_ball_bounces_as_in_torchdiffeq(theirs):
    ours, our_gradients = bounces(odeint_event, odeint)
    other, other_gradients = bounces(theirs.odeint_event, theirs.odeint)
    close(ours, other, atol=1e-7)
    for mine, others in zip(our_gradients, other_gradients, strict=True):
        close(mine, others, atol=1e-7)


EVENTS = {
    "one": lambda t, y: y[0] - 0.5,
    "the first of several": lambda t, y: y - torch.tensor([0.3, 1.9], **DOUBLE),
    "of time too": lambda t, y: y[1] - 1.4 + 0.1 * t,
}


@BOTH
@pytest.mark.parametrize("reverse_time", [False, True])
@pytest.mark.parametrize("event_fn", EVENTS.values(), ids=EVENTS)
def test_an_event_is_that_of_torchdiffeq(theirs, solve, event_fn, reverse_time):
    rates = torch.tensor([-0.5, 0.4], **DOUBLE) * (-1 if reverse_time else 1)

    def found(odeint_event, interface):
        y0 = torch.tensor([1.0, 1.2], **DOUBLE, requires_grad=True)
        t0 = torch.tensor([0.1], **DOUBLE, requires_grad=True)
        event_t, y = odeint_event(
            lambda t, y: rates * y + 0.1 * torch.sin(t),
            y0,
            t0,
            event_fn=event_fn,
            reverse_time=reverse_time,
            odeint_interface=interface,
            **TIGHT,
        )
        assert event_t.shape == ()
        assert y.shape == (2, 2)
        gradients = torch.autograd.grad(event_t + y[-1].square().sum(), (y0, t0))
        return event_t, y, *gradients

    ours, other = found(odeint_event, solve), found(theirs.odeint_event, theirs.odeint)
    for mine, others in zip(ours, other, strict=True):
        close(mine, others, atol=1e-6)


def test_odeint_alone_gives_the_event_and_its_gradient():
    speed = torch.tensor(2.0, requires_grad=True)
    event_t, y = odeint(
        lambda t, y: speed.expand(1),
        torch.zeros(1),
        torch.tensor([1.0, 1.1]),  # of the second time, only the direction counts
        event_fn=lambda t, y: y - 3,
    )
    assert event_t.dtype == torch.float32
    close(event_t, torch.tensor(2.5), atol=1e-6)
    close(y, torch.tensor([[0.0], [3.0]]), atol=1e-5)
    event_t.backward()
    close(speed.grad, torch.tensor(-0.75), atol=1e-5)


@pytest.mark.parametrize(("entries", "exact"), [(slice(1), math.pi), (slice(2), math.pi / 2)])
def test_a_zero_at_the_start_is_no_event(theirs, entries, exact):
    def found(odeint_event):
        y0, t0 = torch.tensor([0.0, 1.0], **DOUBLE), torch.tensor(0.0, **DOUBLE)
        event_t, _ = odeint_event(turning, y0, t0, event_fn=lambda t, y: y[entries], **TIGHT)
        return float(event_t)

    assert found(odeint_event) == pytest.approx(exact, abs=1e-8)
    assert found(theirs.odeint_event) == 0


@pytest.mark.parametrize("method", [*ON_GRID, *IMPLICIT])
def test_an_event_is_found_with_steps_of_one_size(method):
    options = {"step_size": 0.01}
    event_t, y = odeint_event(
        decay,
        torch.ones(1, **DOUBLE),
        torch.tensor(0.0, **DOUBLE),
        event_fn=lambda t, y: y[0] - 0.7,
        method=method,
        options=options,
    )
    error = 3e-3 if "euler" in method else 1e-4
    close(event_t, torch.tensor(-math.log(0.7), **DOUBLE), atol=error)
    close(y[-1, 0], torch.tensor(0.7, **DOUBLE), atol=1e-9)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        (lambda t, y: torch.zeros_like(y), {}),
        (decay, {"max_num_steps": 100}),
        (lambda t, y: y**2, {}),
    ],
    ids=["rests", "decays", "explodes"],
)
def test_an_event_that_never_happens_is_an_error(field, options):
    with pytest.raises(SolverError, match="event_fn did not become zero by t="):
        odeint_event(
            field,
            torch.ones(1),
            torch.tensor(0.0),
            event_fn=lambda t, y: y[0] + 1,
            options=options,
        )


# Refusals: each says what to do.

ABSENT = {
    "fehlberg2": "adaptive_heun",
    "heun3": "bosh3",
    "explicit_adams": "rk4",
    "implicit_adams": "dopri5",
    "fixed_adams": "dopri5",
    "scipy_solver": "kvaerno5",
    "gl4": "implicit_midpoint",
    "gl6": "implicit_midpoint",
    "radauIIA3": "kvaerno3",
    "radauIIA5": "kvaerno5",
    "sdirk2": "trapezoid",
    "trbdf2": "trapezoid",
}


@BOTH
@pytest.mark.parametrize("method", ABSENT)
def test_a_method_that_is_not_here_is_an_error_that_names_another(solve, method):
    message = f"method={method} of torchdiffeq is not here: use .*{ABSENT[method]}"
    with pytest.raises(ValueError, match=message):
        solve(decay, torch.ones(1), torch.tensor([0.0, 1.0]), method=method)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "dopri6"}, "method=dopri6 is not known: choose one of"),
        ({"options": {"norm": max}}, "the option norm is not here. .* rtol and atol"),
        ({"options": {"safety": 0.8}}, "the option safety is not here. .* leave it out"),
        ({"options": {"step_size": 0.1}}, "method=dopri5 has no option step_size: it has first_"),
        ({"options": {"max_stp": 1}}, "has no option max_stp"),
        ({"method": "rk4", "options": {"first_step": 1}}, "rk4 has no option first_step"),
        ({"method": "rk4", "options": {"interp": "sinc"}}, "interp=sinc is not known"),
        ({"method": "rk4", "options": {"step_size": -0.1}}, "step_size=-0.1 must be positive"),
        (
            {"method": "rk4", "options": {"step_size": 1, "grid_constructor": max}},
            "exclude each other",
        ),
        (
            {"method": "rk4", "options": {"grid_constructor": lambda f, y, t: t[:1]}},
            "must return a Tensor of times",
        ),
        (
            {"method": "rk4", "options": {"grid_constructor": lambda f, y, t: t - 1}},
            "must go from 0 to 1, .* -1 to 0",
        ),
        (
            {"method": "rk4", "options": {"grid_constructor": lambda f, y, t: t[[0, 1, 0, 1]]}},
            "must rise or fall as t does",
        ),
        ({"method": "rk4", "event_fn": lambda t, y: y}, "needs their size: give step_size"),
        (
            {"method": "rk4", "event_fn": decay, "options": {"step_size": 1, "perturb": True}},
            "perturb needs an end",
        ),
        ({"event_fn": decay, "t": torch.arange(3.0)}, "two times with event_fn, not 3"),
        ({"t": torch.zeros(2, 2)}, "t must have shape"),
        ({"t": torch.zeros(0)}, "at least one time"),
        ({"t": torch.tensor([0.0, 1.0, 0.5])}, "times must rise or fall"),
        ({"func": lambda t, y: y[None]}, r"shape of y0, \(2,\), but it returned \(1, 2\)"),
        ({"func": lambda t, y: (y, y)}, r"but it returned \(\(2,\), \(2,\)\)"),
        ({"atol": torch.ones(3)}, r"atol of shape \(3,\) does not fit a state of shape \(2,\)"),
        (
            {"y0": (torch.ones(2), torch.ones(2)), "rtol": (1e-3,)},
            "rtol has 1 parts, and y0 has 2",
        ),
    ],
)
def test_what_cannot_be_done_is_an_error_that_says_what_to_do(arguments, message):
    asked = {"func": decay, "y0": torch.ones(2), "t": torch.tensor([0.0, 1.0])} | arguments
    with pytest.raises(ValueError, match=message):
        odeint(**asked)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"t": torch.arange(3)}, "t must be a Tensor of floating-point times"),
        ({"t": [0.0, 1.0]}, "t must be a Tensor"),
        ({"y0": [torch.ones(2)]}, "a Tensor or a tuple of them, not list"),
        ({"func": 3}, "func must be callable"),
        ({"event_fn": lambda t, y: 1.0}, "event_fn must return a Tensor, not float"),
    ],
)
def test_a_wrong_type_is_an_error(arguments, message):
    asked = {"func": decay, "y0": torch.ones(2), "t": torch.tensor([0.0, 1.0])} | arguments
    with pytest.raises(TypeError, match=message):
        odeint(**asked)


@pytest.mark.parametrize("name", ["callback_step", "callback_accept_step_adjoint"])
def test_a_callback_is_an_error_for_it_would_not_be_called(name):
    func = Spiral()
    setattr(func, name, lambda t0, y0, dt: None)
    with pytest.raises(ValueError, match=f"func.{name} would not be called"):
        odeint(func, torch.ones(2), torch.tensor([0.0, 1.0]))


def test_numbers_of_a_solve_that_failed_are_never_returned(theirs):
    y0, t = torch.tensor([10.0]), torch.linspace(0, 10, 11)
    assert not bool(theirs.odeint(lambda t, y: y**2, y0, t, method="euler").isfinite().all())
    with pytest.raises(SolverError, match="the state is not finite"):
        odeint(lambda t, y: y**2, y0, t, method="euler")
    with pytest.raises(SolverError, match="past t="):
        odeint(lambda t, y: y**2, y0, t)


def test_no_argument_is_changed():
    options = {"step_size": 0.1, "max_num_steps": 50}
    given, y0, t = dict(options), torch.ones(2), torch.tensor([0.0, 1.0])
    odeint(decay, y0, t, method="rk4", options=options)
    assert options == given
    assert y0.tolist() == [1.0, 1.0]
    assert t.tolist() == [0.0, 1.0]


# The second step: to the native solver


@pytest.fixture
def turns():
    """Five starts of a plane that turns slower and slower, with its field for a batch."""
    random = torch.Generator().manual_seed(0)
    y0 = torch.randn(5, 2, generator=random, **DOUBLE)
    return y0, lambda t, y: torch.cos(t)[:, None] * turning(t, y)


def test_the_native_solver_gives_the_same_with_the_batch_first(turns):
    y0, field = turns
    t = torch.linspace(0, 2, 7, **DOUBLE)
    ours = odeint(lambda t, y: torch.cos(t) * turning(t, y), y0, t, **TIGHT)
    for control in ("per_sample", "joint"):
        native = native_odeint(field, y0, t, control=control, **TIGHT)
        close(ours, native.ys.transpose(0, 1), atol=1e-8)
    assert len(set(native.stats.n_steps.tolist())) == 1


def test_the_native_solver_takes_the_same_steps_of_one_size(turns):
    y0, field = turns
    t = torch.linspace(0, 2, 9, **DOUBLE)
    ours = odeint(
        lambda t, y: torch.cos(t) * turning(t, y),
        y0,
        t,
        method="midpoint",
        options={"step_size": 0.125},
    )
    native = native_odeint(field, y0, t, method="midpoint", step_size=0.125)
    close(ours, native.ys.transpose(0, 1))


def test_the_native_solver_has_dense_output(theirs, turns):
    y0, field = turns
    ends, asked = torch.tensor([0.0, 2.0], **DOUBLE), torch.tensor([0.3, 1.7], **DOUBLE)
    dense = native_odeint(field, y0, ends, dense=True, **TIGHT).dense(asked)
    read = theirs.odeint_dense(lambda t, y: torch.cos(t) * turning(t, y), y0, *ends, **TIGHT)
    for j in range(2):
        close(dense[:, j], read(asked[j]), atol=1e-8)


def test_the_native_solver_finds_an_event_for_each_sample():
    y0 = torch.tensor([[1.0], [2.0], [4.0]], **DOUBLE)
    ends = torch.tensor([0.0, 9.0], **DOUBLE)
    half = Event(lambda t, y: y[:, 0] - 0.5, terminal=True)
    found = native_odeint(decay, y0, ends, events=[half], **TIGHT).events[0].ts[:, 0]
    for i in range(3):
        event_t, _ = odeint_event(decay, y0[i], ends[0], event_fn=lambda t, y: y[0] - 0.5, **TIGHT)
        close(found[i], event_t, atol=1e-8)
