"""Contexts to read, for the tests of all who read them."""

from types import SimpleNamespace

import pytest
import torch

from latentode.nn import Context

FIELDS = ("t", "x", "mask", "lengths")


def series(n_rows, n_features=3, seed=0):
    """Give a series of random rows at random times."""
    random = torch.Generator().manual_seed(seed)
    t = torch.rand(1, n_rows, generator=random).cumsum(1)
    mask = torch.rand(1, n_rows, n_features, generator=random) < 0.7
    mask[:, 0, 0] = True
    x = torch.randn(1, n_rows, n_features, generator=random) * mask
    return Context(t - t[:, -1:], x, mask, torch.tensor([n_rows]))


def nothing(n_features=3):
    """Give a series without a row."""
    x = torch.zeros(1, 1, n_features)
    return Context(torch.zeros(1, 1), x, x.bool(), torch.tensor([0]))


def padded(context, n_rows):
    """Pad as batches are: by repeating the last time, with nothing observed."""
    more = n_rows - context.t.shape[1]
    t = torch.cat([context.t, context.t[:, -1:].expand(-1, more)], dim=1)
    rest = torch.zeros(len(t), more, context.x.shape[2])
    x, mask = torch.cat([context.x, rest], 1), torch.cat([context.mask, rest.bool()], 1)
    return Context(t, x, mask, context.lengths)


def together(contexts):
    """Put several series into one batch."""
    n_rows = max(context.t.shape[1] for context in contexts) + 2
    parts = [padded(context, n_rows) for context in contexts]
    return Context(*(torch.cat([getattr(p, name) for p in parts]) for name in FIELDS))


@pytest.fixture
def contexts():
    """Give the functions of this file."""
    return SimpleNamespace(series=series, nothing=nothing, padded=padded, together=together)
