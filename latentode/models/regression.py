"""Regression before training: what a linear rule finds out need not be learned by descent."""

from collections.abc import Iterable
from typing import NamedTuple, Self

import torch
from torch import Tensor

from latentode.data import Batch
from latentode.models.latent_model import LatentModel
from latentode.models.objectives import values_of
from latentode.nn import Fading, Where

_PENALTIES = tuple(10.0**k for k in range(-1, 7))


class Moments(NamedTuple):
    """Sums over the examples of each variable, in float64.

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

    def weights(self, penalty: float) -> Tensor:
        """Give the weights (D, F) of ridge regression."""
        ridge = penalty * torch.eye(self.xx.shape[1], dtype=self.xx.dtype)
        return torch.linalg.solve(self.xx + ridge, self.xy)

    def error(self, weights: Tensor) -> Tensor:
        """Give the squared error (D,) of weights (D, F), summed over the examples."""
        fitted = torch.einsum("df,dfg,dg->d", weights, self.xx, weights)
        return fitted - 2 * (weights * self.xy).sum(-1) + self.yy


def fit_corrections(model: LatentModel, batches: Iterable[Batch]) -> None:
    """Fit the corrections of a model's rule to what the rule leaves of the values that follow.

    The penalty of each variable is chosen by cross-validation between two halves of the batches,
    among them one so large that the rule stays as it is.

    Parameters
    ----------
    model : LatentModel
        Its decoder starts from `Fading`; any other is left alone.
    batches : iterable of Batch
        What training asks.
    """
    rule = model.decoder.rule
    if not isinstance(rule, Fading):
        return
    halves: list[Moments | None] = [None, None]
    with torch.no_grad():
        for i, batch in enumerate(batches):
            sums, half = moments(rule, batch), halves[i % 2]
            halves[i % 2] = sums if half is None else half + sums
    first, second = halves
    if first is None or second is None:
        return
    errors = torch.stack([
        first.error(second.weights(penalty)) + second.error(first.weights(penalty))
        for penalty in _PENALTIES
    ])
    whole, best = first + second, errors.argmin(dim=0)
    weights = torch.stack([whole.weights(penalty) for penalty in _PENALTIES])
    chosen = weights[best, torch.arange(len(best))]
    helps = errors.amin(dim=0) < whole.yy
    rule.corrections.set_weights(torch.where(helps[:, None], chosen, 0.0).float())


def moments(rule: Fading, batch: Batch) -> Moments:
    """Give the sums over the values asked after the context of a batch."""
    known = rule.read(batch.context)
    where = values_of(batch)
    where = Where(*(index[batch.ts[where.series, where.time] > 0] for index in where))
    x = rule.corrections.features(known, batch.ts, where).double()
    y = (batch.targets[where] - rule(known, batch.ts, where)).double()
    n_variables, width = batch.x.shape[2], x.shape[1]
    xx, xy = x.new_zeros(n_variables, width, width), x.new_zeros(n_variables, width)
    order = where.variable.argsort(stable=True)
    counts = where.variable.bincount(minlength=n_variables).tolist()
    for d, some in enumerate(order.split(counts)):
        xx[d] = x[some].mT @ x[some]
        xy[d] = x[some].mT @ y[some]
    return Moments(xx, xy, y.new_zeros(n_variables).index_add(0, where.variable, y.square()))
