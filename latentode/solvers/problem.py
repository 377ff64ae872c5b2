"""What to solve and how, on the clock of a solve."""

from typing import NamedTuple

from torch import Tensor

from latentode.solvers.clock import Clock
from latentode.solvers.control import Tolerance
from latentode.solvers.explicit import Field, Method, Workspace
from latentode.solvers.methods import AnyMethod


class Options(NamedTuple):
    """How to step.

    Attributes
    ----------
    tolerance : Tolerance
        What error is tolerated.
    step_size : Tensor of shape (B,) or None
        Size of every step; None to let the error decide.
    first_step : Tensor of shape (B,) or None
        Size of the first step, where the error decides; None to guess it.
    min_step, max_step : float
        Where the error decides, no step is chosen shorter or longer.
    max_steps : int
        Steps after which to give up.
    clip_end : bool
        Whether the last step ends exactly at the end, so that the field is not evaluated past
        it. Otherwise the steps do not depend on where the end is.
    joint : bool
        Whether the batch shares the size of its steps, by the error of all its entries.
    forgiving : bool
        Whether a sample that fails rests, and the others go on; otherwise it raises.
    has_jumps : bool
        Whether the field may jump between two steps: then it is evaluated anew after a jump.
    compiled : bool
        Whether to compile a round of steps to one graph.
    """

    tolerance: Tolerance
    step_size: Tensor | None
    first_step: Tensor | None
    min_step: float
    max_step: float
    max_steps: int
    clip_end: bool
    joint: bool
    forgiving: bool
    has_jumps: bool
    compiled: bool


class Problem(NamedTuple):
    """What to solve and how.

    Attributes
    ----------
    field : callable
        ``field(t, y)`` is dy/ds at time t (B,) and state y (B, D).
    method : Method, RosenbrockMethod or Switching
        The method.
    clock : Clock
        How s becomes t.
    options : Options
        How to step.
    workspace : Workspace or None
        Memory for the stages, where no graph of the steps is wanted.
    """

    field: Field
    method: AnyMethod
    clock: Clock
    options: Options
    workspace: Workspace | None


def is_pulled_by_hand(method: AnyMethod, options: Options) -> bool:
    """Say whether gradients need no graph of a step: its stages are pulled back one by one."""
    return not (method.is_implicit or options.has_jumps or options.compiled)


def is_iterated(method: AnyMethod) -> bool:
    """Say whether the stages of a method are solved for by an iteration, which may fail."""
    return isinstance(method, Method) and method.is_implicit
