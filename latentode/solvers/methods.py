"""All methods by the names that users call them, and the one that switches between two."""

from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.dop853 import DOP853
from latentode.solvers.explicit import Method, Step, method_for
from latentode.solvers.explicit_tableaus import EXPLICIT, TSIT5
from latentode.solvers.implicit_tableaus import IMPLICIT
from latentode.solvers.rosenbrock import (
    RODAS5P,
    Rosenbrock,
    RosenbrockMethod,
    rosenbrock_method_for,
)
from latentode.solvers.tableau import Row, Tableau

# h times the size of df/dy where the explicit method is about to be unstable: its region of
# stability reaches to 3.5 on the real axis.
_UNSTABLE = 3.15
# Accepted steps in a row beyond it, or within it, before a sample changes its method.
_STEPS_TO_STIFF, _STEPS_BACK = 10, 3


class Pair(NamedTuple):
    """Two methods of the same order, for where an equation is stiff and where it is not.

    Attributes
    ----------
    name : str
        What users call it.
    explicit : Tableau
        Where it is not stiff.
    stiff : Rosenbrock
        Where it is.
    """

    name: str
    explicit: Tableau
    stiff: Rosenbrock

    @property
    def order(self) -> int:
        """The order of both."""
        return self.explicit.order

    @property
    def error(self) -> Row | None:
        """The weights of the error estimate of the first."""
        return self.explicit.error

    @property
    def is_implicit(self) -> bool:
        """Whether a stage depends on itself: in one of them."""
        return True


class Switching(NamedTuple):
    """The same as tensors, of the dtype and on the device of a state.

    Attributes
    ----------
    name : str
        What users call it.
    explicit : Method
        Where the equation is not stiff.
    stiff : RosenbrockMethod
        Where it is.
    error_order : int
        The error estimates grow as the step size to this power.
    """

    name: str
    explicit: Method
    stiff: RosenbrockMethod
    error_order: int

    @property
    def is_implicit(self) -> bool:
        """Whether a stage depends on itself: in one of them."""
        return True


Scheme = Tableau | Rosenbrock | Pair
AnyMethod = Method | RosenbrockMethod | Switching

TABLEAUS = {tableau.name: tableau for tableau in (*EXPLICIT, DOP853, *IMPLICIT)}
METHODS: dict[str, Scheme] = {
    **TABLEAUS,
    "rodas5p": RODAS5P,
    "auto": Pair("auto", TSIT5, RODAS5P),
}


def tensors_for(scheme: Scheme, y: Tensor, time_dtype: torch.dtype) -> AnyMethod:
    """Convert the exact coefficients for a whole solve of states like y."""
    if isinstance(scheme, Tableau):
        return method_for(scheme, y, time_dtype)
    if isinstance(scheme, Rosenbrock):
        return rosenbrock_method_for(scheme, y, time_dtype)
    explicit = method_for(scheme.explicit, y, time_dtype)
    last, before = explicit.a[explicit.end], explicit.a[explicit.end - 1]
    between = last - torch.nn.functional.pad(before, (0, 1))
    return Switching(
        scheme.name,
        explicit._replace(between=between),
        rosenbrock_method_for(scheme.stiff, y, time_dtype),
        explicit.error_order,
    )


def chosen(stiff: Tensor, at_stiff: Step, elsewhere: Step) -> Step:
    """Give the step of the stiff method to the samples that are stiff (B,), else the other."""
    each = stiff[:, None]
    return Step(
        torch.where(each, at_stiff.y1, elsewhere.y1),
        torch.where(each, at_stiff.k1, elsewhere.k1),
        torch.where(each, at_stiff.powers, elsewhere.powers),
        tuple(
            torch.where(each, a, b) for a, b in zip(at_stiff.errors, elsewhere.errors, strict=True)
        ),
        torch.where(stiff, at_stiff.evals, elsewhere.evals),
        _where(stiff, at_stiff.stiffness, elsewhere.stiffness),
    )


def _where(stiff: Tensor, a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return None if a is None or b is None else torch.where(stiff, a, b)


def next_streak(streak: Tensor, stiffness: Tensor, accepted: Tensor) -> Tensor:
    """Count the steps in a row that speak for the other method, and change it after enough.

    Parameters
    ----------
    streak : Tensor of shape (B,), dtype=torch.long
        Of a sample that is not stiff, how many steps have looked stiff; of one that is, -1 less
        the number of those that have not.
    stiffness : Tensor of shape (B,)
        Step size times the size of df/dy.
    accepted : Tensor of shape (B,), dtype=torch.bool
        Which samples took the step; the others are left alone.

    Returns
    -------
    Tensor of shape (B,), dtype=torch.long
        The same after the step.

    References
    ----------
    Hairer and Wanner (1996), Solving Ordinary Differential Equations II, section IV.2.
    """
    is_stiff, looks_stiff = streak < 0, stiffness > _UNSTABLE
    forward = torch.where(looks_stiff, streak + 1, 0)
    forward = torch.where(forward >= _STEPS_TO_STIFF, -1, forward)
    back = torch.where(looks_stiff, -1, streak - 1)
    back = torch.where(back < -_STEPS_BACK, 0, back)
    return torch.where(accepted, torch.where(is_stiff, back, forward), streak)
