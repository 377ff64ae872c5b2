"""What is compared: a function for every kind of table, and the cases made of them."""

import functools
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from fnmatch import fnmatch
from functools import partial
from typing import NamedTuple

import solver_problems as problems
import torch
from solver_alone import alone, variant_alone
from solver_diffrax import diffrax_variant
from solver_memory import peak_memory
from solver_problems import Problem
from solver_tables import Table, milliseconds, ratio
from solver_timing import Outcome, Result, Results, compare
from solver_variants import (
    COMPILED,
    FIELD,
    KINDS,
    Setup,
    field_alone,
    gradient,
    missing,
    states,
)
from solver_worker import Worker
from torch import Tensor

FORWARD = (
    "torchdiffeq",
    "torchode",
    "torchode compiled",
    "diffrax vmap",
    "diffrax joint",
    "latentode",
    "latentode joint",
    "latentode compiled",
    "latentode joint compiled",
    FIELD,
)
GRADIENT = (
    "torchdiffeq",
    "torchdiffeq adjoint",
    "torchode",
    "torchode compiled",
    "diffrax vmap",
    "diffrax joint",
    "latentode direct",
    "latentode replay",
    "latentode direct joint",
    "latentode direct compiled",
    "latentode replay compiled",
    "latentode direct joint compiled",
    FIELD,
)
DIFFRAX = ("diffrax vmap", "diffrax joint")
OWN_TIMES = tuple(name for name in GRADIENT if " joint" not in name)
BACKWARD = ("torchdiffeq", "latentode direct", "latentode replay")
ADJOINTS = (
    "torchdiffeq",
    "torchdiffeq adjoint",
    "latentode direct",
    "latentode replay",
    "latentode backsolve",
)
STIFF = ("diffrax vmap", "latentode direct", "latentode replay", "latentode rodas5p")
LOOSE, TIGHT = Setup(1e-3, 1e-4), Setup(1e-6, 1e-6)


class Settings(NamedTuple):
    """What the command line asks for.

    Attributes
    ----------
    rounds : int
        How often every variant is measured.
    n_threads : int
        Threads of every library. Times are compared by the processor's where it is one, and by
        the clock on the wall otherwise.
    only : tuple of str
        Patterns of the names of the variants to run.
    quick : bool
        Whether to run the smallest thing that shows that everything works.
    worker : Worker or None
        Where diffrax runs.
    """

    rounds: int
    n_threads: int
    only: tuple[str, ...]
    quick: bool
    worker: Worker | None

    def size(self, n: int) -> int:
        """Give a number of samples or times, or a small one where it is to be quick."""
        return min(n, 3) if self.quick else n

    def end(self, t: float) -> float:
        """Give the time to solve up to, or a short one where it is to be quick."""
        return min(t, 0.1) if self.quick else t

    def chosen(self, names: Sequence[str]) -> list[str]:
        """Give the variants that are asked for and can run."""
        return [
            name
            for name in names
            if any(fnmatch(name, only) for only in self.only)
            and missing(name) is None
            and not (self.quick and is_slow_to_start(name))
        ]

    def seconds(self, result: Result) -> float:
        """Give the time by which a variant is compared with others."""
        return result.cpu if self.n_threads == 1 else result.wall


def is_slow_to_start(name: str) -> bool:
    return name.endswith(COMPILED) or name.startswith("diffrax")


def times_of_states(settings: Settings, problem_of: Callable[..., Problem]) -> Table:
    """Compare the time to compute states of a small field, where overhead is all there is."""
    exact = problem_of(settings.size(256), n_times=settings.size(50), end=settings.end(10.0))
    truth = tight_states(exact)
    results = side_by_side(settings, "states", FORWARD, exact.to(torch.float32), TIGHT)

    def errors(outcome: Outcome) -> list[str]:
        return [f"{float((outcome.values[0] - truth).abs().max()):.1e}"]

    return times_table(settings, results, "torchdiffeq", errors, ("largest error",))


def times_of_gradients(
    settings: Settings,
    names: Sequence[str],
    exact: Problem,
    setup: Setup,
    *,
    base: str = "torchdiffeq",
    dtype: torch.dtype = torch.float32,
) -> Table:
    """Compare the time to compute a gradient, and its accuracy."""
    truth = tight_gradient(exact, setup.method)
    results = side_by_side(settings, "gradient", names, exact.to(dtype), setup)

    def errors(outcome: Outcome) -> list[str]:
        parts = [slice(0, 1), slice(1, None)]
        return [f"{distance(outcome.values[part], truth[part]):.1e}" for part in parts]

    return times_table(settings, results, base, errors, ("error for y0", "error for parameters"))


