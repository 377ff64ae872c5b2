"""Six equations of biology and physics, corrupted as Physiome-ODE does: noisy, sparse, irregular.

Klotergens et al. (2025), Physiome-ODE: a benchmark for irregularly sampled multivariate time
series forecasting based on biological ODEs. Of each equation 2,000 instances with states at the
start and constants scaled by U(1 - d, 1 + d), at 100 times; standardised over all instances, those
with a value more than ten deviations off dropped, noise of 0.05 added, and 80 % of the values
dropped. The first half of the time is read, what was kept of the rest is asked, noise and all.
70 % of the instances train, 20 % validate, 10 % test, by fold. The recipe is theirs; the equations
and their constants are ours, for theirs are fifty models from a repository.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from forecast_metrics import micro_metrics
from forecast_tasks import Array, Cut, Split, Task, frame_of, split_task
from torch import Tensor

from latentode.solvers import odeint

N_INSTANCES, N_TIMES = 2000, 100
NOISE, DROPPED, MOST_DEVIATIONS = 0.05, 0.8, 10.0


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


def task(name: str, fold: int = 0) -> Task:
    """Give the task for an equation; a fold has its own split, and its own noise."""
    equation = EQUATIONS[name]
    draws = np.random.default_rng(fold)
    features = tuple(f"y{k}" for k in range(len(equation.start)))
    times, states = simulated(equation, seed=0)
    frame = frame_of(corrupted(standardised(states), draws), times, features)
    frame = frame[frame[list(features)].notna().any(axis=1)].reset_index(drop=True)
    order = draws.permutation(frame["series"].unique())
    n_train, n_test = len(order) * 7 // 10, len(order) // 10
    split = Split(order[:n_train], order[n_train:-n_test], order[-n_test:])
    cut = Cut(horizon_from=equation.end / 2)
    return split_task(
        f"ode-bank/{name}/{fold}", frame, split, cut, features=features, metrics=micro_metrics
    )


def simulated(equation: Equation, *, seed: int) -> tuple[Array, Array]:
    """Give times of shape (100,) and states of shape (2000, 100, D)."""
    draws = np.random.default_rng(seed)
    means = np.array([*equation.start, *equation.constants])
    low, high = 1 - equation.spread, 1 + equation.spread
    scaled = torch.from_numpy(means * draws.uniform(low, high, (N_INSTANCES, len(means))))
    y0, constants = scaled[:, : len(equation.start)], scaled[:, len(equation.start) :].T
    times = torch.linspace(0.0, equation.end, N_TIMES, dtype=torch.float64)
    rate = lambda t, y: torch.stack(equation.rate(y.T, constants), dim=1)
    solution = odeint(rate, y0, times, rtol=1e-7, atol=1e-9, adjoint="none")
    return times.numpy(), solution.ys.numpy()


def standardised(states: Array) -> Array:
    """Standardise over all instances, and leave out those that go astray."""
    z = (states - states.mean(axis=(0, 1))) / states.std(axis=(0, 1))
    return z[np.abs(z).max(axis=(1, 2)) <= MOST_DEVIATIONS]


def corrupted(states: Array, draws: np.random.Generator) -> Array:
    noisy = states + NOISE * draws.standard_normal(states.shape)
    return np.where(draws.random(states.shape) < DROPPED, np.nan, noisy)
