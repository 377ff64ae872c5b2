"""Runge-Kutta methods as data: exact coefficients, with the source beside each.

Every method is written with the value of the field at the end of its step as a last stage
("first same as last"): an accepted step hands it on as the first stage of the next one.
"""

from fractions import Fraction
from operator import mul
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


def _powers(weights: Row, polynomials: tuple[Row, ...]) -> Row:
    """Give the coefficients of a weighted sum of polynomials."""
    columns = zip(*polynomials, strict=True)
    return tuple(sum(map(mul, weights, column), Fraction(0)) for column in columns)


# Euler (1768), with a straight line across the step, compared to Heun's method. The estimate grows
# as h^2: only one whose weights do not sum to zero could grow as h.
EULER = Tableau(
    name="euler",
    order=1,
    c=_row("0 1"),
    a=((), _row("1")),
    error=_row("-1/2 1/2"),
    dense=(_row("1"), _row("0")),
)

# Runge (1895), with Euler's method inside it. The dense weights of the methods of order 2 are the
# parabolas that satisfy the conditions of order 2 at every theta.
MIDPOINT = Tableau(
    name="midpoint",
    order=2,
    c=_row("0 1/2 1"),
    a=((), *_rows("1/2; 0 1")),
    error=_row("-1 1 0"),
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

# Kutta (1901); Hairer, Norsett and Wanner I, table II.1.2. It has no estimate of its error: of its
# stages and the slope at the end, only multiples of the difference of the last two vanish up to
# order 3, and that sees nothing of y' = f(t).
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


def _dop853() -> Tableau:
    """Dormand and Prince 8(5,3) with dense output of order 7, from Hairer's code dop853.f.

    Hairer, Norsett and Wanner (1993), Solving Ordinary Differential Equations I, sections II.5,
    II.6 and II.10.
    """
    a = _rows("""
        0.0526001519587677318785587544488;
        0.0197250569845378994544595329183 0.0591751709536136983633785987549;
        0.0295875854768068491816892993775 0 0.0887627564304205475450678981324;
        0.241365134159266685502369798665 0 -0.884549479328286085344864962717
            0.924834003261792003115737966543;
        1/27 0 0 0.170828608729473871279604482173 0.125467687566822425016691814123;
        0.037109375 0 0 0.170252211019544039314978060272 0.0602165389804559606850219397283
            -0.017578125;
        0.0370920001185047927108779319836 0 0 0.170383925712239993810214054705
            0.107262030446373284651809199168 -0.0153194377486244017527936158236
            0.00827378916381402288758473766002;
        0.624110958716075717114429577812 0 0 -3.36089262944694129406857109825
            -0.868219346841726006818189891453 27.5920996994467083049415600797
            20.1540675504778934086186788979 -43.4898841810699588477366255144;
        0.477662536438264365890433908527 0 0 -2.48811461997166764192642586468
            -0.590290826836842996371446475743 21.2300514481811942347288949897
            15.2792336328824235832596922938 -33.2882109689848629194453265587
            -0.0203312017085086261358222928593;
        -0.93714243008598732571704021658 0 0 5.18637242884406370830023853209
            1.09143734899672957818500254654 -8.14978701074692612513997267357
            -18.5200656599969598641566180701 22.7394870993505042818970056734
            2.49360555267965238987089396762 -3.0467644718982195003823669022;
        2.27331014751653820792359768449 0 0 -10.5344954667372501984066689879
            -2.00087205822486249909675718444 -17.9589318631187989172765950534
            27.9488845294199600508499808837 -2.85899827713502369474065508674
            -8.87285693353062954433549289258 12.3605671757943030647266201528
            0.643392746015763530355970484046;
        0.0542937341165687622380535766363 0 0 0 0 4.45031289275240888144113950566
            1.89151789931450038304281599044 -5.8012039600105847814672114227
            0.31116436695781989440891606237 -0.152160949662516078556178806805
            0.201365400804030348374776537501 0.0447106157277725905176885569043
    """)
    extra = _rows("""
        0.0561675022830479523392909219681 0 0 0 0 0 0.253500210216624811088794765333
            -0.246239037470802489917441475441 -0.124191423263816360469010140626
            0.15329179827876569731206322685 0.00820105229563468988491666602057
            0.00756789766054569976138603589584 -0.008298;
        0.0318346481635021405060768473261 0 0 0 0 0.0283009096723667755288322961402
            0.0535419883074385676223797384372 -0.0549237485713909884646569340306 0 0
            -0.000108347328697249322858509316994 0.000382571090835658412954920192323
            -0.000340465008687404560802977114492 0.141312443674632500278074618366;
        -0.428896301583791923408573538692 0 0 0 0 -4.69762141536116384314449447206
            7.68342119606259904184240953878 4.06898981839711007970213554331
            0.356727187455281109270669543021 0 0 0 -0.00139902416515901462129418009734
            2.9475147891527723389556272149 -9.15095847217987001081870187138
    """)
    error = _row(
        "0.01312004499419488073250102996 0 0 0 0 -1.225156446376204440720569753 "
        "-0.4957589496572501915214079952 1.664377182454986536961530415 "
        "-0.350328848749973681688648729 0.3341791187130174790297318841 "
        "0.08192320648511571246570742613 -0.02235530786388629525884427845 0"
    )
    # What is added to the cubic of `_hermite`: four terms whose values and slopes are zero at both
    # ends, theta^2 (1 - theta)^2 times 1, theta, theta (1 - theta) and theta^2 (1 - theta).
    inner = _rows("""
        -8.4289382761090128651353491142 0 0 0 0 0.5667149535193777696253178359
            -3.0689499459498916912797304727 2.384667656512069828772814968
            2.1170345824450282767155149946 -0.8713915837779729920678990749
            2.240437430260788275854177165 0.6315787787694688181557024929
            -0.0889903364513333108206981174 18.148505520854727256656404962
            -9.1946323924783554000451984436 -4.4360363875948939664310572;
        10.427508642579134603413151009 0 0 0 0 242.28349177525818288430175319
            165.20045171727028198505394887 -374.54675472269020279518312152
            -22.113666853125306036270938578 7.7334326684722638389603898808
            -30.674084731089398182061213626 -9.3321305264302278729567221706
            15.697238121770843886131091075 -31.139403219565177677282850411
            -9.3529243588444783865713862664 35.81684148639408375246589854;
        19.985053242002433820987653617 0 0 0 0 -387.03730874935176555105901742
            -189.17813819516756882830838328 527.80815920542364900561016686
            -11.573902539959630126141871134 6.8812326946963000169666922661
            -1.000605096691083840318386098 0.7777137798053443209286926574
            -2.7782057523535084065932004339 -60.196695231264120758267380846
            84.320405506677161018159903784 11.99229113618278932803513003;
        -25.693933462703749003312586129 0 0 0 0 -154.18974869023643374053993627
            -231.52937917604549567536039109 357.6391179106141237828534991
            93.405324183624310003907691704 -37.458323136451633156875139351
            104.09964950896230045147246184 29.840293426660503123344363579
            -43.533456590011143754432175058 96.3245539591882829483949506
            -39.177261675615439165231486172 -149.72683625798562581422125276
    """)
    polynomials = _rows("""
        1 0  0  0  0  0  0;
        0 1  0  0  0  0  0;
        0 0  1  0  0  0  0;
        0 1 -2  1  0  0  0;
        0 0  1 -2  1  0  0;
        0 0  1 -3  3 -1  0;
        0 0  0  1 -3  3 -1
    """)
    result = (*a[-1], Fraction(0))
    cubic = (*_hermite(result), *_rows("0 0 0; 0 0 0; 0 0 0"))
    third = _row("31/127 0 0 0 0 0 0 0 12675/17272 0 0 3/136 0")
    return Tableau(
        name="dop853",
        order=8,
        c=_row(
            "0 0.0526001519587677318785587544488 0.0789002279381515978178381316732 "
            "0.118350341907227396726757197510 0.281649658092772603273242802490 "
            "1/3 1/4 4/13 127/195 3/5 6/7 1 1"
        ),
        a=((), *a),
        error=error,
        dense=tuple(
            _powers((*row, *column), polynomials)
            for row, column in zip(cubic, zip(*inner, strict=True), strict=True)
        ),
        error_low=tuple(x - y for x, y in zip(result, third, strict=True)),
        extra_c=_row("1/10 1/5 7/9"),
        extra=extra,
    )


# Backward Euler: stage 1 is implicit, stage 0 has no weight but in the error, which compares to
# the trapezoidal rule.
IMPLICIT_EULER = Tableau(
    name="implicit_euler",
    order=1,
    c=_row("0 1"),
    a=((), _row("0 1")),
    error=_row("-1/2 1/2"),
    dense=_rows("0; 1"),
)

# The implicit midpoint rule, compared to Euler's; its last stage is explicit, for the next step to
# start from.
IMPLICIT_MIDPOINT = Tableau(
    name="implicit_midpoint",
    order=2,
    c=_row("0 1/2 1"),
    a=((), *_rows("0 1/2; 0 1")),
    error=_row("-1 1 0"),
    dense=_rows("1 -1; 0 1; 0 0"),
)

# The trapezoidal rule of Crank and Nicolson (1947), compared to backward Euler.
TRAPEZOID = Tableau(
    name="trapezoid",
    order=2,
    c=_row("0 1"),
    a=((), _row("1/2 1/2")),
    error=_row("1/2 -1/2"),
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


TABLEAUS = {
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
        _dop853(),
        IMPLICIT_EULER,
        IMPLICIT_MIDPOINT,
        TRAPEZOID,
        _kvaerno3(),
        _kvaerno5(),
    )
}
