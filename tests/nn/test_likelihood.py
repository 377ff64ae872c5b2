"""Likelihoods are distributions: their densities integrate to one, quantiles are quantiles."""

import pytest
import torch
from torch.distributions import Normal

from latentode.nn import Gaussian, QuantileDistribution, Quantiles, StudentTNoise

FAMILIES = {"gaussian": Gaussian, "student-t": StudentTNoise, "quantiles": Quantiles}
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture
def likelihood(family):
    return FAMILIES[family](3).double()


def numbers(likelihood, *shape):
    return torch.randn(*shape, likelihood.n_parameters, dtype=torch.float64)


@every_family
def test_the_density_integrates_to_one(likelihood):
    raw, variable = numbers(likelihood, 3), torch.arange(3)
    p = likelihood(raw, variable)
    x = torch.linspace(-400, 400, 400_001, dtype=torch.float64)
    total = torch.trapezoid(p.log_prob(x[:, None]).exp(), x, dim=0)
    torch.testing.assert_close(total, torch.ones(3).double(), rtol=0, atol=3e-3)


@every_family
def test_mean_and_variance_are_those_of_the_density(likelihood):
    p = likelihood(numbers(likelihood, 3), torch.arange(3))
    x = torch.linspace(-2000, 2000, 2_000_001, dtype=torch.float64)
    density = p.log_prob(x[:, None]).exp()
    mean = torch.trapezoid(density * x[:, None], x, dim=0)
    torch.testing.assert_close(p.mean, mean, rtol=1e-3, atol=1e-3)
    if not isinstance(likelihood, StudentTNoise):  # its tails are too long for the grid
        variance = torch.trapezoid(density * (x[:, None] - mean).square(), x, dim=0)
        torch.testing.assert_close(p.variance, variance, rtol=1e-3, atol=1e-3)


@every_family
def test_every_variable_has_numbers_of_its_own(likelihood):
    raw = numbers(likelihood, 1).expand(3, -1)
    before = likelihood(raw, torch.arange(3)).log_prob(torch.zeros(3).double())
    with torch.no_grad():
        for p in likelihood.parameters():
            p[1] += 1.0
    after = likelihood(raw, torch.arange(3)).log_prob(torch.zeros(3).double())
    assert ((after - before).abs() > 1e-6).tolist() == [False, True, False]


@every_family
def test_values_are_the_same_however_they_are_asked(likelihood):
    raw = numbers(likelihood, 4, 5, 3)
    whole = likelihood(raw, torch.arange(3)).log_prob(torch.ones(4, 5, 3).double())
    b, p, d = torch.tensor([0, 3, 2]), torch.tensor([4, 0, 2]), torch.tensor([1, 1, 2])
    some = likelihood(raw[b, p, d], d).log_prob(torch.ones(3).double())
    torch.testing.assert_close(some, whole[b, p, d])


@pytest.mark.parametrize("family", ["gaussian", "student-t"])
def test_one_noise_for_each_variable(family):
    likelihood = FAMILIES[family](3, noise="variable")
    assert likelihood.n_parameters == 1
    p = likelihood(torch.randn(5, 3, 1), torch.arange(3))
    assert p.scale.shape == (5, 3)
    assert (p.scale == p.scale[0]).all()


def test_known_noise_adds_to_the_variance():
    likelihood, raw = Gaussian(3), torch.randn(3, 2)
    plain, noisy = (likelihood(raw, torch.arange(3), noise) for noise in (None, torch.tensor(2.0)))
    torch.testing.assert_close(noisy.variance, plain.variance + 4)


def test_quantiles_refuse_known_noise():
    with pytest.raises(ValueError, match="needs a Gaussian"):
        Quantiles(1)(torch.zeros(1, 9), torch.tensor([0]), torch.ones(1))


@pytest.mark.parametrize("n_levels", [1, 4])
def test_there_must_be_a_median(n_levels):
    with pytest.raises(ValueError, match=f"n_levels={n_levels} must be odd and at least 3"):
        Quantiles(1, n_levels=n_levels)


def test_an_unknown_noise_is_refused():
    with pytest.raises(ValueError, match="noise=loud is not known"):
        Gaussian(1, noise="loud")


class TestQuantileDistribution:
    @pytest.fixture
    def p(self):
        quantiles = torch.randn(4, 7, dtype=torch.float64).exp().cumsum(-1) - 4
        return QuantileDistribution(quantiles, torch.arange(1, 8).double() / 8)

    def test_quantiles_and_probabilities_are_inverse(self, p):
        for level in (0.01, 0.125, 0.3, 0.5, 0.875, 0.99):
            x = p.icdf(torch.tensor(level).double())
            torch.testing.assert_close(p.cdf(x), torch.full((4,), level).double())

    def test_the_given_quantiles_are_its_quantiles(self, p):
        got = torch.stack([p.icdf(level) for level in p.levels], dim=-1)
        torch.testing.assert_close(got, p.quantiles)

    def test_the_density_is_the_slope_of_the_probability(self, p):
        x = torch.linspace(-10, 10, 50).double()[:, None] + 1e-3
        slope = (p.cdf(x + 1e-6) - p.cdf(x - 1e-6)) / 2e-6
        torch.testing.assert_close(p.log_prob(x).exp(), slope, rtol=1e-4, atol=1e-7)

    def test_it_never_crosses_and_starts_like_a_normal_distribution(self):
        p = Quantiles(1)(torch.zeros(1, 9), torch.tensor([0]))
        assert (p.quantiles.diff() > 0).all()
        expected = Normal(0.0, 1.0).icdf(p.levels)
        torch.testing.assert_close(p.quantiles[0], expected, rtol=0, atol=2e-3)
        assert (
            Quantiles(1)(10 * torch.randn(99, 9), torch.tensor([0])).quantiles.diff() > 0
        ).all()
