"""What changes along the paths of a flow: points, volumes around them, and what they cost."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentode.nn.divergence import with_product, with_trace

Rates = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


def rademacher(z: Tensor) -> Tensor:
    """Draw -1 or 1 with equal probability for every entry: the least variance for a trace.

    Parameters
    ----------
    z : Tensor
        Whose shape, type and device to take.

    Returns
    -------
    Tensor
        The draws.

    Examples
    --------
    >>> import torch
    >>> rademacher(torch.zeros(3, 2)).abs().unique()
    tensor([1.])
    """
    return torch.randint_like(z, 2) * 2 - 1


NOISES: dict[str, Callable[[Tensor], Tensor]] = {
    "rademacher": rademacher,
    "gaussian": torch.randn_like,
}


class Carried(NamedTuple):
    """Points carried along a flow.

    Attributes
    ----------
    z : Tensor of shape (B, D)
        Where they arrive.
    log_det : Tensor of shape (B,)
        Logarithm of the determinant of dz / dz(start): the integral of the trace.
    n_f_evals : Tensor of shape (B,)
        Evaluations of the field.
    """

    z: Tensor
    log_det: Tensor
    n_f_evals: Tensor


class Costs(NamedTuple):
    """Points carried along a flow, and what their paths cost.

    Attributes
    ----------
    z, log_det, n_f_evals : Tensor
        As in `Carried`.
    kinetic : Tensor of shape (B,)
        Integral of the square of the length of dz/dt: 0 where nothing moves.
    jacobian : Tensor of shape (B,)
        Integral of the square of the Frobenius norm of df/dz, estimated by one direction a path.
    """

    z: Tensor
    log_det: Tensor
    n_f_evals: Tensor
    kinetic: Tensor
    jacobian: Tensor


def exact_rates(field: Any, context: Tensor | None) -> Rates:  # noqa: ANN401
    """Give the rates of points and of the logarithms of volumes around them."""
    return lambda t, state: with_trace(field, t, state[0], context)


def estimated_rates(field: Any, v: Tensor, context: Tensor | None) -> Rates:  # noqa: ANN401
    """Give the same by Hutchinson's estimate from directions v (B, D)."""

    def rates(t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        rate, product = with_product(field, t, state[0], v, context)
        return rate, (v * product).sum(1)

    return rates


def rates_with_costs(
    field: Any,  # noqa: ANN401
    v: Tensor,
    context: Tensor | None,
    *,
    exact: bool,
) -> Rates:
    """Give the rates of points, volumes, kinetic energy and Jacobian's norm."""

    def rates(t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        rate, product = with_product(field, t, state[0], v, context)
        trace = (v * product).sum(1)
        if exact:
            trace = with_trace(field, t, state[0], context).trace
        return rate, trace, rate.square().sum(1), product.square().sum(1)

    return rates
