"""Latent paths are solutions, in both directions and any order, each from its own start."""

import pytest
import torch

from latentode.nn import EulerStep, GRUStep, MLPField, ODEPath, OscillatorField
from latentode.nn.latent_time import far_time
from latentode.nn.segments import segment_path
from latentode.solvers import odeint


class Whirl(MLPField):
    """A field that moves from the start, so that a path has a shape to get wrong."""

    def __init__(self):
        super().__init__(3, 8)
        torch.nn.init.normal_(self.outer.weight)


PATHS = {
    "ode": lambda: ODEPath(Whirl()),
    "euler": lambda: EulerStep(Whirl()),
    "gru": lambda: GRUStep(3),
}


@pytest.fixture(params=PATHS)
def path(request):
    return PATHS[request.param]()


@torch.no_grad()
def test_a_state_does_not_depend_on_what_else_is_asked(path):
    path = path.double()
    z0, t0, ts = (torch.randn(*n, dtype=torch.float64) for n in ((4, 3), (4,), (4, 6)))
    whole = path(z0, t0, ts)
    for i in range(4):
        for j in range(6):
            alone = path(z0[i : i + 1], t0[i : i + 1], ts[i : i + 1, j : j + 1])
            torch.testing.assert_close(alone[0, 0], whole[i, j])


def test_gradients_reach_the_state_and_every_parameter(path):
    z0 = torch.randn(4, 3, requires_grad=True)
    path(z0, torch.zeros(4), torch.rand(4, 5) + 0.1).square().sum().backward()
    for x in [z0, *path.parameters()]:
        assert x.grad is not None and x.grad.abs().sum() > 0


