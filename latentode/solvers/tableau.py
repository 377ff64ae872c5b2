"""Runge-Kutta methods as data: exact coefficients, with the source beside each.

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
    dense : tuple of S tuples of Fraction
        Stage i has weight ``sum_p dense[i][p] theta^(p + 1)`` in the state at
        ``t + theta h``, for theta between 0 and 1.
    """

    name: str
    order: int
    c: Row
    a: tuple[Row, ...]
    error: Row | None
    dense: tuple[Row, ...]

    @property
    def is_implicit(self) -> bool:
        """Whether a stage depends on itself."""
        return any(len(row) > i for i, row in enumerate(self.a))


def _row(text: str) -> Row:
    return tuple(Fraction(entry) for entry in text.split())


def _rows(text: str) -> tuple[Row, ...]:
    return tuple(_row(row) for row in text.split(";"))


def _hermite(b: Row) -> tuple[Row, ...]:
    """Give the dense weights of the cubic through both ends of a step and the slopes there.

    From the weights of the result, one for each stage. Hairer, Norsett and Wanner, Solving
    Ordinary Differential Equations I, eq. (II.6.7).
    """
    rows = [[Fraction(0), 3 * weight, -2 * weight] for weight in b]
    for row, slope in ((rows[0], (1, -2, 1)), (rows[-1], (0, -1, 1))):
        row[:] = [x + y for x, y in zip(row, slope, strict=True)]
    return tuple(tuple(row) for row in rows)


# Euler (1768), with a straight line across the step.
EULER = Tableau(
    name="euler",
    order=1,
    c=_row("0 1"),
    a=((), _row("1")),
    error=None,
    dense=(_row("1"), _row("0")),
)

# Runge (1895). The dense weights of the methods of order 2 are the parabolas that satisfy the
# conditions of order 2 at every theta.
MIDPOINT = Tableau(
    name="midpoint",
    order=2,
    c=_row("0 1/2 1"),
    a=((), *_rows("1/2; 0 1")),
    error=None,
    dense=_rows("1 -1; 0 1; 0 0"),
)

# Heun (1900), with Euler's method inside it.
HEUN = Tableau(
    name="heun",
    order=2,
    c=_row("0 1 1"),
    a=((), *_rows("1; 1/2 1/2")),
    error=_row("-1/2 1/2 0"),
    dense=_rows("1 -1/2; 0 1/2; 0 0"),
)

# Ralston (1962), Math. Comp. 16, the smallest bound of the error, with Euler's method inside it.
RALSTON = Tableau(
    name="ralston",
    order=2,
    c=_row("0 2/3 1"),
    a=((), *_rows("2/3; 1/4 3/4")),
    error=_row("-3/4 3/4 0"),
    dense=_rows("1 -3/4; 0 3/4; 0 0"),
)

# Bogacki and Shampine (1989), Appl. Math. Lett. 2.
BOSH3 = Tableau(
    name="bosh3",
    order=3,
    c=_row("0 1/2 3/4 1"),
    a=((), *_rows("1/2; 0 3/4; 2/9 1/3 4/9")),
    error=_row("-5/72 1/12 1/9 -1/8"),
    dense=_hermite(_row("2/9 1/3 4/9 0")),
)

# Kutta (1901); Hairer, Norsett and Wanner I, table II.1.2.
RK4 = Tableau(
    name="rk4",
    order=4,
    c=_row("0 1/2 1/2 1 1"),
    a=((), *_rows("1/2; 0 1/2; 0 0 1; 1/6 1/3 1/3 1/6")),
    error=None,
    dense=_hermite(_row("1/6 1/3 1/3 1/6 0")),
)

# Dormand and Prince (1980), J. Comput. Appl. Math. 6, RK5(4)7M; dense output of order 4 by
# Shampine (1986), Math. Comp. 46.
DOPRI5 = Tableau(
    name="dopri5",
    order=5,
    c=_row("0 1/5 3/10 4/5 8/9 1 1"),
    a=(
        (),
        *_rows("""
        1/5;
        3/40        9/40;
        44/45       -56/15       32/9;
        19372/6561  -25360/2187  64448/6561  -212/729;
        9017/3168   -355/33      46732/5247  49/176    -5103/18656;
        35/384      0            500/1113    125/192   -2187/6784   11/84
        """),
    ),
    error=_row("71/57600 0 -71/16695 71/1920 -17253/339200 22/525 -1/40"),
    dense=_rows("""
        1  -8048581381/2820520608    8663915743/2820520608      -12715105075/11282082432;
        0  0                         0                          0;
        0  131558114200/32700410799  -68118460800/10900136933   87487479700/32700410799;
        0  -1754552775/470086768     14199869525/1410260304     -10690763975/1880347072;
        0  127303824393/49829197408  -318862633887/49829197408  701980252875/199316789632;
        0  -282668133/205662961      2019193451/616988883       -1453857185/822651844;
        0  40617522/29380423         -110615467/29380423        69997945/29380423
        """),
)

