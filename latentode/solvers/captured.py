"""Which tensors a vector field uses."""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from latentode.solvers.pullback import Evaluation

# Containers longer than this hold data; a tensor among them is found by what it does.
_LONGEST = 256


def tensors_behind(f: Callable[..., Any], at: Evaluation) -> list[Tensor]:
    """Find the tensors whose gradients are those of everything that ``f`` uses.

    Leaves are found where they are kept (parameters, closures, attributes, partial arguments,
    globals) and in the graph of an evaluation. A tensor that was computed from others stands for
    what is behind it, so that its own graph is gone through once and not with every evaluation;
    but only if nothing behind it is among the tensors found, whose gradient would then be counted
    twice.
    """
    ours = {id(at.t), id(at.y)}
    kept = [x for x in _kept_by(f) if x.requires_grad]
    computed = {x.grad_fn: x for x in kept if x.grad_fn is not None}
    while True:
        reached, leaves = _behind([at.k.grad_fn], stop=set(computed))
        # What was not reached may be used at another time: its leaves are, then.
        unreached = [node for node in computed if node not in reached]
        leaves |= _behind(unreached, stop=set())[1]
        leaves |= {id(x): x for x in kept if x.grad_fn is None}
        twice = [
            node
            for node in computed
            if node in reached and _meets(node, set(computed) - {node}, leaves)
        ]
        if not twice:
            inner = {id(x): x for node, x in computed.items() if node in reached}
            return [x for key, x in (leaves | inner).items() if key not in ours]
        for node in twice:
            del computed[node]


def _behind(nodes: Iterable[Any], stop: set[Any]) -> tuple[set[Any], dict[int, Tensor]]:
    """Give all nodes behind some nodes of a graph, and the leaves among them, by their ids."""
    waiting, seen = [node for node in nodes if node is not None], set[Any]()
    leaves = {}
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves[id(node.variable)] = node.variable
        if node not in stop:
            waiting.extend(below for below, _ in node.next_functions if below is not None)
    return seen, leaves


def _meets(node: Any, others: set[Any], leaves: dict[int, Tensor]) -> bool:  # noqa: ANN401
    """Say whether one of the other tensors, or of the leaves, is behind a node."""
    seen, behind = _behind([below for below, _ in node.next_functions], stop=set())
    return bool(seen & others) or bool(behind.keys() & leaves.keys())


def _kept_by(f: object) -> Iterator[Tensor]:
    """Give the tensors kept in an object that is called, however deep."""
    waiting, seen = [f], set[int]()
    while waiting:
        x = waiting.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if isinstance(x, Tensor):
            yield x
        else:
            waiting.extend(_parts(x))


def _parts(x: object) -> Iterator[object]:
    if isinstance(x, nn.Module):
        yield from x.parameters()
        yield from x.buffers()
        yield from (vars(module) for module in x.modules())
        yield from {type(module).forward for module in x.modules()}
    elif isinstance(x, functools.partial):
        yield from (x.func, x.args, x.keywords)
    elif inspect.ismethod(x):
        yield from (x.__self__, x.__func__)
    elif inspect.isfunction(x):
        yield from (cell.cell_contents for cell in x.__closure__ or () if _is_filled(cell))
        yield from x.__defaults__ or ()
        yield from (x.__kwdefaults__ or {}).values()
        used = (x.__globals__.get(name) for name in x.__code__.co_names)
        yield from (y for y in used if isinstance(y, Tensor | nn.Module))
    elif isinstance(x, dict):
        yield from x.values() if len(x) <= _LONGEST else ()
    elif isinstance(x, list | tuple):
        yield from x if len(x) <= _LONGEST else ()
    elif callable(x) and hasattr(x, "__dict__") and not inspect.isclass(x):
        yield vars(x)
        yield type(x).__call__


class StandIns(TorchFunctionMode):
    """Within it, leaves of its own are used in the place of tensors at which somebody looks.

    A gradient is computed part by part; a hook is to see it once and whole.

    Parameters
    ----------
    tensors : sequence of Tensors
        Tensors that a field uses.

    Attributes
    ----------
    leaves : list of Tensors
        What stands in, for those of the tensors that have hooks or keep their gradients.
    places : list of int
        Which these are.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        self.places = [i for i, x in enumerate(tensors) if x.requires_grad and is_looked_at(x)]
        self.leaves = [tensors[i].detach().requires_grad_() for i in self.places]
        self._by_id = {id(tensors[i]): x for i, x in zip(self.places, self.leaves, strict=True)}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call a function of torch with what stands in for its arguments."""
        return func(*self._replaced(args), **self._replaced(kwargs or {}))

    def _replaced(self, x: Any) -> Any:  # noqa: ANN401
        if isinstance(x, Tensor):
            return self._by_id.get(id(x), x)
        if isinstance(x, dict):
            return {key: self._replaced(part) for key, part in x.items()}
        if type(x) in (tuple, list):
            return type(x)(self._replaced(part) for part in x)
        return x


def is_looked_at(x: Tensor) -> bool:
    """Say whether somebody looks at the gradient of a tensor on its way."""
    return bool(x._backward_hooks) or x.retains_grad


def _is_filled(cell: Any) -> bool:  # noqa: ANN401
    try:
        _ = cell.cell_contents
    except ValueError:  # a name that its function has not assigned yet
        return False
    return True


def bytes_saved(at: Evaluation) -> int:
    """Give the memory that the graph of an evaluation holds, beside what the field keeps."""
    nodes, leaves = _behind([at.k.grad_fn], stop=set())
    kept = {x.data_ptr() for x in leaves.values()}
    sizes = {x.data_ptr(): x.numel() * x.element_size() for node in nodes for x in _saved(node)}
    return sum(size for place, size in sizes.items() if place not in kept)


def _saved(node: Any) -> Iterator[Tensor]:  # noqa: ANN401
    for name in dir(node):
        if name.startswith("_saved_") or name == "saved_tensors":
            value = getattr(node, name)
            yield from (x for x in _listed(value) if isinstance(x, Tensor))


def _listed(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else (value,)
