"""Steps compiled to one graph."""

import contextlib
import functools
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

# Graphs kept for different fields, methods and shapes, before the compiler gives up.
_MOST_GRAPHS = 64
# What these names hold does not change between the calls of one method.
_KNOWN = (
    "problem.method.",
    "L['problem'].method.",
    "G['torch'].",
    "G['__builtins_dict",
    "G['__import_latentode_dot_solvers",
)


def not_captured() -> tuple[type[Exception], ...]:
    """Give what the compiler raises where a field is not for it.

    Naming it loads the compiler, which takes as long as all of torch: only who compiles does.
    """
    return torch._dynamo.exc.Unsupported, torch._dynamo.exc.UncapturedHigherOrderOpError


def not_built() -> type[Exception]:
    """Give what the compiler raises where it fails itself."""
    return torch._dynamo.exc.BackendCompilerFailed


@functools.lru_cache(maxsize=64)
def compiled(
    function: Callable[..., Any], method: str, *, in_cpp: bool = False
) -> Callable[..., Any]:
    """Give a function that is compiled, anew for each shape, when it is first called.

    Its argument ``problem`` is to be one of the named method always. Loops inside it, the machine
    code runs only if it is called ``in_cpp``: that takes a third off small fields.
    """
    # The compiler keeps its graphs with the code: each method gets a code of its own, so that its
    # coefficients need not be compared in every call.
    code = types.FunctionType(function.__code__.replace(), function.__globals__)
    options: dict[str, Any] = {"guard_filter_fn": _worth_checking, "cpp_wrapper": in_cpp}
    return torch.compile(code, fullgraph=True, dynamic=False, options=options)


def _worth_checking(guards: Sequence[Any]) -> list[bool]:
    """Say which assumptions of a graph to check in every call: not those on our own code."""
    return [not guard.name.startswith(_KNOWN) for guard in guards]


@contextlib.contextmanager
def compiling() -> Iterator[None]:
    """Let the compiler keep as many graphs as there may be fields, and explain its failures.

    Raises
    ------
    RuntimeError
        If a field cannot be compiled, or changes with every call.
    """
    try:
        with (
            torch._dynamo.config.patch(recompile_limit=_MOST_GRAPHS),
            warnings.catch_warnings(),
        ):
            # The compiler looks at what came out of the step before, and warns of its own look.
            warnings.filterwarnings("ignore", message=r"The \.grad attribute of a Tensor")
            yield
    except torch._dynamo.exc.FailOnRecompileLimitHit as error:
        raise RuntimeError(
            "compile=True: the vector field was compiled again and again. It changes with every "
            "call, as one that counts its evaluations does (solution.stats counts them), or is "
            "solved for ever new shapes. Mend that, or use compile=False."
        ) from error
    except (*not_captured(), not_built()) as error:
        raise RuntimeError(
            "compile=True: the vector field cannot be compiled to one graph, as by torch.compile "
            f"with fullgraph=True. Use compile=False. The compiler says: {error}"
        ) from error