# Tsitouras (2011), Comput. Math. Appl. 62, table 1 and the dense output of order 4 of section 3.
TSIT5 = Tableau(
    name="tsit5",
    order=5,
    c=_row("0 0.161 0.327 0.9 0.9800255409045097 1 1"),
    a=(
        (),
        *_rows("""
        0.161;
        -0.008480655492356989 0.335480655492357;
        2.8971530571054935  -6.359448489975075  4.3622954328695815;
        5.325864828439257 -11.748883564062828 7.4955393428898365 -0.09249506636175525;
        5.86145544294642 -12.92096931784711 8.159367898576159 -0.071584973281401
            -0.028269050394068383;
        0.09646076681806523 0.01 0.4798896504144996 1.379008574103742 -3.290069515436081
            2.324710524099774
        """),
    ),
    error=_row(
        "0.00178001105222577714 0.0008164344596567469 -0.007880878010261995 0.1447110071732629 "
        "-0.5823571654525552 0.45808210592918697 -1/66"
    ),
    dense=_rows("""
        1  -2.763706197274826   2.9132554618219126  -1.0530884977290216;
        0  0.13169999999999998  -0.2234             0.1017;
        0  3.9302962368947516   -5.941033872131505  2.490627285651253;
        0  -12.411077166933676  30.33818863028232   -16.548102889244902;
        0  37.50931341651104    -88.1789048947664   47.37952196281928;
        0  -27.896526289197286  65.09189467479366   -34.87065786149661;
        0  1.5                  -4                  2.5
        """),
)

# Backward Euler: stage 1 is implicit, stage 0 has no weight.
IMPLICIT_EULER = Tableau(
    name="implicit_euler",
    order=1,
    c=_row("0 1"),
    a=((), _row("0 1")),
    error=None,
    dense=_rows("0; 1"),
)

# The implicit midpoint rule; its last stage is explicit, for the next step to start from.
IMPLICIT_MIDPOINT = Tableau(
    name="implicit_midpoint",
    order=2,
    c=_row("0 1/2 1"),
    a=((), *_rows("0 1/2; 0 1")),
    error=None,
    dense=_rows("1 -1; 0 1; 0 0"),
)

# The trapezoidal rule of Crank and Nicolson (1947).
TRAPEZOID = Tableau(
    name="trapezoid",
    order=2,
    c=_row("0 1"),
    a=((), _row("1/2 1/2")),
    error=None,
    dense=_rows("1 -1/2; 0 1/2"),
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
        dense=_hermite(row3),
    )


def _kvaerno5() -> Tableau:
    """Kvaerno (2004), BIT 44, ESDIRK 5/4a.

    The dense weights are ours: of those that satisfy the conditions of order 4 at every theta and
    meet the slopes at both ends, the ones with the least sum of squares.
    """
    a = _rows("""
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
        dense=_rows("""
            1 -2.072037588795682972 1.6904652246969775856 -0.48183012412489170322;
            0 0 0 0;
            0 0.84272431906165254433 -1.9053249899848401419 1.0076315829578038344;
            0 -0.66658571364224077892 1.16842635815163972 -0.54302691179260940063;
            0 3.2569288143993531465 -3.9941254328380501671 1.367129667428861052;
            0 -0.60502552056968240905 1.488550219067473937 -0.8138999040157642482;
            0 -0.75600431045339934746 1.5520086209067986938 -0.5360043104533993466
        """),
    )


METHODS = {
    tableau.name: tableau
    for tableau in (
        EULER,
        MIDPOINT,
        HEUN,
        RALSTON,
        BOSH3,
        RK4,
        DOPRI5,
        TSIT5,
        IMPLICIT_EULER,
        IMPLICIT_MIDPOINT,
        TRAPEZOID,
        _kvaerno3(),
        _kvaerno5(),
    )
}
