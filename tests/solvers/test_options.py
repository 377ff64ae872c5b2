"""What each option of a solve promises, and what it must leave alone."""

import copy
import gc
import math
import pickle
import threading
import weakref

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

from latentode.solvers import SolverError, odeint

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


@pytest.fixture
def swings():
    """Starts and per-sample times of five swings."""
    random = torch.Generator().manual_seed(0)
    y0 = torch.randn(5, 2, generator=random, **DOUBLE)
    ts = torch.rand(5, 4, generator=random, **DOUBLE).cumsum(1) - 1
    return y0.requires_grad_(), ts.requires_grad_()


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).double()


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


class TestArgs:
    """Further arguments of the field."""

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_they_get_the_gradients_of_closures(self, adjoint, swings):
        y0, ts = swings
        rate, push = ones(1).requires_grad_(), ones(5, 2).requires_grad_()

        def field(t, y, rate, push):
            return swing(t, y) - rate * y + push

        options = {"adjoint": adjoint}
        inside = odeint(lambda t, y: field(t, y, rate, push), y0, ts, **options)
        outside = odeint(field, y0, ts, args=(rate, push), **options)
        assert_same(outside, inside)
        expected = gradients(inside, y0, ts, rate, push)
        for x, y in zip(gradients(outside, y0, ts, rate, push), expected, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_tensors_are_found_however_deep_they_lie(self, adjoint, net):
        rate = ones(1).requires_grad_()
        solution = odeint(
            lambda t, y, net, more: net(y) - more["rates"][0] * y,
            ones(2, 2),
            times(0, 1),
            args=(net, {"rates": [rate]}),
            adjoint=adjoint,
        )
        for gradient in gradients(solution, rate, *net.parameters()):
            assert gradient.abs().sum() > 0

    def test_they_need_not_be_tensors(self):
        ys = odeint(lambda t, y, rate, name: -rate * y, ones(1, 1), times(0, 1), args=(2, "a")).ys
        assert ys[0, 1, 0].item() == pytest.approx(math.exp(-2), rel=1e-3)

    @pytest.mark.parametrize("args", [ones(2), ones(2, 3), {"rate": 2}, 2.0, "rate"])
    def test_one_that_is_not_in_a_tuple_is_refused(self, args):
        words = r"write args=\((tensor|argument),\)"
        with pytest.raises(TypeError, match=words):
            odeint(lambda t, y, *rates: -y, ones(2, 1), times(0, 1), args=args)


class TestStart:
    """A time of the start apart from the times asked for."""

    @pytest.mark.parametrize("direction", [1.0, -1.0])
    def test_it_is_a_first_time_that_is_not_asked_for(self, direction, swings):
        y0, ts = (x.detach() for x in swings)
        ts, start = direction * ts, direction * ts[:, 0] - direction * 0.3
        with_start = odeint(swing, y0, torch.cat([start[:, None], ts], dim=1))
        apart = odeint(swing, y0, ts, t0=start)
        assert torch.equal(apart.ys, with_start.ys[:, 1:])
        assert all(map(torch.equal, apart.stats, with_start.stats))

    def test_one_number_is_for_all_samples(self, swings):
        y0, ts = swings
        shared = odeint(swing, y0, ts, t0=-1.5)
        assert_same(shared, odeint(swing, y0, ts, t0=torch.full((5,), -1.5, **DOUBLE)))
        assert_same(shared, odeint(swing, y0, ts, t0=torch.tensor(-1.5, **DOUBLE)))

    def test_the_first_time_asked_for_is_no_other_start(self, swings):
        y0, ts = swings
        assert_same(odeint(swing, y0, ts, t0=ts[:, 0]), odeint(swing, y0, ts))

    def test_one_time_asked_for_is_reached(self):
        ys = odeint(decay, ones(1, 1), times(2), t0=0.5, **TIGHT).ys
        assert ys.shape == (1, 1, 1)
        assert ys.item() == pytest.approx(math.exp(-1.5))

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    @pytest.mark.parametrize("direction", [1.0, -1.0])
    def test_it_has_a_gradient(self, adjoint, direction):
        start = times(0.5, 0.0).requires_grad_()
        ts = direction * times(1.5, 2.0)
        ys = odeint(
            lambda t, y: -direction * t[:, None] * y,
            ones(2, 1),
            ts,
            t0=direction * start,
            adjoint=adjoint,
            **TIGHT,
        ).ys  # exp((direction * t0^2 - direction * t^2) / 2)
        (gradient,) = torch.autograd.grad(ys[:, 1].sum(), start)
        t0, t1 = direction * start.detach(), ts[1]
        exact = t0 * torch.exp(direction * (t0**2 - t1**2) / 2)
        torch.testing.assert_close(gradient, exact, rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("t0", [0.5, torch.tensor(0.5)])
    def test_it_need_not_be_whole_where_the_times_are(self, t0):
        ys = odeint(decay, ones(1, 1), torch.tensor([1, 2]), t0=t0, **TIGHT).ys
        torch.testing.assert_close(ys[0, :, 0], torch.exp(-times(0.5, 1.5)))


class TestTolerances:
    """Tolerances for all, for each sample, and for each entry."""

    @pytest.mark.parametrize("shape", [(), (5,), (2,), (1, 2), (5, 1), (5, 2)])
    def test_equal_numbers_in_a_tensor_change_nothing(self, shape, swings):
        y0, ts = swings
        number = odeint(swing, y0, ts, rtol=1e-5, atol=1e-7)
        rtol, atol = torch.full(shape, 1e-5, **DOUBLE), torch.full(shape, 1e-7, **DOUBLE)
        spread = odeint(swing, y0, ts, rtol=rtol, atol=atol)
        assert_same(spread, number)
        assert all(map(torch.equal, gradients(spread, y0, ts), gradients(number, y0, ts)))

    @pytest.mark.parametrize("method", ["tsit5", "dop853", "kvaerno3"])
    def test_a_tighter_sample_does_not_slow_the_others(self, method, swings):
        y0, ts = (x.detach() for x in swings)
        rtol = torch.full((5,), 1e-3, **DOUBLE)
        loose = odeint(swing, y0, ts, rtol=rtol, method=method)
        rtol[3] = 1e-7
        mixed = odeint(swing, y0, ts, rtol=rtol, atol=1e-9 * (rtol < 1e-3) + 1e-6, method=method)
        others = [0, 1, 2, 4]
        assert torch.equal(mixed.stats.n_steps[others], loose.stats.n_steps[others])
        torch.testing.assert_close(mixed.ys[others], loose.ys[others], rtol=1e-12, atol=1e-12)
        assert mixed.stats.n_steps[3] > loose.stats.n_steps[3]

    def test_an_entry_with_no_need_of_accuracy_asks_for_no_steps(self):
        field = lambda t, y: torch.stack([-y[:, 0], torch.cos(30 * t)], dim=1)
        y0, ts = ones(1, 2), times(0, 3)
        careful = odeint(field, y0, ts)
        careless = odeint(field, y0, ts, atol=torch.tensor([1e-6, 1e6]))
        assert careless.stats.n_steps < careful.stats.n_steps / 3
        assert careless.ys[0, 1, 0].item() == pytest.approx(math.exp(-3), rel=2e-3)

    @pytest.mark.parametrize("shape", [(5,), (5, 2)])
    def test_the_solve_backward_has_them_too(self, shape, swings):
        y0, ts = swings
        number = odeint(swing, y0, ts, rtol=1e-5, adjoint="backsolve")
        spread = odeint(swing, y0, ts, rtol=torch.full(shape, 1e-5), adjoint="backsolve")
        for x, y in zip(gradients(spread, y0, ts), gradients(number, y0, ts), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5)


class TestStepRange:
    """The shortest and the longest step."""

    @pytest.mark.parametrize("end", [2.0, -2.0])
    def test_no_step_is_longer_than_the_longest(self, end):
        # Heun's method evaluates at the ends of its steps only.
        field, seen = recorded(lambda t, y: 1e-3 * y)
        options = {"method": "heun", "clip_end": True}
        odeint(field, ones(1, 1), times(0, end), **options)
        assert torch.cat(seen).diff().abs().max() > 0.5
        seen.clear()
        odeint(field, ones(1, 1), times(0, end), max_step=0.11, **options)
        assert 0.1 < torch.cat(seen).sort().values.diff().max() <= 0.11 * (1 + 1e-12)

    def test_no_step_is_shorter_than_the_shortest(self):
        field, seen = recorded(lambda t, y: torch.cos(t)[:, None])
        y0, ts = torch.zeros(1, 1, **DOUBLE), times(0, 2)  # a guess of a tiny first step
        options = {"method": "heun", "rtol": 1e-2, "atol": 1e-2}
        odeint(field, y0, ts, **options)
        assert torch.cat([seen[0], *seen[2:]]).unique().diff().min() < 0.05
        seen.clear()
        odeint(field, y0, ts, min_step=0.05, **options)
        gaps = torch.cat([seen[0], *seen[2:]]).unique().diff()  # without what guessed the first
        assert gaps.min() >= 0.05 * (1 - 1e-12)

    def test_a_sample_that_fails_there_rests(self):
        rates = times(1, 1e4)[:, None]
        field = lambda t, y: rates * torch.cos(rates * t[:, None])
        options = {"min_step": 0.01, "on_failure": "mask"}
        stats = odeint(field, ones(2, 1), times(0, 40), **options).stats
        assert stats.n_steps[0] > 30 > stats.n_steps[1]

    def test_a_range_that_binds_no_step_changes_nothing(self, swings):
        y0, ts = swings
        assert_same(odeint(swing, y0, ts, min_step=1e-9, max_step=1e9), odeint(swing, y0, ts))

    def test_a_first_step_that_is_given_is_in_the_range_too(self):
        field, seen = recorded(lambda t, y: 1e-3 * y)
        odeint(field, ones(1, 1), times(0, 1), first_step=0.5, max_step=0.1, method="heun")
        assert torch.cat(seen).unique().diff().max() <= 0.1 * (1 + 1e-12)

    def test_a_step_that_cannot_be_shorter_nor_accurate_is_a_failure(self):
        y0, ts = ones(3, 1), times(0, 1)
        rates = times(1, 1e4, 1)[:, None]
        field = lambda t, y: rates * torch.cos(rates * t[:, None])
        with pytest.raises(SolverError, match=r"sample 1 of 3 .* min_step=0\.01 .*Lower") as e:
            odeint(field, y0, ts, min_step=0.01)
        assert e.value.sample == 1
        kept = odeint(field, y0, ts, min_step=0.01, on_failure="mask")
        assert list(kept.failures) == [1]
        assert "min_step=0.01" in str(kept.failures[1])


def bump(t, y):
    """A short push at time 5, of 0.01 sqrt(pi) altogether."""
    return torch.exp(-(((t - 5) / 0.01) ** 2))[:, None].expand_as(y)


PUSHED = 0.01 * math.sqrt(math.pi)


class TestStepTimes:
    """Times at which a step ends."""

    @pytest.mark.parametrize("end", [10.0, -10.0])
    def test_what_the_steps_would_jump_over_is_seen(self, end):
        field = lambda t, y: math.copysign(1, end) * bump(t.abs(), y)
        y0, ts = ones(1, 1), times(0, end)
        assert odeint(field, y0, ts).ys[0, 1, 0].item() == pytest.approx(1, abs=1e-6)
        stops = math.copysign(1, end) * times(4.98, 5.0, 5.02)
        ys = odeint(field, y0, ts, step_ts=stops, rtol=1e-7).ys
        assert ys[0, 1, 0].item() == pytest.approx(1 + PUSHED, abs=1e-6)

    def test_steps_end_there(self, swings):
        y0, ts = swings
        field, seen = recorded(swing)
        stops = ts.detach()[:1, 0] + times(0.37, 0.1)  # in any order
        odeint(field, y0[:1], ts[:1], step_ts=stops, method="heun")
        assert torch.isin(stops, torch.cat(seen)).all()

    @pytest.mark.parametrize("adjoint", ["direct", "replay"])
    def test_they_change_the_answer_by_no_more_than_the_tolerance(self, adjoint, swings):
        y0, ts = swings
        options = {"adjoint": adjoint, "rtol": 1e-8, "atol": 1e-8}
        plain = odeint(swing, y0, ts, **options)
        stopped = odeint(swing, y0, ts, step_ts=times(-0.5, 0.1, 0.2), **options)
        torch.testing.assert_close(stopped.ys, plain.ys, rtol=1e-6, atol=1e-6)
        for x, y in zip(gradients(stopped, y0, ts), gradients(plain, y0, ts), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-5)

    def test_those_outside_of_the_times_change_nothing(self, swings):
        y0, ts = swings
        assert_same(odeint(swing, y0, ts, step_ts=times(-7, 50)), odeint(swing, y0, ts))

    def test_given_twice_and_in_any_order_they_are_the_same(self, swings):
        y0, ts = swings
        twice = odeint(swing, y0, ts, step_ts=times(0.2, 0.1, 0.2))
        assert_same(twice, odeint(swing, y0, ts, step_ts=times(0.1, 0.2)))

    def test_each_sample_may_have_its_own(self):
        y0, ts = ones(2, 1), times(0, 10)
        ends = odeint(bump, y0, ts, step_ts=torch.tensor([[5.0, 20.0], [20.0, 20.0]])).ys[:, 1, 0]
        assert ends[0].item() == pytest.approx(1 + PUSHED, abs=1e-3)
        assert ends[1].item() == pytest.approx(1, abs=1e-6)  # jumped over

    @pytest.mark.parametrize("name", ["step_ts", "jump_ts"])
    def test_there_may_be_none(self, name, swings):
        y0, ts = (x.detach() for x in swings)
        none = odeint(swing, y0, ts, **{name: torch.zeros(0)})
        torch.testing.assert_close(none.ys, odeint(swing, y0, ts).ys, rtol=1e-12, atol=1e-12)


def grow_then_shrink(grow, shrink, jump, direction=1.0):
    """Give y' = grow y up to the jump and -shrink y after it, as time runs."""

    def field(t, y):
        is_before = (direction * t < direction * jump)[:, None]
        return direction * torch.where(is_before, grow * y, -shrink * y)

    return field


class TestJumps:
    """Times at which the field jumps."""

    @pytest.mark.parametrize("method", ["euler", "bosh3", "tsit5", "dop853", "kvaerno5"])
    @pytest.mark.parametrize("end", [1.0, -1.0])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_the_field_is_evaluated_on_either_side_but_never_there(self, method, end, dtype):
        at = torch.tensor([0.3 * end], **DOUBLE)  # no number of float32
        options = {"step_size": 0.01} if method == "euler" else {}
        inner, seen = recorded(grow_then_shrink(1.0, 1.0, at.to(dtype), end))
        ys = odeint(
            inner,
            torch.ones(1, 1, dtype=dtype),
            times(0, end),
            jump_ts=at,
            method=method,
            clip_end=True,
            **options,
        ).ys
        assert ys[0, 1, 0].item() == pytest.approx(math.exp(0.3 - 0.7), rel=1e-2)
        seen = torch.cat(seen)
        assert not (seen == at.to(dtype)).any()
        assert (end * seen < 0.3).any()
        assert (end * seen > 0.3).any()

    def test_few_steps_are_rejected(self):
        field = grow_then_shrink(1.0, 3.0, 0.6)
        y0, ts = ones(1, 1), times(0, 2)
        known = odeint(field, y0, ts, jump_ts=times(0.6), **TIGHT)
        unknown = odeint(field, y0, ts, **TIGHT)
        assert known.stats.n_rejected <= 2
        assert unknown.stats.n_rejected > 5
        assert known.ys[0, 1, 0].item() == pytest.approx(math.exp(0.6 - 3 * 1.4), rel=1e-7)

    def test_a_field_of_stairs_is_summed_up_exactly(self):
        stairs = times(0.25, 0.5, 1.25)
        field = lambda t, y: (t[:, None] > stairs).sum(dim=1, keepdim=True).to(y)
        ts = torch.linspace(0, 2, 9, **DOUBLE)
        ys = odeint(field, torch.zeros(1, 1, **DOUBLE), ts, jump_ts=stairs, method="heun").ys
        exact = (ts[:, None] - stairs).clamp(min=0).sum(dim=1)
        torch.testing.assert_close(ys[0, :, 0], exact, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("adjoint", ["direct", "replay"])
    @pytest.mark.parametrize("direction", [1.0, -1.0])
    @pytest.mark.parametrize("method", ["tsit5", "kvaerno5"])
    def test_a_gradient_passes_it(self, adjoint, direction, method):
        grow, shrink, y0 = (x.clone().requires_grad_() for x in (times(0.7), times(0.4), times(2)))
        end = odeint(
            grow_then_shrink(grow, shrink, direction * 0.5, direction),
            y0[:, None],
            direction * times(0, 1.5),
            jump_ts=direction * times(0.5),
            adjoint=adjoint,
            method=method,
            rtol=1e-9,
            atol=1e-9,
        ).ys[0, 1, 0]
        value = 2 * math.exp(0.7 * 0.5 - 0.4)
        assert end.item() == pytest.approx(value, rel=1e-7)
        got = torch.stack(torch.autograd.grad(end, [grow, shrink, y0]))[:, 0]
        expected = value * times(0.5, -1.0, 0.5)
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=0)

    @pytest.mark.parametrize("adjoint", ["direct", "replay"])
    @pytest.mark.parametrize("direction", [1.0, -1.0])
    def test_the_start_moves_but_not_the_jump(self, adjoint, direction):
        ts = (direction * times(0, 1.5)).requires_grad_()
        field = grow_then_shrink(0.7, 0.4, direction * 0.5, direction)
        options = {"jump_ts": direction * times(0.5), "adjoint": adjoint, **TIGHT}
        end = odeint(field, ones(1, 1), ts, **options).ys[0, 1, 0]
        (gradient,) = torch.autograd.grad(end, ts)
        expected = direction * end.detach() * times(-0.7, -0.4)
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=0)

    @pytest.mark.parametrize("checkpoint_every", [1, 3])
    def test_replay_gives_the_numbers_of_direct(self, checkpoint_every, swings, net):
        y0, ts = swings
        field = lambda t, y: net(y) * torch.where(t < 0.1, 1.0, -2.0)[:, None]
        direct, replay = (
            gradients(odeint(field, y0, ts, jump_ts=times(0.1), **options), y0, *net.parameters())
            for options in (
                {"adjoint": "direct"},
                {"adjoint": "replay", "checkpoint_every": checkpoint_every},
            )
        )
        for x, y in zip(replay, direct, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)

    def test_each_sample_may_have_its_own(self, swings):
        y0, ts = (x.detach() for x in swings)
        ts = ts - ts[:, :1]
        at = torch.linspace(0.1, 1.5, 5, **DOUBLE)
        push = torch.ones(5, 1, **DOUBLE)

        def field(t, y, at):
            return swing(t, y) + push[: len(t)] * (t > at)[:, None]

        together = odeint(field, y0, ts, args=(at,), jump_ts=at[:, None])
        for i in range(5):
            alone = odeint(
                field, y0[i : i + 1], ts[i : i + 1], args=(at[i : i + 1],), jump_ts=at[i : i + 1]
            )
            torch.testing.assert_close(together.ys[i], alone.ys[0], rtol=1e-12, atol=1e-12)
            assert together.stats.n_f_evals[i] == alone.stats.n_f_evals[0]

    def test_it_may_be_at_the_start(self):
        field = lambda t, y: torch.where(t > 0, 1.0, torch.nan)[:, None]
        ys = odeint(field, ones(1, 1), times(0, 1), jump_ts=times(0)).ys
        assert ys[0, 1, 0].item() == pytest.approx(2)

    def test_it_may_be_at_the_start_of_a_solve_that_masks(self):
        field = lambda t, y: torch.where(t > 0, 1.0, torch.nan)[:, None]
        ys = odeint(field, ones(1, 1), times(0, 1), jump_ts=times(0), on_failure="mask").ys
        assert ys[0, 1, 0].item() == pytest.approx(2)

    def test_a_sample_that_rests_there_is_not_evaluated_there(self):
        field, seen = recorded(decay)
        odeint(field, ones(2, 1), times(0, 0, 0.5, 2).view(2, 2).t(), jump_ts=times(0.5))
        assert not (torch.cat(seen) == 0.5).any()

    def test_steps_of_one_size_that_fall_on_it_end_there(self):
        field, seen = recorded(decay)
        options = {"method": "rk4", "step_size": 0.1}
        stats = odeint(field, ones(1, 1), times(0, 1), jump_ts=times(0.8), **options).stats
        assert stats.n_steps == 10
        assert not (torch.cat(seen) == 0.8).any()

    @pytest.mark.parametrize("adjoint", ["none", "direct", "replay"])
    @pytest.mark.parametrize("direction", [1.0, -1.0])
    @pytest.mark.parametrize("options", [{}, {"method": "rk4", "step_size": 0.7}, {"rtol": 1e-7}])
    def test_it_is_seen_where_the_times_of_the_field_are_far_apart(
        self, adjoint, direction, options
    ):
        """Seconds since 1970 are 128 apart in the float32 of the state."""
        epoch, at = 1.7e9, 1.7e9 + direction * 6
        field, seen = recorded(grow_then_shrink(0.7, 0.4, torch.tensor([at], **DOUBLE), direction))
        ts = epoch + direction * times(0, 3, 10)
        y0 = torch.ones(2, 1).requires_grad_()
        jumps = torch.tensor([at], **DOUBLE)
        ys = odeint(field, y0, ts, jump_ts=jumps, adjoint=adjoint, **options).ys
        exact = torch.exp(torch.tensor([0.0, 0.7 * 3, 0.7 * 6 - 0.4 * 4])).expand(2, 3)
        torch.testing.assert_close(ys[..., 0].detach(), exact, rtol=3e-3, atol=0)
        assert not (torch.cat(seen) == jumps.float()).any()
        if adjoint != "none":
            (gradient,) = torch.autograd.grad(ys[:, 2].sum(), y0)
            torch.testing.assert_close(gradient[:, 0], exact[:, 2], rtol=3e-3, atol=0)

    def test_two_between_which_the_field_has_no_time_are_refused(self):
        ts, jumps = 1.7e9 + times(0, 1000), 1.7e9 + times(400, 450, 800)
        slow = lambda t, y: -y / 1000
        with pytest.raises(ValueError, match=r"1700000400 and 1700000450 .* 128 .*subtract"):
            odeint(slow, torch.ones(1, 1), ts, jump_ts=jumps)
        odeint(slow, ones(1, 1), ts, jump_ts=jumps)
        # What is outside of the times asked for does not matter.
        odeint(slow, torch.ones(1, 1), ts, jump_ts=ts[0] - times(50, 100))


class TestJointControl:
    """Steps of one size for the whole batch."""

    def test_a_batch_of_one_takes_its_own_steps(self, swings):
        y0, ts = (x[:1] for x in swings)
        assert_same(odeint(swing, y0, ts, control="joint"), odeint(swing, y0, ts))

    def test_samples_that_are_alike_take_the_steps_of_one(self, swings):
        y0, ts = (x[:1].expand(4, -1) for x in swings)
        joint, alone = odeint(swing, y0, ts, control="joint"), odeint(swing, y0, ts)
        assert torch.equal(joint.stats.n_steps, alone.stats.n_steps)
        torch.testing.assert_close(joint.ys, alone.ys, rtol=1e-10, atol=1e-10)

    def test_all_samples_take_the_same_steps(self, swings):
        y0, _ = swings
        field, seen = recorded(swing)
        stats = odeint(field, y0, times(0, 1, 3), control="joint", first_step=0.1).stats
        assert all((t == t[0]).all() for t in seen)
        for counts in stats[:4]:
            assert (counts == counts[0]).all()

    @pytest.mark.parametrize("method", ["tsit5", "dop853", "bosh3"])
    def test_the_error_keeps_to_the_tolerance_in_no_more_rounds(self, method, swings):
        y0, _ = (x.detach() for x in swings)
        ts = times(0, 1, 3)
        exact = odeint(swing, y0, ts, **TIGHT).ys
        joint = odeint(swing, y0, ts, method=method, rtol=1e-5, atol=1e-5, control="joint")
        each = odeint(swing, y0, ts, method=method, rtol=1e-5, atol=1e-5)
        assert (joint.ys - exact).square().mean().sqrt() < 1e-3
        assert joint.stats.n_steps.max() <= each.stats.n_steps.max()

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_gradients_are_those_of_the_solution(self, adjoint, swings, net):
        y0, ts = swings
        inputs = (y0, ts, *net.parameters())
        expected = gradients(odeint(lambda t, y: net(y), y0, ts, **TIGHT), *inputs)
        joint = odeint(lambda t, y: net(y), y0, ts, adjoint=adjoint, control="joint", **TIGHT)
        for x, y in zip(gradients(joint, *inputs), expected, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-6, atol=1e-6)

    def test_samples_of_different_length_and_direction_arrive(self):
        ts = times(0, 0.1, 0, 3, 0, -1).view(3, 2)
        ys = odeint(decay, ones(3, 1), ts, control="joint", **TIGHT).ys
        torch.testing.assert_close(ys[:, 1, 0], torch.exp(-ts[:, 1]), rtol=1e-8, atol=0)

    def test_a_sample_that_has_arrived_cannot_hold_up_the_others(self):
        rates = times(1, 60)[:, None]
        calls = []

        def field(t, y):
            calls.append(None)
            k = -y * rates
            if len(calls) > 60:
                k[0] = math.nan
            return k

        ts = times(0, 0.01, 0, 5).view(2, 2)
        ys = odeint(field, ones(2, 1), ts, control="joint", adjoint="none").ys
        assert ys[1, 1, 0].item() == pytest.approx(0, abs=1e-4)

    def test_a_stop_of_one_sample_does_not_part_the_sizes_for_good(self):
        rates = times(1, 20, 5)[:, None]
        field, seen = recorded(lambda t, y: -y * rates * (1 + 20 * (t > 0.8)[:, None]))
        stops = times(0.81, 3, 3)[:, None]
        options = {"method": "heun", "first_step": 0.1, "max_steps": 1000, "rtol": 1e-3}
        odeint(field, ones(3, 1), times(0, 2), control="joint", step_ts=stops, **options)
        sizes = torch.stack(seen[1:]).view(-1, 2, 3)[:, 0].diff(dim=0)
        moving = sizes[(sizes > 0).all(dim=1)]
        parted = (moving - moving[:, :1]).abs().amax(dim=1) > 1e-9
        assert parted.sum() <= 2

    def test_a_stop_of_all_samples_makes_no_step_longer_or_much_shorter(self, swings):
        y0, ts = swings[0].detach(), times(0, 6)
        stopped = odeint(swing, y0, ts, control="joint", step_ts=times(1, 2, 3))
        plain = odeint(swing, y0, ts, control="joint")
        assert stopped.stats.n_steps.max() <= plain.stats.n_steps.max() + 5


class TestMask:
    """Samples that cannot be solved are masked, and the others go on."""

    y0 = times(0.1, 1.0, 0.2)[:, None]
    ts = times(0, 0.5, 3)

    def test_a_failed_sample_is_nan_after_the_time_it_reached(self):
        solution = odeint(blow_up, self.y0, self.ts, on_failure="mask")
        assert list(solution.failures) == [1]
        error = solution.failures[1]
        assert (error.sample, error.t) == (1, pytest.approx(1, abs=1e-3))
        assert "sample 1 of 3" in str(error)
        torch.testing.assert_close(solution.ys[1, :2, 0], times(1, 2), rtol=1e-3, atol=0)
        assert solution.ys[1, 2].isnan().all()
        assert solution.ys[[0, 2]].isfinite().all()

    @pytest.mark.parametrize(
        "options",
        [
            {"adjoint": "direct"},
            {"adjoint": "replay"},
            {"adjoint": "replay", "checkpoint_every": 4},
            {"adjoint": "backsolve", "rtol": 1e-2},
            {"jump_ts": torch.tensor([0.3])},
            {"dense": True},
        ],
        ids=str,
    )
    def test_the_others_are_as_without_it(self, options):
        y0, rate = self.y0.clone().requires_grad_(), times(1).requires_grad_()
        field = lambda t, y: rate * y**2
        masked = odeint(field, y0, self.ts, on_failure="mask", **options)
        others = odeint(field, y0[[0, 2]], self.ts, **options)
        assert torch.equal(masked.ys[[0, 2]], others.ys)
        for x, y in zip(masked.stats, others.stats, strict=True):
            assert torch.equal(x[[0, 2]], y)
        got = torch.autograd.grad(masked.ys[[0, 2]].sin().sum(), [y0, rate])
        for x, y in zip(got, gradients(others, y0, rate), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("adjoint", ["direct", "replay"])
    def test_what_a_failed_sample_reached_has_its_gradient(self, adjoint):
        y0 = self.y0.clone().requires_grad_()
        solution = odeint(blow_up, y0, self.ts, on_failure="mask", adjoint=adjoint)
        (gradient,) = torch.autograd.grad(solution.ys[1, 1].sum(), y0)
        torch.testing.assert_close(gradient, times(0, 4, 0)[:, None], rtol=1e-3, atol=0)

    def test_nothing_fails_where_nothing_fails(self, swings):
        y0, ts = swings
        masked = odeint(swing, y0, ts, on_failure="mask")
        assert masked.failures == {}
        assert_same(masked, odeint(swing, y0, ts))

    def test_too_many_steps_fail_the_samples_that_are_late(self):
        rates = times(1, 500)[:, None]
        field = lambda t, y: -rates * y
        solution = odeint(field, ones(2, 1), self.ts, on_failure="mask", max_steps=20)
        assert list(solution.failures) == [1]
        assert "max_steps=20" in str(solution.failures[1])
        assert solution.ys[1, 1:].isnan().all()
        assert solution.stats.n_steps[1] == 20

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_a_failure_at_the_start_fails_that_sample_alone(self, adjoint):
        y0, rate = times(1, -1, 2)[:, None].requires_grad_(), times(1).requires_grad_()
        field = lambda t, y: rate * y.sqrt()
        options = {"adjoint": adjoint, **TIGHT}
        solution = odeint(field, y0, times(0, 1), on_failure="mask", **options)
        assert list(solution.failures) == [1]
        assert "not finite at the start" in str(solution.failures[1])
        assert solution.ys[1, 1].isnan().all()
        others = odeint(field, y0[[0, 2]], times(0, 1), **options)
        assert torch.equal(solution.ys[[0, 2]], others.ys)
        got = torch.autograd.grad(solution.ys[[0, 2]].sin().sum(), [y0, rate])
        for x, y in zip(got, gradients(others, y0, rate), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-9)

    def test_all_samples_may_fail_on_the_way(self):
        solution = odeint(blow_up, times(1, 2)[:, None], times(0, 0.1, 3), on_failure="mask")
        assert list(solution.failures) == [0, 1]
        assert solution.ys[:, :2].isfinite().all()
        assert solution.ys[:, 2].isnan().all()

    def test_no_sample_that_can_start_is_an_error(self):
        with pytest.raises(SolverError, match="not finite at the start"):
            odeint(lambda t, y: y / 0, ones(2, 1), self.ts, on_failure="mask")

    def test_steps_of_one_size_that_go_wrong_are_masked(self):
        solution = odeint(
            lambda t, y: y**3,
            times(0.1, 5)[:, None],
            self.ts,
            method="rk4",
            step_size=0.1,
            on_failure="mask",
        )
        assert list(solution.failures) == [1]
        assert solution.ys[1, 1:].isnan().all()
        assert solution.ys[0].isfinite().all()

    def test_parts_of_a_structure_are_masked_together(self):
        y0 = {"a": self.y0, "b": ones(3, 2)}
        field = lambda t, y: {"a": y["a"] ** 2, "b": -y["b"]}
        ys = odeint(field, y0, self.ts, on_failure="mask").ys
        assert ys["b"][1, 2].isnan().all()
        assert ys["b"][[0, 2]].isfinite().all()

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_steps_of_one_size_that_go_wrong_poison_no_gradient(self, adjoint):
        rate, y0 = times(1).requires_grad_(), times(0.1, 5)[:, None]
        options = {"method": "rk4", "step_size": 0.1, "adjoint": adjoint}
        field = lambda t, y: rate * y**3
        solution = odeint(field, y0, self.ts, on_failure="mask", **options)
        (got,) = torch.autograd.grad(solution.ys[0].sum(), rate)
        (expected,) = torch.autograd.grad(odeint(field, y0[:1], self.ts, **options).ys.sum(), rate)
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=0)

    @pytest.mark.parametrize("options", [{}, {"jump_ts": times(0.25)}, {"method": "rodas5p"}])
    def test_nor_do_they_change_what_the_others_give_and_cost(self, options):
        y0, rate = times(5, 0.1)[:, None].requires_grad_(), times(1).requires_grad_()
        options = {"method": "rk4", "step_size": 0.1, **options}
        field = lambda t, y: rate * torch.exp(y * y)
        masked = odeint(field, y0, times(0, 0.5), on_failure="mask", **options)
        alone = odeint(field, y0[1:], times(0, 0.5), **options)
        assert list(masked.failures) == [0]
        assert "Take a shorter step_size" in str(masked.failures[0])
        torch.testing.assert_close(masked.ys[1:], alone.ys, rtol=1e-13, atol=0)
        for x, y in zip(masked.stats, alone.stats, strict=True):
            assert torch.equal(x[1:], y)
        assert masked.stats.n_rejected[0] == 1
        got = torch.autograd.grad(masked.ys[1].sum(), [y0, rate])
        for x, y in zip(got, gradients_of_sum(alone, y0, rate), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-12, atol=0)

    def test_a_sample_whose_argument_is_not_a_number_fails_alone(self):
        rates = times(1, math.nan, 2)[:, None]
        solution = odeint(
            lambda t, y, rates: -rates * y, ones(3, 1), self.ts, args=(rates,), on_failure="mask"
        )
        assert list(solution.failures) == [1]
        assert solution.ys[[0, 2]].isfinite().all()

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_it_does_so_with_the_gradients_of_the_others(self, adjoint):
        y0, weight = ones(3, 1).requires_grad_(), times(0.5).requires_grad_()
        rates, shift = times(1, math.nan, 2)[:, None].requires_grad_(), times(0.1)
        field = lambda t, y, own, shift: -weight * own["rates"] * y + shift
        options = {"on_failure": "mask", "adjoint": adjoint, **TIGHT}
        masked = odeint(field, y0, self.ts, args=({"rates": rates}, shift), **options)
        assert list(masked.failures) == [1]
        own = {"rates": rates[[0, 2]]}
        alone = odeint(field, y0[[0, 2]], self.ts, args=(own, shift), **options)
        got = torch.autograd.grad(masked.ys[[0, 2]].sin().sum(), [y0, weight, rates])
        for x, y in zip(got, gradients(alone, y0, weight, rates), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-8, atol=1e-10)

    def test_one_that_only_a_closure_holds_is_named(self):
        rates = times(1, math.nan, 2)[:, None]
        with pytest.raises(SolverError, match=r"sample 1 of 3 .* batch axis first, in args"):
            odeint(lambda t, y: -rates * y, ones(3, 1), self.ts, on_failure="mask")

    @pytest.mark.parametrize("y0", [times(1, 2), times(1, -1)])
    def test_every_evaluation_is_counted(self, y0):
        field, seen = recorded(lambda t, y: -y.sqrt())
        options = {"on_failure": "mask", "adjoint": "none"}
        stats = odeint(field, y0[:, None], times(0, 0.5), **options).stats
        assert stats.n_f_evals.max() == len(seen)

    @pytest.mark.parametrize("control", ["per_sample", "joint"])
    def test_a_failed_start_costs_no_steps(self, control):
        y0, options = times(1, -1, 2)[:, None], {"control": control, "rtol": 1e-8}
        field = lambda t, y: -y.sqrt()
        masked = odeint(field, y0, times(0, 0.5), on_failure="mask", **options)
        alone = odeint(field, y0[[0, 2]], times(0, 0.5), **options)
        assert torch.equal(masked.ys[[0, 2]], alone.ys)
        assert masked.stats.n_steps.tolist() == [
            alone.stats.n_steps[0], 0, alone.stats.n_steps[1],
        ]  # fmt: skip

    def test_a_failed_start_is_read_densely_as_nan(self):
        field = lambda t, y: -y.sqrt()
        y0 = times(1, -1)[:, None]
        dense = odeint(field, y0, times(0, 0.5), on_failure="mask", dense=True).dense
        read = dense(times(0.25))
        assert read[0].isfinite().all()
        assert read[1].isnan().all()

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_a_sample_that_takes_no_step_has_a_gradient(self, adjoint):
        y0 = ones(1, 1).requires_grad_()
        field = lambda t, y: torch.where(t[:, None] > 0, torch.nan, -y)
        solution = odeint(field, y0, times(0, 1), on_failure="mask", adjoint=adjoint)
        assert list(solution.failures) == [0]
        assert torch.autograd.grad(solution.ys[:, 0].sum(), y0)[0].item() == 1

    def test_a_failure_of_the_solve_backward_is_not_kept_silent(self):
        y0, ts = ones(1, 1).requires_grad_(), times(0, 20)
        n_steps = int(odeint(decay, y0, ts).stats.n_steps)
        options = {"adjoint": "backsolve", "max_steps": n_steps, "on_failure": "mask"}
        end = odeint(decay, y0, ts, **options).ys[0, 1, 0]
        with pytest.raises(SolverError):
            end.backward()

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    def test_its_failures_can_be_copied_and_sent(self, copied):
        failures = odeint(blow_up, self.y0, self.ts, on_failure="mask").failures
        error = copied(failures)[1]
        assert str(error) == str(failures[1])
        assert (error.sample, error.t) == (failures[1].sample, failures[1].t)


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


class TestNumbers:
    """Coarse numbers and complex ones, in states, fields and times."""

    @pytest.mark.parametrize("adjoint", ADJOINTS)
    def test_a_coarse_field_of_a_finer_state(self, adjoint):
        y0 = torch.ones(2, 3, requires_grad=True)
        coarse = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
        field = lambda t, y: -coarse * y.bfloat16()
        ys = odeint(field, y0, times(0, 1), adjoint=adjoint, rtol=1e-2, atol=1e-2).ys
        assert ys.dtype == torch.float32
        got = torch.autograd.grad(ys[:, 1].sum(), [y0, coarse])
        assert [x.dtype for x in got] == [torch.float32, torch.bfloat16]
        for x, y in zip((ys[:, 1].detach(), got[0]), (1, 1), strict=True):
            torch.testing.assert_close(x, torch.full_like(x, y * math.exp(-1)), rtol=0.03, atol=0)
        expected = torch.full_like(coarse, -2 * math.exp(-1))
        torch.testing.assert_close(got[1], expected, rtol=0.03, atol=0)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("adjoint", ADJOINTS)
    @pytest.mark.parametrize("control", ["per_sample", "joint"])
    def test_a_coarse_state(self, dtype, adjoint, control):
        y0 = torch.ones(2, 3, dtype=dtype, requires_grad=True)
        options = {"rtol": 1e-2, "atol": 1e-2, "control": control}
        ys = odeint(decay, y0, times(0, 1), adjoint=adjoint, **options).ys
        (gradient,) = torch.autograd.grad(ys[:, 1].sum(), y0)
        assert ys.dtype == gradient.dtype == dtype
        for x in (ys[:, 1], gradient):
            torch.testing.assert_close(x, torch.full_like(x, math.exp(-1)), rtol=0.05, atol=0)

    @pytest.mark.parametrize(
        "options",
        [
            {"control": "joint"},
            {"jump_ts": torch.tensor([0.5])},
            {"step_ts": torch.tensor([0.5])},
            {"rtol": torch.full((2, 3), 1e-10)},
            {"on_failure": "mask"},
            {"method": "dop853"},
            {"adjoint": "replay", "checkpoint_every": 3},
        ],
        ids=str,
    )
    def test_complex_states_take_every_option(self, options):
        y0 = torch.ones(2, 3, dtype=torch.complex128, requires_grad=True)
        rate = torch.tensor(0.1 + 1j, dtype=torch.complex128, requires_grad=True)
        field = lambda t, y, rate: rate * y
        end = odeint(field, y0, times(0, 1), args=(rate,), **(TIGHT | options)).ys[0, 1, 0]
        exact = torch.exp(rate.detach())
        torch.testing.assert_close(end.detach(), exact, rtol=1e-7, atol=0)
        got = torch.autograd.grad(end.real, [y0, rate])
        torch.testing.assert_close(got[0][0, 0], exact.conj(), rtol=1e-7, atol=0)
        torch.testing.assert_close(got[1], exact.conj(), rtol=1e-7, atol=0)

    def test_the_precision_of_whole_and_halved_times_does_not_matter(self, swings):
        y0, _ = swings
        fine = odeint(swing, y0, times(0, 1, 2))
        assert_same(odeint(swing, y0, torch.tensor([0.0, 1.0, 2.0])), fine)
        assert_same(odeint(swing, y0, torch.tensor([0, 1, 2])), fine)


EDGES = [
    {},
    {"control": "joint"},
    {"on_failure": "mask"},
    {"step_ts": torch.tensor([0.5])},
    {"jump_ts": torch.tensor([0.0, 0.5])},
    {"jump_ts": torch.tensor([0.5]), "adjoint": "replay", "checkpoint_every": 2},
    {"adjoint": "replay", "checkpoint_every": 3},
    {"adjoint": "backsolve"},
    {"dense": True},
    {"clip_end": True},
    {"t0": -0.5},
    {"min_step": 0.01, "max_step": 0.1},
    {"rtol": torch.tensor(1e-3)},
    {"method": "dop853"},
    {"method": "kvaerno3"},
]


class TestEdges:
    """Nothing to solve is solved, and has gradients."""

    @pytest.mark.parametrize("options", EDGES, ids=str)
    def test_no_samples_no_entries_and_no_time(self, options):
        rate = torch.tensor(1.0, requires_grad=True)
        is_backsolve = options.get("adjoint") == "backsolve"
        for shape in [(0, 2), (2, 0), (0, 0), (0,), (2,)]:
            for ts in (torch.tensor([0.0]), torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0])):
                if is_backsolve and shape[-1] == 0 and len(shape) == 2:
                    continue  # see the next test
                y0, ts = torch.ones(shape, requires_grad=True), ts.requires_grad_()
                ys = odeint(lambda t, y: -rate * y, y0, ts, **options).ys
                assert ys.shape == (shape[0], len(ts), *shape[1:])
                for gradient in torch.autograd.grad(ys.sum(), [y0, rate, ts]):
                    assert gradient.isfinite().all()

    def test_no_entries_backward(self):
        y0 = torch.ones(2, 0, requires_grad=True)
        odeint(decay, y0, torch.tensor([0.0, 1.0]), adjoint="backsolve").ys.sum().backward()


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
