"""A field of states of any structure as one of rows."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latentode.solvers.explicit import Field
from latentode.solvers.fields import analytic
from latentode.solvers.state import Layout, tensors_of

VectorField = Callable[..., Any]


def flattened_field(
    f: VectorField, layout: Layout, args: tuple[Any, ...], dtype: torch.dtype
) -> Field:
    """Give f as a field of states (B, D), which checks what f returns, and has it as ``given``."""

    def flat(t: Tensor, y: Tensor) -> Tensor:
        k = f(t, y, *args)
        if type(k) is Tensor and k.shape == y.shape and k.dtype == dtype:
            return k
        layout.check(k, dtype)
        if len(k) != len(y):
            raise _other_batch(k, y)
        return k.to(dtype)

    def flattening(t: Tensor, y: Tensor) -> Tensor:
        k = f(t, layout.unpacked(y), *args)
        layout.check(k, dtype)
        for part in tensors_of(k):
            if len(part) != len(y):
                raise _other_batch(part, y)
        return layout.packed(k).to(dtype)

    if not layout.is_row:
        flattening.given = f  # type: ignore[attr-defined]
        return flattening
    flat.given = f  # type: ignore[attr-defined]
    if not args:
        flat.analytic = analytic(f)  # type: ignore[attr-defined]
    return flat


def _other_batch(k: Tensor, y: Tensor) -> ValueError:
    return ValueError(
        f"f must return dy/dt for each of the {len(y)} samples of y, but it returned shape "
        f"{tuple(k.shape)}."
    )
