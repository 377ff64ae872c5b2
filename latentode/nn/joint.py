"""The joint distribution of the variables that are measured at one time of a series."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, constraints
from torch.quasirandom import SobolEngine

from latentode.nn.joint_flow import JointFlow
from latentode.nn.likelihood import Gaussian
from latentode.nn.where import Where
from latentode.solvers.checks import check_sizes

# Points of the base that stand for all of it in a mean and a variance, an even number.
_N_POINTS = 128
_LOG_ROOT = 0.5 * math.log(2 * math.pi)


class FlowLikelihood(nn.Module):
    """Normal distributions whose standard scores, of one time of a series, a flow carries on.

    The values measured together then depend on each other, and may have any shape. The flow is
    told which they are: each set of variables has a density of its own, which integrates to 1, and
    these are not the marginals of one another. To begin with, it is `Gaussian`.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    told_size : int
        Width C of what the flow is told of a row: in a `Decoder`, the latent state, controls and
        numbers that do not change.
    hidden_size : int, default=32
        Width of the field's hidden layer.

    Examples
    --------
    >>> import torch
    >>> from latentode.nn import everywhere
    >>> likelihood, where = FlowLikelihood(2, 3), everywhere(torch.zeros(5, 4), 2)
    >>> p = likelihood(torch.zeros(5, 4, 2, 2), torch.zeros(5, 4, 3), where)
    >>> p.log_prob(torch.zeros(5, 4, 2)).sum(-1).shape
    torch.Size([5, 4])
    """

    bends: Tensor

    def __init__(self, n_features: int, told_size: int, hidden_size: int = 32) -> None:
        super().__init__()
        check_sizes(n_features=n_features, told_size=told_size, hidden_size=hidden_size)
        self.normal = Gaussian(n_features)
        self.flow = JointFlow(n_features, told_size, hidden_size)
        self.register_buffer("bends", torch.ones(n_features, dtype=torch.bool))
        self.n_parameters = self.normal.n_parameters

    def leave_out(self, variables: Tensor) -> None:
        """Leave the normal distributions of some variables (D,) as they are, apart from others."""
        self.bends &= ~variables.to(self.bends.device)

    def forward(self, raw: Tensor, told: Tensor, where: Where) -> "Joint":
        """Give p(x) of the values asked, from their numbers (..., 2) and what is told (B, P, C).

        Where single values are asked, those of one time of a series are one set.
        """
        normal = self.normal(raw, where.variable)
        rows = _rows_of(where, told.shape[1])
        there = rows.put(torch.ones_like(normal.loc, dtype=torch.bool), len(self.bends))
        return Joint(normal, self.flow, rows, told.flatten(0, 1)[rows.number], there & self.bends)


class _Rows(NamedTuple):
    """Rows of a table of times of series.

    Attributes
    ----------
    number : Tensor of shape (R,)
        Which of all times of all series they are.
    row, variable : Tensor of dtype torch.long
        Where in the table each value stands; they broadcast with the values.
    """

    number: Tensor
    row: Tensor
    variable: Tensor

    def put(self, values: Tensor, n_features: int) -> Tensor:
        """Put values into the table (R, D), with zeros between them."""
        table = values.new_zeros(len(self.number), n_features)
        return table.index_put((self.row, self.variable), values)

    def pick(self, table: Tensor) -> Tensor:
        """Give the values again, out of a table (R, D)."""
        return table[self.row, self.variable]


def _rows_of(where: Where, n_times: int) -> _Rows:
    number, row = (where.series * n_times + where.time).unique(return_inverse=True)
    return _Rows(number, row, where.variable)


class Joint(Distribution):
    """The distribution of values of which those of one row depend on each other.

    Its batch shape is that of the values.

    Parameters
    ----------
    normal : Normal
        Location and scale of each value.
    flow : JointFlow
        What carries the standard scores of a row.
    rows : _Rows
        The rows that the values belong to.
    told : Tensor of shape (R, C)
        What the flow is told of each row.
    there : Tensor of shape (R, D), dtype=torch.bool
        Which variables of each row the flow carries.
    """

    arg_constraints = {}  # noqa: RUF012  torch's own name, read by its base class
    support = constraints.real

    def __init__(
        self, normal: Normal, flow: JointFlow, rows: _Rows, told: Tensor, there: Tensor
    ) -> None:
        self._normal, self._flow, self._rows = normal, flow, rows
        self._told, self._there = told, there
        super().__init__(normal.batch_shape, validate_args=False)

    @property
    def n_features(self) -> int:
        """Number of variables D."""
        return self._there.shape[1]

    @property
    def mean(self) -> Tensor:
        """The mean of each value, over points that stand for the base."""
        return self._points().mean(0)

    @property
    def variance(self) -> Tensor:
        """The variance of each value, likewise."""
        return self._points().var(dim=0, correction=0)

    def placed(self, e: Tensor) -> Tensor:
        """Give the values (M, ...) that M points (M, D) of the base become in every row."""
        e = e.to(self._told).expand(len(self._told), *e.shape)
        scores = self._flow(e, self._told, self._there)
        scores = torch.stack([self._rows.pick(table) for table in scores.unbind(1)])
        return self._normal.loc + self._normal.scale * scores

    def of_scores(self, e: Tensor) -> Tensor:
        """Give the values that standard normal numbers of their shape become."""
        table = self._rows.put(e, self.n_features)
        scores = self._flow(table, self._told, self._there)
        return self._normal.loc + self._normal.scale * self._rows.pick(scores)

    def log_prob(self, value: Tensor) -> Tensor:
        """Give the log density of each row, shared out among its values in equal parts.

        So that the parts of a row add up to the log density of all its values; those that are
        NaN are not among them, and have no part. A flow in training gives about that, over few
        steps, less their error.
        """
        came = ~value.isnan().expand(self.batch_shape)
        # What did not come must not reach a gradient either.
        x = torch.where(came, value, self._normal.loc.detach())
        there = self._there & self._rows.put(came, self.n_features)
        scores = torch.where(came, (x - self._normal.loc) / self._normal.scale, 0.0)
        table = self._rows.put(scores, self.n_features)
        back = self._flow.back(table, self._told, there)
        single = -0.5 * self._rows.pick(back.z).square() - self._normal.scale.log() - _LOG_ROOT
        of_values = self._rows.put(torch.where(came, single, 0.0), self.n_features).sum(1)
        counts = self._rows.put(came.to(value), self.n_features).sum(1).clamp(min=1)
        # Else a field learns to be so rough that the error of its steps passes for density.
        log_det = back.log_det - back.error if self._flow.training else back.log_det
        shares = ((of_values + log_det) / counts)[:, None].expand(-1, self.n_features)
        return torch.where(came, self._rows.pick(shares), torch.nan)

    def _points(self) -> Tensor:
        return self.placed(standard_points(_N_POINTS, self.n_features))


def standard_points(n: int, size: int) -> Tensor:
    """Give points that stand for a standard normal distribution, always the same.

    They come in opposite pairs, so that their mean is 0, and have variance 1 in every variable.

    Parameters
    ----------
    n : int
        How many, an even number.
    size : int
        Number of variables D.

    Returns
    -------
    Tensor of shape (n, D), dtype=torch.float64
        The points: the first half, and their opposites in the same order.

    References
    ----------
    Owen (1998), Scrambling Sobol' and Niederreiter-Xing points.

    Examples
    --------
    >>> points = standard_points(256, 3)
    >>> points.mean(0).abs().max() < 1e-9, points.var(0, correction=0).round(decimals=6)
    (tensor(True), tensor([1., 1., 1.], dtype=torch.float64))
    """
    levels = SobolEngine(size, scramble=True, seed=0).draw(n // 2, dtype=torch.float64)
    half = torch.special.ndtri(levels.clamp(1e-6, 1 - 1e-6))
    half = half / half.square().mean(0).sqrt()
    return torch.cat([half, -half])
