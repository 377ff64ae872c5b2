"""What an encoder reads, and what must not matter to it."""

import pytest
import torch

from latentode.nn import GRUEncoder
from latentode.nn.encoder import ages

ANCHORS = ("end", "start")


def series(n_rows, n_features=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    t = torch.rand(1, n_rows, generator=random).cumsum(1)
    mask = torch.rand(1, n_rows, n_features, generator=random) < 0.7
    x = torch.randn(1, n_rows, n_features, generator=random) * mask
    return t - t[:, -1:], x, mask, torch.tensor([n_rows])


def pad(t, x, mask, lengths, *, rows):
    """Pad as batches are: by repeating the last time, with nothing observed."""
    more = rows - t.shape[1]
    t = torch.cat([t, t[:, -1:].expand(-1, more)], dim=1)
    nothing = torch.zeros(1, more, x.shape[2])
    return t, torch.cat([x, nothing], 1), torch.cat([mask, nothing.bool()], 1), lengths


@pytest.fixture(params=ANCHORS)
def encoder(request):
    return GRUEncoder(3, 4, 8, anchor=request.param).eval()


def test_padding_and_batch_mates_change_nothing(encoder):
    parts = [series(n, seed=n) for n in (2, 5, 9)]
    batch = [torch.cat(column) for column in zip(*(pad(*p, rows=11) for p in parts), strict=True)]
    together = encoder(*batch)
    for i, part in enumerate(parts):
        alone = encoder(*part)
        torch.testing.assert_close(together.mean[i], alone.mean[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(together.stddev[i], alone.stddev[0], rtol=1e-5, atol=1e-6)


def test_values_that_were_not_observed_are_not_read(encoder):
    t, x, mask, lengths = series(6)
    assert torch.equal(encoder(t, x, mask, lengths).mean, encoder(t, x, mask, lengths).mean)
    other = torch.where(mask, x, 99.0)
    torch.testing.assert_close(
        encoder(t, other, mask, lengths).mean, encoder(t, x, mask, lengths).mean
    )


def test_a_series_without_rows_gives_the_prior(encoder):
    t, x, mask, _ = series(1)
    q = encoder(t, x * 0, mask & False, torch.tensor([0]))
    assert torch.equal(q.mean, torch.zeros(1, 4))
    assert torch.equal(q.stddev, torch.ones(1, 4))


def test_gradients_reach_every_parameter(encoder):
    q = encoder(*series(7))
    (q.mean.sum() + q.stddev.log().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_every_observation_counts(encoder):
    t, x, mask, lengths = series(6)
    before = encoder(t, x, mask, lengths).mean
    i, j, k = mask.nonzero()[0].tolist()
    x[i, j, k] += 0.5
    assert (encoder(t, x, mask, lengths).mean - before).abs().max() > 1e-5


def test_an_outlier_moves_it_no_further_than_five_deviations(encoder):
    t, x, mask, lengths = series(6)
    i, j, k = mask.nonzero()[0].tolist()
    x[i, j, k] = 6.0
    high = encoder(t, x, mask, lengths).mean
    x[i, j, k] = 6000.0
    assert torch.equal(encoder(t, x, mask, lengths).mean, high)


def test_the_anchor_is_where_it_says():
    t, *_ = series(4)
    assert GRUEncoder(3, 4, anchor="end").anchor_time(t).tolist() == [0.0]
    assert torch.equal(GRUEncoder(3, 4, anchor="start").anchor_time(t), t[:, 0])


def test_an_unknown_anchor_is_refused():
    with pytest.raises(ValueError, match="anchor=middle is not known: choose end or start"):
        GRUEncoder(3, 4, anchor="middle")


def test_ages_do_not_look_ahead():
    t, _, mask, _ = series(9)
    whole = ages(t, mask)
    torch.testing.assert_close(ages(t[:, :5], mask[:, :5]), whole[:, :5])
