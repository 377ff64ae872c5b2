"""What a solve gives back, and how it fails."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from latentode.solvers.events import Occurrences


class SolverError(RuntimeError):
    """A sample could not be solved.

    Parameters
    ----------
    message : str
        Cause, sample, time, method, and what to try.
    sample : int
        Row of the batch that failed first.
    t : float
        Time that this sample had reached.
    """

    def __init__(self, message: str, *, sample: int, t: float) -> None:
        super().__init__(message)
        self.sample = sample
        self.t = t

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to pickle it: the base class knows of no arguments by name."""
        return functools.partial(type(self), sample=self.sample, t=self.t), (str(self),)


class Stats(NamedTuple):
    """What a solve cost; every field has shape (B,) and counts for one sample.

    The counts of a sample are those of solving it alone.

    Attributes
    ----------
    n_steps : Tensor
        Steps tried.
    n_accepted : Tensor
        Steps that were accurate enough.
    n_rejected : Tensor
        Steps tried again with a smaller size.
    n_f_evals : Tensor
        Evaluations of the vector field in the forward solve.
    n_f_evals_backward : Tensor
        Evaluations by "replay" and "backsolve" in the backward pass, which fills them in; zero for
        "direct", which evaluates nothing again.
    """

    n_steps: Tensor
    n_accepted: Tensor
    n_rejected: Tensor
    n_f_evals: Tensor
    n_f_evals_backward: Tensor


# Called with times of shape (P,) or (B, P); gives the states there, of shape (B, P, ...).
DenseSolution = Callable[[Tensor], Any]


class Solution(NamedTuple):
    """States at the times asked for, and what they cost.

    Attributes
    ----------
    ys : Tensor of shape (B, T, ...)
        The state at each time asked for; a structure of them if ``y0`` is one.
    stats : Stats
        Steps and evaluations, per sample.
    dense : callable or None
        With ``dense=True``, gives the state at any further times of shape (P,) or (B, P) between
        a sample's first and last time, differentiably.
    failures : dict of int to SolverError
        With ``on_failure="mask"``, why samples failed, by their rows. Their states are NaN after
        the time they had reached.
    events : tuple of Occurrences
        When each of the events asked for occurred.
    """

    ys: Any
    stats: Stats
    dense: DenseSolution | None
    failures: dict[int, SolverError]
    events: tuple["Occurrences", ...]
