"""Solutions of equations of biology and physics, corrupted as Physiome-ODE does."""

import numpy as np
import pandas as pd
import torch

from latentode.datasets.equations import EQUATIONS, Equation
from latentode.datasets.frames import long_frame
from latentode.solvers import odeint
from latentode.solvers.checks import (
    check_choice,
    check_not_negative,
    check_part,
    check_sizes,
    check_whole,
)

N_TIMES = 100
_MOST_DEVIATIONS = 10.0


def make_ode_bank(
    equation: str = "lotka-volterra",
    n_series: int = 2000,
    *,
    noise: float = 0.05,
    missing: float = 0.8,
    truth: bool = False,
    random_state: int = 0,
) -> pd.DataFrame:
    """Give solutions of an equation from many starts, noisy, sparse and irregular.

    States at the start and constants of each series are those of the equation, scaled by
    U(1 - d, 1 + d) with a d of 0.1 to 0.5. The solutions at 100 times are standardised over all
    series, those with a value more than ten deviations off are left out, noise is added, and most
    values are dropped, each for itself. The recipe is that of Physiome-ODE; the equations and
    their constants are ours, for theirs are fifty models from a repository.

    Parameters
    ----------
    equation : str, default="lotka-volterra"
        "lotka-volterra", "fitzhugh-nagumo", "goodwin", "lorenz", "two-compartments" or
        "brusselator".
    n_series : int, default=2000
        Number of series, with those that go astray.
    noise : float, default=0.05
        Standard deviation of the noise, in deviations of the variable.
    missing : float, default=0.8
        Share of the values that are dropped, below 1.
    truth : bool, default=False
        Add the noise-free values, with rows for all times.
    random_state : int, default=0
        Seed.

    Returns
    -------
    DataFrame
        Columns ``id``, ``time``, and ``y0``, ``y1`` and so on for the variables of the equation,
        NaN where dropped; with ``truth``, also ``y0_true`` and so on.

    Raises
    ------
    ValueError
        If there is no such equation, or a number is out of its range.

    References
    ----------
    Klotergens, Yalavarthi, Scholz, Schmidt-Thieme and Stubbemann (2025), Physiome-ODE: A Benchmark
    for Irregularly Sampled Multivariate Time Series Forecasting Based on Biological ODEs.

    Examples
    --------
    >>> from latentode.datasets import make_ode_bank
    >>> make_ode_bank("lorenz", 50).columns.tolist()
    ['id', 'time', 'y0', 'y1', 'y2']
    """
    check_choice("equation", equation, EQUATIONS)
    check_sizes(n_series=n_series)
    check_not_negative("noise", noise)
    check_part("missing", missing)
    check_whole("random_state", random_state, least=0)
    times, states = solved(EQUATIONS[equation], n_series, random_state=random_state)
    true = standardised(states)
    draws = np.random.default_rng(random_state)
    return long_frame(
        times,
        corrupted(true, draws, noise=noise, missing=missing),
        names=[f"y{k}" for k in range(true.shape[2])],
        truth=true if truth else None,
    )


def solved(
    equation: Equation, n_series: int, *, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give times of shape (100,) and states of shape (B, 100, D)."""
    draws = np.random.default_rng(random_state)
    means = np.array([*equation.start, *equation.constants])
    low, high = 1 - equation.spread, 1 + equation.spread
    scaled = torch.from_numpy(means * draws.uniform(low, high, (n_series, len(means))))
    y0, constants = scaled[:, : len(equation.start)], scaled[:, len(equation.start) :].T
    times = torch.linspace(0.0, equation.end, N_TIMES, dtype=torch.float64)
    rate = lambda t, y: torch.stack(equation.rate(y.T, constants), dim=1)
    solution = odeint(rate, y0, times, rtol=1e-7, atol=1e-9, adjoint="none")
    return times.numpy(), solution.ys.numpy()


def standardised(states: np.ndarray) -> np.ndarray:
    """Standardise over all series, and leave out those that go astray."""
    z = (states - states.mean(axis=(0, 1))) / states.std(axis=(0, 1))
    return z[np.abs(z).max(axis=(1, 2)) <= _MOST_DEVIATIONS]


def corrupted(
    states: np.ndarray, draws: np.random.Generator, *, noise: float = 0.05, missing: float = 0.8
) -> np.ndarray:
    """Add noise, and drop values."""
    noisy = states + noise * draws.standard_normal(states.shape)
    return np.where(draws.random(states.shape) < missing, np.nan, noisy)
