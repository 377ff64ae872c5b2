"""The score of a distribution is the integral that defines it."""

import pytest
import torch
from torch.distributions import Normal, Uniform

from latentode.nn import QuantileDistribution
from latentode.nn.crps import crps
from latentode.nn.student import Student

ONE = torch.ones((), dtype=torch.float64)
QUANTILES = torch.tensor([-1.0, 0.3, 0.4, 2.0], dtype=torch.float64)
LEVELS = torch.tensor([0.1, 0.4, 0.7, 0.8], dtype=torch.float64)
DISTRIBUTIONS = {
    "normal": Normal(0.5 * ONE, 2 * ONE),
    "student": Student(2.5 * ONE, -0.5 * ONE, 0.7 * ONE),
    "quantiles": QuantileDistribution(QUANTILES, LEVELS),
}


@pytest.mark.parametrize("p", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
@pytest.mark.parametrize("x", [-7.0, -1.0, 0.35, 1.1, 2.0, 9.0])
def test_it_is_the_integral_of_the_squared_distance_of_two_distributions(p, x):
    far = torch.linspace(0, 10, 8_001, dtype=torch.float64).expm1()  # into heavy tails, too
    low, high = (x - far).flip(0), x + far
    expected = torch.trapezoid(p.cdf(low).square(), low)
    expected = expected + torch.trapezoid((1 - p.cdf(high)).square(), high)
    torch.testing.assert_close(crps(p, x * ONE), expected, rtol=1e-4, atol=0)


def test_another_distribution_has_no_score_here():
    assert crps(Uniform(0 * ONE, ONE), ONE / 2) is None
