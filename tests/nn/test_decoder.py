"""Decoders of every kind, and what must not matter to them."""

import itertools

import pytest
import torch

from latentode.nn import Context, Decoder, Gaussian, VariableTokens, Where
from latentode.nn.decoder import HEADS, RULES
from latentode.nn.likelihood import LIKELIHOODS


def cases():
    for head, rule, likelihood in itertools.product(HEADS, [None, *RULES], LIKELIHOODS):
        options = {"head": head, "rule": rule, "likelihood": likelihood}
        yield pytest.param(options, id=f"{head}-{rule}-{likelihood}")
    yield pytest.param({"head": "variable", "n_attention": 2}, id="attention")


@pytest.fixture(params=cases())
def decoder(request):
    return Decoder(4, 3, 8, **request.param).eval()


@pytest.fixture
def context(contexts):
    return contexts.together([contexts.series(n, seed=n) for n in (1, 4, 9)])


def test_single_values_are_those_of_the_whole(decoder, context):
    z, ts = torch.randn(3, 6, 4), torch.randn(3, 6)
    known = decoder.read(context)
    whole = decoder(z, ts, known)
    where = Where(torch.tensor([0, 2, 2]), torch.tensor([5, 0, 3]), torch.tensor([2, 1, 0]))
    some = decoder(z, ts, known, where)
    assert whole.batch_shape == (3, 6, 3)
    torch.testing.assert_close(some.mean, whole.mean[where])
    torch.testing.assert_close(some.stddev, whole.stddev[where])


def test_padding_and_batch_mates_change_nothing(decoder, contexts):
    parts = [contexts.series(n, seed=n) for n in (2, 4, 9)] + [contexts.nothing()]
    z, ts = torch.randn(4, 6, 4), torch.randn(4, 6)
    whole = decoder(z, ts, decoder.read(contexts.together(parts))).mean
    for i, part in enumerate(parts):
        alone = decoder(z[i : i + 1], ts[i : i + 1], decoder.read(part)).mean
        torch.testing.assert_close(alone[0], whole[i], rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter_and_are_finite(decoder, contexts):
    parts = [contexts.series(7), contexts.series(1, seed=1), contexts.nothing()]
    context = contexts.together(parts)
    z, ts = torch.randn(3, 6, 4), torch.randn(3, 6)
    decoder(z, ts, decoder.read(context)).log_prob(torch.randn(3, 6, 3)).sum().backward()
    for name, p in decoder.named_parameters():
        assert p.grad is not None and p.grad.abs().sum() > 0, name
        assert p.grad.isfinite().all(), name


def test_the_latent_state_counts(decoder, context):
    z, ts = torch.randn(3, 6, 4), torch.randn(3, 6)
    known = decoder.read(context)
    moved = decoder(z + 1, ts, known).mean - decoder(z, ts, known).mean
    assert (moved.abs() > 1e-6).any()


def test_other_variables_matter_with_attention_only(contexts):
    context = contexts.series(6)
    other = contexts.series(6)
    object.__setattr__(other, "x", context.x + context.mask * torch.tensor([0.0, 1.0, 1.0]))
    z, ts = torch.randn(1, 2, 4), torch.randn(1, 2)
    for n_attention, matters in ((0, False), (1, True)):
        decoder = Decoder(4, 3, 8, head="variable", n_attention=n_attention).eval()
        first, second = (decoder(z, ts, decoder.read(c)).mean[..., 0] for c in (context, other))
        assert bool(((first - second).abs() > 1e-6).any()) is matters


def test_interpolation_is_nearly_kept_where_something_was_observed(contexts):
    decoder, context = Decoder(4, 3, rule="interpolating", head="mlp").eval(), contexts.series(6)
    with torch.no_grad():
        decoder.slack.zero_()
        p = decoder(torch.randn(1, 6, 4), context.t, decoder.read(context))
    torch.testing.assert_close(p.mean[context.mask], context.x[context.mask])


def test_a_variable_is_free_in_a_row_that_does_not_have_it(contexts):
    """A row in which others were observed holds back the latent state for these alone."""
    decoder, context = Decoder(4, 3, rule="interpolating", head="mlp").eval(), contexts.series(6)
    mask = context.mask.clone()
    mask[0, 1:5], mask[0, 1:5, 0] = True, False
    gap = Context(context.t, context.x * mask, mask, context.lengths)
    with torch.no_grad():
        decoder.slack.zero_()
        known = decoder.read(gap)
        one, other = (decoder(z, gap.t, known).mean[0, 1:5] for z in torch.randn(2, 1, 6, 4))
    assert ((one - other)[:, 0].abs() > 1e-4).all()
    assert torch.equal(one[:, 1:], other[:, 1:])


def test_the_spread_is_positive_whatever_the_state():
    decoder = Decoder(4, 2, rule=None)
    z, ts = torch.full((1, 1, 4), -1e4), torch.zeros(1, 1)
    x = torch.zeros(1, 1, 2)
    known = decoder.read(Context(ts, x, x > 0, torch.tensor([0])))
    assert (decoder(z, ts, known).stddev >= 0.01).all()


def test_a_likelihood_may_be_handed_in_ready_made():
    assert Decoder(4, 2, likelihood=Gaussian(2, noise="variable")).head.n_parameters == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "deep"}, "head=deep is not known: choose one of linear, mlp, variable"),
        ({"rule": "guess"}, "rule=guess is not known: choose one of fading, interpolating"),
        ({"likelihood": "cauchy"}, "likelihood=cauchy is not known: choose one of gaussian"),
        ({"n_attention": 1}, "n_attention=1 is for head=variable, not linear"),
    ],
)
def test_unknown_choices_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Decoder(4, 3, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size=0 must be a whole number of at least 1"),
        ({"head": "variable", "n_attention": -1}, "n_attention=-1 must be a whole number"),
        ({"dropout": -0.1}, r"dropout=-0\.1 must be at least 0 and less than 1"),
        (
            {"head": "variable", "n_attention": 1, "hidden_size": 30},
            "hidden_size=30 must be a multiple of 4 for attention .*: give 32",
        ),
    ],
)
def test_bad_sizes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Decoder(4, 3, **options)


def test_only_attention_needs_a_width_for_its_heads():
    Decoder(4, 3, 6, head="variable")
    VariableTokens(3, 6)
    with pytest.raises(ValueError, match=r"size=6 must be a multiple of 4 .*: give 8\."):
        VariableTokens(3, 6, n_layers=1)
