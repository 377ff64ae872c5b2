"""What an encoder reads, whatever its reader and its anchor, and what must not matter to it."""

import itertools
from functools import partial

import pytest
import torch

from latentode.nn import Context, Encoder, GRUReader
from latentode.nn.encoder import ANCHORS, READERS

# Handed in ready-made, beside those that are known by name.
MADE = {
    f"gru-{direction}-{n}-at-once": partial(GRUReader, direction=direction, n_at_once=n)
    for direction, n in [("forward", 2), ("backward", 4), ("both", 3)]
}


def cases():
    for reader, anchor in itertools.product([*READERS, *MADE], ANCHORS):
        for n_heads in (0, 2):
            yield pytest.param(
                {"reader": reader, "anchor": anchor, "n_heads": n_heads},
                id=f"{reader}-{anchor}-{n_heads}",
            )


@pytest.fixture(params=cases())
def encoder(request):
    options = dict(request.param)
    if options["reader"] in MADE:
        options["reader"] = MADE[options["reader"]](3, 8)
    return Encoder(3, 4, 8, **options).eval()


def at_rows(q, anchor, length):
    """Leave out what q says of padding."""
    return (q.mean[:length], q.stddev[:length]) if anchor == "rows" else (q.mean, q.stddev)


def test_padding_and_batch_mates_change_nothing(encoder, contexts):
    parts = [contexts.series(n, seed=n) for n in (2, 5, 9)]
    together = encoder(contexts.together(parts))
    for i, part in enumerate(parts):
        alone, n = encoder(part), int(part.lengths)
        for name in ("mean", "stddev"):
            mine = getattr(together, name)[i]
            mine = mine[:n] if encoder.anchor == "rows" else mine
            torch.testing.assert_close(mine, getattr(alone, name)[0], rtol=1e-4, atol=1e-5)


def test_values_that_were_not_observed_are_not_read(encoder, contexts):
    context = contexts.series(6)
    other = Context(
        context.t, torch.where(context.mask, context.x, 99.0), context.mask, context.lengths
    )
    torch.testing.assert_close(encoder(other).mean, encoder(context).mean)


def test_a_series_without_rows_gives_the_prior(encoder, contexts):
    q = encoder(contexts.nothing())
    assert torch.equal(q.mean, torch.zeros_like(q.mean))
    assert torch.equal(q.stddev, torch.ones_like(q.stddev))


def test_gradients_reach_every_parameter_and_are_finite(encoder, contexts):
    # A variable never seen, a series of one row and one of none must not make NaN of any.
    parts = [contexts.series(7), contexts.series(1, seed=1), contexts.nothing()]
    q = encoder(contexts.together(parts))
    (q.mean.square().sum() + q.stddev.log().sum()).backward()
    for name, p in encoder.named_parameters():
        assert p.grad is not None and p.grad.abs().sum() > 0, name
        assert p.grad.isfinite().all(), name


def test_every_observation_counts(encoder, contexts):
    context = contexts.series(6)
    before = encoder(context).mean
    # The first row: for a state at every row and a reader that looks back, it counts for all.
    x = context.x.clone()
    i, j, k = context.mask.nonzero()[0].tolist()
    x[i, j, k] += 0.5
    after = encoder(Context(context.t, x, context.mask, context.lengths)).mean
    assert (after - before).abs().max() > 1e-6


def test_an_outlier_moves_it_no_further_than_five_deviations(encoder, contexts):
    context = contexts.series(6)
    i, j, k = context.mask.nonzero()[0].tolist()
    means = []
    for outlier in (6.0, 6000.0):
        x = context.x.clone()
        x[i, j, k] = outlier
        means.append(encoder(Context(context.t, x, context.mask, context.lengths)).mean)
    # The spread of a variable is its own deviation from a mean that the outlier moves.
    torch.testing.assert_close(means[0], means[1], rtol=0, atol=2.0)


def test_the_anchor_is_where_it_says(contexts):
    t = contexts.series(4).t
    assert Encoder(3, 4, anchor="end").anchor_time(t).tolist() == [0.0]
    assert torch.equal(Encoder(3, 4, anchor="start").anchor_time(t), t[:, 0])
    assert torch.equal(Encoder(3, 4, anchor="rows").anchor_time(t), t)


def test_a_reader_may_be_handed_in_ready_made(contexts):
    encoder = Encoder(3, 4, reader=GRUReader(3, 5, direction="both", n_frequencies=2))
    assert encoder(contexts.series(4)).mean.shape == (1, 4)


def test_a_forward_reader_does_not_look_ahead(contexts):
    encoder = Encoder(3, 4, 8, anchor="rows").eval()
    context = contexts.series(6)
    x = context.x.clone()
    x[:, 4:] += 1.0
    other = Context(context.t, x * context.mask, context.mask, context.lengths)
    torch.testing.assert_close(encoder(other).mean[:, :4], encoder(context).mean[:, :4])


def test_rows_that_are_read_at_once_take_so_many_fewer_steps(contexts):
    reader, steps = GRUReader(3, 5, direction="both", n_at_once=4), []
    for gru in (reader.forward_gru, reader.backward_gru):
        gru.register_forward_hook(lambda gru, rows, _: steps.append(rows[0].shape[1]))
    states = reader(contexts.series(9)).states
    assert steps == [3, 3]
    assert states.shape == (1, 9, 10)
    forward, backward = states[0].split(5, dim=1)
    # Groups begin where reading does, and the last one is what is left.
    assert len(forward.unique_consecutive(dim=0)) == 3
    assert torch.equal(forward[0], forward[3]) and not torch.equal(forward[3], forward[4])
    assert torch.equal(backward[8], backward[5]) and not torch.equal(backward[5], backward[4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anchor": "middle"}, "anchor=middle is not known: choose one of end, start, rows"),
        ({"reader": "lstm"}, "reader=lstm is not known: choose one of gru, gru-backward"),
    ],
)
def test_unknown_choices_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Encoder(3, 4, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "sideways"}, "direction=sideways is not known"),
        ({"n_at_once": 0}, "n_at_once=0 must be a whole number of at least 1"),
    ],
)
def test_options_of_a_gru_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GRUReader(3, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_size": 0}, "latent_size=0 must be a whole number of at least 1"),
        ({"hidden_size": 0}, "hidden_size=0 must be a whole number of at least 1"),
        ({"n_heads": -1}, "n_heads=-1 must be a whole number of at least 0"),
        ({"n_hidden": 1.5}, r"n_hidden=1\.5 must be a whole number of at least 0"),
        ({"dropout": 1.0}, r"dropout=1\.0 must be at least 0 and less than 1"),
    ],
)
def test_bad_sizes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Encoder(3, **{"latent_size": 4, **options})
