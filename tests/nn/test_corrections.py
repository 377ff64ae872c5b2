"""What corrections read: bounded numbers, of which padding and missing variables are no part."""

import pytest
import torch

from latentode.nn import Context
from latentode.nn.corrections import own_numbers, shared_numbers
from latentode.nn.summary import summarise

parts = pytest.mark.parametrize("numbers", [own_numbers, shared_numbers])


@parts
def test_they_are_bounded_however_far_values_lie(numbers):
    t, x = torch.tensor([[-1.0, 0.0]]), torch.tensor([[[1e6], [-1e6]]])
    got = numbers(Context(t, x, x != 0, torch.tensor([2])).summary)
    assert got.isfinite().all() and got.abs().max() <= 9


@parts
def test_padding_changes_nothing(numbers):
    t, x = torch.tensor([[-1.0, 0.0]]), torch.tensor([[[1.0], [2.0]]])
    padded = torch.cat([t, t[:, -1:]], dim=1), torch.cat([x, torch.zeros(1, 1, 1)], dim=1)
    whole = numbers(summarise(t, x, x != 0))
    assert torch.equal(numbers(summarise(*padded, padded[1] != 0)), whole)


def test_a_variable_without_observations_has_a_constant_and_nothing_that_others_read():
    x = torch.zeros(1, 2, 1)
    known = Context(torch.tensor([[-1.0, 0.0]]), x, x > 0, torch.tensor([2])).summary
    assert own_numbers(known)[0, 0, -1] == 1
    assert (shared_numbers(known) == 0).all()


def test_numbers_bend_at_knots():
    """The mean of one value is the value: halfway up, its regression may change its slope."""
    x = torch.linspace(-3, 3, 61)[:, None, None]
    own = own_numbers(summarise(torch.zeros(61, 1), x, torch.ones_like(x).bool()))[:, 0]
    slopes = own.diff(dim=0) / 0.1
    assert {0.0, 1.0} <= set(slopes[:, 12].round(decimals=3).tolist())
