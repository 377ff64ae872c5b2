"""How many states are kept for the gradient, and the method that changes by itself."""

import gc
import math

import pytest
import torch

from latentode.solvers import odeint
from tests.solvers.swings import TIGHT, assert_same, blow_up, decay, gradients, ones, swing, times


def count_states(shape):
    """Count the tensors of a shape that are alive."""
    gc.collect()
    return sum(type(x) is torch.Tensor and x.shape == shape for x in gc.get_objects())


class TestCheckpoints:
    """Replay that keeps the state of some rounds only."""

    @pytest.mark.parametrize("every", [2, 3, 7, 10_000])
    @pytest.mark.parametrize("adjoint", ["replay", "auto"])
    def test_gradients_are_those_of_replay(self, every, adjoint, swings, net):
        y0, ts = swings
        field, inputs = lambda t, y: net(y) * torch.cos(t)[:, None], (y0, ts, *net.parameters())
        options = {"adjoint": adjoint, "checkpoint_every": every}
        expected = odeint(field, y0, ts, adjoint="replay")
        got = odeint(field, y0, ts, **options)
        assert torch.equal(got.ys, expected.ys)
        for x, y in zip(gradients(got, *inputs), gradients(expected, *inputs), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)
        assert (got.stats.n_f_evals_backward > expected.stats.n_f_evals_backward).all()

    def test_they_may_hold_rejected_steps_and_samples_that_rest(self):
        y0 = times(1, 0.5, 0.9)[:, None].requires_grad_()
        ts = times(0, 1, 0, 0.3, 0, 2).view(3, 2)
        field = lambda t, y: -y * (1 + 40 * (t > 0.7)[:, None])
        options = {"adjoint": "replay", "first_step": 0.2}
        replay = odeint(field, y0, ts, **options)
        assert replay.stats.n_rejected.sum() > 2
        expected = gradients(replay, y0)[0]
        for every in (5, 20):
            got = gradients(odeint(field, y0, ts, checkpoint_every=every, **options), y0)[0]
            torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)

    def test_fewer_states_are_kept(self):
        y0, ts = ones(13, 11).requires_grad_(), times(0, 40)
        kept = []
        for every in (1, 10):
            before = count_states(y0.shape)
            solution = odeint(
                decay, y0, ts, adjoint="replay", checkpoint_every=every, max_step=0.25
            )
            kept.append(count_states(y0.shape) - before)
            del solution
        assert kept[0] >= 160  # a state for every step
        assert kept[1] < kept[0] / 4

    @pytest.mark.parametrize("every", [2, 3])
    def test_a_section_may_hold_rejected_steps_alone(self, every):
        y0 = ones(1, 1).requires_grad_()
        field = lambda t, y: -y * torch.where(t > 1, 50.0, 0.1)[:, None]
        options = {"adjoint": "replay", "first_step": 1.9}
        expected = gradients(odeint(field, y0, times(0, 2), **options), y0)[0]
        solution = odeint(field, y0, times(0, 2), checkpoint_every=every, **options)
        torch.testing.assert_close(gradients(solution, y0)[0], expected, rtol=1e-12, atol=1e-12)

    def test_they_change_nothing_of_direct(self, swings):
        y0, ts = swings
        expected = gradients(odeint(swing, y0, ts), y0, ts)
        got = gradients(odeint(swing, y0, ts, adjoint="direct", checkpoint_every=3), y0, ts)
        for x, y in zip(got, expected, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)


class TestAuto:
    """The choice between direct and replay, and none."""

    @pytest.mark.parametrize("budget", [0, 3000, 2**30])
    def test_beyond_its_budget_it_evaluates_again(self, budget, swings, net, monkeypatch):
        monkeypatch.setattr("latentode.solvers.adjoint._BUDGET", budget)
        y0, ts = swings
        inputs = (y0, ts, *net.parameters())
        field = lambda t, y: net(y) * torch.cos(t)[:, None]
        direct, auto = (odeint(field, y0, ts, adjoint=x) for x in ("direct", "auto"))
        assert torch.equal(auto.ys, direct.ys)
        for x, y in zip(gradients(auto, *inputs), gradients(direct, *inputs), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)
        assert bool(auto.stats.n_f_evals_backward.any()) == (budget < 2**30)
        assert not direct.stats.n_f_evals_backward.any()

    def test_it_is_differentiated_twice_even_then(self, monkeypatch):
        monkeypatch.setattr("latentode.solvers.adjoint._BUDGET", 0)
        y0 = times(0.4)[:, None].requires_grad_()
        end = odeint(blow_up, y0, times(0, 0.5), **TIGHT).ys[0, 1, 0]
        (first,) = torch.autograd.grad(end, y0, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), y0)
        assert second.item() == pytest.approx(1 / 0.8**3, rel=1e-6)

    @pytest.mark.parametrize("adjoint", ["direct", "replay"])
    def test_a_rejected_step_out_of_the_domain_poisons_no_gradient(self, adjoint):
        y0, rate = times(1.5)[:, None].requires_grad_(), times(1).requires_grad_()
        solution = odeint(
            lambda t, y: -rate * y.sqrt(),
            y0,
            times(0, 1),
            adjoint=adjoint,
            first_step=1.9,
            **TIGHT,
        )
        assert solution.stats.n_rejected > 0
        got = torch.autograd.grad(solution.ys[0, 1, 0], [y0, rate])
        root = math.sqrt(1.5) - 0.5  # of y at the end
        assert got[0].item() == pytest.approx(root / math.sqrt(1.5), rel=1e-6)
        assert got[1].item() == pytest.approx(-root, rel=1e-6)

    def test_nor_does_one_whose_gradient_alone_is_out_of_the_domain(self):
        y0 = ones(1, 1).requires_grad_()
        field = lambda t, y: -torch.where(y > 0, y.sqrt(), 0.0)
        options = {"first_step": 1.9, "rtol": 1e-8, "atol": 1e-8}
        solution = odeint(field, y0, times(0, 1), adjoint="direct", **options)
        assert solution.stats.n_rejected > 0
        (gradient,) = torch.autograd.grad(solution.ys[0, 1, 0], y0)
        assert gradient.item() == pytest.approx(0.5, rel=1e-6)

    def test_none_gives_the_same_numbers_without_a_graph(self, swings, net):
        y0, ts = swings
        none, auto = (odeint(lambda t, y: net(y), y0, ts, adjoint=x) for x in ("none", "auto"))
        assert_same(none, auto)
        assert not none.ys.requires_grad

    def test_none_needs_a_field_that_can_be_evaluated_only(self):
        field = lambda t, y: torch.from_numpy(-y.numpy())
        ys = odeint(field, ones(1, 1), times(0, 1), adjoint="none").ys
        assert ys[0, 1, 0].item() == pytest.approx(math.exp(-1), rel=1e-3)
