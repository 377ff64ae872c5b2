"""Distributions of the latent state: densities, and what a flow that does nothing does."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from latentode.nn import FlowedPosterior
from latentode.nn.posterior import NormalPosterior, prior_like

BENT = torch.tensor([True, True, True])


@pytest.fixture
def normal():
    return Normal(torch.randn(3, 2).double(), torch.rand(3, 2).double() + 0.2)


@pytest.fixture
def flowed():
    flowed = FlowedPosterior(2, 8, rtol=1e-8, atol=1e-8).double()
    for p in flowed.parameters():
        torch.nn.init.normal_(p, std=0.7)
    return flowed


@pytest.fixture
def still(flowed):
    torch.nn.init.zeros_(flowed.flow.field.outer.weight)
    torch.nn.init.zeros_(flowed.flow.field.outer.bias)
    return flowed


class TestWithoutAField:
    def test_states_are_those_of_the_normal_distribution(self, still, normal):
        q, e = still(normal, BENT), torch.randn(5, 3, 2).double()
        torch.testing.assert_close(q.placed(e), NormalPosterior(normal).placed(e))
        torch.testing.assert_close(q.center, normal.mean)

    def test_log_q_is_that_of_the_normal_distribution(self, still, normal):
        z, log_q = still(normal, BENT).drawn(5)
        torch.testing.assert_close(log_q, normal.log_prob(z).sum(-1))

    @torch.no_grad()
    def test_draws_tell_the_divergence_within_their_error(self, still, normal):
        z, log_q = still(normal, BENT).drawn(4000)
        draws = log_q - prior_like(z).log_prob(z).sum(-1)
        exact = kl_divergence(normal, prior_like(normal.mean)).sum(-1)
        torch.testing.assert_close(NormalPosterior(normal).divergence(), exact)
        assert ((draws.mean(0) - exact).abs() < 4 * draws.std(0) / math.sqrt(4000)).all()


class TestWithAField:
    @torch.no_grad()
    def test_its_density_integrates_to_one(self, flowed):
        """By importance: a broad normal distribution covers what the flow made."""
        normal = Normal(torch.zeros(1, 2).double(), torch.full((1, 2), 0.5).double())
        q = flowed(normal, BENT[:1])
        z, log_q = q.drawn(4000)
        broad = Normal(z.mean(0), 2 * z.std(0))
        shares = (broad.log_prob(z).sum(-1) - log_q).exp()  # E_q[broad / q] = 1
        assert float(shares.mean()) == pytest.approx(1, abs=5 * float(shares.std()) / 4000**0.5)

    @torch.no_grad()
    def test_it_is_not_normal(self, flowed, normal):
        e = torch.randn(2000, 3, 2).double()
        z = flowed(normal, BENT).placed(e)
        assert (z - NormalPosterior(normal).placed(e)).abs().mean() > 0.05

    def test_a_state_at_every_row_has_a_density_of_its_own(self, flowed, normal):
        rows = Normal(normal.mean[:, None].repeat(1, 4, 1), normal.stddev[:, None].repeat(1, 4, 1))
        q, e = flowed(rows, BENT), torch.randn(5, 3, 4, 2).double()
        z, log_q = q.drawn(5)
        assert z.shape == (5, 3, 4, 2) and log_q.shape == (5, 3, 4)
        torch.testing.assert_close(q.placed(e)[:, :, 1], flowed(normal, BENT).placed(e[:, :, 1]))

    def test_a_series_of_which_nothing_is_known_keeps_the_prior(self, flowed):
        zero = torch.zeros(3, 2).double()
        q = flowed(Normal(zero, zero + 1), torch.tensor([True, False, True]))
        z, log_q = q.drawn(6)
        torch.testing.assert_close(log_q[:, 1], prior_like(z[:, 1]).log_prob(z[:, 1]).sum(-1))
        assert (q.center[1] == 0).all() and (q.center[0] != 0).all()

    def test_a_draw_has_gradients_for_all(self, flowed):
        mean, std = torch.zeros(3, 2).double(), torch.ones(3, 2).double()
        mean, std = mean.requires_grad_(), std.requires_grad_()
        z, log_q = flowed(Normal(mean, std), BENT).drawn(2)
        (z.square().sum() + log_q.sum()).backward()
        parameters = dict(flowed.named_parameters(), mean=mean, std=std)
        assert [name for name, p in parameters.items() if not p.grad.any()] == []