@torch.no_grad()
def test_the_path_is_the_solution_in_both_directions_and_any_order():
    path = ODEPath(Whirl(), rtol=1e-6, atol=1e-6)
    z0, t0 = torch.randn(4, 3), torch.tensor([0.0, -1.0, 0.5, 0.0])
    ts = t0[:, None] + torch.empty(4, 6).uniform_(-1, 4)
    states = path(z0, t0, ts)
    for i in range(4):
        for j in range(6):
            times = torch.stack([t0[i], ts[i, j]])
            exact = odeint(path.field, z0[i : i + 1], times, rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(states[i, j], exact.ys[0, 1], rtol=0, atol=1e-4)


@torch.no_grad()
def test_a_turning_frame_changes_no_path():
    field = OscillatorField(4, 8, max_frequency=1.0).double()
    torch.nn.init.normal_(field.outer.weight, std=0.3)
    turned, plain = (
        ODEPath(f, speed=2, method="dop853", rtol=1e-8, atol=1e-8) for f in (field, field.forward)
    )
    z0, t0 = torch.randn(4, 4).double(), torch.tensor([0.0, -1.0, 0.5, 0.0]).double()
    ts = t0[:, None] + torch.empty(4, 6).double().uniform_(-1, 4)
    states = turned(z0, t0, ts)
    torch.testing.assert_close(states, plain(z0, t0, ts), rtol=0, atol=1e-5)
    alone = [turned(z0[i : i + 1], t0[i : i + 1], ts[i : i + 1, 3:4])[0, 0] for i in range(4)]
    torch.testing.assert_close(torch.stack(alone), states[:, 3], rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_path_settles_far_away():
    ts = torch.tensor([[-1e12, -1e6, 1e6, 1e12]]).expand(4, -1)
    states = ODEPath(Whirl())(torch.randn(4, 3), torch.zeros(4), ts)
    torch.testing.assert_close(states[:, 0], states[:, 1])
    torch.testing.assert_close(states[:, 2], states[:, 3])
    assert states.abs().max() < 100


@torch.no_grad()
def test_the_path_passes_through_its_start():
    z0, ts = torch.randn(4, 3), torch.tensor([[-1.0, 0.0, 2.0]]).expand(4, -1)
    assert torch.equal(ODEPath(Whirl())(z0, torch.zeros(4), ts)[:, 1], z0)


@torch.no_grad()
def test_steps_of_one_size_may_be_asked_for():
    field, z0, ts = Whirl(), torch.randn(4, 3), torch.rand(4, 5)
    coarse = ODEPath(field, method="rk4", step_size=0.05)(z0, torch.zeros(4), ts)
    fine = ODEPath(field, rtol=1e-6, atol=1e-6)(z0, torch.zeros(4), ts)
    torch.testing.assert_close(coarse, fine, rtol=0, atol=1e-4)


def test_latent_time_never_runs_backward():
    since = torch.linspace(-20, 20, 2001, dtype=torch.float64)
    steps = far_time(since).diff()
    assert (steps > 0).all()
    assert (steps <= since.diff() + 1e-12).all()


class TestSegments:
    @torch.no_grad()
    @pytest.mark.parametrize("n_asked", [1, 7, 60])
    def test_each_time_is_reached_from_the_last_row_up_to_it(self, n_asked):
        path, lengths = ODEPath(Whirl()).double(), torch.tensor([5, 1, 3])
        t = torch.rand(3, 5, dtype=torch.float64).cumsum(1) - 2
        t = t.minimum(t.gather(1, lengths[:, None] - 1))
        zs = torch.randn(3, 5, 3, dtype=torch.float64)
        ts = 4 * torch.rand(3, n_asked, dtype=torch.float64) - 3
        got = segment_path(path, zs, t, lengths, ts)
        for i in range(3):
            for j in range(n_asked):
                before = [k for k in range(int(lengths[i])) if t[i, k] <= ts[i, j]]
                k = before[-1] if before else 0
                alone = path(zs[i, k][None], t[i, k][None], ts[i, j][None, None])
                torch.testing.assert_close(got[i, j], alone[0, 0], rtol=1e-9, atol=1e-9)

    def test_gradients_reach_the_states_in_use_alone(self):
        zs = torch.randn(1, 3, 3, requires_grad=True)
        t = torch.tensor([[-1.0, -0.5, 0.0]])
        asked = torch.tensor([[0.2]])
        segment_path(ODEPath(Whirl()), zs, t, torch.tensor([3]), asked).sum().backward()
        assert (zs.grad[0].abs().sum(-1) > 0).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "rk5"}, "method=rk5 is not known: choose one of euler"),
        ({"method": "rk4"}, "method=rk4 takes steps of one size: give step_size"),
        ({"adjoint": "magic"}, "adjoint=magic is not known: choose one of auto"),
    ],
)
def test_a_path_that_cannot_be_solved_is_not_made(options, message):
    with pytest.raises(ValueError, match=message):
        ODEPath(MLPField(3), **options)


@pytest.mark.parametrize("path", [ODEPath, EulerStep])
def test_speed_is_how_much_latent_time_passes(path):
    torch.manual_seed(0)
    field, z0, t0 = MLPField(4), torch.randn(3, 4), torch.zeros(3)
    ts = torch.tensor([[0.2, 0.7, -0.1]]).expand(3, 3)
    fast = path(field, speed=2.0)(z0, t0, ts / 2)
    torch.testing.assert_close(fast, path(field)(z0, t0, ts))


def test_the_rate_is_the_slope_of_a_path():
    path = ODEPath(MLPField(4).double(), speed=3.0, rtol=1e-10, atol=1e-10)
    z0, t0 = torch.randn(3, 4, dtype=torch.float64), torch.tensor([0.0, 0.5, 2.0]).double()
    z1 = path(z0, t0, t0[:, None] + 1e-5)[:, 0]
    torch.testing.assert_close((z1 - z0) / 1e-5, path.rate(t0, z0), rtol=1e-3, atol=1e-3)


def test_no_time_passes_without_speed():
    with pytest.raises(ValueError, match="speed=0 must be a positive number"):
        ODEPath(MLPField(4), speed=0)


def test_a_path_is_the_same_under_autocast():
    path = ODEPath(MLPField(4, 8), rtol=1e-5, atol=1e-5)
    z0, t0, ts = torch.randn(3, 4).bfloat16(), torch.zeros(3), torch.tensor([[1.0, -2.0]] * 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = path(z0, t0, ts)
    torch.testing.assert_close(within, path(z0.float(), t0, ts), rtol=0, atol=0)
