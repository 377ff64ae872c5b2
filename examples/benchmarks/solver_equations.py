"""The equations the solvers are compared on, written for the numbers of any library.

Each takes the entries of a state and the entries of its parameters, and gives the entries of the
derivative: torch and jax run the same lines.
"""

from collections.abc import Callable, Sequence
from typing import Any

Entries = Sequence[Any]


def van_der_pol(y: Entries, parameters: Entries) -> list[Any]:
    x, v = y
    (mu,) = parameters
    return [v, mu * (1 - x * x) * v - x]


def lotka_volterra(y: Entries, parameters: Entries) -> list[Any]:
    prey, hunters = y
    births, hunted, deaths, fed = parameters
    meetings = prey * hunters
    return [births * prey - hunted * meetings, fed * meetings - deaths * hunters]


def robertson(y: Entries, parameters: Entries) -> list[Any]:
    """Robertson's reactions, with the second substance in units of 1e-4.

    Each rate is a multiple of its usual value, so that the gradients are of one size. Hairer and
    Wanner (1996), Solving Ordinary Differential Equations II, eq. (IV.1.4).
    """
    a, b, c = y
    slow, fast, back = parameters
    made, lost, returned = 0.04 * slow * a, 0.3 * fast * b * b, back * b * c
    return [returned - made, 1e4 * (made - returned - lost), lost]


def hires(y: Entries, parameters: Entries) -> list[Any]:
    """High irradiance response of plants, eight substances.

    Three rates are multiples of their usual values. Hairer and Wanner (1996), section IV.10.
    """
    a, b, c, d, e, f, g, h = y
    k1, k2, binding = 1.71 * parameters[0], 0.43 * parameters[1], 280 * parameters[2]
    bound = binding * f * h
    return [
        -k1 * a + k2 * b + 8.32 * c + 0.0007,
        k1 * a - (k2 + 8.32) * b,
        -(8.32 + k1) * c + k2 * d + 0.035 * e,
        8.32 * b + k1 * c - (k2 + 0.69) * d,
        -(k1 + 0.035) * e + k2 * (f + g),
        -bound + 0.69 * d + k1 * e - k2 * f + 0.69 * g,
        bound - (k2 + 1.38) * g,
        -bound + (k2 + 1.38) * g,
    ]


EQUATIONS: dict[str, Callable[[Entries, Entries], list[Any]]] = {
    "van_der_pol": van_der_pol,
    "lotka_volterra": lotka_volterra,
    "robertson": robertson,
    "hires": hires,
}
