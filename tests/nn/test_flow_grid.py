"""Flows over a few shared steps: the same flow in the limit, and the gradient by hand."""

import math

import pytest
import torch

from latentode.nn import ContinuousFlow, FlowField
from latentode.nn.flow_grid import carried_on_grid, density_on_grid, drawn_grid
from latentode.nn.flow_rates import exact_rates


@pytest.fixture
def field():
    field = FlowField(3, 8).double()
    for p in field.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return field


@pytest.fixture
def z():
    return torch.randn(6, 3).double()


def test_times_are_drawn_in_order_within_the_ends():
    ts = torch.stack([drawn_grid(5, 1.0, 0.0, torch.zeros(1)) for _ in range(200)])
    assert (ts[:, 0] == 1).all() and (ts[:, -1] == 0).all()
    assert (ts.diff() < 0).all()
    assert (ts[:, 1:-1].std(0) > 0.02).all()


def test_steps_have_order_four():
    errors = []
    for n in (4, 8):
        (y,) = carried_on_grid(
            lambda t, state: (-t[:, None] * state[0],),
            (torch.ones(1, 1).double(),),
            torch.linspace(0, 2, n + 1).double(),
        )
        errors.append(abs(float(y) - math.exp(-2)))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.5)


def test_by_hand_is_what_autograd_gives(field, z):
    ts = drawn_grid(3, 1.0, 0.0, z)
    by_hand = density_on_grid(field, z.requires_grad_(), ts)
    plain = carried_on_grid(exact_rates(field, None), (z, z.new_zeros(6)), ts)
    weights = torch.randn(6, 3).double(), torch.randn(6).double()
    inputs = [z, *field.parameters()]
    gradients = []
    for z1, log_det in (by_hand, plain):
        loss = (weights[0] * z1).sum() + (weights[1] * log_det).sum()
        gradients.append(torch.autograd.grad(loss, inputs))
    for mine, theirs in zip(by_hand, plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
@torch.no_grad()
def test_many_steps_give_the_flow_itself(trace, field, z):
    flow = ContinuousFlow(3, field, trace=trace, rtol=1e-9, atol=1e-9)
    torch.manual_seed(0)
    expected = flow.carry_density(z, 1.0, 0.0)
    torch.manual_seed(0)  # the same directions
    carried = flow.carry_density(z, 1.0, 0.0, n_steps=60)
    torch.testing.assert_close(carried.z, expected.z, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(carried.log_det, expected.log_det, rtol=1e-5, atol=1e-5)
    assert (carried.n_f_evals == 240).all()


@torch.no_grad()
def test_costs_too(field, z):
    flow = ContinuousFlow(3, field, rtol=1e-9, atol=1e-9)
    torch.manual_seed(0)
    expected = flow.carry_with_costs(z, 1.0, 0.0)
    torch.manual_seed(0)
    costs = flow.carry_with_costs(z, 1.0, 0.0, n_steps=60)
    torch.testing.assert_close(costs.kinetic, expected.kinetic, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(costs.jacobian, expected.jacobian, rtol=1e-3, atol=1e-3)


def test_a_second_derivative_is_refused(field, z):
    z1, _ = density_on_grid(field, z.requires_grad_(), drawn_grid(2, 1.0, 0.0, z))
    with pytest.raises(RuntimeError, match="no second derivative: leave n_steps out"):
        torch.autograd.grad(z1.sum(), z, create_graph=True)
