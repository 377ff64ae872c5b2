"""Runge-Kutta methods as data: what their coefficients are, and how they are written.

Every method is written with the value of the field at the end of its step as a last stage
("first same as last"): an accepted step hands it on as the first stage of the next one.
"""

from fractions import Fraction
from typing import NamedTuple

Row = tuple[Fraction, ...]


class Tableau(NamedTuple):
    """Coefficients of a Runge-Kutta method with S stages.

    Stage i evaluates the field at ``t + c[i] h`` and ``y + h sum_j a[i][j] k_j``. The state that
    the last stage is evaluated at is the result of the step. The first stage is explicit.

    Attributes
    ----------
    name : str
        What users call it.
    order : int
        The error after a fixed time shrinks as h to this power.
    c : tuple of Fraction, length S
        Nodes.
    a : tuple of S tuples of Fraction
        Row i has i entries, and one more on the diagonal where the stage is implicit. The last
        row holds the weights of the result.
    error : tuple of Fraction, length S, or None
        Weights of the difference to the embedded method; None where there is none.
    dense : tuple of S + E tuples of Fraction
        Stage i has weight ``sum_p dense[i][p] theta^(p + 1)`` in the state at
        ``t + theta h``, for theta between 0 and 1. The extra stages come after the S others.
    error_low : tuple of Fraction, length S, or None
        Weights of the difference to a second embedded method, of lower order than the first.
    extra_c : tuple of E Fraction
        Nodes of stages that the dense output alone needs.
    extra : tuple of E tuples of Fraction
        Row e has S + e entries: these stages are explicit, and come after the S of the step.
    """

    name: str
    order: int
    c: Row
    a: tuple[Row, ...]
    error: Row | None
    dense: tuple[Row, ...]
    error_low: Row | None = None
    extra_c: Row = ()
    extra: tuple[Row, ...] = ()

    def __hash__(self) -> int:
        """Hash the name alone: hashing hundreds of fractions takes longer than a step."""
        return hash(self.name)

    @property
    def is_implicit(self) -> bool:
        """Whether a stage depends on itself."""
        return any(len(row) > i for i, row in enumerate(self.a))


def row(text: str) -> Row:
    """Read fractions and decimals, exactly."""
    return tuple(Fraction(entry) for entry in text.split())


def rows(text: str) -> tuple[Row, ...]:
    """Read rows of them, with semicolons between."""
    return tuple(row(part) for part in text.split(";"))


def hermite(b: Row) -> tuple[Row, ...]:
    """Give the dense weights of the cubic through both ends of a step and the slopes there.

    From the weights of the result, one for each stage. Hairer, Norsett and Wanner, Solving
    Ordinary Differential Equations I, eq. (II.6.7).
    """
    dense = [[Fraction(0), 3 * weight, -2 * weight] for weight in b]
    for stage, slope in ((dense[0], (1, -2, 1)), (dense[-1], (0, -1, 1))):
        stage[:] = [x + y for x, y in zip(stage, slope, strict=True)]
    return tuple(tuple(stage) for stage in dense)
