"""Which tensors a vector field uses."""

import functools
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from latentode.solvers.explicit import Field


def tensors_behind(f: Field, t: Tensor, y: Tensor) -> list[Tensor]:
    """Find every tensor that ``f`` uses and that requires a gradient.

    Parameters of modules and tensors in closures, partial arguments and attributes are found
    where they are kept; leaves reached in any other way, as globals, are found in the graph of
    one evaluation at t (B,) and y.
    """
    held = {id(x): x for x in _held(f, set()) if x.requires_grad}
    stop = {x.grad_fn for x in held.values() if x.grad_fn is not None}
    with torch.enable_grad():
        k = f(t.detach(), y.detach())
    for leaf in _leaves(k.grad_fn, stop) if isinstance(k, Tensor) else ():
        held.setdefault(id(leaf), leaf)
    return list(held.values())


def _held(x: object, seen: set[int]) -> Iterator[Tensor]:
    """Give the tensors kept in an object that is called, however deep."""
    if id(x) in seen:
        return
    seen.add(id(x))
    if isinstance(x, Tensor):
        yield x
        return
    for part in _parts(x):
        yield from _held(part, seen)


def _parts(x: object) -> Iterator[object]:
    if isinstance(x, nn.Module):
        yield from x.parameters()
        yield from x.buffers()
        yield from (vars(module) for module in x.modules())
    elif isinstance(x, functools.partial):
        yield from (x.func, x.args, x.keywords)
    elif inspect.ismethod(x):
        yield from (x.__self__, x.__func__)
    elif inspect.isfunction(x):
        yield from (cell.cell_contents for cell in x.__closure__ or () if _is_filled(cell))
        yield from x.__defaults__ or ()
        yield from (x.__kwdefaults__ or {}).values()
    elif isinstance(x, dict):
        yield from x.values()
    elif isinstance(x, list | tuple):
        yield from x
    elif callable(x) and hasattr(x, "__dict__") and not inspect.isclass(x):
        yield vars(x)


def _is_filled(cell: Any) -> bool:  # noqa: ANN401
    try:
        _ = cell.cell_contents
    except ValueError:  # a name that its function has not assigned yet
        return False
    return True


def _leaves(node: Any, stop: set[Any]) -> Iterator[Tensor]:  # noqa: ANN401
    """Give the leaf tensors of a graph, not looking behind the nodes to stop at."""
    waiting, seen = [node], set(stop)
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting.extend(below for below, _ in node.next_functions)
