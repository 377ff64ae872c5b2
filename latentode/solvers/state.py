"""States of any structure, as one row of numbers a sample."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

# A Tensor of shape (B, ...), or a tuple, list or dict of states.
State = Any


class Layout(NamedTuple):
    """How the entries of a state lie in a row of D numbers.

    Attributes
    ----------
    shape : torch.Size or None
        Shape of one sample of a tensor; None for a structure.
    names : tuple
        Names of the parts of a structure, or their positions.
    parts : tuple of Layouts
        The layouts of these parts.
    kind : type
        Tensor, or the type of the structure.
    """

    shape: torch.Size | None
    names: tuple[Any, ...]
    parts: tuple["Layout", ...]
    kind: type

    @property
    def size(self) -> int:
        """Give the number of entries of one sample, D."""
        if self.shape is not None:
            return math.prod(self.shape)
        return sum(part.size for part in self.parts)

    @property
    def is_row(self) -> bool:
        """Whether a state is a row of numbers already."""
        return self.shape is not None and len(self.shape) == 1

    def packed(self, state: State) -> Tensor:
        """Give a state of shapes (B, ...) as rows (B, D)."""
        if self.shape is not None:
            return state.reshape(len(state), self.size)
        parts = state.values() if isinstance(state, Mapping) else state
        return torch.cat(
            [layout.packed(part) for layout, part in zip(self.parts, parts, strict=True)], dim=1
        )

    def unpacked(self, rows: Tensor) -> State:
        """Give rows (..., D) as a state of shapes (..., ...)."""
        if self.shape is not None:
            return rows.reshape(*rows.shape[:-1], *self.shape)
        columns = rows.split([part.size for part in self.parts], dim=-1)
        parts = [layout.unpacked(x) for layout, x in zip(self.parts, columns, strict=True)]
        return self._rebuilt(parts)

    def _rebuilt(self, parts: list[Any]) -> State:
        if issubclass(self.kind, Mapping):
            return dict(zip(self.names, parts, strict=True))
        if hasattr(self.kind, "_make"):  # a named tuple
            return self.kind._make(parts)
        return list(parts) if issubclass(self.kind, list) else tuple(parts)

    def check(self, state: object, dtype: torch.dtype, name: str = "dy/dt") -> None:
        """Raise if what a field returned is not a state of this layout."""
        if self.shape is not None:
            _check_tensor(state, self.shape, dtype, name)
            return
        if not isinstance(state, Mapping if issubclass(self.kind, Mapping) else (tuple, list)):
            raise TypeError(
                f"f must return {name} as a {self.kind.__name__}, like y, not "
                f"{type(state).__name__}."
            )
        given = tuple(state) if isinstance(state, Mapping) else tuple(range(len(state)))
        if given != self.names:
            raise ValueError(
                f"f must return {name} with the parts of y in their order, "
                f"{', '.join(map(str, self.names))}, but it returned "
                f"{', '.join(map(str, given))}."
            )
        parts = state.values() if isinstance(state, Mapping) else state
        for layout, key, part in zip(self.parts, self.names, parts, strict=True):
            layout.check(part, dtype, f"{name}[{key}]")


def _check_tensor(x: object, shape: torch.Size, dtype: torch.dtype, name: str) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"f must return {name} as a Tensor, but it returned {type(x).__name__}.")
    if x.dim() < 1 or x.shape[1:] != shape:
        raise ValueError(
            f"f must return {name} of the shape of y, (B, {', '.join(map(str, shape))}), but it "
            f"returned {tuple(x.shape)}."
        )
    if x.is_complex() and not dtype.is_complex:
        raise ValueError(f"f returned complex {name} for a real state: make y0 complex.")


def layout_of(y0: State, name: str = "y0") -> Layout:
    """Give the layout of a state, and check that it is one.

    Raises
    ------
    TypeError, ValueError
        If it is not made of real or complex tensors with the same batch axis and dtype.
    """
    if isinstance(y0, Tensor):
        if not (y0.is_floating_point() or y0.is_complex()):
            raise ValueError(
                f"{name} must hold real or complex numbers, not {y0.dtype}: {name}.double()."
            )
        if y0.dim() < 1:
            raise ValueError(f"{name} must have a batch axis first, shape (B, ...): {name}[None].")
        return Layout(y0.shape[1:], (), (), Tensor)
    if not isinstance(y0, tuple | list | Mapping):
        raise TypeError(
            f"{name} must be a Tensor of shape (B, ...), or a tuple or dict of them, not "
            f"{type(y0).__name__}."
        )
    items = tuple(y0.items()) if isinstance(y0, Mapping) else tuple(enumerate(y0))
    if not items:
        raise ValueError(f"{name} is empty: give at least one tensor.")
    names = tuple(key for key, _ in items)
    parts = tuple(layout_of(part, f"{name}[{key}]") for key, part in items)
    return Layout(None, names, parts, type(y0))


def tensors_of(state: State) -> list[Tensor]:
    """Give the tensors of a state in the order of its layout."""
    if isinstance(state, Tensor):
        return [state]
    parts = state.values() if isinstance(state, Mapping) else state
    return [tensor for part in parts for tensor in tensors_of(part)]


def spread(value: Any, layout: Layout, n_samples: int, like: Tensor, name: str) -> float | Tensor:  # noqa: ANN401
    """Give a tolerance as a number, or for every entry of the rows (B, D).

    A tolerance is a number, a tensor of shape () or (B,), one that broadcasts with the state
    (B, ...), or a structure of these like the state.
    """
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, Tensor) and layout.shape is not None:
        return _spread_tensor(value, layout.shape, n_samples, like, name)
    if isinstance(value, Tensor):
        columns = [spread(value, part, n_samples, like, name) for part in layout.parts]
    elif isinstance(value, tuple | list | Mapping) and layout.shape is None:
        given = tuple(value) if isinstance(value, Mapping) else tuple(range(len(value)))
        if given != layout.names:
            parts = ", ".join(map(str, layout.names))
            raise ValueError(f"{name} must have the parts of y0: {parts}.")
        values = value.values() if isinstance(value, Mapping) else value
        columns = [
            spread(x, part, n_samples, like, f"{name}[{key}]")
            for x, part, key in zip(values, layout.parts, given, strict=True)
        ]
    else:
        raise TypeError(f"{name} must be a number or a Tensor, not {type(value).__name__}.")
    return torch.cat(
        [
            torch.as_tensor(x, dtype=like.dtype, device=like.device).expand(n_samples, part.size)
            for x, part in zip(columns, layout.parts, strict=True)
        ],
        dim=1,
    )


def _spread_tensor(
    value: Tensor, shape: torch.Size, n_samples: int, like: Tensor, name: str
) -> Tensor:
    value = value.detach().to(like)
    if value.shape == (n_samples,):
        value = value.reshape(n_samples, *(1 for _ in shape))
    try:
        full = value.expand(n_samples, *shape)
    except RuntimeError as error:
        raise ValueError(
            f"{name} of shape {tuple(value.shape)} does not fit states of shape "
            f"({', '.join(map(str, (n_samples, *shape)))}): give a number, one for each sample, "
            "or one for each entry."
        ) from error
    return full.reshape(n_samples, math.prod(shape))
