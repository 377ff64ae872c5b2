"""Our solver and its peers for torch, each behind one function of a problem and a setup."""

import importlib.util
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from solver_problems import Problem
from solver_timing import Outcome, Timing, Variant, timed
from torch import Tensor, nn

from latentode.solvers import METHODS, odeint

FIELD = "the field alone"


class Setup(NamedTuple):
    """How to solve; steps of one size, if one is given, instead of tolerances."""

    rtol: float
    atol: float
    method: str = "dopri5"
    step_size: float | None = None


class Solved(NamedTuple):
    """States (B, T, D), and what the solver itself has counted; a gradient may add to it."""

    ys: Tensor
    count_evals: Callable[[], int] | None = None
    count_steps: Callable[[], int] | None = None


Solve = Callable[[Tensor], Solved]  # from the state at the start
Solver = Callable[[Problem, Setup], Solve]


def latentode(**options: Any) -> Solver:  # noqa: ANN401
    """Give our solver with some options of `odeint`."""

    def solver(problem: Problem, setup: Setup) -> Solve:
        how = setup._asdict() | options

        def solve(y0: Tensor) -> Solved:
            solution = odeint(problem.field, y0, problem.ts, **how)
            stats = solution.stats
            return Solved(
                solution.ys,
                lambda: int((stats.n_f_evals + stats.n_f_evals_backward).max()),
                lambda: int(stats.n_steps.max()),
            )

        return solve

    return solver


def torchdiffeq(problem: Problem, setup: Setup) -> Solve:
    """Give torchdiffeq, differentiated through its steps."""
    from torchdiffeq import odeint

    return lambda y0: Solved(_through_torchdiffeq(odeint, problem, setup, y0))


def torchdiffeq_adjoint(problem: Problem, setup: Setup) -> Solve:
    """Give torchdiffeq, differentiated by the adjoint equation."""
    from torchdiffeq import odeint_adjoint

    return lambda y0: Solved(_through_torchdiffeq(odeint_adjoint, problem, setup, y0))


def _through_torchdiffeq(
    odeint: Callable[..., Tensor], problem: Problem, setup: Setup, y0: Tensor
) -> Tensor:
    """Solve at the union of all times, as one must here, and pick out each sample's own."""
    rtol, atol, method, step_size = setup
    options = {} if step_size is None else {"step_size": step_size}
    times, place = torch.unique(problem.ts, return_inverse=True)
    how = {"rtol": rtol, "atol": atol, "method": method, "options": options}
    ys = odeint(problem.field, y0, times, **how).transpose(0, 1)
    return ys if place.dim() == 1 else ys[torch.arange(len(ys))[:, None], place]


def torchode(*, compiled: bool) -> Solver:
    """Give torchode, differentiated through its steps but not through the choice of their sizes.

    It takes less time so, and no solver here does otherwise.
    """

    def solver(problem: Problem, setup: Setup) -> Solve:
        import torchode

        term = torchode.ODETerm(problem.field)
        adjoint = torchode.AutoDiffAdjoint(
            torchode.Dopri5(term=term),
            torchode.IntegralController(rtol=setup.rtol, atol=setup.atol, term=term),
            backprop_through_step_size_control=False,
        ).to(problem.y0.dtype)
        run = torch.compile(adjoint.solve) if compiled else adjoint.solve
        ts = problem.ts.expand(len(problem.y0), -1).to(problem.y0.dtype).contiguous()

        def solve(y0: Tensor) -> Solved:
            solution = run(torchode.InitialValueProblem(y0=y0, t_eval=ts))
            return Solved(
                solution.ys,
                lambda: int(solution.stats["n_f_evals"].max()),
                lambda: int(solution.stats["n_steps"].max()),
            )

        return solve

    return solver


COMPILED = " compiled"
OPTIONS: dict[str, dict[str, Any]] = {
    "latentode": {},
    "latentode compiled": {"compile": True},
    "latentode joint": {"control": "joint"},
    "latentode joint compiled": {"control": "joint", "compile": True},
    "latentode direct": {"adjoint": "direct"},
    "latentode direct compiled": {"adjoint": "direct", "compile": True},
    "latentode direct joint": {"adjoint": "direct", "control": "joint"},
    "latentode direct joint compiled": {
        "adjoint": "direct",
        "control": "joint",
        "compile": True,
    },
    "latentode replay": {"adjoint": "replay"},
    "latentode replay compiled": {"adjoint": "replay", "compile": True},
    "latentode backsolve": {"adjoint": "backsolve"},
    "latentode rodas5p": {"adjoint": "direct", "method": "rodas5p"},
}
SOLVERS: dict[str, Solver] = {
    **{name: latentode(**options) for name, options in OPTIONS.items()},
    "torchdiffeq": torchdiffeq,
    "torchdiffeq adjoint": torchdiffeq_adjoint,
    "torchode": torchode(compiled=False),
    "torchode compiled": torchode(compiled=True),
}


