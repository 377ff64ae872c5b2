"""Paths that inputs drive: exact where a solution is known, and what must not matter to them."""

import math

import pytest
import torch

from latentode.nn import Controls, DrivenField, EulerStep, GRUStep, Inputs, MLPField, ODEPath
from latentode.nn.latent_time import far_time, real_time
from latentode.nn.pieces import along, pieces_of
from latentode.nn.segments import segment_path
from latentode.solvers import MLP

KINDS = ("previous", "linear")


class Compartment(torch.nn.Module):
    """A drug that flows in at the rate u and is lost at a rate of its own: dz/dt = u - k z."""

    n_controls, n_static = 1, 1

    def driven(self, u, static):
        return lambda t, z: u(t) - static * z


def field(n_controls=2, n_static=3):
    made = DrivenField(MLPField(3, 8), 3, n_controls=n_controls, n_static=n_static, hidden_size=8)
    for p in made.parameters():
        if p.dim() > 1:
            torch.nn.init.normal_(p, std=0.6)
    return made


PATHS = {
    "ode": lambda: ODEPath(field(), speed=2.0),
    "euler": lambda: EulerStep(field()),
    "gru": lambda: GRUStep(3, n_controls=2, n_static=3),
}
every_path = pytest.mark.parametrize("make", PATHS.values(), ids=PATHS)


def inputs(n_series, kind="previous", n_knots=7, n_controls=2, n_static=3):
    t = 6 * torch.rand(n_series, n_knots).double().sort(dim=1).values - 2
    controls = Controls(t, torch.randn(n_series, n_knots, n_controls).double(), kind)
    return Inputs(controls, torch.randn(n_series, n_static).double())


def start(n_series, n_asked=5):
    z0, t0 = torch.randn(n_series, 3).double(), 0.3 * torch.randn(n_series).double()
    return z0, t0, torch.empty(n_series, n_asked).double().uniform_(-1.5, 4)


def infused(t, knots, rates, k):
    """Give the amount at t, from 0 at time 0, of a drug infused at rates from some knots on."""
    amount = 0.0
    for begin, end, rate in zip(knots, [*knots[1:], math.inf], rates, strict=True):
        begin, end = max(begin, 0.0), min(end, t)
        if begin < end:
            gone = math.exp(-k * (t - end)) - math.exp(-k * (t - begin))
            amount += rate / k * gone
    return amount


