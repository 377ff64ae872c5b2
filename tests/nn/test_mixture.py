"""A mixture has the moments and the distribution function of its parts in equal shares."""

import pytest
import torch
from torch.distributions import Normal

from latentode.nn import Gaussian, Mixture, Quantiles, StudentTNoise
from latentode.nn.invert import invert

LEVELS = torch.tensor([0.001, 0.1, 0.5, 0.9, 0.999], dtype=torch.float64)
FAMILIES = {"gaussian": Gaussian, "student-t": StudentTNoise, "quantiles": Quantiles}


@pytest.fixture(params=FAMILIES)
def mixture(request):
    torch.manual_seed(0)
    likelihood = FAMILIES[request.param](3).double()
    raw = torch.randn(8, 5, 3, likelihood.n_parameters, dtype=torch.float64)
    return Mixture([likelihood(part, torch.arange(3)) for part in raw])


def test_a_part_of_its_own_is_itself():
    p = Normal(torch.tensor([0.3]).double(), 2.0)
    alone = Mixture([p])
    x = torch.tensor([1.0]).double()
    torch.testing.assert_close(alone.mean, p.mean)
    torch.testing.assert_close(alone.variance, p.variance)
    torch.testing.assert_close(alone.log_prob(x), p.log_prob(x))
    torch.testing.assert_close(alone.quantile(LEVELS)[..., 1], p.icdf(LEVELS[1]))


def test_its_moments_are_those_of_its_quantiles(mixture):
    level = (torch.arange(200, dtype=torch.float64) + 0.5) / 200
    q = mixture.quantile(level)
    torch.testing.assert_close(q.mean(dim=-1), mixture.mean, rtol=0, atol=0.03)
    # Tails of Student's t hold much of a variance: only a small part of it may be missing.
    assert (q.var(dim=-1) < 1.01 * mixture.variance).all()
    assert (q.var(dim=-1) > 0.7 * mixture.variance).all()


def test_a_quantile_undoes_the_distribution_function(mixture):
    q = mixture.quantile(LEVELS)
    for k, level in enumerate(LEVELS):
        reached = mixture.cdf(q[..., k])
        torch.testing.assert_close(reached, level.expand_as(reached), rtol=0, atol=1e-7)


def test_its_density_is_the_slope_of_its_distribution_function(mixture):
    x, step = mixture.mean + 0.3, 1e-5
    slope = (mixture.cdf(x + step) - mixture.cdf(x - step)) / (2 * step)
    torch.testing.assert_close(mixture.log_prob(x).exp(), slope, rtol=1e-4, atol=1e-6)


def test_every_value_may_have_levels_of_its_own(mixture):
    own = torch.rand(5, 3, 2, dtype=torch.float64).clamp(0.01, 0.99)
    q = mixture.quantile(own)
    for k in range(2):
        torch.testing.assert_close(mixture.cdf(q[..., k]), own[..., k], rtol=0, atol=1e-7)


def test_quantiles_never_cross(mixture):
    close = torch.linspace(0.001, 0.999, 60, dtype=torch.float64)
    assert (mixture.quantile(close).diff(dim=-1) >= 0).all()


def test_it_needs_a_part():
    with pytest.raises(ValueError, match="at least one part"):
        Mixture([])


def test_newtons_method_stays_in_the_bracket():
    # Two narrow peaks far apart: between them the density is next to nothing.
    p = Mixture([
        Normal(torch.tensor(-50.0).double(), 0.1),
        Normal(torch.tensor(50.0).double(), 0.1),
    ])
    bounds = torch.tensor(-100.0).double(), torch.tensor(100.0).double()
    x = invert(p.cdf, p.log_prob, torch.tensor(0.75).double(), *bounds)
    assert float(x) == pytest.approx(50.0, abs=1e-4)
