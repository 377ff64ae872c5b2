"""One step size for a batch, and samples that are left out."""

import copy
import math
import pickle

import pytest
import torch

from latentode.solvers import SolverError, odeint
from tests.solvers.swings import (
    ADJOINTS,
    TIGHT,
    assert_same,
    blow_up,
    decay,
    gradients,
    gradients_of_sum,
    ones,
    recorded,
    swing,
    times,
)


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