def neural_gradients(
    settings: Settings, names: Sequence[str], setup: Setup, *, n_samples: int = 50, base: str
) -> Table:
    """Compare gradients of the neural field, all samples asked for at the same times."""
    exact = problems.perceptron(settings.size(n_samples), n_times=settings.size(50))
    return times_of_gradients(settings, names, exact, setup, base=base)


def gradients_at_own_times(settings: Settings, setup: Setup) -> Table:
    """Compare gradients of the neural field, every sample asked for at times of its own."""
    exact = problems.perceptron_at_own_times(settings.size(50), n_times=settings.size(50))
    return times_of_gradients(settings, OWN_TIMES, exact, setup)


def unstable_gradients(settings: Settings, mu: float) -> Table:
    """Compare gradients of an equation that contracts forward, and so grows backward."""
    exact = problems.van_der_pol(settings.size(4), n_times=2, end=settings.end(10.0), mu=(mu, mu))
    return times_of_gradients(settings, ADJOINTS, exact, TIGHT, dtype=torch.float64)


def stiff_gradients(
    settings: Settings, problem_of: Callable[..., Problem], setup: Setup, end: float
) -> Table:
    """Compare gradients of stiff equations, which no other solver for torch steps adaptively."""
    exact = problem_of(settings.size(64), n_times=2, end=settings.end(end))
    return times_of_gradients(
        settings, STIFF, exact, setup, base="latentode direct", dtype=torch.float64
    )


def times_of_backward_passes(settings: Settings) -> Table:
    """Compare how the time of the backward pass grows with the number of times asked for."""
    sizes = (settings.size(50), settings.size(3200))
    few, many = (_backward_passes(settings, n) for n in sizes)
    rows = [
        (
            name,
            milliseconds(few[name]),
            milliseconds(many[name]),
            ratio(many[name], few[name]),
            ratio(many[name], many.get("torchdiffeq")),
        )
        for name in many
    ]
    columns = ("variant", *(f"{n} times, ms" for n in sizes), "growth", f"ratio at {sizes[1]}")
    return Table(columns, rows)


def _backward_passes(settings: Settings, n_times: int) -> dict[str, float]:
    problem = problems.perceptron(settings.size(50), n_times=n_times).to(torch.float32)
    results = side_by_side(settings, "backward pass", BACKWARD, problem, TIGHT)
    return {name: settings.seconds(result) for name, result in results.done.items()}


def memory_by_horizon(settings: Settings) -> Table:
    """Compare how the memory of a gradient grows with the time that is solved for."""
    return memory_table(
        settings,
        {
            f"up to t = {end:g}, MB": partial(
                peak_memory, n_samples=512, n_times=50, end=end, setup=TIGHT
            )
            for end in (3.0, 15.0)
        },
    )


def memory_by_steps(settings: Settings) -> Table:
    """Compare how the memory of a gradient grows with the number of steps, of one size."""
    return memory_table(
        settings,
        {
            f"{n} steps, MB": partial(
                peak_memory,
                n_samples=64,
                n_times=2,
                end=3.0,
                setup=TIGHT._replace(method="rk4", step_size=3.0 / n),
            )
            for n in (10, 100, 1000)
        },
    )


def memory_table(settings: Settings, peaks: dict[str, Callable[[str], float]]) -> Table:
    """Give the peak memory of every adjoint."""
    rows = [
        (name, *(f"{peak(name):.0f}" for peak in peaks.values()))
        for name in settings.chosen(ADJOINTS)
    ]
    return Table(("variant", *peaks), rows)


def side_by_side(
    settings: Settings, kind: str, names: Sequence[str], problem: Problem, setup: Setup
) -> Results:
    """Measure variants of one of `KINDS` by their names."""
    with ExitStack() as processes:
        variants = []
        for name in settings.chosen(names):
            if name == FIELD:
                n_calls = states("latentode", problem, setup).first().n_evals or 0
                variant = field_alone(problem, n_calls, differentiated=kind != "states")
            elif name in DIFFRAX:
                assert settings.worker is not None  # it is left out where it cannot run
                variant = diffrax_variant(settings.worker, kind, name, problem, setup)
            elif may_exhaust_memory(name, problem):
                process = processes.enter_context(alone(settings.n_threads))
                variant = variant_alone(process, kind, name, problem, setup)
            else:
                variant = KINDS[kind](name, problem, setup)
            variants.append(variant)
        return compare(variants, rounds=settings.rounds)


