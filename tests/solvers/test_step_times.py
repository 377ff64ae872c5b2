"""Times that steps must not pass, and jumps of the field."""

import math

import pytest
import torch

from latentode.solvers import odeint
from tests.solvers.swings import (
    DOUBLE,
    TIGHT,
    assert_same,
    decay,
    gradients,
    ones,
    recorded,
    swing,
    times,
)


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
