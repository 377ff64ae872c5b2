"""Carry points along a flow over a few steps that all of them share, for training.

On a grid the times of all evaluations are known beforehand, and are the same for all points: what
a field makes of time is computed once, and the gradient of the whole path is one function.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor

from latentode.nn.flow_fields import FlowField, Layers
from latentode.nn.flow_rates import Rates

# How far a time of the grid may stand from its place, in spacings.
_MOVED = 0.4


def drawn_grid(n_steps: int, t0: float, t1: float, like: Tensor) -> Tensor:
    """Draw times from t0 to t1, the inner ones near those of equal steps.

    A field that is trained over the same few steps learns to exploit their error: its density
    is then none. Over steps that are drawn anew each time, it cannot.

    Parameters
    ----------
    n_steps : int
        Number of steps N.
    t0, t1 : float
        Where they begin and end.
    like : Tensor
        Whose type and device to take.

    Returns
    -------
    Tensor of shape (N + 1,)
        The times.

    Examples
    --------
    >>> import torch
    >>> drawn_grid(4, 1.0, 0.0, torch.zeros(1))[[0, -1]]
    tensor([1., 0.])
    """
    share = torch.arange(n_steps + 1, dtype=like.dtype, device=like.device)
    share[1:-1] += _MOVED * (2 * torch.rand_like(share[1:-1]) - 1)
    return t0 + (t1 - t0) * (share / n_steps)


def carried_on_grid(rates: Rates, state: tuple[Tensor, ...], ts: Tensor) -> tuple[Tensor, ...]:
    """Carry a state over steps of the classical Runge-Kutta method of order 4.

    Parameters
    ----------
    rates : callable
        Rates of change of all parts, as a function of t (B,) and the parts.
    state : tuple of Tensors of shape (B, ...)
        The parts.
    ts : Tensor of shape (N + 1,)
        Times where steps begin and end.

    Returns
    -------
    tuple of Tensors
        The parts at the last time.

    Examples
    --------
    >>> import torch
    >>> ts = torch.linspace(0, 1, 5)
    >>> carried_on_grid(lambda t, y: (-y[0],), (torch.ones(1),), ts)[0].round(decimals=4)
    tensor([0.3679])
    """

    def moved(by: tuple[Tensor, ...], h: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.addcmul(y, h, k) for y, k in zip(state, by, strict=True))

    for t, t1 in pairwise(ts):
        h = t1 - t
        start, middle, end = (x.expand(len(state[0])) for x in (t, t + h / 2, t1))
        k1 = rates(start, state)
        k2 = rates(middle, moved(k1, h / 2))
        k3 = rates(middle, moved(k2, h / 2))
        k4 = rates(end, moved(k3, h))
        mean = ((a + 2 * (b + c) + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4, strict=True))
        state = moved(tuple(mean), h)
    return state


def has_products(field: object) -> TypeGuard[FlowField]:
    """Say whether `density_on_grid` is for a field."""
    return type(field) is FlowField and len(field.inner) == 2


def density_on_grid(field: FlowField, z: Tensor, ts: Tensor) -> tuple[Tensor, Tensor]:
    """Give what `carried_on_grid` gives for a field of two hidden layers and its divergence.

    The gradient is computed by hand, from the evaluations alone, in a fraction of the time.

    Parameters
    ----------
    field : FlowField
        The field, with two hidden layers and no context.
    z : Tensor of shape (B, D)
        Points at the first time.
    ts : Tensor of shape (N + 1,)
        Times where steps begin and end.

    Returns
    -------
    Tensor of shape (B, D)
        The points at the last time.
    Tensor of shape (B,)
        Integrals of the divergence along their paths.

    Examples
    --------
    >>> import torch
    >>> z, log_det = density_on_grid(FlowField(2), torch.randn(5, 2), torch.linspace(1, 0, 5))
    >>> z.shape, log_det.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """
    times = torch.stack([ts[:-1], (ts[:-1] + ts[1:]) / 2], dim=1).flatten()
    layers = field.at_times(torch.cat([times, ts[-1:]]))
    z1, log_det = _OnGrid.apply(z, ts.diff().tolist(), *layers)
    return z1, log_det


class _Passed(NamedTuple):
    """What the products of an evaluation need.

    The time it was at, by its number; where it was (B, D), the hidden layers and their slopes
    (B, H), and what the first slopes give for the second (B, H).
    """

    time: int
    z: Tensor
    a1: Tensor
    a2: Tensor
    slope1: Tensor
    slope2: Tensor
    q: Tensor


class _OnGrid(torch.autograd.Function):
    """Steps of the Runge-Kutta method of order 4, and their gradient."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        z: Tensor,
        steps: Sequence[float],
        *layers: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Give z (B, D) after the steps, and the integral of the divergence (B,)."""
        of_time = Layers(*layers)
        passes: list[_Passed] = []
        one, log_det = z.new_ones(()), z.new_zeros(len(z))
        for n, h in enumerate(steps):
            k1, d1 = _evaluated(of_time, 2 * n, z, one, passes)
            k2, d2 = _evaluated(of_time, 2 * n + 1, z.add(k1, alpha=h / 2), one, passes)
            k3, d3 = _evaluated(of_time, 2 * n + 1, z.add(k2, alpha=h / 2), one, passes)
            k4, d4 = _evaluated(of_time, 2 * n + 2, z.add(k3, alpha=h), one, passes)
            z = z.add(k2.add_(k3).mul_(2).add_(k1).add_(k4), alpha=h / 6)
            log_det = log_det.add(d2.add_(d3).mul_(2).add_(d1).add_(d4), alpha=h / 6)
        ctx.save_for_backward(*layers)
        ctx.steps, ctx.passes = steps, passes
        return z, log_det

    @staticmethod
    def backward(ctx: Any, adj: Tensor, adj_det: Tensor) -> Any:  # noqa: ANN401
        """Give the gradients of z and the layers."""
        if torch.is_grad_enabled():  # create_graph=True
            raise RuntimeError(
                "paths over shared steps have no second derivative: leave n_steps out."
            )
        of_time = Layers(*ctx.saved_tensors)
        totals = Layers(*map(torch.zeros_like, of_time))
        passes = iter(reversed(ctx.passes))
        for h in reversed(ctx.steps):
            sixth, third = adj_det * (h / 6), adj_det * (h / 3)
            g4 = _pulled(of_time, next(passes), adj * (h / 6), sixth, totals)
            g3 = _pulled(of_time, next(passes), adj * (h / 3) + h * g4, third, totals)
            g2 = _pulled(of_time, next(passes), adj * (h / 3) + h / 2 * g3, third, totals)
            g1 = _pulled(of_time, next(passes), adj * (h / 6) + h / 2 * g2, sixth, totals)
            adj = adj + g1 + g2 + g3 + g4
        return adj, None, *totals


def _evaluated(
    layers: Layers, i: int, z: Tensor, one: Tensor, passes: list[_Passed]
) -> tuple[Tensor, Tensor]:
    """Give the field (B, D) and its divergence (B,) at time number i, and keep the pass."""
    a1 = torch.addmm(layers.shift1[i], z, layers.weight1[i].mT).tanh_()
    a2 = torch.addmm(layers.shift2[i], a1, layers.weight2[i].mT).tanh_()
    slope1 = torch.addcmul(one, a1, a1, value=-1)
    slope2 = torch.addcmul(one, a2, a2, value=-1)
    q = slope1 @ layers.form[i]
    passes.append(_Passed(i, z, a1, a2, slope1, slope2, q))
    return torch.addmm(layers.shift3, a2, layers.weight3.mT), torch.linalg.vecdot(q, slope2)


def _pulled(layers: Layers, at: _Passed, v: Tensor, adj_trace: Tensor, totals: Layers) -> Tensor:
    """Pull cotangents of the field (B, D) and the divergence (B,) back to z (B, D).

    With d tanh' = -2 tanh tanh' for the slopes, which the divergence depends on.
    """
    i, adj_trace = at.time, adj_trace[:, None]
    adj_q = adj_trace * at.slope2
    adj2 = torch.addcmul(v @ layers.weight3, at.a2, adj_trace * at.q, value=-2).mul_(at.slope2)
    adj_slope1 = adj_q @ layers.form[i].mT
    adj1 = torch.addcmul(adj2 @ layers.weight2[i], at.a1, adj_slope1, value=-2).mul_(at.slope1)
    totals.weight1[i].addmm_(adj1.mT, at.z)
    totals.shift1[i].add_(adj1.sum(0))
    totals.weight2[i].addmm_(adj2.mT, at.a1)
    totals.shift2[i].add_(adj2.sum(0))
    totals.weight3.addmm_(v.mT, at.a2)
    totals.shift3.add_(v.sum(0))
    totals.form[i].addmm_(at.slope1.mT, adj_q)
    return adj1 @ layers.weight1[i]
