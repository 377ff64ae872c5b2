"""Equations of biology and physics, with constants of ours."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Equation(NamedTuple):
    """An equation y' = rate(y, c), with states and constants as columns of y and c.

    Attributes
    ----------
    rate : callable
        Takes states (D, B) and constants (C, B), gives D tensors of shape (B,).
    start, constants : tuple of float
        States at the start, and constants, before they are scaled.
    end : float
        The time that is simulated.
    spread : float
        States and constants are scaled by U(1 - spread, 1 + spread).
    """

    rate: Callable[[Tensor, Tensor], tuple[Tensor, ...]]
    start: tuple[float, ...]
    constants: tuple[float, ...]
    end: float
    spread: float


def lotka_volterra(y: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """Lotka (1925), Volterra (1926): prey and predators."""
    prey, predators = y
    return c[0] * prey - c[1] * prey * predators, c[2] * prey * predators - c[3] * predators


def fitzhugh_nagumo(y: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """FitzHugh (1961): an excitable nerve under a constant current."""
    voltage, recovery = y
    current, a, b, speed = c
    return voltage - voltage**3 / 3 - recovery + current, speed * (voltage + a - b * recovery)


def goodwin(y: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """Goodwin (1965): a gene that its own product represses, with Hill's coefficient 10."""
    messenger, protein, product = y
    made, lost = c[:3], c[3:]
    return (
        made[0] / (1 + product**10) - lost[0] * messenger,
        made[1] * messenger - lost[1] * protein,
        made[2] * protein - lost[2] * product,
    )


def lorenz(y: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """Lorenz (1963): convection; chaotic."""
    u, v, w = y
    sigma, rho, beta = c
    return sigma * (v - u), u * (rho - w) - v, u * v - beta * w


def two_compartments(y: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """A dose in the gut, what of it is in the blood, and what in the tissue."""
    gut, blood, tissue = y
    absorbed, cleared, out, back = c
    return (
        -absorbed * gut,
        absorbed * gut - (cleared + out) * blood + back * tissue,
        out * blood - back * tissue,
    )


def brusselator(y: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """Prigogine and Lefever (1968): a reaction that oscillates."""
    u, v = y
    a, b = c
    return a - (b + 1) * u + u**2 * v, b * u - u**2 * v


EQUATIONS = {
    "lotka-volterra": Equation(lotka_volterra, (2.0, 1.0), (1.0, 0.5, 0.4, 0.8), 20.0, 0.2),
    "fitzhugh-nagumo": Equation(fitzhugh_nagumo, (-1.0, 1.0), (0.5, 0.7, 0.8, 0.08), 100.0, 0.2),
    "goodwin": Equation(goodwin, (0.3, 0.6, 1.2), (1.0, 1.0, 1.0, 0.5, 0.5, 0.5), 30.0, 0.2),
    "lorenz": Equation(lorenz, (-5.0, -6.0, 22.0), (10.0, 28.0, 2.667), 2.0, 0.1),
    "two-compartments": Equation(
        two_compartments, (10.0, 1.0, 1.0), (1.0, 0.2, 0.6, 0.2), 12.0, 0.5
    ),
    "brusselator": Equation(brusselator, (1.0, 1.0), (1.0, 2.5), 20.0, 0.2),
}
