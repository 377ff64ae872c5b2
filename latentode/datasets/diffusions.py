"""The stochastic equations of De Brouwer et al. (2019), observed now and then."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from latentode.datasets.frames import long_frame
from latentode.solvers.checks import check_not_negative, check_sizes, check_whole


class Grid(NamedTuple):
    """Times at which an equation is simulated: every ``step``, before ``end``."""

    step: float
    end: float

    @property
    def times(self) -> np.ndarray:
        """The times (T,)."""
        return self.step * np.arange(round(self.end / self.step))


class Seldom(NamedTuple):
    """How often something is observed.

    Attributes
    ----------
    least, most : int
        Times of a series at which something is observed: at least, and fewer than.
    both : float
        Share of these at which both variables are; else it is either of them.
    """

    least: int
    most: int
    both: float


def make_double_ou(
    n_series: int = 10_000,
    *,
    rate: float = 1.0,
    noise: float = 0.1,
    correlation: float = 0.99,
    truth: bool = False,
    random_state: int = 0,
) -> pd.DataFrame:
    """Give two Ornstein-Uhlenbeck processes with correlated noise, observed now and then.

    ``dy = rate (m - y) dt + noise dW`` from 0, over 10 units of time in steps of 0.05, towards
    means m that each series draws for itself from U(0.5, 1.5) and U(-1.5, -0.5). Something is
    observed, as it is, at 16 to 23 of the 200 times: both variables at a fifth of them, either
    one at the others. In the authors' benchmark, what is observed before time 4 is read, and the
    next three observations are asked.

    Parameters
    ----------
    n_series : int, default=10000
        Number of series.
    rate : float, default=1.0
        Rate at which a process goes back to its mean.
    noise : float, default=0.1
        Standard deviation of the noise, for a unit of time.
    correlation : float, default=0.99
        Correlation of the noise of both.
    truth : bool, default=False
        Add the whole paths, with rows for all times, and the means.
    random_state : int, default=0
        Seed.

    Returns
    -------
    DataFrame
        Columns ``id``, ``time``, ``y0`` and ``y1``, NaN where not observed; with ``truth``, also
        ``y0_true``, ``y1_true``, ``mean0`` and ``mean1``.

    Raises
    ------
    ValueError
        If a number is out of its range.

    References
    ----------
    De Brouwer, Simm, Arany and Moreau (2019), GRU-ODE-Bayes, section 5.1; the numbers are those
    of its code, the draws are not.

    Examples
    --------
    >>> from latentode.datasets import make_double_ou
    >>> make_double_ou(100)[["y0", "y1"]].notna().mean().round(1).tolist()
    [0.6, 0.6]
    """
    _check(n_series, noise, correlation, random_state)
    check_not_negative("rate", rate)
    draws = np.random.default_rng(random_state)
    means = draws.uniform([0.5, -1.5], [1.5, -0.5], (n_series, 2))
    grid = Grid(step=0.05, end=10.0)
    kicks = _kicks(draws, n_series, grid, noise, correlation)
    path = _euler_maruyama(lambda y: rate * (means - y), np.zeros((n_series, 2)), kicks, grid)
    observed = _seen_seldom(draws, path, Seldom(16, 24, both=0.2))
    known = {"mean0": means[:, 0], "mean1": means[:, 1]}
    return _frame(grid, observed, path if truth else None, known)


def make_brusselator(
    n_series: int = 1000,
    *,
    a: float = 0.3,
    b: float = 1.4,
    noise: float = 0.01,
    correlation: float = -0.99,
    truth: bool = False,
    random_state: int = 0,
) -> pd.DataFrame:
    """Give a reaction that oscillates, with noise in its course, observed now and then.

    ``dy0 = (1 - (b + 1) y0 + a y0^2 y1) dt + noise dW0``, ``dy1 = (b y0 - a y0^2 y1) dt +
    noise dW1`` over 50 units of time in steps of 0.1, from (1, b / a) and a normal deviation of
    0.3. Something is observed, as it is, at 20 to 29 of the 500 times: both variables at four
    fifths of them, either one at the others.

    Parameters
    ----------
    n_series : int, default=1000
        Number of series.
    a, b : float, default=0.3 and 1.4
        Constants of the equation.
    noise : float, default=0.01
        Standard deviation of the noise, for a unit of time. The authors' code takes its 0.1
        twice, so that 0.01 is what it draws.
    correlation : float, default=-0.99
        Correlation of the noise of both.
    truth : bool, default=False
        Add the whole paths, with rows for all times.
    random_state : int, default=0
        Seed.

    Returns
    -------
    DataFrame
        Columns ``id``, ``time``, ``y0`` and ``y1``, NaN where not observed; with ``truth``, also
        ``y0_true`` and ``y1_true``.

    Raises
    ------
    ValueError
        If a number is out of its range.

    References
    ----------
    De Brouwer, Simm, Arany and Moreau (2019), GRU-ODE-Bayes, section 5.1; the numbers are those
    of its code, the draws are not. Prigogine and Lefever (1968), Symmetry breaking instabilities
    in dissipative systems II.

    Examples
    --------
    >>> from latentode.datasets import make_brusselator
    >>> make_brusselator(100)[["y0", "y1"]].notna().mean().round(1).tolist()
    [0.9, 0.9]
    """
    _check(n_series, noise, correlation, random_state)
    draws = np.random.default_rng(random_state)
    y0 = np.array([1.0, b / a]) + 0.3 * draws.standard_normal((n_series, 2))
    grid = Grid(step=0.1, end=50.0)
    kicks = _kicks(draws, n_series, grid, noise, correlation)

    def drift(y: np.ndarray) -> np.ndarray:
        u, v = y.T
        return np.stack([1 - (b + 1) * u + a * u**2 * v, b * u - a * u**2 * v], axis=1)

    path = _euler_maruyama(drift, y0, kicks, grid)
    observed = _seen_seldom(draws, path, Seldom(20, 30, both=0.8))
    return _frame(grid, observed, path if truth else None, {})


def _check(n_series: int, noise: float, correlation: float, random_state: int) -> None:
    check_sizes(n_series=n_series)
    check_not_negative("noise", noise)
    check_whole("random_state", random_state, least=0)
    if not -1 <= correlation <= 1:
        raise ValueError(f"correlation={correlation} must be between -1 and 1.")


def _kicks(
    draws: np.random.Generator, n_series: int, grid: Grid, noise: float, correlation: float
) -> np.ndarray:
    """Draw the noise of every step, of shape (T - 1, B, 2)."""
    own = draws.standard_normal((len(grid.times) - 1, n_series, 2))
    second = correlation * own[..., 0] + np.sqrt(1 - correlation**2) * own[..., 1]
    return noise * np.sqrt(grid.step) * np.stack([own[..., 0], second], axis=-1)


def _euler_maruyama(
    drift: Callable[[np.ndarray], np.ndarray], y0: np.ndarray, kicks: np.ndarray, grid: Grid
) -> np.ndarray:
    """Give the paths (B, T, 2) from states y0 (B, 2)."""
    path = [y0]
    for kick in kicks:
        path.append(path[-1] + drift(path[-1]) * grid.step + kick)
    return np.stack(path, axis=1)


def _seen_seldom(draws: np.random.Generator, path: np.ndarray, often: Seldom) -> np.ndarray:
    """Give the paths (B, T, 2) with NaN where they are not observed."""
    n_series, n_times, _ = path.shape
    n_seen = draws.integers(often.least, often.most, (n_series, 1))
    rank = draws.random((n_series, n_times)).argsort(axis=1).argsort(axis=1)
    # Below the share of either alone it is the one, above that of the rest it is the other.
    alone, lot = (1 - often.both) / 2, draws.random((n_series, n_times))
    which = np.stack([lot < alone + often.both, lot >= alone], axis=-1)
    return np.where((rank < n_seen)[..., None] & which, path, np.nan)


def _frame(
    grid: Grid, observed: np.ndarray, truth: np.ndarray | None, known: dict[str, np.ndarray]
) -> pd.DataFrame:
    told = {} if truth is None else known
    return long_frame(grid.times, observed, names=["y0", "y1"], truth=truth, known=told)
