"""Cotangents pulled back by hand are those of autograd."""

import pytest
import torch

from latentode.solvers import METHODS
from latentode.solvers.explicit import explicit_step, method_for
from latentode.solvers.pullback import Gradients, evaluate, product, pull_step

EXPLICIT = [name for name, tableau in METHODS.items() if not tableau.is_implicit]
B, D = 3, 2


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def weight():
    return random(D, D, seed=9).requires_grad_()


def step_and_stages(field, method, moving):
    """Take a step from leaves, and evaluate its stages once more with graphs of their own."""
    y, k = random(B, D).requires_grad_(), random(B, D, seed=1).requires_grad_()
    shift = torch.zeros(B, dtype=torch.float64, requires_grad=True)
    dt = torch.tensor([0.3, 0.1, 0.0], dtype=torch.float64)  # the last sample rests
    seen = []

    def watched(t, y):
        seen.append((t.detach(), y))
        return field(t, y)

    ts = shift + random(B, seed=2) + method.c[:, None] * dt
    step = explicit_step(watched, method, ts, dt, y, k)
    stages = [None, *(evaluate(field, t, y, moving=moving) for t, y in seen)]
    return (y, k, shift), step, stages, dt[:, None]


@pytest.mark.parametrize("name", EXPLICIT)
@pytest.mark.parametrize("moving", [False, True])
def test_a_step_is_pulled_back_as_by_autograd(name, moving, weight):
    method = method_for(METHODS[name], weight, torch.float64)
    field = lambda t, y: torch.tanh(y @ weight) * torch.cos(t)[:, None]
    (y, k, shift), step, stages, h = step_and_stages(field, method, moving)
    adj, adj_k, adj_powers = (
        random(*x.shape, seed=3 + i) for i, x in enumerate((step.y1, step.k1, step.powers))
    )
    expected = torch.autograd.grad(
        [step.y1, step.k1, step.powers], [y, k, weight, shift], [adj, adj_k, adj_powers]
    )
    gradients = Gradients([weight], torch.zeros(B, dtype=torch.float64))
    adj_increments = method.dense.t() @ adj_powers.flatten(1)
    pulled = pull_step(method, stages, h, (adj, adj_k, adj_increments), gradients)
    torch.testing.assert_close(pulled.y, expected[0])
    torch.testing.assert_close(pulled.k, expected[1])
    torch.testing.assert_close(gradients.totals[0], expected[2])
    for_t = expected[3] if moving else torch.zeros(B, dtype=torch.float64)
    torch.testing.assert_close(gradients.for_t, for_t)


@pytest.mark.parametrize("name", ["euler", "tsit5"])
def test_a_last_stage_that_is_left_out_can_be_pulled_later(name, weight):
    """So that where one step ends and the next begins, the field is pulled through once."""
    method = method_for(METHODS[name], weight, torch.float64)
    field = lambda t, y: torch.tanh(y @ weight)
    _, _, stages, h = step_and_stages(field, method, moving=False)
    adj, adj_k = random(B, D, seed=3), random(B, D, seed=4)
    adj_increments = random(len(method.a), B * D, seed=5)
    none = torch.zeros(B, dtype=torch.float64)
    whole, parts = Gradients([weight], none), Gradients([weight], none)
    at_once = pull_step(method, stages, h, (adj, adj_k, adj_increments), whole)
    left = adj_k + adj_increments[-1].view(B, D) * h
    rest = adj + parts.pull(stages[-1], left)
    later = pull_step(
        method, [*stages[:-1], None], h, (rest, torch.zeros_like(adj), adj_increments), parts
    )
    torch.testing.assert_close(later.y, at_once.y)
    torch.testing.assert_close(later.k, at_once.k)
    torch.testing.assert_close(parts.totals[0], whole.totals[0])
    # What was read off the last stage itself stays in the result, for whoever pulls it.
    torch.testing.assert_close(later.k1, adj_increments[-1].view(B, D) * h)


