"""A layer is a solution: of any shape, sample by sample, with the gradients of one."""

import weakref

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latentode.nn import ODEBlock, ResidualBlock
from latentode.solvers import METHODS, MLP, SolverError, odeint

SHARP = {"rtol": 1e-10, "atol": 1e-10}
GRADIENTS = ("auto", "direct", "replay", "backsolve")


class Swirl(nn.Module):
    """A field that changes with depth, for states of any shape."""

    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor([0.7, -0.4], dtype=torch.float64))

    def forward(self, t, y):
        t = t.reshape(-1, *[1] * (y.dim() - 1))
        return self.rate[0] * torch.sin(y) + self.rate[1] * (1 + t) * y.roll(1, -1)


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 2, 4), (2, 3, 4, 4)])
def test_the_output_is_the_solution_at_the_final_depth(shape):
    field, y = Swirl(), torch.randn(shape, dtype=torch.float64)
    exact = odeint(field, y, torch.tensor([0.0, 1.5]), **SHARP).ys[:, 1]
    assert torch.equal(ODEBlock(field, depth=1.5, **SHARP)(y), exact)


@pytest.mark.parametrize("method", METHODS)
def test_a_field_of_zero_changes_nothing(method):
    step_size = 0.25 if METHODS[method].error is None else None
    block = ODEBlock(lambda t, y: 0 * y, method=method, step_size=step_size)
    y = torch.randn(4, 3)
    assert torch.equal(block(y), y)


def test_steps_of_one_size_are_those_of_the_method():
    y = torch.randn(4, 3)
    block = ODEBlock(lambda t, y: -y, method="euler", step_size=0.25)
    torch.testing.assert_close(block(y), 0.75**4 * y)


@pytest.mark.parametrize("adjoint", GRADIENTS)
@pytest.mark.parametrize("shape", [(2, 2), (1, 2, 2)])
def test_gradients_are_those_of_finite_differences(adjoint, shape):
    block = ODEBlock(
        Swirl(), depth=0.7, learn_depth=True, method="dop853", adjoint=adjoint, **SHARP
    ).double()
    y = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    names, tensors = zip(*block.named_parameters(), strict=True)
    assert set(names) == {"depth", "field.rate"}

    def output(y, *tensors):
        return torch.func.functional_call(block, dict(zip(names, tensors, strict=True)), (y,))

    # By a tolerance of 1e-10, the numbers differ by about as much: a larger step is exact enough.
    assert torch.autograd.gradcheck(output, (y, *tensors), eps=1e-4, atol=1e-6, rtol=1e-5)


def test_a_depth_that_is_not_learned_is_no_parameter():
    block = ODEBlock(MLP([2, 4, 2]), depth=2.0)
    assert "depth" not in dict(block.named_parameters())
    assert block.state_dict()["depth"] == 2.0


def test_the_depth_is_learned():
    """dy/dt = -y from 1 reaches 1/4 at log 4."""
    block = ODEBlock(lambda t, y: -y, learn_depth=True, rtol=1e-6, atol=1e-6)
    optimizer = torch.optim.SGD(block.parameters(), lr=4.0)
    for _ in range(20):
        optimizer.zero_grad()
        (block(torch.ones(1, 1)) - 0.25).square().sum().backward()
        optimizer.step()
    assert block.depth.item() == pytest.approx(torch.tensor(4.0).log().item(), abs=1e-3)


@torch.no_grad()
def test_a_sample_does_not_depend_on_its_batch_mates():
    block = ODEBlock(Swirl(), rtol=1e-3, atol=1e-3)
    y = torch.randn(6, 3, dtype=torch.float64) * torch.logspace(-2, 1, 6)[:, None]
    together = block(y)
    costs = block.stats.n_f_evals
    for i in range(6):
        torch.testing.assert_close(block(y[i : i + 1])[0], together[i], rtol=1e-12, atol=1e-12)
        assert block.stats.n_f_evals[0] == costs[i]


