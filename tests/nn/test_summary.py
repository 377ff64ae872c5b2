"""Summaries of a context, against plain arithmetic."""

import pytest
import torch

from latentode.nn import summarise


def test_they_are_those_of_the_observed_values_alone():
    t = torch.tensor([[-2.0, -1.0, -0.5, 0.0]])
    x = torch.tensor([[[1.0, 7.0], [9.0, 3.0], [2.0, 0.0], [0.0, 0.0]]])
    mask = torch.tensor([[[True, False], [False, True], [True, False], [False, False]]])
    known = summarise(t, x * mask, mask)
    assert known.last.tolist() == [[2.0, 3.0]]
    assert known.age.tolist() == [[0.5, 1.0]]
    assert known.mean.tolist() == [[1.5, 3.0]]
    assert known.n_observed.tolist() == [[2.0, 1.0]]


def test_the_slope_is_that_of_a_line():
    t = torch.linspace(-3, 0, 50)[None]
    x = (2 * t + 1)[..., None]
    slope = summarise(t, x, torch.ones_like(x).bool()).slope
    assert slope.item() == pytest.approx(2, rel=1e-2)


def test_one_value_has_no_slope():
    t, x = torch.zeros(1, 1), torch.full((1, 1, 1), 5.0)
    assert summarise(t, x, torch.ones_like(x).bool()).slope.item() == 0


def test_a_variable_that_was_never_observed_is_old_and_zero():
    t, x = torch.tensor([[-1.0, 0.0]]), torch.zeros(1, 2, 1)
    known = summarise(t, x, x.bool())
    assert [float(part) for part in known] == [0.0, 2.0, *[0.0] * 9]


def test_padding_changes_nothing():
    t, x = torch.tensor([[-1.0, 0.0]]), torch.tensor([[[1.0], [2.0]]])
    mask = torch.ones_like(x).bool()
    longer = summarise(
        torch.cat([t, t[:, -1:]], 1),
        torch.cat([x, x[:, :1] * 0], 1),
        torch.cat([mask, ~mask[:, :1]], 1),
    )
    for padded, plain in zip(longer, summarise(t, x, mask), strict=True):
        torch.testing.assert_close(padded, plain)


def test_the_recent_mean_follows_what_is_recent():
    t = torch.linspace(-1, 0, 101)[None]
    x = (t > -0.05).float()[..., None]
    known = summarise(t, x, torch.ones_like(x).bool())
    assert known.mean.item() < 0.06
    assert known.recent.item() > 0.4


def test_the_range_and_the_spread_are_those_of_the_values():
    x = torch.tensor([[[3.0], [-1.0], [4.0]]])
    known = summarise(torch.tensor([[-1.0, -0.5, 0.0]]), x, torch.ones_like(x).bool())
    assert (known.low.item(), known.high.item()) == (-1.0, 4.0)
    assert known.spread.item() == pytest.approx(x.std(correction=0).item(), rel=1e-6)
