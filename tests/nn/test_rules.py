"""Where a decoder starts: what fades, and what is interpolated."""

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from latentode.nn import Context, Fading, Interpolating, Where, everywhere

RULES = {"fading": Fading, "interpolating": Interpolating}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def one(values, times):
    x = torch.tensor(values)[None, :, None]
    t = torch.tensor(times)[None]
    return Context(t, x.nan_to_num(), ~x.isnan(), torch.tensor([len(values)]))


@every_rule
def test_single_values_are_those_of_the_whole(rule, contexts):
    context = contexts.together([contexts.series(n, seed=n) for n in (1, 4, 9)])
    rule = rule(3)
    for p in rule.parameters():
        torch.nn.init.normal_(p)
    ts = torch.randn(3, 6)
    known = rule.read(context)
    whole = rule(known, ts, everywhere(ts, 3))
    where = Where(torch.tensor([0, 2, 2]), torch.tensor([5, 0, 3]), torch.tensor([2, 1, 0]))
    torch.testing.assert_close(rule(known, ts, where), whole[where])
    assert rule.local(known, ts).shape == (3, 6, rule.n_local)


@every_rule
def test_a_series_without_rows_starts_at_the_mean(rule, contexts):
    rule, context = rule(3), contexts.nothing()
    ts = torch.tensor([[0.0, 1.0, -1.0]])
    known = rule.read(context)
    assert torch.equal(rule(known, ts, everywhere(ts, 3)), torch.zeros(1, 3, 3))
    assert rule.local(known, ts).isfinite().all()


@every_rule
def test_padding_and_batch_mates_change_nothing(rule, contexts):
    rule, parts = rule(3), [contexts.series(n, seed=n) for n in (1, 4, 9)]
    ts = torch.randn(3, 6)
    known = rule.read(contexts.together(parts))
    whole, local = rule(known, ts, everywhere(ts, 3)), rule.local(known, ts)
    for i, part in enumerate(parts):
        alone = rule.read(part)
        asked = ts[i : i + 1]
        torch.testing.assert_close(rule(alone, asked, everywhere(asked, 3))[0], whole[i])
        torch.testing.assert_close(rule.local(alone, asked)[0], local[i])


class TestFading:
    def test_it_fades_with_distance_in_both_directions(self):
        rule, context = Fading(1), one([1.0, 0.5, 2.0], [-1.0, -0.5, 0.0])
        ts = torch.tensor([[0.0, 1.0, 5.0, 100.0]])
        values = rule(rule.read(context), ts, everywhere(ts, 1)).flatten()
        assert (values.diff() < 0).all()
        assert values[-1] < 1e-2
        torch.testing.assert_close(
            rule(rule.read(context), -ts, everywhere(ts, 1)).flatten(), values
        )

    def test_it_follows_its_formula(self):
        rule, context = Fading(1), one([1.0, 2.0, float("nan")], [-1.0, -0.4, 0.0])
        ts = torch.tensor([[0.7]])
        rate, half = softplus(torch.tensor(-2.0)), softplus(torch.tensor(1.0))
        expected = 0.2 * 2.0 * torch.exp(-rate * 1.1) + 0.7 * 1.5 * 2 / (2 + half) * torch.exp(
            -rate * 0.7
        )
        value = rule(rule.read(context), ts, everywhere(ts, 1)).squeeze()
        torch.testing.assert_close(value, expected)


class TestInterpolating:
    def test_it_is_linear_interpolation_for_each_variable(self, contexts):
        rule, context = Interpolating(3), contexts.series(12)
        ts = torch.rand(1, 40) * context.t[0, 0]
        got = rule(rule.read(context), ts, everywhere(ts, 3))[0].detach().numpy()
        rate = float(softplus(torch.tensor(-4.0)))
        for d in range(3):
            seen = context.mask[0, :, d]
            t, x = context.t[0, seen].numpy(), context.x[0, seen, d].numpy()
            asked = ts[0].numpy()
            outside = np.maximum(0, np.maximum(t[0] - asked, asked - t[-1]))
            expected = np.interp(asked, t, x) * np.exp(-rate * outside)
            np.testing.assert_allclose(got[:, d], expected, atol=1e-5)

    def test_it_is_exact_where_something_was_observed(self, contexts):
        rule, context = Interpolating(3), contexts.series(12)
        got = rule(rule.read(context), context.t, everywhere(context.t, 3))
        torch.testing.assert_close(got[context.mask], context.x[context.mask])

    def test_what_is_local_vanishes_at_a_row_and_is_one_between(self):
        context = one([1.0, 2.0], [-1.0, 0.0])
        rule, ts = Interpolating(1), torch.tensor([[-1.0, -0.5, 0.0]])
        between = rule.local(rule.read(context), ts)[0, :, 0]
        torch.testing.assert_close(between, torch.tensor([0.0, 1.0, 0.0]))

    def test_it_is_far_between_the_observations_of_a_variable_whatever_rows_have_others(self):
        t = torch.tensor([[-1.0, -0.5, 0.0]])
        x = torch.tensor([[[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
        context, rule = Context(t, x, x > 0, torch.tensor([3])), Interpolating(3)
        ts = torch.tensor([[-0.5, 0.25]])
        got = rule.line(rule.read(context), ts, everywhere(ts, 3)).between[0]
        torch.testing.assert_close(got, torch.tensor([[1.0, 0.0, 1.0], [0.25, 0.75, 1.0]]))

    def test_where_rows_are_complete_that_is_as_for_rows(self, contexts):
        context = contexts.series(12)
        full = Context(context.t, context.x, torch.ones_like(context.mask), context.lengths)
        rule, ts = Interpolating(3), 1.5 * torch.rand(1, 40) * context.t[0, 0] + 0.2
        known = rule.read(full)
        got = rule.line(known, ts, everywhere(ts, 3)).between
        torch.testing.assert_close(got, rule.local(known, ts)[..., :1].expand_as(got))
