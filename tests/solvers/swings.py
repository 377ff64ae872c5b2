"""Fields, starts and measures for the tests of what a solve may be told."""

import torch

ADJOINTS = ("direct", "replay", "backsolve")
TIGHT = {"rtol": 1e-10, "atol": 1e-12}
DOUBLE = {"dtype": torch.float64}


def decay(t, y):
    return -y


def swing(t, y):
    """A pendulum that is pushed: nonlinear, and different at different times."""
    angle, speed = y.unbind(-1)
    return torch.stack([speed, torch.cos(2 * t) - torch.sin(angle)], dim=-1)


def blow_up(t, y):
    """From y0, infinite at time 1 / y0."""
    return y**2


def ones(*shape):
    return torch.ones(*shape, **DOUBLE)


def times(*ts):
    return torch.tensor(ts, **DOUBLE)


def recorded(f):
    """Give a field that keeps the times at which it is evaluated, and the list of them."""
    seen = []

    def field(t, y):
        seen.append(t.detach().clone())
        return f(t, y)

    return field, seen


def gradients(solution, *inputs):
    return torch.autograd.grad(solution.ys.sin().sum(), inputs)


def gradients_of_sum(solution, *inputs):
    return torch.autograd.grad(solution.ys.sum(), inputs)


def assert_same(one, other):
    """Assert that two solves gave the same numbers for the same price, up to a backward pass."""
    assert torch.equal(one.ys, other.ys)
    assert all(map(torch.equal, one.stats[:4], other.stats[:4]))