class TestAugment:
    def test_channels_of_zeros_are_behind_the_others(self):
        y = torch.randn(3, 2, 4)
        out = ODEBlock(lambda t, y: 0 * y, augment=5)(y)
        assert torch.equal(out[:, :2], y)
        assert out.shape == (3, 7, 4) and not out[:, 2:].any()

    def test_what_a_line_cannot_swap_a_plane_can(self):
        """A flow on a line keeps the order of -1 and 1 (Dupont et al. 2019, proposition 1)."""
        y = torch.tensor([[-1.0], [1.0]])

        def turn(t, y):
            return torch.pi * torch.stack([-y[:, 1], y[:, 0]], dim=1)

        out = ODEBlock(turn, augment=1, rtol=1e-5, atol=1e-5)(y)
        torch.testing.assert_close(out[:, :1], -y, rtol=0, atol=1e-3)

    def test_a_state_without_channels_gets_none(self):
        with pytest.raises(ValueError, match=r"to a state of shape \(B, D, ...\), not .* \(3,\)"):
            ODEBlock(lambda t, y: -y, augment=1)(torch.ones(3))


class TestStatistics:
    def test_there_are_none_before_the_first_solve(self):
        assert ODEBlock(MLP([2, 4, 2])).stats is None

    @pytest.mark.parametrize("adjoint", ["direct", "replay", "backsolve"])
    def test_evaluations_are_those_of_the_field(self, adjoint):
        calls = []

        def field(t, y):
            calls.append(len(t))
            return -y * y

        block = ODEBlock(field, adjoint=adjoint)
        out = block(torch.ones(1, 1, requires_grad=True))
        assert block.stats.n_f_evals.tolist() == [len(calls)]
        calls.clear()
        out.sum().backward()
        n_backward = block.stats.n_f_evals_backward.item()
        # Those at either end, for the gradient of the depth, are counted otherwise.
        assert abs(n_backward - len(calls)) <= 3
        assert (n_backward == 0) == (adjoint == "direct")

    def test_a_tighter_tolerance_costs_more(self):
        costs = []
        for rtol in (1e-2, 1e-5, 1e-8):
            block = ODEBlock(Swirl(), rtol=rtol, atol=rtol)
            block(torch.ones(1, 3, dtype=torch.float64))
            costs.append(block.stats.n_f_evals.item())
        assert costs[0] < costs[1] < costs[2]


class Alive(TorchDispatchMode):
    """Count the bytes that operations have made and that are still held, and their peak."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._known = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage())
        return out

    def _count(self, storage):
        if storage in self._known:
            return
        self._known.add(storage)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, storage.nbytes())

    def _drop(self, n_bytes):
        self.now -= n_bytes


def peak_of_a_gradient(adjoint, n_steps):
    torch.manual_seed(0)
    block = ODEBlock(MLP([64, 64, 64]), method="midpoint", step_size=1 / n_steps, adjoint=adjoint)
    y = torch.randn(32, 64, requires_grad=True)
    with Alive() as alive:
        block(y).square().sum().backward()
    assert block.stats.n_steps[0] == n_steps
    return alive.peak


def test_memory_of_backsolve_does_not_grow_with_the_steps():
    """It does up to 64 steps, which a solve holds at once to read states off them."""
    few, many = (peak_of_a_gradient("backsolve", n) for n in (64, 256))
    assert many < 1.02 * few


def test_memory_of_direct_grows_with_the_steps():
    few, many = (peak_of_a_gradient("direct", n) for n in (64, 256))
    assert many > 2 * few


def test_a_residual_block_is_a_step_of_euler():
    field, y = Swirl(), torch.randn(3, 2, dtype=torch.float64)
    step = ODEBlock(field, method="euler", step_size=1.0)(y)
    torch.testing.assert_close(ResidualBlock(field)(y), step)
    told = ResidualBlock(lambda t, y: t[:, None].expand_as(y), t=0.5)(torch.zeros(3, 2))
    assert torch.equal(told, torch.full((3, 2), 0.5))


def test_a_layer_that_diverges_says_so():
    block = ODEBlock(lambda t, y: y * y)
    with pytest.raises(SolverError, match="sample 1"):
        block(torch.tensor([[0.1], [2.0]]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"field": 3}, TypeError, r"field must be callable as field\(t, y\), not int"),
        ({"depth": 0.0}, ValueError, "depth=0.0 must be a positive number"),
        ({"augment": -1}, ValueError, "augment=-1 must be a whole number of at least 0"),
        ({"method": "rk5"}, ValueError, "method=rk5 is not known: choose one of"),
        ({"method": "rk4"}, ValueError, "method=rk4 takes steps of one size: give step_size"),
        ({"adjoint": "magic"}, ValueError, "adjoint=magic is not known: choose one of auto"),
    ],
)
def test_a_layer_that_cannot_be_solved_is_not_made(options, error, message):
    with pytest.raises(error, match=message):
        ODEBlock(**{"field": lambda t, y: -y, **options})
