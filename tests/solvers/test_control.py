"""What the error of a step, and the size of the next one, must not depend on."""

import math

import pytest
import torch

from latentode.solvers.control import Tolerance, error_ratio, first_step, rms, step_factor

TOLERANCE = Tolerance(rtol=1e-3, atol=1e-6)


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class TestErrorRatio:
    """The error of a step as a multiple of what is tolerated."""

    def test_an_error_of_the_tolerance_in_every_entry_gives_one(self):
        y0, y1 = random(4, 3), random(4, 3, seed=1)
        tolerated = 1e-6 + 1e-3 * torch.maximum(y0.abs(), y1.abs())
        ratio = error_ratio([-tolerated], y0, y1, TOLERANCE)
        torch.testing.assert_close(ratio, torch.ones(4, dtype=torch.float64))

    def test_it_grows_with_the_error_and_falls_with_the_tolerance(self):
        y, error = random(4, 3), random(4, 3, seed=1)
        ratio = error_ratio([error], y, y, TOLERANCE)
        torch.testing.assert_close(error_ratio([3 * error], y, y, TOLERANCE), 3 * ratio)
        looser = Tolerance(3e-3, 3e-6)
        torch.testing.assert_close(error_ratio([error], y, y, looser), ratio / 3)

    def test_a_sample_does_not_depend_on_its_batch(self):
        y, error = random(4, 3), random(4, 3, seed=1)
        tight = torch.full((4, 3), 1e-3, dtype=torch.float64)
        tight[2] = 1e-9
        alone = error_ratio([error], y, y, TOLERANCE)
        error[2] = math.nan
        together = error_ratio([error], y, y, Tolerance(tight, 1e-6))
        assert torch.equal(together[[0, 1, 3]], alone[[0, 1, 3]])
        assert together[2].isnan()

    def test_the_order_of_entries_and_of_the_two_states_does_not_matter(self):
        y0, y1, error = random(2, 5), random(2, 5, seed=1), random(2, 5, seed=2)
        order = [3, 0, 4, 1, 2]
        ratio = error_ratio([error], y0, y1, TOLERANCE)
        torch.testing.assert_close(error_ratio([error], y1, y0, TOLERANCE), ratio)
        turned = error_ratio([error[:, order]], y0[:, order], y1[:, order], TOLERANCE)
        torch.testing.assert_close(turned, ratio)

    def test_a_tolerance_for_every_entry_weighs_that_entry(self):
        y, atol = torch.zeros(1, 2), torch.tensor([[1e-3, 1e3]])
        ratio = error_ratio([torch.tensor([[1e-3, 1e-3]])], y, y, Tolerance(0.0, atol))
        assert ratio.item() == pytest.approx(math.sqrt(0.5))

    def test_complex_errors_count_by_their_size(self):
        y, turn = random(3, 2), torch.exp(torch.tensor(0.7j, dtype=torch.complex128))
        error = random(3, 2, seed=1)
        ratio = error_ratio([turn * error], turn * y, -turn * y, TOLERANCE)
        torch.testing.assert_close(ratio, error_ratio([error], y, y, TOLERANCE))

    def test_a_second_estimate_only_ever_lowers_the_error(self):
        """Hairer, Norsett and Wanner, section II.10: e5^2 / sqrt(e5^2 + (e3 / 10)^2)."""
        y, fine, coarse = random(6, 3), random(6, 3, seed=1), 50 * random(6, 3, seed=2)
        fifth, third = (error_ratio([e], y, y, TOLERANCE) for e in (fine, coarse))
        both = error_ratio([fine, coarse], y, y, TOLERANCE)
        torch.testing.assert_close(both, fifth**2 / (fifth**2 + 0.01 * third**2).sqrt())
        assert (both <= fifth).all()
        alone = error_ratio([fine, torch.zeros_like(fine)], y, y, TOLERANCE)
        torch.testing.assert_close(alone, fifth)

    def test_no_error_by_two_estimates_is_no_error(self):
        y, none = random(2, 3), torch.zeros(2, 3, dtype=torch.float64)
        assert torch.equal(error_ratio([none, none], y, y, TOLERANCE), none[:, 0])

    def test_it_does_not_write_on_what_it_is_given(self):
        y0, y1, error = random(2, 3), random(2, 3, seed=1), random(2, 3, seed=2)
        copies = [x.clone() for x in (y0, y1, error)]
        error_ratio([error, error], y0, y1, TOLERANCE)
        assert all(map(torch.equal, (y0, y1, error), copies))

    def test_a_state_without_entries_has_no_error(self):
        none = torch.zeros(2, 0)
        assert error_ratio([none], none, none, TOLERANCE).tolist() == [0, 0]
        assert rms(none).tolist() == [0, 0]


