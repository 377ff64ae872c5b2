"""Explicit Runge-Kutta methods up to order 5: exact coefficients, with the source beside each."""

from latentode.solvers.tableau import Tableau, hermite, row, rows

# Euler (1768), with a straight line across the step, compared to Heun's method. The estimate grows
# as h^2: only one whose weights do not sum to zero could grow as h.
EULER = Tableau(
    name="euler",
    order=1,
    c=row("0 1"),
    a=((), row("1")),
    error=row("-1/2 1/2"),
    dense=(row("1"), row("0")),
)

# Runge (1895), with Euler's method inside it. The dense weights of the methods of order 2 are the
# parabolas that satisfy the conditions of order 2 at every theta.
MIDPOINT = Tableau(
    name="midpoint",
    order=2,
    c=row("0 1/2 1"),
    a=((), *rows("1/2; 0 1")),
    error=row("-1 1 0"),
    dense=rows("1 -1; 0 1; 0 0"),
)

# Heun (1900), with Euler's method inside it.
HEUN = Tableau(
    name="heun",
    order=2,
    c=row("0 1 1"),
    a=((), *rows("1; 1/2 1/2")),
    error=row("-1/2 1/2 0"),
    dense=rows("1 -1/2; 0 1/2; 0 0"),
)

# Ralston (1962), Math. Comp. 16, the smallest bound of the error, with Euler's method inside it.
RALSTON = Tableau(
    name="ralston",
    order=2,
    c=row("0 2/3 1"),
    a=((), *rows("2/3; 1/4 3/4")),
    error=row("-3/4 3/4 0"),
    dense=rows("1 -3/4; 0 3/4; 0 0"),
)

# Bogacki and Shampine (1989), Appl. Math. Lett. 2.
BOSH3 = Tableau(
    name="bosh3",
    order=3,
    c=row("0 1/2 3/4 1"),
    a=((), *rows("1/2; 0 3/4; 2/9 1/3 4/9")),
    error=row("-5/72 1/12 1/9 -1/8"),
    dense=hermite(row("2/9 1/3 4/9 0")),
)

# Kutta (1901); Hairer, Norsett and Wanner I, table II.1.2. It has no estimate of its error: of its
# stages and the slope at the end, only multiples of the difference of the last two vanish up to
# order 3, and that sees nothing of y' = f(t).
RK4 = Tableau(
    name="rk4",
    order=4,
    c=row("0 1/2 1/2 1 1"),
    a=((), *rows("1/2; 0 1/2; 0 0 1; 1/6 1/3 1/3 1/6")),
    error=None,
    dense=hermite(row("1/6 1/3 1/3 1/6 0")),
)

# Dormand and Prince (1980), J. Comput. Appl. Math. 6, RK5(4)7M; dense output of order 4 by
# Shampine (1986), Math. Comp. 46.
DOPRI5 = Tableau(
    name="dopri5",
    order=5,
    c=row("0 1/5 3/10 4/5 8/9 1 1"),
    a=(
        (),
        *rows("""
        1/5;
        3/40        9/40;
        44/45       -56/15       32/9;
        19372/6561  -25360/2187  64448/6561  -212/729;
        9017/3168   -355/33      46732/5247  49/176    -5103/18656;
        35/384      0            500/1113    125/192   -2187/6784   11/84
        """),
    ),
    error=row("71/57600 0 -71/16695 71/1920 -17253/339200 22/525 -1/40"),
    dense=rows("""
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
    c=row("0 0.161 0.327 0.9 0.9800255409045097 1 1"),
    a=(
        (),
        *rows("""
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
    error=row(
        "0.00178001105222577714 0.0008164344596567469 -0.007880878010261995 0.1447110071732629 "
        "-0.5823571654525552 0.45808210592918697 -1/66"
    ),
    dense=rows("""
        1  -2.763706197274826   2.9132554618219126  -1.0530884977290216;
        0  0.13169999999999998  -0.2234             0.1017;
        0  3.9302962368947516   -5.941033872131505  2.490627285651253;
        0  -12.411077166933676  30.33818863028232   -16.548102889244902;
        0  37.50931341651104    -88.1789048947664   47.37952196281928;
        0  -27.896526289197286  65.09189467479366   -34.87065786149661;
        0  1.5                  -4                  2.5
        """),
)

EXPLICIT = (EULER, MIDPOINT, HEUN, RALSTON, BOSH3, RK4, DOPRI5, TSIT5)
