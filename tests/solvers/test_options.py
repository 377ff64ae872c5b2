"""What each option of a solve promises, and what it must leave alone."""

import math

import pytest
import torch

from latentode.solvers import SolverError, odeint
from tests.solvers.swings import (
    ADJOINTS,
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
