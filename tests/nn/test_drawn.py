"""Mixtures of joint distributions, known by points that stand for draws."""

import math

import pytest
import torch
from torch.distributions import Normal

from latentode.nn import Drawn, FlowLikelihood, Mixture, everywhere


def parts(n, *, is_bent):
    torch.manual_seed(0)
    likelihood = FlowLikelihood(2, 3, 8).double().eval()
    if is_bent:
        for p in likelihood.flow.parameters():
            torch.nn.init.normal_(p, std=0.5)
    where = everywhere(torch.zeros(3, 4), 2)
    return [
        likelihood(torch.randn(3, 4, 2, 2).double(), torch.randn(3, 4, 3).double(), where)
        for _ in range(n)
    ]


@pytest.fixture
def normals():
    """Give parts that are normal, and the same as normal distributions."""
    joint = parts(4, is_bent=False)
    return Drawn(joint), Mixture([Normal(p.mean, p.variance.sqrt()) for p in joint])


@torch.no_grad()
def test_where_no_flow_bends_it_is_about_the_mixture_of_normal_distributions(normals):
    drawn, mixture = normals
    levels = torch.tensor([0.05, 0.25, 0.5, 0.9]).double()
    spread = mixture.variance.sqrt()
    assert ((drawn.mean - mixture.mean) / spread).abs().max() < 0.02
    assert (drawn.variance.sqrt() / spread - 1).abs().max() < 0.05
    off = (drawn.quantile(levels) - mixture.quantile(levels)) / spread[..., None]
    assert off.abs().max() < 0.2 and off.abs().mean() < 0.04
    x = mixture.mean + 0.7 * spread
    assert (drawn.cdf(x) - mixture.cdf(x)).abs().max() < 0.03


@torch.no_grad()
def test_quantiles_and_probabilities_are_inverse_and_levels_may_differ_by_value():
    drawn = Drawn(parts(4, is_bent=True))
    levels = torch.rand(3, 4, 2, 5).double().clamp(1e-4, 1 - 1e-4)
    x = drawn.quantile(levels)
    back = torch.stack([drawn.cdf(x[..., k]) for k in range(5)], dim=-1)
    torch.testing.assert_close(back, levels)


@torch.no_grad()
def test_the_density_of_a_row_is_the_mean_of_those_of_the_parts():
    of_parts, x = parts(2, is_bent=True), torch.randn(3, 4, 2).double()
    x[0, 0, 1] = math.nan
    rows = torch.stack([p.log_prob(x).nansum(-1).exp() for p in of_parts]).mean(0)
    torch.testing.assert_close(Drawn(of_parts).log_prob(x).nansum(-1).exp(), rows)