def missing(name: str) -> str | None:
    """Say what a variant would need that is not here, by its name."""
    if name == FIELD:
        return None
    package = name.split(maxsplit=1)[0]
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    options = OPTIONS.get(name, {})
    unknown = options.keys() - inspect.signature(odeint).parameters.keys()
    if unknown:
        return f"odeint has no option {', '.join(sorted(unknown))}"
    method = options.get("method")
    return f"odeint has no method {method}" if method not in {None, *METHODS} else None


def states(name: str, problem: Problem, setup: Setup) -> Variant:
    """Give the variant that computes states only."""
    solve = SOLVERS[name](problem, setup)

    @torch.no_grad()
    def run() -> tuple[tuple[Tensor, ...], Solved]:
        solved = solve(problem.y0)
        return (solved.ys,), solved

    return _variant(name, problem.field, run)


def gradient(name: str, problem: Problem, setup: Setup) -> Variant:
    """Give the variant that computes the gradient of the loss, for start and parameters."""
    solve = SOLVERS[name](problem, setup)
    return _variant(name, problem.field, lambda: _differentiated(problem, solve))


def backward_pass(name: str, problem: Problem, setup: Setup) -> Variant:
    """Give the variant that computes the same, but of which only the backward pass is timed."""
    whole, solve = gradient(name, problem, setup), SOLVERS[name](problem, setup)

    def measure() -> Timing:
        loss, inputs, _ = _loss(problem, solve)
        return timed(lambda: torch.autograd.grad(loss, inputs))

    return whole._replace(measure=measure)


KINDS: dict[str, Callable[[str, Problem, Setup], Variant]] = {
    "states": states,
    "gradient": gradient,
    "backward pass": backward_pass,
}


def field_alone(problem: Problem, n_calls: int, *, differentiated: bool) -> Variant:
    """Give the variant that only calls the field, which takes less than all that call it so."""
    t, y0, cotangent = problem.ts.flatten()[0], problem.y0, torch.ones_like(problem.y0)
    parameters = list(problem.field.parameters())

    @torch.no_grad()
    def call() -> None:
        for _ in range(n_calls):
            problem.field(t, y0)

    def call_and_differentiate() -> None:
        for _ in range(n_calls):
            y = y0.detach().requires_grad_()
            torch.autograd.grad(problem.field(t, y), [y, *parameters], cotangent)

    run = call_and_differentiate if differentiated else call
    return Variant(FIELD, lambda: Outcome((), n_calls), lambda: timed(run))


def _variant(
    name: str, field: nn.Module, run: Callable[[], tuple[tuple[Tensor, ...], Solved]]
) -> Variant:
    def first() -> Outcome:
        # A hook would make the compiler start anew when it is gone.
        if name.endswith(COMPILED):
            values, solved = run()
            return Outcome(values, _asked(solved.count_evals), _asked(solved.count_steps))
        with counted(field) as calls:
            values, solved = run()
        return Outcome(values, len(calls), _asked(solved.count_steps))

    return Variant(name, first, lambda: timed(run))


def _asked(count: Callable[[], int] | None) -> int | None:
    return None if count is None else count()


@contextmanager
def counted(field: nn.Module) -> Iterator[list[None]]:
    """Give a list that grows with every call of a field."""
    calls: list[None] = []
    hook = field.register_forward_pre_hook(lambda module, inputs: calls.append(None))
    try:
        yield calls
    finally:
        hook.remove()


def _differentiated(problem: Problem, solve: Solve) -> tuple[tuple[Tensor, ...], Solved]:
    loss, inputs, solved = _loss(problem, solve)
    return torch.autograd.grad(loss, inputs), solved


def _loss(problem: Problem, solve: Solve) -> tuple[Tensor, list[Tensor], Solved]:
    y0 = problem.y0.clone().requires_grad_()
    solved = solve(y0)
    loss = (solved.ys - problem.target).square().mean()
    return loss, [y0, *problem.field.parameters()], solved
