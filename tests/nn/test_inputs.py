"""Encoders and decoders that read inputs: every reader, every anchor, every head."""

from dataclasses import replace

import pytest
import torch

from latentode.nn import Context, Controls, Decoder, Encoder
from latentode.nn.context import kept_rows
from latentode.nn.decoder import HEADS
from latentode.nn.encoder import ANCHORS, READERS

every_reader = pytest.mark.parametrize("reader", READERS)
every_anchor = pytest.mark.parametrize("anchor", ANCHORS)
every_head = pytest.mark.parametrize("head", HEADS)


def with_inputs(context, seed=0):
    """Add two controls, with knots before, within and after the rows, and three numbers."""
    random = torch.Generator().manual_seed(seed)
    n = len(context.t)
    t = (4 * torch.rand(n, 6, generator=random) - 3).sort(dim=1).values
    controls = Controls(t, torch.randn(n, 6, 2, generator=random))
    return replace(context, controls=controls, static=torch.randn(n, 3, generator=random))


def together(contexts, parts):
    """Put series with inputs into one batch."""
    whole, padded = contexts.together(parts), [part.controls for part in parts]
    t = torch.cat([torch.cat([c.t, c.t[:, -1:]], 1) for c in padded])
    values = torch.cat([torch.cat([c.values, c.values[:, -1:]], 1) for c in padded])
    static = torch.cat([part.static for part in parts])
    return replace(whole, controls=Controls(t, values), static=static)


def make_encoder(reader, anchor):
    return Encoder(3, 4, 8, reader=reader, anchor=anchor, n_controls=2, n_static=3)


def changed(context, values):
    return replace(context, controls=context.controls._replace(values=values))


@every_reader
@every_anchor
def test_padding_and_batch_mates_change_nothing(reader, anchor, contexts):
    encoder = make_encoder(reader, anchor).eval()
    parts = [with_inputs(contexts.series(n, seed=n), seed=n) for n in (2, 5, 9)]
    whole = encoder(together(contexts, parts)).mean
    for i, part in enumerate(parts):
        mine = whole[i, : int(part.lengths)] if anchor == "rows" else whole[i]
        torch.testing.assert_close(mine, encoder(part).mean[0], rtol=1e-4, atol=1e-5)


@every_reader
@every_anchor
def test_gradients_reach_every_parameter_and_every_input(reader, anchor, contexts):
    encoder = make_encoder(reader, anchor).eval()
    parts = [with_inputs(contexts.series(7)), with_inputs(contexts.nothing(), seed=1)]
    context = together(contexts, parts)
    values, static = context.controls.values.requires_grad_(), context.static.requires_grad_()
    q = encoder(replace(context, controls=Controls(context.controls.t, values), static=static))
    (q.mean.square().sum() + q.stddev.log().sum()).backward()
    for name, p in [("u", values), ("s", static), *encoder.named_parameters()]:
        assert p.grad is not None and p.grad.abs().sum() > 0, name
        assert p.grad.isfinite().all(), name


@every_reader
def test_an_encoder_does_not_look_at_controls_after_the_context(reader, contexts):
    encoder, context = make_encoder(reader, "end").eval(), with_inputs(contexts.series(6))
    later = (context.controls.t > 0)[..., None]
    assert later.any()
    other = changed(context, torch.where(later, 99.0, context.controls.values))
    assert torch.equal(encoder(other).mean, encoder(context).mean)


@every_reader
def test_a_dose_between_two_rows_is_read(reader, contexts):
    encoder, context = make_encoder(reader, "end").eval(), contexts.series(3)
    begin = context.t[:, 1:2]
    t = torch.cat([begin - 9, begin + 0.1 * (0 - begin), begin + 0.2 * (0 - begin)], dim=1)
    means = []
    for dose in (0.0, 5.0):
        values = torch.tensor([[[0.0, 0.0], [dose, 0.0], [0.0, 0.0]]])
        told = replace(context, controls=Controls(t, values), static=torch.zeros(1, 3))
        means.append(encoder(told).mean)
    assert (means[0] - means[1]).abs().max() > 1e-4


@pytest.mark.parametrize("anchor", ["end", "start"])
def test_only_the_distance_in_time_counts(anchor, contexts):
    encoder, context = make_encoder("gru", anchor).eval(), with_inputs(contexts.series(6))
    before, _ = kept_rows(context, torch.ones_like(context.t).bool())
    torch.testing.assert_close(encoder(before).mean, encoder(context).mean)
    less, end = kept_rows(context, context.t < -1.0)
    ts = torch.randn(1, 9)
    torch.testing.assert_close(
        less.controls.at(ts - end[:, None]), context.controls.at(ts), rtol=0, atol=1e-5
    )
    assert torch.equal(less.static, context.static)


@every_head
def test_a_head_reads_controls_and_static_numbers_at_the_times_asked(head, contexts):
    decoder = Decoder(4, 3, head=head, n_controls=2, n_static=3)
    context = with_inputs(contexts.series(5))
    z, ts = torch.zeros(1, 6, 4), torch.linspace(-2, 2, 6)[None]
    mean = decoder(z, ts, decoder.read(context)).mean
    cut = -1.0
    later = (context.controls.t > cut)[..., None]
    other = changed(context, torch.where(later, 9.0, context.controls.values))
    change = (decoder(z, ts, decoder.read(other)).mean - mean).abs().sum(dim=-1)[0]
    expected = (context.controls.at(ts) != other.controls.at(ts)).any(dim=-1)[0]
    assert (change > 1e-6).tolist() == expected.tolist() and expected.any()
    of_another = replace(context, static=context.static + 1)
    assert (decoder(z, ts, decoder.read(of_another)).mean != mean).all()


@every_head
def test_gradients_reach_every_parameter_of_a_decoder(head, contexts):
    decoder = Decoder(4, 3, head=head, n_controls=2, n_static=3)
    known = decoder.read(with_inputs(contexts.series(5)))
    p = decoder(torch.randn(1, 6, 4), torch.rand(1, 6), known)
    (p.mean.square().sum() + p.variance.log().sum()).backward()
    for name, x in decoder.named_parameters():
        assert x.grad is not None and x.grad.abs().sum() > 0, name


@every_reader
def test_a_model_without_inputs_ignores_those_of_the_context(reader, contexts):
    encoder, context = Encoder(3, 4, 8, reader=reader).eval(), contexts.series(5)
    assert torch.equal(encoder(with_inputs(context)).mean, encoder(context).mean)


@every_reader
def test_missing_inputs_are_refused(reader, contexts):
    context: Context = contexts.series(5)
    with pytest.raises(ValueError, match="a reader reads n_controls=2, and the context has 0"):
        make_encoder(reader, "end")(context)
    with pytest.raises(ValueError, match="the encoder reads n_static=3, and the context has 0"):
        Encoder(3, 4, n_static=3)(context)
    with pytest.raises(ValueError, match="the decoder reads n_static=3, and the context has 0"):
        Decoder(4, 3, n_static=3).read(context)