@torch.no_grad()
@pytest.mark.parametrize("adjoint", ["direct", "replay", "backsolve"])
def test_a_driven_path_is_the_solution_however_short_a_pulse(adjoint):
    # The second knot ends a bolus that an adaptive step would pass without noticing.
    knots, rates = [-1.0, 0.5, 0.5005, 1.5], [0.0, 1000.0, 0.0, 2.0]
    t, u, loss_rate, ts = (
        torch.tensor([x], dtype=torch.float64)
        for x in (knots, rates, [0.7], [0.4, 3.0, 0.6, 1.5, 0.5002])
    )
    told = Inputs(Controls(t, u[..., None]), loss_rate)
    path = ODEPath(Compartment(), rtol=1e-8, atol=1e-8, adjoint=adjoint)
    got = path(torch.zeros(1, 1).double(), torch.zeros(1).double(), ts, told)[0, :, 0]
    expected = [infused(x, knots, rates, 0.7) for x in ts[0].tolist()]
    torch.testing.assert_close(got, torch.tensor(expected).double(), rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_ramp_is_followed_exactly():
    # dz/dt = t - z from 0 is z = t - 1 + exp(-t).
    controls = Controls(torch.tensor([[0.0, 9.0]]), torch.tensor([[[0.0], [9.0]]]), "linear")
    ts = torch.tensor([[1.0, 3.5]])
    path = ODEPath(Compartment(), rtol=1e-7, atol=1e-7)
    got = path(torch.zeros(1, 1), torch.zeros(1), ts, Inputs(controls, torch.ones(1, 1)))
    torch.testing.assert_close(got[..., 0], ts - 1 + torch.exp(-ts), rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_controls_are_read_at_real_time_however_slow_latent_time_is(kind):
    class Reader(torch.nn.Module):
        n_controls, n_static = 1, 0

        def driven(self, u, static):
            return lambda t, z: u(t)

    knots = torch.tensor([[0.0, 5.0, 7.0, 8.0, 20.0]]).double()
    values = torch.tensor([0.0, 0.0, 1.0, 3.0, 3.0]).double()[None, :, None]
    controls, ts = Controls(knots, values, kind), torch.tensor([[4.0, 7.5, 12.0]]).double()
    path = ODEPath(Reader(), rtol=1e-9, atol=1e-9)
    got = path(torch.zeros(1, 1).double(), torch.zeros(1).double(), ts, Inputs(controls))[0, :, 0]
    # dz = u(t) d far_time(t), summed up finely in real time.
    grid = torch.linspace(0, 12, 240_001).double()
    u = controls.at(((grid[1:] + grid[:-1]) / 2)[None])[0, :, 0]
    total = torch.cat([torch.zeros(1), (u * far_time(grid).diff()).cumsum(0)])
    expected = total[(ts[0] * 20_000).round().long()]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)


def test_real_time_undoes_latent_time():
    since = torch.linspace(-8, 30, 400).double()
    torch.testing.assert_close(real_time(far_time(since)), since, rtol=0, atol=1e-6)
    beyond = real_time(torch.tensor([-2.5, 8.0, 9.0]).double())
    assert beyond.isfinite().all() and (beyond.abs() > 25).all()


@every_path
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_state_depends_neither_on_batch_mates_nor_on_what_else_is_asked(make, kind):
    path, told = make().double(), inputs(4, kind)
    z0, t0, ts = start(4)
    whole = path(z0, t0, ts, told)
    for i in range(4):
        one = torch.tensor([i])
        for j in range(5):
            alone = path(z0[one], t0[one], ts[one, j : j + 1], told.of(one))
            # How far a step goes that meets a kink hangs on the last digits of its error.
            atol = 1e-6 if kind == "linear" else 1e-10
            torch.testing.assert_close(alone[0, 0], whole[i, j], rtol=0, atol=atol)


@every_path
@torch.no_grad()
def test_a_state_does_not_depend_on_padding_of_the_knots(make):
    path, (controls, static) = make().double(), inputs(4)
    more = Controls(
        torch.cat([controls.t, controls.t[:, -1:].expand(-1, 3)], 1),
        torch.cat([controls.values, controls.values[:, -1:].expand(-1, 3, -1)], 1),
    )
    z0, t0, ts = start(4)
    got = path(z0, t0, ts, Inputs(more, static))
    torch.testing.assert_close(got, path(z0, t0, ts, Inputs(controls, static)), rtol=0, atol=1e-12)


@every_path
@torch.no_grad()
def test_a_state_does_not_depend_on_held_controls_after_it(make):
    path, (controls, static) = make().double(), inputs(4)
    z0, t0, ts = start(4)
    t0 = t0.clamp(max=0)
    ts = ts.abs()
    later = controls.t[..., None] > ts.amax(dim=1)[:, None, None]
    assert later.any()
    other = controls._replace(values=torch.where(later, 99.0, controls.values))
    got = path(z0, t0, ts, Inputs(other, static))
    torch.testing.assert_close(got, path(z0, t0, ts, Inputs(controls, static)), rtol=0, atol=1e-12)


@every_path
def test_gradients_reach_the_inputs_and_every_parameter(make):
    path, (controls, static) = make().double(), inputs(4)
    z0, t0, ts = start(4)
    values, static = controls.values.requires_grad_(), static.requires_grad_()
    told = Inputs(controls._replace(values=values), static)
    path(z0, t0, ts, told).square().sum().backward()
    for name, x in [("u", values), ("s", static), *path.named_parameters()]:
        assert x.grad is not None and x.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("adjoint", ["direct", "replay", "backsolve"])
def test_gradients_are_those_of_finite_differences(adjoint, kind):
    path = ODEPath(field().double(), rtol=1e-9, atol=1e-9, adjoint=adjoint)
    told = inputs(2, kind, n_knots=4)
    z0, t0, ts = start(2, n_asked=2)

    def loss():
        return path(z0, t0, ts, told).square().sum()

    loss().backward()
    parameters = list(path.parameters())
    directions = [torch.randn_like(p) for p in parameters]
    slope = sum((p.grad * d).sum() for p, d in zip(parameters, directions, strict=True))
    h, losses = 1e-4, []
    with torch.no_grad():
        for step in (h, -2 * h):
            for p, d in zip(parameters, directions, strict=True):
                p += step * d
            losses.append(loss())
    torch.testing.assert_close(slope, (losses[0] - losses[1]) / (2 * h), rtol=1e-3, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("n_asked", [1, 20])
def test_each_segment_is_driven_by_its_own_series(n_asked):
    path, told, lengths = ODEPath(field()).double(), inputs(3), torch.tensor([5, 1, 3])
    t = torch.rand(3, 5).double().cumsum(1) - 2
    t = t.minimum(t.gather(1, lengths[:, None] - 1))
    zs, ts = torch.randn(3, 5, 3).double(), 4 * torch.rand(3, n_asked).double() - 3
    got = segment_path(path, zs, t, lengths, ts, told)
    for i in range(3):
        one = torch.tensor([i])
        alone = segment_path(path, zs[one], t[one], lengths[one], ts[one], told.of(one))
        torch.testing.assert_close(got[i], alone[0], rtol=0, atol=1e-9)


def test_any_field_may_be_driven_and_twice_the_rate_drives_twice_as_much():
    made = DrivenField(MLP([4, 8, 4]), 4, n_controls=1)
    torch.nn.init.zeros_(made.outer.weight)
    t, z, u = torch.zeros(5), torch.randn(5, 4), torch.randn(5, 1)
    alone = made.field(t, z)
    torch.testing.assert_close(made(t, z, 2 * u) - alone, 2 * (made(t, z, u) - alone))


def test_the_rate_is_the_slope_of_a_driven_path():
    path = ODEPath(field().double(), speed=3.0, rtol=1e-10, atol=1e-10)
    told, (z0, t0, _) = inputs(4), start(4)
    z1 = path(z0, t0, t0[:, None] + 1e-6, told)[:, 0]
    torch.testing.assert_close((z1 - z0) / 1e-6, path.rate(t0, z0, told), rtol=1e-3, atol=1e-3)


def test_a_path_is_cut_only_where_a_control_changes_on_the_way():
    knots = torch.tensor([[-1.0, 0.5, 1.0, 2.0], [0.2, 0.3, 5.0, 6.0]])
    values = torch.tensor([[3.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0]])[..., None]
    changes = Controls(knots, values).changes()
    pieces = pieces_of(knots, values, changes, torch.tensor([[0.1, 1.5], [0.1, 0.25]]))
    torch.testing.assert_close(pieces.edges, torch.tensor([[0, 1, 1.5], [0, 0.25, 0.25]]))
    torch.testing.assert_close(pieces.u[..., 0], torch.tensor([[3.0, 4.0], [1.0, 1.0]]))
    back = pieces_of(knots, values, changes, torch.tensor([[-0.1, -2.0], [-0.1, -2.0]]))
    torch.testing.assert_close(back.edges, torch.tensor([[0.0, 2.0], [0.0, 2.0]]))
    assert back.u[:, 0, 0].tolist() == [3.0, 1.0]


def test_pieces_put_every_state_where_its_time_was():
    # What a piece gives is the time itself, plus what it has added up of its control.
    knots = torch.rand(6, 4).sort(dim=1).values * 3
    controls = Controls(knots, torch.ones(6, 4, 1).cumsum(1))
    distance = (4 * torch.rand(6, 9)).sort(dim=1).values
    pieces = pieces_of(knots, controls.values, controls.changes(), distance)

    def solve(u, z, times):
        return z[:, None] + (times - times[:, :1])[..., None] * u[:, None]

    got = along(pieces, torch.zeros(6, 1), distance, solve)
    expected = controls.amount(distance) - controls.amount(torch.zeros_like(distance))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_a_field_that_nothing_drives_is_refused():
    with pytest.raises(ValueError, match="nothing drives the field: give n_controls or n_static"):
        DrivenField(MLPField(3), 3)


@pytest.mark.parametrize("make", PATHS.values(), ids=PATHS)
def test_missing_inputs_are_refused(make):
    z0, t0, ts = (x.float() for x in start(2))
    with pytest.raises(ValueError, match="reads n_controls=2, and the context has 0"):
        make()(z0, t0, ts)
