"""Derivatives of derivatives, and what torch.func and autograd make of a solve."""

import copy
import gc
import math
import threading
import weakref

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

from latentode.solvers import odeint
from tests.solvers.swings import (
    ADJOINTS,
    DOUBLE,
    TIGHT,
    assert_same,
    blow_up,
    decay,
    gradients,
    gradients_of_sum,
    ones,
    swing,
    times,
)

# The times asked for lie within them: a solution is not differentiable twice where a step ends.
COARSE = {"method": "rk4", "step_size": 0.25}


class TestSecondDerivatives:
    """Gradients of gradients, which regularise and correct."""

    @pytest.mark.parametrize("options", [{"adjoint": "direct"}, {"jump_ts": torch.tensor([9.0])}])
    def test_they_match_finite_differences(self, options):
        """Of a start that was computed from what the field uses, and of a field that uses it."""
        w, y0 = times(0.7).requires_grad_(), times(0.4, 0.1)[None].requires_grad_()
        ts = times(0.0, 0.3, 0.45).requires_grad_()

        def solve(w, y0, ts):
            start = y0 * w.exp()
            field = lambda t, y: -w * y**2 + torch.sin(t)[:, None] * start
            return odeint(field, start, ts, **COARSE, **options).ys

        assert torch.autograd.gradcheck(solve, (w, y0, ts))
        assert torch.autograd.gradgradcheck(solve, (w, y0, ts))

    def test_of_a_field_that_uses_the_start_and_the_times(self):
        y0, ts = times(0.4, 0.1)[None].requires_grad_(), times(0.0, 0.3, 0.45).requires_grad_()

        def solve(y0, ts):
            field = lambda t, y: -(y - y0) * y + ts.sum() * torch.sin(t)[:, None]
            return odeint(field, y0, ts, **COARSE).ys

        assert torch.autograd.gradcheck(solve, (y0, ts))
        assert torch.autograd.gradgradcheck(solve, (y0, ts))

    def test_a_third_one(self):
        y0 = times(0.4)[:, None].requires_grad_()
        x = odeint(blow_up, y0, times(0, 0.5), **TIGHT).ys[0, 1]  # y0 / (1 - y0 / 2)
        for _ in range(3):
            (x,) = torch.autograd.grad(x.sum(), y0, create_graph=True)
        assert x.item() == pytest.approx(6 * 0.25 / 0.8**4, rel=1e-5)

    def test_a_penalty_on_the_slope_of_a_network_trains_it(self, net):
        y0 = torch.randn(4, 2, **DOUBLE, requires_grad=True)
        ys = odeint(lambda t, y: net(y), y0, times(0, 1)).ys
        (slope,) = torch.autograd.grad(ys[:, 1].sum(), y0, create_graph=True)
        slope.square().sum().backward()
        for parameter in list(net.parameters())[:-1]:
            assert parameter.grad.isfinite().all()
            assert parameter.grad.abs().sum() > 0


STEPS = [
    COARSE,
    pytest.param({}, id="chosen"),
]


