"""Implicit Runge-Kutta methods: exact coefficients, with the source beside each."""

from fractions import Fraction

from latentode.solvers.tableau import Tableau, hermite, row, rows

# Backward Euler: stage 1 is implicit, stage 0 has no weight but in the error, which compares to
# the trapezoidal rule.
IMPLICIT_EULER = Tableau(
    name="implicit_euler",
    order=1,
    c=row("0 1"),
    a=((), row("0 1")),
    error=row("-1/2 1/2"),
    dense=rows("0; 1"),
)

# The implicit midpoint rule, compared to Euler's; its last stage is explicit, for the next step to
# start from.
IMPLICIT_MIDPOINT = Tableau(
    name="implicit_midpoint",
    order=2,
    c=row("0 1/2 1"),
    a=((), *rows("0 1/2; 0 1")),
    error=row("-1 1 0"),
    dense=rows("1 -1; 0 1; 0 0"),
)

# The trapezoidal rule of Crank and Nicolson (1947), compared to backward Euler.
TRAPEZOID = Tableau(
    name="trapezoid",
    order=2,
    c=row("0 1"),
    a=((), row("1/2 1/2")),
    error=row("1/2 -1/2"),
    dense=rows("1 -1/2; 0 1/2"),
)


def _kvaerno3() -> Tableau:
    """Kvaerno (2004), BIT 44, ESDIRK 3/2a; every coefficient follows from gamma."""
    g = Fraction("0.43586652150845899942")  # a root of 6 g^3 - 18 g^2 + 9 g - 1: L-stable
    row2 = ((-4 * g**2 + 6 * g - 1) / (4 * g), (1 - 2 * g) / (4 * g), g)
    row3 = (
        (6 * g - 1) / (12 * g),
        -1 / ((24 * g - 12) * g),
        (-6 * g**2 + 6 * g - 1) / (6 * g - 3),
        g,
    )
    embedded = (*row2, Fraction(0))
    return Tableau(
        name="kvaerno3",
        order=3,
        c=(Fraction(0), 2 * g, Fraction(1), Fraction(1)),
        a=((), (g, g), row2, row3),
        error=tuple(x - y for x, y in zip(row3, embedded, strict=True)),
        dense=hermite(row3),
    )


def _kvaerno5() -> Tableau:
    """Kvaerno (2004), BIT 44, ESDIRK 5/4a.

    The dense weights are ours: of those that satisfy the conditions of order 4 at every theta and
    meet the slopes at both ends, the ones with the least sum of squares.
    """
    a = rows("""
        0.26 0.26;
        0.13 0.84033320996790809 0.26;
        0.22371961478320505 0.47675532319799699 -0.06470895363112615 0.26;
        0.16648564323248321 0.10450018841591720 0.03631482272098715 -0.13090704451073998 0.26;
        0.13855640231268224 0 -0.04245337201752043 0.02446657898003141 0.61943039072480676 0.26;
        0.13659751177640291 0 -0.05496908796538376 -0.04118626728321046 0.62993304899016403
            0.06962479448202728 0.26
    """)
    result, embedded = a[-1], (*a[-2], Fraction(0))
    return Tableau(
        name="kvaerno5",
        order=5,
        c=(Fraction(0), *(sum(row, Fraction(0)) for row in a)),
        a=((), *a),
        error=tuple(x - y for x, y in zip(result, embedded, strict=True)),
        dense=rows("""
            1 -2.072037588795682972 1.6904652246969775856 -0.48183012412489170322;
            0 0 0 0;
            0 0.84272431906165254433 -1.9053249899848401419 1.0076315829578038344;
            0 -0.66658571364224077892 1.16842635815163972 -0.54302691179260940063;
            0 3.2569288143993531465 -3.9941254328380501671 1.367129667428861052;
            0 -0.60502552056968240905 1.488550219067473937 -0.8138999040157642482;
            0 -0.75600431045339934746 1.5520086209067986938 -0.5360043104533993466
        """),
    )


IMPLICIT = (IMPLICIT_EULER, IMPLICIT_MIDPOINT, TRAPEZOID, _kvaerno3(), _kvaerno5())
