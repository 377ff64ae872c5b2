"""Values that depend on each other: densities of each set of them, and draws that follow these."""

import math

import pytest
import torch

from latentode.nn import Context, Decoder, FlowLikelihood, Gaussian, Where, everywhere
from latentode.nn.joint import standard_points

GRID = torch.linspace(-8, 8, 121).double()


def likelihood_of(n_features, *, is_bent=True):
    torch.manual_seed(0)
    likelihood = FlowLikelihood(n_features, 3, 8).double().eval()
    if is_bent:
        for p in likelihood.flow.parameters():
            torch.nn.init.normal_(p, std=0.5)
    return likelihood


def asked(n_features, n_series=4, n_times=5):
    """Give numbers, what is told, and where, of all values of some series."""
    random = torch.Generator().manual_seed(1)
    raw = torch.randn(n_series, n_times, n_features, 2, generator=random).double() / 3
    told = torch.randn(n_series, n_times, 3, generator=random).double()
    return raw, told, everywhere(told[..., 0], n_features)


def values_of(n_features):
    return torch.randn(4, 5, n_features, generator=torch.Generator().manual_seed(2)).double()


class TestUntrained:
    def test_it_is_the_normal_distribution(self):
        likelihood, (raw, told, where) = likelihood_of(3, is_bent=False), asked(3)
        x, p = values_of(3), likelihood(raw, told, where)
        normal = Gaussian(3).double()(raw, where.variable)
        torch.testing.assert_close(p.log_prob(x).sum(-1), normal.log_prob(x).sum(-1))
        torch.testing.assert_close(p.mean, normal.mean)
        torch.testing.assert_close(p.variance, normal.variance)
        torch.testing.assert_close(p.of_scores(x), normal.mean + normal.stddev * x)

    def test_it_is_also_where_it_trains(self):
        likelihood, (raw, told, where) = likelihood_of(3, is_bent=False).train(), asked(3)
        normal, x = Gaussian(3).double()(raw, where.variable), values_of(3)
        told_of_rows = likelihood(raw, told, where).log_prob(x).sum(-1)
        torch.testing.assert_close(told_of_rows, normal.log_prob(x).sum(-1))


class TestDensity:
    @torch.no_grad()
    @pytest.mark.parametrize("came", [[0], [1], [0, 1], [2], [1, 2]])
    def test_that_of_each_set_of_variables_integrates_to_one(self, came):
        axes = torch.meshgrid(*[GRID] * len(came), indexing="ij")
        points = torch.full((len(axes[0].flatten()), 3), torch.nan).double()
        points[:, came] = torch.stack([axis.flatten() for axis in axes], 1)
        raw, told, _ = asked(3)
        n = len(points)
        p = likelihood_of(3)(
            raw[:1, :1].expand(1, n, 3, 2),
            told[:1, :1].expand(1, n, 3),
            everywhere(torch.zeros(1, n), 3),
        )
        density = p.log_prob(points[None]).nansum(-1).exp()
        assert float(density.sum()) * (GRID[1] - GRID[0]) ** len(came) == pytest.approx(
            1, abs=2e-3
        )
        normal = Gaussian(3).double()(raw[:1, :1], torch.arange(3))
        of_normal = normal.log_prob(points[None]).nansum(-1)
        assert (density.log() - of_normal).abs().max() > 0.1

    @torch.no_grad()
    def test_draws_follow_it(self):
        """The mean log density of draws is that of the grid: the entropy."""
        likelihood, (raw, told, _) = likelihood_of(2), asked(2)
        axes = torch.meshgrid(GRID, GRID, indexing="ij")
        grid = torch.stack([axis.flatten() for axis in axes], 1)
        e = torch.randn(1500, 2, generator=torch.Generator().manual_seed(3)).double()
        where = everywhere(torch.zeros(1, 1), 2)
        draws = likelihood(raw[:1, :1], told[:1, :1], where).placed(e)[:, 0, 0]

        def log_density(x):
            where = everywhere(torch.zeros(1, len(x)), 2)
            of_rows = raw[:1, :1].expand(1, len(x), 2, 2), told[:1, :1].expand(1, len(x), 3)
            return likelihood(*of_rows, where).log_prob(x[None]).sum(-1)[0]

        log_p, log_q = log_density(grid), log_density(draws)
        exact = (log_p * log_p.exp()).sum() * (GRID[1] - GRID[0]) ** 2
        assert abs(log_q.mean() - exact) < 4 * log_q.std() / math.sqrt(len(e))


