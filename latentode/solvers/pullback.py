"""The vector-Jacobian products of a field, and of the stages of an explicit step."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import _engine_run_backward

from latentode.solvers.explicit import Field, Method
from latentode.solvers.fields import AnalyticField

# Rows of evaluations whose products for the parameters are computed at once. Of small batches,
# that saves calls; of larger ones, it would only cost the time to join them.
_ROWS_AT_ONCE = 1000


class Evaluation(NamedTuple):
    """An evaluation of a field, through which cotangents can be pulled back.

    Either its graph starts at leaves of its own, or the field gives its own products.

    Attributes
    ----------
    y : Tensor of shape (B, D)
        State, a leaf.
    t : Tensor of shape (B,)
        Time, a leaf too where its gradient is wanted.
    k : Tensor of shape (B, D)
        Field there.
    products : AnalyticField or None
        The field, if it gives its own products; then there is no graph.
    saved : object
        What they need.
    """

    y: Tensor
    t: Tensor
    k: Tensor
    products: AnalyticField | None = None
    saved: Any = None


def evaluate(field: Field, t: Tensor, y: Tensor, *, moving: bool) -> Evaluation:
    """Evaluate a field with a graph, in time too if the times are ``moving``."""
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        if moving:
            t = t.detach().requires_grad_()
        return Evaluation(y, t, field(t, y))


def evaluator(
    field: Field, tensors: Sequence[Tensor], *, moving: bool
) -> Callable[[Tensor, Tensor], Evaluation]:
    """Give a function that evaluates a field, by its own products where these are enough.

    They are not where times are ``moving``, or where the gradient is wanted of ``tensors`` that
    are none of its parameters.
    """
    products = getattr(field, "analytic", None)
    ours = {id(x) for x in products.parameters()} if products is not None else set()
    if products is None or moving or any(id(x) not in ours for x in tensors):
        return lambda t, y: evaluate(field, t, y, moving=moving)

    def evaluated(t: Tensor, y: Tensor) -> Evaluation:
        if torch.is_autocast_enabled(y.device.type):
            return evaluate(field, t, y, moving=False)
        return _analytic_evaluation(products, t, y)

    return evaluated


def _analytic_evaluation(products: AnalyticField, t: Tensor, y: Tensor) -> Evaluation:
    given = products.vjp_forward(t, y)
    if not (isinstance(given, tuple) and len(given) == 2):
        raise TypeError(
            f"{type(products).__name__}.vjp_forward must return dy/dt and what the products need, "
            f"a tuple of two, but it returned {type(given).__name__}."
        )
    _check_like(given[0], y, products, "vjp_forward must return dy/dt")
    return Evaluation(y, t, given[0], products, given[1])


def _check_like(x: object, y: Tensor, products: AnalyticField, what: str) -> None:
    if isinstance(x, Tensor) and x.shape == y.shape and x.dtype == y.dtype:
        return
    got = f"{x.dtype}, {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
    raise ValueError(
        f"{type(products).__name__}.{what} like y, {y.dtype}, {tuple(y.shape)}, but it "
        f"returned {got}."
    )


def product(k: Tensor, inputs: Sequence[Tensor], cotangent: Tensor) -> tuple[Tensor | None, ...]:
    """Give the product of a cotangent with the Jacobian of k for each input.

    It is `torch.autograd.grad` without its checks, a fifth of the time for a small field. The
    graph of a field may go on into one that is not ours, as behind a global: it is kept.
    """
    found: tuple[Tensor | None, ...] = _engine_run_backward(
        (k,),
        (cotangent,),
        keep_graph=True,
        create_graph=False,
        inputs=tuple(inputs),
        allow_unreachable=True,
        accumulate_grad=False,
    )
    return found


class Gradients:
    """The gradients of a solve, added up evaluation by evaluation.

    Attributes
    ----------
    tensors : list of Tensors
        What the field uses.
    totals : list of Tensors
        The gradient for each of them.
    for_t : Tensor of shape (B,)
        The gradient for a shift of all times at which the field was evaluated.
    """

    def __init__(self, tensors: Sequence[Tensor], for_t: Tensor) -> None:
        self.tensors = list(tensors)
        self.totals = [torch.zeros_like(tensor) for tensor in tensors]
        self.for_t = for_t
        self._waiting: list[tuple[Any, Any]] = []
        self._n_rows = 0
        self._products: AnalyticField | None = None

    def pull(self, at: Evaluation, cotangent: Tensor) -> Tensor:
        """Pull a cotangent of k back to y, and add what arrives elsewhere.

        What a field's own products give for its parameters may wait for `settle`.
        """
        if at.products is not None:
            return self._pull_by_products(at.products, at, cotangent)
        if not at.k.requires_grad:
            return torch.zeros_like(at.y)
        inputs = [at.y, *self.tensors, at.t] if at.t.requires_grad else [at.y, *self.tensors]
        grad_y, *parts = product(at.k, inputs, cotangent)
        if at.t.requires_grad and (grad_t := parts.pop()) is not None:
            self.for_t += grad_t
        self.add(parts)
        return torch.zeros_like(at.y) if grad_y is None else grad_y

    def _pull_by_products(
        self, products: AnalyticField, at: Evaluation, cotangent: Tensor
    ) -> Tensor:
        given = products.vjp_y(at.saved, cotangent)
        if not (isinstance(given, tuple) and len(given) == 2):
            raise TypeError(
                f"{type(products).__name__}.vjp_y must return the cotangent of y and what "
                f"vjp_parameters needs, a tuple of two, but it returned {type(given).__name__}."
            )
        _check_like(given[0], at.y, products, "vjp_y must return the cotangent of y")
        if self.tensors:
            self._products = products
            self._waiting.append((at.saved, given[1]))
            self._n_rows += len(cotangent)
            if self._n_rows + len(cotangent) > _ROWS_AT_ONCE:
                self.settle()
        return given[0]

    def settle(self) -> None:
        """Add what still waits to the totals."""
        if self._waiting and self._products is not None:
            saved, deltas = zip(*self._waiting, strict=True)
            totals = dict(zip(self.tensors, self.totals, strict=True))
            self._products.vjp_parameters(totals, saved, deltas)
        self._waiting, self._n_rows = [], 0

    def add(self, parts: Sequence[Tensor | None]) -> None:
        """Add to the totals; what is None adds nothing."""
        totals, found = self.totals, [x for x in parts if x is not None]
        if len(found) < len(parts):
            totals = [total for total, x in zip(totals, parts, strict=True) if x is not None]
        if found:
            torch._foreach_add_(totals, found)


class Pulled(NamedTuple):
    """Cotangents at the start of a step.

    Attributes
    ----------
    y, k : Tensor of shape (B, D)
        For the state, and for the field there.
    k1 : Tensor of shape (B, D)
        For the field at the end, if that was not pulled through its own evaluation.
    """

    y: Tensor
    k: Tensor
    k1: Tensor


def pull_step(
    method: Method,
    stages: Sequence[Evaluation | None],
    h: Tensor,
    cotangents: tuple[Tensor, Tensor, Tensor],
    gradients: Gradients,
) -> Pulled:
    """Pull cotangents through an explicit step by hand.

    Parameters
    ----------
    method : Method
        The method, with R stages.
    stages : sequence of Evaluation or None, length R
        Every stage; the first one is not used. None for the one at the end of the step leaves its
        cotangent in the result.
    h : Tensor of shape (B, 1)
        Size of the step.
    cotangents : tuple of Tensors
        For the state at the end (B, D), for the field there (B, D), and for the increments
        (R, B D).
    gradients : Gradients
        Where to add what the stages give to other tensors.

    Returns
    -------
    Pulled
        Cotangents at the start.
    """
    adj, adj_k, adj_increments = cotangents
    n_stages, shape = len(method.a), adj.shape
    pulled = adj.new_zeros(n_stages, *shape)
    of_stage, after = pulled.unbind(), pulled.flatten(1).t()
    given, left = adj_increments.unbind(), adj_k
    for i in reversed(range(1, n_stages)):
        # dL/d(increment i): what was read off it, and what the later stages made of it.
        v = torch.addmv(given[i], after[:, i + 1 :], method.columns[i]).view(shape) * h
        at = stages[i]
        if i == method.end:
            v = left = v + adj_k
            of_stage[i].copy_(adj)
        if at is not None:
            of_stage[i].add_(gradients.pull(at, v))
    k = torch.addmv(given[0], after[:, 1:], method.columns[0]).view(shape) * h
    return Pulled(pulled.sum(dim=0), k, left)
