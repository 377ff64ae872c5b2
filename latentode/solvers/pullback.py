"""The vector-Jacobian products of a field, and of the stages of an explicit step."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import _engine_run_backward

from latentode.solvers.explicit import Field, Method


class Evaluation(NamedTuple):
    """An evaluation of a field whose graph starts at leaves of its own.

    Attributes
    ----------
    y : Tensor of shape (B, D)
        State, a leaf.
    t : Tensor of shape (B,)
        Time, a leaf too where its gradient is wanted.
    k : Tensor of shape (B, D)
        Field there.
    """

    y: Tensor
    t: Tensor
    k: Tensor


def evaluate(field: Field, t: Tensor, y: Tensor, *, moving: bool) -> Evaluation:
    """Evaluate a field with a graph, in time too if the times are ``moving``."""
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        if moving:
            t = t.detach().requires_grad_()
        return Evaluation(y, t, field(t, y))


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

    def pull(self, at: Evaluation, cotangent: Tensor) -> Tensor:
        """Pull a cotangent of k back to y, and add what arrives elsewhere."""
        if not at.k.requires_grad:
            return torch.zeros_like(at.y)
        inputs = [at.y, *self.tensors, at.t] if at.t.requires_grad else [at.y, *self.tensors]
        grad_y, *parts = product(at.k, inputs, cotangent)
        if at.t.requires_grad and (grad_t := parts.pop()) is not None:
            self.for_t += grad_t
        self.add(parts)
        return torch.zeros_like(at.y) if grad_y is None else grad_y

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
