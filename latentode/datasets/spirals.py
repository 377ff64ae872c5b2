"""The spirals of Chen et al. (2018)."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from latentode.datasets.frames import long_frame
from latentode.solvers.checks import check_not_negative, check_sizes, check_whole

# Points of a whole spiral, and of the window of it that is observed.
N_DRAWN, WINDOW = 500, 100
ANGLES = np.linspace(0.0, 6 * np.pi, N_DRAWN)
# Time between two points: spirals turn by 1 in a unit of time.
STEP = float(ANGLES[1])


def make_spirals(
    n_series: int = 1000,
    *,
    n_observed: int | None = None,
    noise: float = 0.3,
    truth: bool = False,
    random_state: int = 0,
) -> pd.DataFrame:
    """Give noisy points of spirals, about half of them clockwise, each from a place of its own.

    There are but two spirals, of 500 points and three turns. The clockwise one winds outwards
    around (-5, 0), from radius 0.8 to 15 and ever faster, and the other one around (5, 0), from
    radius 0 to 5.7. A series is a window of 100 points of one of them, from any place that
    leaves 100 points before the window, and noise.

    Parameters
    ----------
    n_series : int, default=1000
        Number of series.
    n_observed : int, optional
        Points of a window that are observed, drawn at random; by default all 100.
    noise : float, default=0.3
        Standard deviation of the noise.
    truth : bool, default=False
        Add the noise-free values, and rows with them where nothing was observed: for the 100
        points before the window, for the rest of the window, and for the 100 points after it, as
        far as the spiral was drawn.
    random_state : int, default=0
        Seed; 0 draws the data of the authors' example.

    Returns
    -------
    DataFrame
        Columns ``id``, ``time`` (from 0 at the start of a window; a turn takes 2 pi), ``y0`` and
        ``y1``; with ``truth``, also ``y0_true``, ``y1_true`` and ``clockwise``.

    Raises
    ------
    ValueError
        If a number is out of its range.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 5.1; the numbers, and the order of the draws, are those of ``latent_ode.py`` among the
    examples of torchdiffeq.

    Examples
    --------
    >>> from latentode.datasets import make_spirals
    >>> make_spirals(2, n_observed=30).groupby("id").size().tolist()
    [30, 30]
    >>> make_spirals(1, truth=True).loc[198:200].round(2)
         id  time    y0    y1  y0_true  y1_true  clockwise
    198   0  3.70  5.52  4.01     5.67     4.14      False
    199   0  3.74  5.63  3.98     5.51     4.17      False
    200   0  3.78   NaN   NaN     5.36     4.20      False
    """
    check_sizes(n_series=n_series)
    check_not_negative("noise", noise)
    check_whole("random_state", random_state, least=0)
    if n_observed is not None:
        check_sizes(n_observed=n_observed)
    if n_observed is not None and n_observed > WINDOW:
        raise ValueError(
            f"n_observed={n_observed} must be at most {WINDOW}, the points of a window."
        )
    drawn, steps = _drawn(n_series, noise, random_state), np.arange(-WINDOW, 2 * WINDOW)
    observed = np.full_like(drawn.true, np.nan)
    window = slice(WINDOW, 2 * WINDOW)
    observed[:, window] = drawn.true[:, window] + drawn.noise
    if n_observed is not None:
        # Draws of their own: the noise of a point is the same however many are observed.
        lot = np.random.default_rng(random_state).random((n_series, WINDOW))
        observed[:, window][lot.argsort(axis=1).argsort(axis=1) >= n_observed] = np.nan
    return long_frame(
        STEP * steps,
        observed,
        names=["y0", "y1"],
        truth=drawn.true if truth else None,
        known={"clockwise": drawn.clockwise} if truth else None,
    )


def spirals() -> np.ndarray:
    """Give both spirals, the clockwise one first, with NaN after their ends: (2, 600, 2)."""
    left = ANGLES[-1] + 1.0 - ANGLES
    clockwise = _curve(0.3 * 50.0 / left, left, centre=-5.0)
    counter = _curve(0.3 * ANGLES, ANGLES, centre=5.0)
    end = np.full((2, WINDOW, 2), np.nan)
    return np.concatenate([np.stack([clockwise, counter]), end], axis=1)


class _Drawn(NamedTuple):
    """Which spirals (B,), the truth from before to after the window (B, 300, 2), the noise."""

    clockwise: np.ndarray
    true: np.ndarray
    noise: np.ndarray


def _drawn(n_series: int, noise: float, random_state: int) -> _Drawn:
    draws, (clockwise, counter) = np.random.RandomState(random_state), spirals()
    rows = []
    for _ in range(n_series):
        first = draws.randint(N_DRAWN - 2 * WINDOW)
        is_clockwise = draws.rand() <= 0.5
        path = (clockwise if is_clockwise else counter)[first : first + 3 * WINDOW]
        rows.append((is_clockwise, path, noise * draws.randn(WINDOW, 2)))
    return _Drawn(*map(np.array, zip(*rows, strict=True)))


def _curve(radius: np.ndarray, angle: np.ndarray, *, centre: float) -> np.ndarray:
    return np.stack([radius * np.cos(angle) + centre, radius * np.sin(angle)], axis=1)
