"""Time variants side by side, so that what disturbs the machine disturbs all of them."""

import gc
import random
import textwrap
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # the process that runs diffrax has no use for torch
    from torch import Tensor

# Seconds of measurement after which a slow variant is measured no more.
PATIENCE = 10.0


class Timing(NamedTuple):
    """Seconds of one run: of the whole process on all its cores, and of the clock on the wall."""

    cpu: float
    wall: float


class Outcome(NamedTuple):
    """What a variant computed.

    Attributes
    ----------
    values : tuple of Tensor
        States; or the gradients for the state at the start and for every parameter.
    n_evals : int or None
        Evaluations of the field by the batch, where they can be counted.
    n_steps : int or None
        Most steps that a sample took, where that is known.
    """

    values: "tuple[Tensor, ...]"
    n_evals: int | None
    n_steps: int | None = None


class Variant(NamedTuple):
    """One way to compute the same; ``first`` is not timed, for it may compile."""

    name: str
    first: Callable[[], Outcome]
    measure: Callable[[], Timing]


class Result(NamedTuple):
    """What a variant computed, and how long it took each time."""

    outcome: Outcome
    timings: list[Timing]

    @property
    def cpu(self) -> float:
        return median(timing.cpu for timing in self.timings)

    @property
    def wall(self) -> float:
        return median(timing.wall for timing in self.timings)


class Results(NamedTuple):
    """Results by the names of the variants, and why others have none."""

    done: dict[str, Result]
    failed: dict[str, str]


def timed(run: Callable[[], object]) -> Timing:
    """Time one run without the collection of garbage, which strikes at random."""
    gc.collect()
    gc.disable()
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        return Timing(time.process_time() - cpu, time.perf_counter() - wall)
    finally:
        gc.enable()


def compare(variants: Sequence[Variant], *, rounds: int) -> Results:
    """Run every variant once in every round, in an order that is shuffled anew."""
    gc.collect()
    gc.freeze()  # what is there already need not be looked through before every run
    try:
        return _compare(variants, rounds)
    finally:
        gc.unfreeze()


def _compare(variants: Sequence[Variant], rounds: int) -> Results:
    results = Results({}, {})
    for variant in variants:
        _begin(variant, results)
    running = [variant for variant in variants if variant.name in results.done]
    order = random.Random(0)
    for _ in range(rounds):
        order.shuffle(running)
        for variant in running:
            timings = results.done[variant.name].timings
            if sum(timing.wall for timing in timings) < PATIENCE:
                timings.append(variant.measure())
    for result in results.done.values():
        _forget_warm_up(result.timings)
    return results


def _begin(variant: Variant, results: Results) -> None:
    """Run a variant twice, since the second run is often still slower than those after it."""
    try:
        outcome = variant.first()
        results.done[variant.name] = Result(outcome, [variant.measure()])
    except Exception as error:  # noqa: BLE001 - a peer may fail in any way: that is a result
        reason = textwrap.shorten(str(error), 160, placeholder=" …")
        results.failed[variant.name] = f"{type(error).__name__}: {reason}"


def _forget_warm_up(timings: list[Timing]) -> None:
    if len(timings) > 1:
        del timings[0]
