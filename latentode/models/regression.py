"""Regression before training: what a linear rule finds out need not be learned by descent."""

from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import NamedTuple, Self

import torch
from torch import Tensor

from latentode.data import Batch
from latentode.models.latent_model import LatentModel
from latentode.models.objectives import values_of
from latentode.nn import Fading, Where
from latentode.nn.corrections import growth

_PENALTIES = tuple(10.0**k for k in range(-1, 7))


class Moments(NamedTuple):
    """Sums over the examples of each variable: of a batch in its own precision, then in float64.

    Attributes
    ----------
    xx : Tensor of shape (D, F, F)
        Products of two features.
    xy : Tensor of shape (D, F)
        Products of a feature and the target.
    yy : Tensor of shape (D,)
        Squares of the target.
    """

    xx: Tensor
    xy: Tensor
    yy: Tensor

    def __add__(self, other: tuple[Tensor, ...]) -> Self:  # type: ignore[override]
        """Give the sums over both sets of examples."""
        return type(self)(*(a + b for a, b in zip(self, other, strict=True)))

    def weights(self, penalty: Tensor) -> Tensor:
        """Give the weights (D, F) of ridge regression, with a penalty (D,) or for all."""
        ridge = penalty[..., None, None] * torch.eye(self.xx.shape[1], dtype=self.xx.dtype)
        factor = torch.linalg.cholesky(self.xx + ridge)
        return torch.cholesky_solve(self.xy[..., None], factor)[..., 0]

    def error(self, weights: Tensor) -> Tensor:
        """Give the squared error (D,) of weights (D, F), summed over the examples."""
        fitted = torch.einsum("df,dfg,dg->d", weights, self.xx, weights)
        return fitted - 2 * (weights * self.xy).sum(-1) + self.yy


def fit_corrections(model: LatentModel, first: Iterable[Batch], second: Iterable[Batch]) -> None:
    """Fit the corrections of a model's rule to what the rule leaves of the values that follow.

    The penalty of each variable is chosen by cross-validation between two halves, among them one
    so large that the rule stays as it is. No series may be in both: what was learned of a series
    by heart would seem to hold for others.

    Parameters
    ----------
    model : LatentModel
        Its decoder starts from `Fading`; any other is left alone.
    first, second : iterable of Batch
        What training asks of one half of the series, and of the other; see
        `SeriesDataModule.halves`. Nothing is fitted if either has no batch.
    """
    rule = getattr(model.decoder, "rule", None)
    if not isinstance(rule, Fading):
        return
    one, other = _total(rule, first), _total(rule, second)
    if one is None or other is None:
        return
    penalties = torch.tensor(_PENALTIES, dtype=torch.float64)
    errors = torch.stack([
        one.error(other.weights(penalty)) + other.error(one.weights(penalty))
        for penalty in penalties
    ])
    whole, best = one + other, errors.argmin(dim=0)
    chosen = whole.weights(penalties[best])
    helps = errors.amin(dim=0) < whole.yy
    rule.corrections.set_weights(torch.where(helps[:, None], chosen, 0.0).float())


@torch.no_grad()
def _total(rule: Fading, batches: Iterable[Batch]) -> Moments | None:
    """Give the sums over all batches, if there are any."""
    sums = (moments(rule, batch) for batch in batches)
    first = next(sums, None)
    return None if first is None else reduce(add, sums, first)


def moments(rule: Fading, batch: Batch) -> Moments:
    """Give the sums over the values asked after the context of a batch."""
    known = rule.read(batch.context)
    where = values_of(batch)
    where = Where(*(index[batch.ts[where.series, where.time] > 0] for index in where))
    y = batch.targets[where] - rule(known, batch.ts, where)
    numbers = rule.corrections.numbers(known).transpose(0, 1)
    n_variables, n_series, width = numbers.shape
    # All values of a series and a variable share their numbers: they are summed up before.
    cell = where.variable * n_series + where.series
    grown = growth(batch.ts)[where.series, where.time]
    parts = torch.stack([torch.ones_like(y), grown, grown.square(), y, grown * y], dim=-1)
    sums = y.new_zeros(n_variables * n_series, 5).index_add(0, cell, parts)
    sums = sums.unflatten(0, (n_variables, n_series))
    xx = y.new_zeros(n_variables, 2 * width, 2 * width)
    for i, j in ((0, 0), (0, 1), (1, 1)):
        block = (sums[..., i + j, None] * numbers).mT @ numbers
        for a, b in {(i, j), (j, i)}:
            xx[:, a * width : (a + 1) * width, b * width : (b + 1) * width] = block
    xy = (sums[..., 3:].mT @ numbers).flatten(1)
    yy = y.new_zeros(n_variables).index_add(0, where.variable, y.square())
    return Moments(xx.double(), xy.double(), yy.double())
