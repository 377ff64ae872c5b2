"""Continuous normalizing flows: densities that are densities, and samples that follow them."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from latentode.nn import ContinuousFlow, FlowField, PlanarField
from latentode.nn.divergence import with_product, with_trace

FIELDS = {
    "one layer": lambda size, **more: FlowField(size, 8, n_hidden=1, **more),
    "two layers": lambda size, **more: FlowField(size, 8, **more),
    "three layers": lambda size, **more: FlowField(size, 8, n_hidden=3, **more),
    "planar": lambda size, **more: PlanarField(size, 6, hidden_size=5, **more),
}
every_field = pytest.mark.parametrize("name", FIELDS)


def lively(name, size=2, **more):
    """Give a field that bends what it carries, in float64."""
    field = FIELDS[name](size, **more).double()
    for p in field.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return field


def precise(field, size=2, **options):
    return ContinuousFlow(size, field, **{"rtol": 1e-9, "atol": 1e-9, **options})


class Linear(torch.nn.Module):
    """dz/dt = A z, whose flow is a matrix exponential."""

    def __init__(self, a):
        super().__init__()
        self.a = torch.nn.Parameter(a)

    def forward(self, t, z):
        return z @ self.a.mT


@pytest.fixture
def a():
    return torch.tensor([[0.3, -1.0], [0.8, -0.5]], dtype=torch.float64)


class TestDivergence:
    @every_field
    def test_the_closed_form_is_the_trace_of_autograd(self, name):
        field = lively(name, size=3)
        t, z = torch.rand(5).double(), torch.randn(5, 3).double()
        mine, theirs = with_trace(field, t, z), with_trace(field.forward, t, z)
        torch.testing.assert_close(mine.rate, theirs.rate, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(mine.trace, theirs.trace, rtol=1e-10, atol=1e-10)

    @every_field
    def test_the_product_is_that_with_the_jacobian(self, name):
        field = lively(name, size=3)
        t, z = torch.rand(1).double(), torch.randn(1, 3).double()
        v = torch.randn(1, 3).double()
        jacobian = torch.autograd.functional.jacobian(lambda z: field(t, z[None])[0], z[0])
        torch.testing.assert_close(field.with_product(t, z, v).product, v @ jacobian.mT)
        by_autograd = with_product(field.forward, t, z, v)
        torch.testing.assert_close(by_autograd.product, v @ jacobian)

    @every_field
    def test_a_time_that_all_share_is_a_time(self, name):
        field, z = lively(name), torch.randn(5, 2).double()
        shared = torch.tensor(0.3).double().expand(5)
        for mine, theirs in zip(
            field.with_trace(shared, z), field.with_trace(shared.clone(), z), strict=True
        ):
            torch.testing.assert_close(mine, theirs)
        torch.testing.assert_close(field(shared, z), field(shared.clone(), z))

    def test_a_field_that_does_not_depend_on_the_state_has_none(self):
        rate, trace = with_trace(lambda t, z: torch.ones_like(z), torch.zeros(2), torch.ones(2, 3))
        assert torch.equal(rate, torch.ones(2, 3)) and torch.equal(trace, torch.zeros(2))

    def test_no_graph_is_left_where_none_is_built(self):
        with torch.no_grad():
            traced = with_trace(Linear(torch.eye(2)), torch.zeros(1), torch.ones(1, 2))
        assert not traced.rate.requires_grad and not traced.trace.requires_grad


class TestDensity:
    def test_a_linear_field_has_its_exact_density(self, a):
        flow = precise(Linear(a), duration=1.5)
        spread = torch.linalg.matrix_exp(1.5 * a)
        exact = MultivariateNormal(torch.zeros(2).double(), spread @ spread.mT)
        x = 2 * torch.randn(20, 2).double()
        torch.testing.assert_close(flow().log_prob(x), exact.log_prob(x), rtol=1e-7, atol=1e-7)

    @every_field
    @torch.no_grad()
    def test_it_integrates_to_one(self, name):
        flow = precise(lively(name), rtol=1e-6, atol=1e-6)
        axis = torch.linspace(-12, 12, 121).double()
        total = flow().log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * 0.2**2
        assert abs(total - 1) < 1e-3

    def test_it_still_does_after_training(self):
        angle = 2 * math.pi * torch.rand(200)
        x = torch.stack([angle.cos(), angle.sin()], 1) + 0.2 * torch.randn(200, 2)
        flow = ContinuousFlow(2, FlowField(2, 16))
        optimizer = torch.optim.Adam(flow.parameters(), 0.02)
        losses = []
        for _ in range(25):
            loss = -flow().log_prob(x).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0] - 0.1
        axis = torch.linspace(-8, 8, 161)
        with torch.no_grad():
            total = flow().log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * 0.1**2
        assert abs(total - 1) < 1e-3

    @torch.no_grad()
    @pytest.mark.parametrize("noise", ["rademacher", "gaussian"])
    def test_hutchinsons_estimate_is_unbiased(self, noise):
        field = lively("two layers", size=3)
        x = torch.randn(1, 3).double()
        exact = precise(field, 3)().log_prob(x)
        estimated = precise(field, 3, trace="hutchinson", noise=noise, rtol=1e-6, atol=1e-6)
        draws = estimated().log_prob(x.expand(1000, 3))
        assert draws.std() > 0.01
        assert abs(draws.mean() - exact) < 3 * draws.std() / math.sqrt(1000)

    def test_there_and_back_is_where_it_was(self):
        flow, z = precise(lively("two layers")), torch.randn(50, 2).double()
        back = flow.carry(flow.carry(z, 0.0, 1.0), 1.0, 0.0)
        assert (back - z).abs().max() < 1e-5

    @pytest.mark.parametrize("trace", ["exact", "hutchinson"])
    def test_a_density_does_not_depend_on_batch_mates(self, trace):
        flow = ContinuousFlow(1, lively("two layers", 1), trace=trace)  # one variable: v^2 = 1
        x = torch.cat([torch.randn(9, 1), torch.full((1, 1), 30.0)]).double()
        alone = torch.cat([flow().log_prob(row[None]) for row in x])
        torch.testing.assert_close(flow().log_prob(x), alone, rtol=1e-9, atol=1e-9)


class TestSamples:
    @torch.no_grad()
    def test_their_moments_are_those_of_the_density(self, a):
        x = precise(Linear(a), rtol=1e-5)().rsample((20_000,))
        spread = torch.linalg.matrix_exp(a)
        assert x.mean(0).abs().max() < 0.05
        torch.testing.assert_close(x.mT.cov(), spread @ spread.mT, rtol=0.05, atol=0.05)

    def test_they_come_with_their_density(self):
        q = precise(lively("two layers", context_size=3))(torch.randn(4, 3).double())
        x, log_prob = q.rsample_with_log_prob((5,))
        assert x.shape == (5, 4, 2) and log_prob.shape == (5, 4)
        torch.testing.assert_close(log_prob, q.log_prob(x), rtol=1e-6, atol=1e-6)

    def test_the_shapes_are_those_of_torch(self):
        q = ContinuousFlow(2, FlowField(2))()
        assert q.sample().shape == (2,) and q.sample((3, 4)).shape == (3, 4, 2)
        assert q.log_prob(torch.zeros(2)).shape == ()
        assert not q.sample().requires_grad and q.rsample().requires_grad
        wider = q.expand((7,))
        assert wider.sample((3,)).shape == (3, 7, 2)
        assert wider.log_prob(torch.zeros(2)).shape == (7,)

    def test_early_is_nearly_normal(self):
        flow, z = ContinuousFlow(2, FlowField(2)), torch.randn(5, 2)
        early = flow(t=1e-5)
        torch.testing.assert_close(early.log_prob(z), early.base.log_prob(z), rtol=0, atol=1e-3)


class TestContext:
    def test_each_sample_is_told_its_own(self):
        flow = precise(lively("planar", context_size=1))
        c, x = torch.randn(3, 1).double(), torch.randn(3, 2).double()
        alone = torch.stack([flow(c[i]).log_prob(x[i]) for i in range(3)])
        torch.testing.assert_close(flow(c).log_prob(x), alone, rtol=1e-8, atol=1e-8)

    def test_it_has_a_gradient(self):
        flow = precise(lively("two layers", context_size=1), rtol=1e-7)
        c, x = torch.randn(2, 1).double().requires_grad_(), torch.randn(2, 2).double()
        assert torch.autograd.gradcheck(lambda c: flow(c).log_prob(x), c, rtol=1e-4)

    def test_one_that_does_not_fit_is_refused(self):
        with pytest.raises(ValueError, match="width 0, but was given one of width 3"):
            ContinuousFlow(2, FlowField(2))(torch.zeros(1, 3)).sample()


class TestGradients:
    @pytest.mark.parametrize("adjoint", ["direct", "replay", "backsolve"])
    @pytest.mark.parametrize("field", ["two layers", "planar", "by autograd"])
    def test_they_are_those_of_finite_differences(self, adjoint, field, a):
        field = Linear(a) if field == "by autograd" else lively(field)
        flow = precise(field, adjoint=adjoint)
        x = torch.randn(3, 2).double()
        p = next(field.parameters())
        (gradient,) = torch.autograd.grad(flow().log_prob(x).sum(), p)
        direction, h = torch.randn_like(p), 1e-4
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                p += sign * h * direction
                values.append(flow().log_prob(x).sum())
                p -= sign * h * direction
        expected = (values[0] - values[1]) / (2 * h)
        torch.testing.assert_close((gradient * direction).sum(), expected, rtol=1e-4, atol=1e-6)

    def test_the_sample_has_one(self):
        flow = precise(lively("two layers"))
        z = torch.randn(2, 2).double().requires_grad_()
        assert torch.autograd.gradcheck(lambda z: flow.carry(z, 0.0, 1.0), z, rtol=1e-4)


class TestCosts:
    @torch.no_grad()
    def test_those_of_a_linear_field_are_known(self):
        a = torch.diag(torch.tensor([1.0, -1.0])).double()
        costs = precise(Linear(a)).carry_with_costs(torch.ones(4, 2).double(), 1.0, 0.0)
        # Back from (1, 1) at time 1: |dz/dt|^2 = exp(-2 s) + exp(2 s), and |A|^2 = 2.
        torch.testing.assert_close(costs.kinetic, torch.full_like(costs.kinetic, math.sinh(2)))
        torch.testing.assert_close(costs.jacobian, torch.full_like(costs.jacobian, 2.0))

    def test_they_leave_the_density_as_it_is(self):
        flow, x = precise(lively("two layers")), torch.randn(5, 2).double()
        costs, plain = flow.carry_with_costs(x, 1.0, 0.0), flow.carry_density(x, 1.0, 0.0)
        torch.testing.assert_close(costs.log_det, plain.log_det, rtol=1e-6, atol=1e-6)
        costs.kinetic.sum().backward()
        assert all(p.grad is not None for p in flow.field.inner.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trace": "rough"}, "trace=rough is not known: choose one of exact, hutchinson"),
        ({"noise": "white"}, "noise=white is not known"),
        ({"duration": 0}, "duration=0 must be a positive number"),
        ({"method": "rk5"}, "method=rk5 is not known"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ContinuousFlow(2, FlowField(2), **options)
