"""Objectives: bounds are bounds, and errors are errors."""

import pytest
import torch
from torch.distributions import Normal, StudentT

from latentode.models import ELBO, IWAE, Direct
from latentode.models.objectives import errors
from latentode.nn import QuantileDistribution


def objective_of(model, batch, objective, *, progress=1.0):
    torch.manual_seed(0)
    return objective(model, batch, progress=progress)[0]


class TestBounds:
    @torch.no_grad()
    def test_more_draws_make_a_tighter_bound(self, build, batch):
        model = build("start", rule=None).eval()
        totals = []
        for n in (1, 4, 64):
            torch.manual_seed(0)
            draws = [IWAE(n)(model, batch, progress=1.0)[0].total for _ in range(max(64 // n, 4))]
            totals.append(torch.stack(draws).mean())
        assert totals[0] > totals[1] > totals[2]

    @torch.no_grad()
    def test_one_draw_of_either_bound_has_the_same_mean(self, build, batch):
        model = build("start", rule=None).eval()
        torch.manual_seed(0)
        one = torch.stack([IWAE(1)(model, batch, progress=1.0)[0].total for _ in range(200)])
        elbo = objective_of(model, batch, ELBO(1.0, n_samples=200)).total
        spread = float(one.std() / 200**0.5)
        assert float(one.mean()) == pytest.approx(float(elbo), abs=5 * spread)

    @torch.no_grad()
    @pytest.mark.parametrize("anchor", ["start", "rows"])
    def test_a_flow_that_does_nothing_changes_neither_bound(self, anchor, build, batch):
        plain, flowed = (build(anchor, rule=None, flow=flow).eval() for flow in (False, True))
        torch.nn.init.zeros_(flowed.posterior.flow.field.outer.weight)
        torch.nn.init.zeros_(flowed.posterior.flow.field.outer.bias)
        for objective in (ELBO(1.0, n_samples=6), IWAE(6)):
            of_plain, of_flow = (
                torch.stack([objective(model, batch, progress=1.0)[0].total for _ in range(10)])
                for model in (plain, flowed)
            )
            error = ((of_plain.var() + of_flow.var()) / 10).sqrt()
            assert (of_plain.mean() - of_flow.mean()).abs() < 4 * error

    @torch.no_grad()
    def test_with_a_flow_more_draws_make_a_tighter_bound_than_the_elbo(self, build, batch):
        model = build("start", rule=None, flow=True).eval()
        torch.nn.init.normal_(model.posterior.flow.field.outer.weight, std=0.5)
        totals = []
        for objective in (ELBO(1.0, n_samples=32), IWAE(4), IWAE(32)):
            torch.manual_seed(0)
            draws = [objective(model, batch, progress=1.0)[0].total for _ in range(8)]
            totals.append(torch.stack(draws).mean())
        assert totals[0] > totals[1] > totals[2]

    def test_the_elbo_is_the_fit_and_the_distance_to_the_prior(self, build, batch):
        model = build("start", rule=None)
        losses = objective_of(model, batch, ELBO(0.7))
        assert losses.kl > 0
        torch.testing.assert_close(losses.total, losses.fit + 0.7 * losses.kl)

    def test_the_weight_of_the_prior_rises(self, build, batch):
        model = build("start", rule=None)
        for progress, share in ((0.0, 0.0), (0.1, 0.5), (0.2, 1.0), (0.9, 1.0)):
            losses = objective_of(model, batch, ELBO(2.0, warmup=0.2), progress=progress)
            torch.testing.assert_close(losses.total, losses.fit + 2 * share * losses.kl)

    @pytest.mark.parametrize("objective", [ELBO(1.0, n_samples=3), IWAE(3)])
    @pytest.mark.parametrize("anchor", ["start", "end", "rows"])
    def test_series_do_not_depend_on_each_other(
        self, objective, anchor, build, batch, monkeypatch
    ):
        """The bound of a batch is the mean of its series' bounds, over the values asked."""
        model = build(anchor, rule=None, context_weight=1.0).eval()
        monkeypatch.setattr(
            Normal, "rsample", lambda q, shape: q.mean.expand(*shape, *q.mean.shape)
        )
        with torch.no_grad():
            whole = objective(model, batch, progress=1.0)[0].total
            total, n_values = 0.0, 0
            for i in range(len(batch.t)):
                part = batch.mapped(lambda x, i=i: x[i : i + 1])
                n = int(part.targets_mask.sum())
                total += float(objective(model, part, progress=1.0)[0].total) * n
                n_values += n
        assert float(whole) == pytest.approx(total / n_values, rel=1e-3)


class TestValuesTogether:
    @torch.no_grad()
    def test_before_training_losses_are_those_of_the_normal_distribution(self, build, batch):
        plain, joint = (build(likelihood=name).eval() for name in ("gaussian", "flow"))
        shared = {k: v for k, v in plain.state_dict().items() if ".likelihood." not in k}
        joint.load_state_dict(shared, strict=False)
        for objective in (Direct(), ELBO(n_samples=2), IWAE(2)):
            of_plain, of_joint = (
                objective_of(model, batch, objective).total for model in (plain, joint)
            )
            torch.testing.assert_close(of_joint, of_plain, rtol=1e-6, atol=1e-6)

    @torch.no_grad()
    def test_variables_without_a_weight_do_not_count(self, build, batch):
        weights = torch.tensor([1.0, 0.0])
        model = build(likelihood="flow", variable_weights=weights).eval()
        torch.nn.init.normal_(model.joint.flow.outer.weight)
        other = batch._replace(targets=batch.targets + torch.tensor([0.0, 3.0]))
        before, after = (objective_of(model, some, Direct()).total for some in (batch, other))
        assert before == after

    @torch.no_grad()
    def test_weights_do_not_reward_one_variable_for_another(self, build, batch):
        """The loss is that of whole rows, whatever part of it a variable has."""
        model = build(likelihood="flow", context_weight=1.0).eval()
        torch.nn.init.normal_(model.joint.flow.outer.weight)
        rows = batch.targets_mask.all(-1)
        whole = batch._replace(targets_mask=batch.targets_mask & rows[..., None])
        loss = objective_of(model, whole, Direct()).total
        model.variable_weights[:] = torch.tensor([1.9, 0.1])
        torch.testing.assert_close(objective_of(model, whole, Direct()).total, loss)


class TestErrors:
    @pytest.mark.parametrize("p", [Normal(1.0, 2.0), StudentT(5.0, 1.0, 2.0)])
    def test_the_likelihood_is_that_of_the_distribution(self, p):
        x = torch.tensor([0.0, 3.0])
        torch.testing.assert_close(errors(p, x, "nll"), -p.log_prob(x))

    @pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
    def test_the_mean_follows_its_error_and_the_spread_the_likelihood(self, loss):
        loc, scale = torch.tensor(1.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)
        x = torch.tensor(1.5)
        errors(Normal(loc, scale), x, loss).backward()
        slope = {"mse": -1.0, "mae": -1.0, "huber": -0.5}[loss]
        assert float(loc.grad) == pytest.approx(slope)
        (expected,) = torch.autograd.grad(-Normal(1.0, scale).log_prob(x), scale)
        torch.testing.assert_close(scale.grad, 0.1 * expected)

    def test_the_likelihood_of_a_small_spread_counts_as_little_as_the_error(self):
        slopes = []
        for size in (1e-3, 1e-1):
            scale = torch.tensor(size, requires_grad=True)
            errors(Normal(0.0, scale), torch.tensor(2 * size), "mse").backward()
            slopes.append(float(scale.grad) / size)
        assert slopes[0] == pytest.approx(slopes[1], rel=1e-4)

    def test_quantiles_are_trained_by_likelihood(self):
        p = QuantileDistribution(torch.arange(3.0), torch.tensor([0.25, 0.5, 0.75]))
        with pytest.raises(ValueError, match="train it with loss=nll"):
            errors(p, torch.tensor(0.0), "mse")

    def test_an_unknown_loss_is_refused(self):
        with pytest.raises(ValueError, match="loss=rmse is not known: choose one of nll, mse"):
            Direct("rmse")


@pytest.mark.parametrize(
    ("objective", "options", "message"),
    [
        (ELBO, {"kl_weight": -1.0}, r"kl_weight=-1\.0 must be a number of at least 0"),
        (ELBO, {"warmup": 1.5}, r"warmup=1\.5 must be at least 0 and at most 1"),
        (ELBO, {"n_samples": 0}, "n_samples=0 must be a whole number of at least 1"),
        (IWAE, {"n_samples": 2.5}, r"n_samples=2\.5 must be a whole number of at least 1"),
    ],
)
def test_bad_options_are_refused(objective, options, message):
    with pytest.raises(ValueError, match=message):
        objective(**options)