class TestWhatDoesNotMatter:
    def test_values_that_did_not_come(self):
        likelihood, (raw, told, where) = likelihood_of(3), asked(3)
        raw.requires_grad_()
        x = values_of(3)
        came = torch.rand(x.shape, generator=torch.Generator().manual_seed(4)) < 0.6
        whole = likelihood(raw, told, where).log_prob(torch.where(came, x, torch.nan))
        some = Where(*came.nonzero(as_tuple=True))
        single = likelihood(raw[some], told, some).log_prob(x[some])
        torch.testing.assert_close(whole[came], single)
        assert whole[~came].isnan().all()
        whole[came].sum().backward()
        assert raw.grad.isfinite().all() and (raw.grad[~came] == 0).all()

    def test_the_order_in_which_values_are_asked(self):
        likelihood, (raw, told, where) = likelihood_of(3), asked(3)
        x = values_of(3)
        order = torch.randperm(x.numel())
        some = Where(*(index[order] for index in torch.ones_like(x).nonzero(as_tuple=True)))
        told_of_some = likelihood(raw[some], told, some).log_prob(x[some])
        torch.testing.assert_close(told_of_some, likelihood(raw, told, where).log_prob(x)[some])

    def test_batch_mates(self):
        likelihood, (raw, told, where) = likelihood_of(3), asked(3)
        x, one = values_of(3), everywhere(torch.zeros(1, 2), 3)
        whole, part = likelihood(raw, told, where), likelihood(raw[2:3, 1:3], told[2:3, 1:3], one)
        torch.testing.assert_close(part.log_prob(x[2:3, 1:3]), whole.log_prob(x)[2:3, 1:3])
        torch.testing.assert_close(part.mean, whole.mean[2:3, 1:3])
        torch.testing.assert_close(part.of_scores(x[2:3, 1:3]), whole.of_scores(x)[2:3, 1:3])

    def test_the_order_of_variables(self):
        likelihood, (raw, told, where) = likelihood_of(3), asked(3)
        x, other = values_of(3), torch.tensor([2, 0, 1])
        before = likelihood(raw, told, where).log_prob(x)
        with torch.no_grad():
            likelihood.normal.log_scale.copy_(likelihood.normal.log_scale[other])
            likelihood.flow.inner.weight.copy_(likelihood.flow.inner.weight[:, other])
            likelihood.flow.outer.weight.copy_(likelihood.flow.outer.weight[other])
            told_of_sets = likelihood.flow.told.weight[:, 3:]
            told_of_sets.copy_(told_of_sets[:, other])
        after = likelihood(raw[:, :, other], told, where).log_prob(x[..., other])
        torch.testing.assert_close(after, before)


class TestVariablesLeftOut:
    def test_they_are_normal_and_apart_from_others(self):
        likelihood, (raw, told, where) = likelihood_of(3), asked(3)
        likelihood.leave_out(torch.tensor([False, False, True]))
        p, x = likelihood(raw, told, where), values_of(3)
        normal = likelihood.normal(raw, where.variable)
        torch.testing.assert_close(p.mean[..., 2], normal.mean[..., 2])
        torch.testing.assert_close(p.variance[..., 2], normal.variance[..., 2])
        alone = p.log_prob(torch.where(torch.tensor([True, True, False]), x, torch.nan))
        both = alone.nansum(-1) + normal.log_prob(x)[..., 2]
        torch.testing.assert_close(p.log_prob(x).sum(-1), both)


def test_gradients_reach_every_parameter():
    decoder = Decoder(4, 3, 8, likelihood="flow")
    torch.nn.init.normal_(decoder.likelihood.flow.outer.weight)
    x = torch.randn(2, 6, 3)
    known = decoder.read(Context(torch.zeros(2, 6), x, x > 0, torch.tensor([6, 6])))
    decoder(torch.randn(2, 6, 4), torch.randn(2, 6), known).log_prob(x).sum().backward()
    without = {name for name, p in decoder.named_parameters() if not p.grad.any()}
    assert without == set()


def test_known_noise_is_refused():
    decoder, x = Decoder(4, 2, likelihood="flow", rule=None), torch.zeros(1, 1, 2)
    known = decoder.read(Context(torch.zeros(1, 1), x, x > 0, torch.tensor([0])))
    with pytest.raises(ValueError, match="known noise needs a Gaussian or StudentTNoise"):
        decoder(torch.zeros(1, 1, 4), torch.zeros(1, 1), known, noise=x)


def test_one_that_is_told_too_little_is_refused():
    with pytest.raises(
        ValueError, match=r"reads 6 numbers .* told 4\.\nFix: FlowLikelihood\(2, 6"
    ):
        Decoder(4, 2, likelihood=FlowLikelihood(2, 4), n_controls=2)


def test_points_of_the_base_are_always_the_same_and_come_in_opposite_pairs():
    points = standard_points(32, 5)
    assert torch.equal(points, standard_points(32, 5))
    assert torch.equal(points[:16], -points[16:])