class TestStepFactor:
    """The factor by which the step size changes."""

    @pytest.mark.parametrize("order", [2, 3, 5, 8])
    @pytest.mark.parametrize(
        ("ratio", "factor"),
        [(math.nan, 0.2), (math.inf, 0.2), (1e30, 0.2), (0.0, 10.0), (1e-30, 10.0), (1.0, 0.9)],
    )
    def test_its_limits(self, order, ratio, factor):
        got = step_factor(torch.tensor([ratio]), torch.tensor([1.0]), order=order)
        assert got.item() == pytest.approx(factor)

    @pytest.mark.parametrize("order", [2, 5, 8])
    def test_a_larger_error_never_gives_a_longer_step(self, order):
        ratios = torch.logspace(-12, 12, 200)
        for previous in (1e-8, 1e-2, 1.0):
            factors = step_factor(ratios, torch.full_like(ratios, previous), order=order)
            assert (factors.diff() <= 0).all()
            assert (factors[ratios > 1] <= 0.9).all()  # rejected
            assert factors.min() >= 0.2
            assert factors.max() <= 10

    def test_a_step_that_was_far_too_good_by_chance_is_not_remembered_long(self):
        ratios = torch.tensor([0.5, 0.5])
        lucky, perfect = step_factor(ratios, torch.tensor([1e-4, 0.0]), order=5)
        assert lucky == perfect

    def test_it_leaves_what_it_is_given(self):
        ratio, previous = torch.tensor([0.5]), torch.tensor([0.3])
        step_factor(ratio, previous, order=5)
        assert (ratio.item(), previous.item()) == (0.5, pytest.approx(0.3))


class TestFirstStep:
    """The guess for the first step."""

    def guess(self, field, y, *, longest=math.inf, order=5, tolerance=TOLERANCE):
        s = torch.zeros(len(y), dtype=torch.float64)
        longest = torch.full_like(s, longest)
        return first_step(
            field, s, y, field(s, y), longest=longest, order=order, tolerance=tolerance
        )

    def test_the_unit_of_the_state_does_not_matter(self):
        y = random(4, 3)
        small = self.guess(lambda s, y: torch.sin(s)[:, None] - y, y)
        in_milli = Tolerance(TOLERANCE.rtol, 1e3 * TOLERANCE.atol)
        field = lambda s, y: 1e3 * torch.sin(s)[:, None] - y
        torch.testing.assert_close(self.guess(field, 1e3 * y, tolerance=in_milli), small)

    def test_a_sample_does_not_depend_on_its_batch(self):
        rates = torch.tensor([[1.0], [1e4], [1e-4]], dtype=torch.float64)
        together = self.guess(lambda s, y: -rates * y, random(3, 2))
        for i, rate in enumerate(rates):
            alone = self.guess(lambda s, y, rate=rate: -rate * y, random(3, 2)[i : i + 1])
            torch.testing.assert_close(together[i], alone[0])

    def test_a_faster_equation_starts_with_a_shorter_step(self):
        rates = torch.logspace(-3, 6, 10, dtype=torch.float64)[:, None]
        steps = self.guess(lambda s, y: -rates * y, torch.ones(10, 1, dtype=torch.float64))
        assert (steps.diff() < 0).all()
        # The state moves by at most itself: 0.01 abs(y / f) is what is tried, times 100.
        assert (steps * rates[:, 0] <= 1 + 1e-9).all()

    def test_a_tighter_tolerance_starts_with_a_shorter_step(self):
        y = random(4, 3)
        steps = [
            self.guess(lambda s, y: torch.sin(y), y, tolerance=Tolerance(x, x))
            for x in (1e-2, 1e-5, 1e-8)
        ]
        assert (torch.stack(steps).diff(dim=0) < 0).all()

    def test_the_field_is_evaluated_once_and_no_further_than_it_may(self):
        times = []

        def field(s, y):
            times.append(s)
            return 1e-9 * y

        y = torch.ones(2, 1, dtype=torch.float64)
        self.guess(field, y, longest=0.5)
        assert len(times) == 2  # that of `guess`, and one more
        assert times[1].max() <= 0.5

    @pytest.mark.parametrize("longest", [0.0, 1.0, math.inf])
    @pytest.mark.parametrize(
        "field",
        [
            lambda s, y: torch.zeros_like(y),
            lambda s, y: 1e30 * y,
            lambda s, y: y / s[:, None],  # not finite at the start
            lambda s, y: torch.where(s[:, None] > 0, torch.nan, y),
        ],
    )
    def test_whatever_the_field_the_guess_is_a_positive_number(self, field, longest):
        for y in (torch.zeros(2, 3, dtype=torch.float64), random(2, 3)):
            steps = self.guess(field, y, longest=longest)
            assert (steps > 0).all()
            assert steps.isfinite().all()
