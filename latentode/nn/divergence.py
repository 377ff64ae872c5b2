"""The divergence of a vector field, tr(df/dz): exact, or from one random direction."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor


class Traced(NamedTuple):
    """A field and its divergence.

    Attributes
    ----------
    rate : Tensor of shape (B, D)
        The field, dz/dt.
    trace : Tensor of shape (B,)
        The trace of its Jacobian for z.
    """

    rate: Tensor
    trace: Tensor


class Product(NamedTuple):
    """A field and the product of its Jacobian with a direction.

    Attributes
    ----------
    rate : Tensor of shape (B, D)
        The field, dz/dt.
    product : Tensor of shape (B, D)
        ``J v``, or ``v J``: for a random v they serve the same ends.
    """

    rate: Tensor
    product: Tensor


@runtime_checkable
class FieldWithTrace(Protocol):
    """A field that knows its divergence and its Jacobian's products in closed form."""

    def with_trace(self, t: Tensor, z: Tensor, context: Tensor | None = None) -> Traced:
        """Give the field and its divergence at times t (B,) and states z (B, D)."""
        ...

    def with_product(
        self, t: Tensor, z: Tensor, v: Tensor, context: Tensor | None = None
    ) -> Product:
        """Give the field and the product of its Jacobian with directions v (B, D)."""
        ...


def with_trace(field: Any, t: Tensor, z: Tensor, context: Tensor | None = None) -> Traced:  # noqa: ANN401
    """Give a field and its exact divergence, in closed form if the field knows one.

    Any other field is differentiated by autograd once for each of the D variables.

    Parameters
    ----------
    field : callable
        dz/dt (B, D) as a function of t (B,) and z (B, D), and of the context where there is one.
    t : Tensor of shape (B,)
        Times.
    z : Tensor of shape (B, D)
        States.
    context : Tensor of shape (B, C), optional
        What the field is told.

    Returns
    -------
    Traced
        The field and its divergence.

    Examples
    --------
    >>> import torch
    >>> with_trace(lambda t, z: z**2, torch.zeros(1), torch.tensor([[1.0, 3.0]])).trace.detach()
    tensor([8.])
    """
    if isinstance(field, FieldWithTrace):
        return field.with_trace(t, z, context)

    def of_graph(z: Tensor, rate: Tensor) -> Tensor:
        rows = [_pulled_back(rate[:, i].sum(), z)[:, i] for i in range(z.shape[1])]
        return torch.stack(rows).sum(0)

    return Traced(*_by_autograd(field, t, z, context, of_graph))


def with_product(
    field: Any,  # noqa: ANN401
    t: Tensor,
    z: Tensor,
    v: Tensor,
    context: Tensor | None = None,
) -> Product:
    """Give a field and the product of its Jacobian with a direction, at the cost of one more.

    For v of mean zero and unit covariance, ``sum(v * product)`` estimates the trace of the
    Jacobian, and ``sum(product**2)`` the square of its Frobenius norm, without bias.

    Parameters
    ----------
    field : callable
        dz/dt (B, D) as a function of t (B,) and z (B, D), and of the context where there is one.
    t : Tensor of shape (B,)
        Times.
    z : Tensor of shape (B, D)
        States.
    v : Tensor of shape (B, D)
        Directions.
    context : Tensor of shape (B, C), optional
        What the field is told.

    Returns
    -------
    Product
        The field and the product.

    References
    ----------
    Hutchinson (1989), A stochastic estimator of the trace of the influence matrix. Grathwohl et
    al. (2019), FFJORD, equation 7.

    Examples
    --------
    >>> import torch
    >>> z, v = torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, -1.0]])
    >>> with_product(lambda t, z: z**2, torch.zeros(1), z, v).product.detach()
    tensor([[ 2., -6.]])
    """
    if isinstance(field, FieldWithTrace):
        return field.with_product(t, z, v, context)
    return Product(*_by_autograd(field, t, z, context, lambda z, rate: _pulled_back(rate, z, v)))


def _by_autograd(
    field: Any,  # noqa: ANN401
    t: Tensor,
    z: Tensor,
    context: Tensor | None,
    of_graph: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Give the field and what its graph tells, with a graph only where one is being built."""
    has_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        rate = field(t, z) if context is None else field(t, z, context)
        found = of_graph(z, rate)
    return (rate, found) if has_graph else (rate.detach(), found.detach())


def _pulled_back(rate: Tensor, z: Tensor, v: Tensor | None = None) -> Tensor:
    if not rate.requires_grad:  # the field is constant
        return torch.zeros_like(z)
    (found,) = torch.autograd.grad(
        rate, z, v, create_graph=True, allow_unused=True, materialize_grads=True
    )
    return found