def may_exhaust_memory(name: str, problem: Problem) -> bool:
    """Say what is to run in a process of its own: solver_alone.py says why."""
    return name.startswith("torchdiffeq") and problem.ts.numel() > 1000


def times_table(
    settings: Settings,
    results: Results,
    base: str,
    errors: Callable[[Outcome], list[str]],
    error_columns: tuple[str, ...],
) -> Table:
    """Give times beside that of one variant, with what was computed in them."""
    base_time = settings.seconds(results.done[base]) if base in results.done else None
    rows = []
    for name, (outcome, _) in results.done.items():
        result = results.done[name]
        counts = ("–" if n is None else str(n) for n in (outcome.n_evals, outcome.n_steps))
        accuracy = errors(outcome) if outcome.values else ["–"] * len(error_columns)
        times = (milliseconds(result.cpu), milliseconds(result.wall))
        rows.append((name, ratio(settings.seconds(result), base_time), *times, *counts, *accuracy))
    columns = ("variant", "ratio", "CPU ms", "wall ms", "evaluations", "steps", *error_columns)
    notes = tuple(f"{name} fails: {reason}" for name, reason in results.failed.items())
    return Table(columns, rows, notes)


@functools.cache
def tight_states(problem: Problem) -> Tensor:
    """Give states that are taken for exact."""
    return states("latentode", problem, Setup(1e-11, 1e-11)).first().values[0]


@functools.cache
def tight_gradient(problem: Problem, method: str) -> tuple[Tensor, ...]:
    """Give a gradient that is taken for exact."""
    # An implicit step is not solved for much better than this.
    rtol, atol = (1e-11, 1e-11) if method == "dopri5" else (1e-9, 1e-12)
    return gradient("latentode replay", problem, Setup(rtol, atol, method)).first().values


def distance(got: Sequence[Tensor], true: Sequence[Tensor]) -> float:
    """Give the Euclidean distance of tensors, relative to the size of the true ones."""
    squares = sum(float((a - b).square().sum()) for a, b in zip(got, true, strict=True))
    return math.sqrt(squares / sum(float(b.square().sum()) for b in true))


STIFF_PROBLEMS: dict[str, tuple[Callable[..., Problem], float]] = {
    "van-der-pol": (partial(problems.van_der_pol, mu=(950.0, 1050.0), spread=0.0), 2000.0),
    "robertson": (problems.robertson, 1e5),
    "hires": (problems.hires, 321.8122),
}
# Names of cases of one task begin alike, so that they are chosen together.
CASES: dict[str, Callable[[Settings], Table]] = {
    "forward/van-der-pol": partial(
        times_of_states, problem_of=partial(problems.van_der_pol, mu=(1.0, 20.0))
    ),
    "forward/lotka-volterra": partial(times_of_states, problem_of=problems.lotka_volterra),
    **{
        f"gradient/{n}/{setup.rtol:.0e}": partial(
            neural_gradients, names=GRADIENT, setup=setup, n_samples=n, base="torchdiffeq"
        )
        for n in (50, 512)
        for setup in (LOOSE, TIGHT)
    },
    **{
        f"own-times/{setup.rtol:.0e}": partial(gradients_at_own_times, setup=setup)
        for setup in (LOOSE, TIGHT)
    },
    "many-times": times_of_backward_passes,
    "memory/horizon": memory_by_horizon,
    "memory/steps": memory_by_steps,
    **{
        f"backsolve/{setup.rtol:.0e}": partial(
            neural_gradients, names=ADJOINTS, setup=setup, base="torchdiffeq adjoint"
        )
        for setup in (LOOSE, TIGHT)
    },
    "unstable/3": partial(unstable_gradients, mu=3.0),
    "unstable/10": partial(unstable_gradients, mu=10.0),
    **{
        f"stiff/{name}/{rtol:.0e}": partial(
            stiff_gradients,
            problem_of=problem_of,
            setup=Setup(rtol, 1e-3 * rtol, "kvaerno5"),
            end=end,
        )
        for name, (problem_of, end) in STIFF_PROBLEMS.items()
        for rtol in (1e-5, 1e-7)
    },
}
