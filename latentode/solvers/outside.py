"""What `torch.compile` of a program around it leaves as it is."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])


def outside_graphs(function: F) -> F:
    """Let a function that is called within compiled code run as if it were not.

    `torch.compiler.disable` says so when a function is defined, and imports the compiler to say
    it, which takes as long as importing all of torch; this waits until there is a compiler.
    """

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  as the function says
        if torch.compiler.is_compiling():
            return _disabled(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return called  # type: ignore[return-value]


_DISABLED: dict[Callable[..., Any], Callable[..., Any]] = {}


def _disabled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the same function each time: the compiler starts again for another one."""
    if function not in _DISABLED:  # a cache of functools would have it warn
        _DISABLED[function] = torch.compiler.disable(function)
    return _DISABLED[function]