# 2026-11: torch 2.13 loads its own rules of forward mode by what it calls deprecated.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
class TestTransforms:
    """torch.func and forward mode give the derivatives of autograd."""

    ts = times(0, 0.5, 1.2)

    def value(self, y0, rate, **options):
        field = lambda t, y: swing(t, y) - rate * y
        return odeint(field, y0, self.ts, **options).ys

    @pytest.fixture
    def inputs(self, swings):
        y0 = swings[0].detach()[:2]
        return y0, times(0.3)

    def jacobians(self, inputs, **options):
        value = lambda *inputs: self.value(*inputs, **options)
        return torch.autograd.functional.jacobian(value, inputs)

    def test_grad(self, inputs):
        loss = lambda *inputs: self.value(*inputs).sin().sum()
        leaves = [x.clone().requires_grad_() for x in inputs]
        expected = torch.autograd.grad(loss(*leaves), leaves)
        for x, y in zip(torch.func.grad(loss, argnums=(0, 1))(*inputs), expected, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)

    def test_jacrev(self, inputs):
        got = torch.func.jacrev(self.value, argnums=(0, 1))(*inputs)
        for x, y in zip(got, self.jacobians(inputs), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize("steps", STEPS)
    def test_jvp(self, steps, inputs):
        along = torch.ones_like(inputs[0]), times(2)
        value = lambda *inputs: self.value(*inputs, **steps)
        _, tangent = torch.func.jvp(value, inputs, along)
        for_y0, for_rate = self.jacobians(inputs, **steps)
        expected = for_y0.sum(dim=(3, 4)) + 2 * for_rate[..., 0]
        torch.testing.assert_close(tangent, expected, rtol=1e-10, atol=1e-12)

    def tangent(self, inputs, **options):
        """Give the derivative for all entries of the start, by forward mode."""
        with forward_ad.dual_level():
            y0 = forward_ad.make_dual(inputs[0], torch.ones_like(inputs[0]))
            return forward_ad.unpack_dual(self.value(y0, inputs[1], **options)).tangent

    @pytest.mark.parametrize("adjoint", ["auto", *ADJOINTS])
    @pytest.mark.parametrize("steps", STEPS)
    def test_forward_mode(self, adjoint, steps, inputs):
        tangent = self.tangent(inputs, adjoint=adjoint, **steps)
        expected = self.jacobians(inputs, **steps)[0].sum(dim=(3, 4))
        torch.testing.assert_close(tangent, expected, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize("options", [{}, {"adjoint": "none"}])
    def test_forward_mode_needs_no_graph(self, options, inputs):
        expected = self.tangent(inputs, **COARSE)
        with torch.no_grad():
            got = self.tangent(inputs, **COARSE, **options)
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)

    def test_derivatives_for_the_times(self, inputs):
        y0, _ = inputs
        at = lambda ts: odeint(decay, y0, ts, t0=-1.0, **TIGHT).ys
        ys, tangent = torch.func.jvp(at, (self.ts,), (torch.ones_like(self.ts),))
        torch.testing.assert_close(tangent, -ys, rtol=1e-7, atol=1e-9)

    def test_grad_of_grad(self):
        end = lambda y0: odeint(blow_up, y0[None], times(0, 0.5), **TIGHT).ys[0, 1, 0]
        second = torch.func.grad(lambda y0: torch.func.grad(end)(y0).sum())(times(0.4))
        assert second.item() == pytest.approx(1 / 0.8**3, rel=1e-6)

    def test_mapping_a_tensor_of_the_field_names_the_way_out(self, inputs):
        solve = lambda rate: self.value(inputs[0], rate)
        with pytest.raises(RuntimeError, match="batch axis"):
            torch.func.vmap(solve)(times(0.1, 0.2))

    @pytest.mark.parametrize("options", [{}, {"adjoint": "none"}])
    def test_mapping_the_start_or_the_times_names_the_way_out(self, options, inputs):
        y0, _ = inputs
        with pytest.raises(RuntimeError, match="batch axis"):
            torch.func.vmap(lambda y0: odeint(swing, y0[None], self.ts, **options).ys)(y0)
        with pytest.raises(RuntimeError, match="batch axis"):
            torch.func.vmap(lambda ts: odeint(swing, y0, ts, **options).ys)(self.ts[None])


class TestAutograd:
    """A solve is an operation like any other."""

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_a_backward_pass_may_be_repeated_if_its_graph_is_kept(self, adjoint, swings, net):
        y0, ts = swings
        solution = odeint(lambda t, y: net(y), y0, ts, adjoint=adjoint)
        loss, inputs = solution.ys.sin().sum(), (y0, ts, *net.parameters())
        first = torch.autograd.grad(loss, inputs, retain_graph=True)
        assert all(map(torch.equal, torch.autograd.grad(loss, inputs), first))
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            torch.autograd.grad(loss, inputs)

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_gradients_add_up_in_leaves(self, adjoint, net):
        loss = lambda y0: odeint(lambda t, y: net(y), y0, times(0, 1), adjoint=adjoint).ys.sum()
        one, two = ones(1, 2), 2 * ones(1, 2)
        parameters = list(net.parameters())
        expected = [
            x + y
            for x, y in zip(
                torch.autograd.grad(loss(one), parameters),
                torch.autograd.grad(loss(two), parameters),
                strict=True,
            )
        ]
        loss(one).backward()
        loss(two).backward()
        for parameter, gradient in zip(parameters, expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_starts_that_lie_oddly_in_memory(self, adjoint, swings):
        _, ts = swings
        row = torch.tensor([[0.3, -0.2]], **DOUBLE, requires_grad=True)
        expanded = odeint(swing, row.expand(5, 2), ts, adjoint=adjoint)
        expected = odeint(swing, row.repeat(5, 1), ts, adjoint=adjoint)
        assert_same(expanded, expected)
        assert torch.equal(gradients(expanded, row)[0], gradients(expected, row)[0])
        turned = row.repeat(5, 1).t().contiguous().t()
        assert not turned.is_contiguous()
        assert_same(odeint(swing, turned, ts.t().contiguous().t(), adjoint=adjoint), expected)

    @pytest.mark.parametrize("adjoint", ["direct", "replay"])
    def test_the_states_may_be_written_on(self, adjoint, swings):
        y0, ts = swings
        expected = 2 * torch.autograd.grad(odeint(swing, y0, ts).ys.sum(), y0)[0]
        ys = odeint(swing, y0, ts, adjoint=adjoint).ys
        ys.mul_(2)
        torch.testing.assert_close(torch.autograd.grad(ys.sum(), y0)[0], expected)

    def test_inference_mode_gives_the_same_numbers(self, swings, net):
        y0, ts = swings
        usual = odeint(lambda t, y: net(y), y0, ts)
        with torch.inference_mode():
            assert_same(odeint(lambda t, y: net(y), y0, ts), usual)
        # Nothing that was made then stays in the way of a graph.
        gradients(odeint(lambda t, y: net(y), y0, ts, method="bosh3"), y0)

    def test_a_copy_of_a_module_is_solved_like_it(self, swings, net):
        y0, ts = swings
        odeint(lambda t, y, net: net(y), y0, ts, args=(net,)).ys.sum().backward()
        twin = copy.deepcopy(net)
        one = odeint(lambda t, y, net: net(y), y0, ts, args=(net,))
        two = odeint(lambda t, y, net: net(y), y0, ts, args=(twin,))
        assert_same(two, one)
        got = gradients(two, *twin.parameters())
        assert all(map(torch.equal, got, gradients(one, *net.parameters())))

    def test_threads_do_not_disturb_each_other(self, swings, net):
        y0, ts = swings
        results = {}

        def work(i):
            start = (1 + i) * y0.detach()
            leaf = start.requires_grad_()
            solution = odeint(lambda t, y: net(y) + swing(t, y), leaf, ts)
            results[i] = solution.ys, gradients(solution, leaf)[0]

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        parallel = dict(results)
        for i in range(4):
            work(i)
            assert all(map(torch.equal, parallel[i], results[i]))

    def test_saved_tensors_may_be_packed(self, swings, net):
        y0, ts = swings
        expected = gradients(odeint(lambda t, y: net(y), y0, ts), y0)[0]
        with torch.autograd.graph.save_on_cpu():
            solution = odeint(lambda t, y: net(y), y0, ts)
        assert torch.equal(gradients(solution, y0)[0], expected)

    @pytest.mark.parametrize("adjoint", ["direct", "replay"])
    def test_a_checkpoint_of_torch_may_hold_a_solve(self, adjoint, swings, net):
        y0, ts = swings
        solve = lambda y0: odeint(lambda t, y: net(y), y0, ts, adjoint=adjoint).ys
        expected = torch.autograd.grad(solve(y0).sum(), y0)[0]
        ys = checkpoint(solve, y0, use_reentrant=False)
        torch.testing.assert_close(torch.autograd.grad(ys.sum(), y0)[0], expected)

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    @pytest.mark.parametrize("is_leaf", [True, False])
    def test_a_hook_sees_the_gradient_once(self, adjoint, is_leaf):
        base = times(1).requires_grad_()
        rate = base if is_leaf else base * 1
        seen = []
        rate.register_hook(lambda gradient: seen.append(gradient) or 2 * gradient)
        end = odeint(lambda t, y: -rate * y, ones(1, 1), times(0, 1), adjoint=adjoint).ys[0, 1, 0]
        (gradient,) = torch.autograd.grad(end, base)
        assert len(seen) == 1
        assert gradient.item() == pytest.approx(-2 * math.exp(-1), rel=1e-3)

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_so_does_one_on_a_parameter_of_a_module(self, adjoint, swings, net):
        y0, seen = swings[0], []
        solve = lambda: odeint(lambda t, y: net(y), y0, times(0, 1), adjoint=adjoint, **TIGHT)
        expected = gradients_of_sum(solve(), y0, *net.parameters())
        net[0].weight.register_hook(seen.append)
        got = gradients_of_sum(solve(), y0, *net.parameters())
        assert len(seen) == 1
        for x, y in zip((*got, seen[0]), (*expected, expected[1]), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-7, atol=1e-9)

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_a_tensor_on_the_way_keeps_its_gradient(self, adjoint):
        base = times(1).requires_grad_()
        rate = base * 1
        rate.retain_grad()
        end = odeint(lambda t, y: -rate * y, ones(1, 1), times(0, 1), adjoint=adjoint).ys[0, 1, 0]
        end.backward()
        assert rate.grad.item() == pytest.approx(-math.exp(-1), rel=1e-3)
        assert base.grad.item() == rate.grad.item()

    @pytest.mark.parametrize("adjoint", ["direct", "replay"])
    def test_a_solve_is_freed_when_its_answer_is(self, adjoint):
        class Decay(nn.Module):
            def __init__(self):
                super().__init__()
                self.rate = nn.Parameter(times(1))

            def forward(self, t, y):
                return -self.rate * y

        field = Decay()
        watch = weakref.ref(field)
        gc.collect()
        gc.disable()
        try:
            ys = odeint(field, ones(1, 1), times(0, 1), adjoint=adjoint).ys
            ys.sum().backward()
            del ys, field
            assert watch() is None
        finally:
            gc.enable()