def test_a_sample_that_rests_is_pulled_to_where_it_rests(weight):
    method = method_for(METHODS["tsit5"], weight, torch.float64)
    field = lambda t, y: torch.tanh(y @ weight)
    _, _, stages, h = step_and_stages(field, method, moving=False)
    adj, none = random(B, D, seed=3), torch.zeros(B, D, dtype=torch.float64)
    increments = torch.zeros(len(method.a), B * D, dtype=torch.float64)
    gradients = Gradients([weight], none[:, 0])
    pulled = pull_step(method, stages, h, (adj, none, increments), gradients)
    assert torch.equal(pulled.y[2], adj[2])
    assert torch.equal(pulled.k[2], none[2])


class TestPull:
    """One evaluation, pulled back; what does not depend on something gives it nothing."""

    t, y, cotangent = random(B), random(B, D, seed=1), random(B, D, seed=2)

    def pulled(self, field, tensors, *, moving=True):
        gradients = Gradients(tensors, torch.zeros(B, dtype=torch.float64))
        at = evaluate(field, self.t, self.y, moving=moving)
        return gradients.pull(at, self.cotangent), gradients

    def test_a_field_of_everything(self, weight):
        adj, gradients = self.pulled(lambda t, y: y @ weight + t[:, None] ** 2, [weight])
        torch.testing.assert_close(adj, self.cotangent @ weight.t())
        torch.testing.assert_close(gradients.totals[0], self.y.t() @ self.cotangent)
        torch.testing.assert_close(gradients.for_t, 2 * self.t * self.cotangent.sum(dim=1))

    def test_a_field_that_ignores_the_state(self, weight):
        adj, gradients = self.pulled(lambda t, y: weight[0] * t[:, None], [weight])
        assert torch.equal(adj, torch.zeros(B, D, dtype=torch.float64))
        torch.testing.assert_close(gradients.totals[0][0], self.t @ self.cotangent)
        torch.testing.assert_close(gradients.for_t, self.cotangent @ weight[0].detach())

    def test_a_field_that_ignores_the_time_and_some_tensors(self, weight):
        other = torch.ones(2, requires_grad=True)
        adj, gradients = self.pulled(lambda t, y: -y, [weight, other])
        assert torch.equal(adj, -self.cotangent)
        assert all(torch.equal(x, torch.zeros_like(x)) for x in gradients.totals)
        assert torch.equal(gradients.for_t, torch.zeros(B, dtype=torch.float64))

    def test_a_field_that_needs_no_gradient(self, weight):
        adj, gradients = self.pulled(lambda t, y: torch.ones_like(y), [weight])
        assert torch.equal(adj, torch.zeros(B, D, dtype=torch.float64))
        assert torch.equal(gradients.totals[0], torch.zeros_like(weight))

    def test_a_field_that_gives_back_the_state_itself(self):
        adj, _ = self.pulled(lambda t, y: y, [])
        assert torch.equal(adj, self.cotangent)

    def test_times_that_have_no_gradient_get_none(self, weight):
        _, gradients = self.pulled(lambda t, y: weight[0] * t[:, None], [weight], moving=False)
        assert torch.equal(gradients.for_t, torch.zeros(B, dtype=torch.float64))

    def test_evaluations_add_up(self, weight):
        field = lambda t, y: torch.sin(y @ weight)
        gradients = Gradients([weight], torch.zeros(B, dtype=torch.float64))
        at = evaluate(field, self.t, self.y, moving=False)
        gradients.pull(at, self.cotangent)
        once = gradients.totals[0].clone()
        gradients.pull(at, 2 * self.cotangent)  # the graph is still there
        torch.testing.assert_close(gradients.totals[0], 3 * once)

    def test_a_cotangent_is_pulled_to_no_leaf_but_those_asked_for(self, weight):
        self.pulled(lambda t, y: y @ weight, [])
        assert weight.grad is None


def test_a_product_is_that_of_autograd(weight):
    at = evaluate(lambda t, y: torch.sin(y @ weight), random(B), random(B, D), moving=False)
    cotangent = random(B, D, seed=2)
    unused = torch.ones((), requires_grad=True)
    expected = torch.autograd.grad(at.k, [at.y, weight], cotangent, retain_graph=True)
    *got, none = product(at.k, [at.y, weight, unused], cotangent)
    assert all(map(torch.equal, got, expected))
    assert none is None
