"""Metrics by their names: what each needs of a forecast, and its loss."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from latentode.metrics.losses import (
    CRPS_LEVELS,
    absolute_error,
    covered,
    crps_from_quantiles,
    pinball_loss,
    squared_error,
)


class Forecasts(NamedTuple):
    """What was told of P values of D variables.

    Attributes
    ----------
    mean : ndarray of shape (P, D)
        Expected values.
    levels : ndarray of shape (K,)
        Levels of the quantiles.
    quantiles : ndarray of shape (P, D, K)
        The quantiles.
    log_density : ndarray of shape (P, D)
        Logarithm of the density where the value came.
    """

    mean: np.ndarray
    levels: np.ndarray
    quantiles: np.ndarray
    log_density: np.ndarray


def levels_for(metrics: Sequence[str]) -> np.ndarray:
    """Give the levels (K,), rising, of the quantiles that metrics need; refuse unknown ones.

    >>> levels_for(["mae", "coverage_90", "pinball_0.75"])
    array([0.05, 0.75, 0.95])
    """
    needed = [_parse(metric).levels for metric in metrics]
    return np.unique(np.concatenate([*needed, np.zeros(0)]))


def losses(metric: str, truth: np.ndarray, forecasts: Forecasts) -> np.ndarray:
    """Give the loss (P, D) of every value that came, whose mean is the metric.

    Parameters
    ----------
    metric : str
        "mse", "rmse" (of which the squares are given), "mae", "crps", "nll" in nats,
        "pinball_0.9" for the quantile of a level, "coverage_90" for the share of values within
        the central interval that is to hold 90 %, or "width_90" for its width.
    truth : ndarray of shape (P, D)
        What came, NaN where nothing did.
    forecasts : Forecasts
        What was told, with the quantiles of `levels_for` at least.

    Returns
    -------
    ndarray of shape (P, D)
        NaN where nothing came.

    Raises
    ------
    ValueError
        If there is no such metric, or a quantile that it needs was not told.
    """
    parsed = _parse(metric)
    missing = np.setdiff1d(parsed.levels, forecasts.levels)
    if len(missing):
        raise ValueError(
            f"metric={metric} needs quantiles of the levels {missing.tolist()}, which are not "
            f"among the forecasts. Ask for those of levels_for([{metric!r}])."
        )
    at = np.searchsorted(forecasts.levels, parsed.levels)
    chosen = forecasts._replace(levels=parsed.levels, quantiles=forecasts.quantiles[..., at])
    return np.where(np.isfinite(truth), parsed.loss(truth, chosen), np.nan)


def in_units_of(
    std: np.ndarray, truth: np.ndarray, forecasts: Forecasts
) -> tuple[np.ndarray, Forecasts]:
    """Give values and forecasts in units of a standard deviation (D,); one of 0 counts as 1."""
    unit = np.where(std > 0, std, 1.0)
    return truth / unit, Forecasts(
        forecasts.mean / unit,
        forecasts.levels,
        forecasts.quantiles / unit[:, None],
        forecasts.log_density + np.log(unit),
    )


class _Metric(NamedTuple):
    """Levels (K,) of the quantiles that a metric needs, and its loss with just these."""

    levels: np.ndarray
    loss: Callable[[np.ndarray, Forecasts], np.ndarray]


_CRPS = _Metric(
    CRPS_LEVELS, lambda truth, told: crps_from_quantiles(truth, told.quantiles, told.levels)
)
_SQUARES = _Metric(np.zeros(0), lambda truth, told: squared_error(truth, told.mean))
_NAMED = {
    "mse": _SQUARES,
    "rmse": _SQUARES,
    "mae": _Metric(np.zeros(0), lambda truth, told: absolute_error(truth, told.mean)),
    "crps": _CRPS,
    "nll": _Metric(np.zeros(0), lambda truth, told: -told.log_density),
}
_OF_INTERVALS = {
    "coverage": lambda truth, told: covered(truth, *np.moveaxis(told.quantiles, -1, 0)),
    "width": lambda truth, told: told.quantiles[..., 1] - told.quantiles[..., 0],
}


def _parse(metric: str) -> _Metric:
    if metric in _NAMED:
        return _NAMED[metric]
    kind, _, number = str(metric).partition("_")
    share = _share(number, 100.0 if kind in _OF_INTERVALS else 1.0)
    if share is not None and kind in _OF_INTERVALS:
        outside = round((1 - share) / 2, 12)  # 0.05, not 0.04999999999999999
        return _Metric(np.array([outside, 1 - outside]), _OF_INTERVALS[kind])
    if share is not None and kind == "pinball":
        return _Metric(
            np.array([share]),
            lambda truth, told: pinball_loss(truth, told.quantiles[..., 0], share),
        )
    known = ", ".join(_NAMED)
    raise ValueError(
        f"metric={metric} is not known: choose one of {known}, pinball_0.9 (a level), coverage_90 "
        "or width_90 (percent)."
    )


def _share(number: str, whole: float) -> float | None:
    """Read a share of a whole that is neither nothing nor all; None if it is none."""
    try:
        share = float(number) / whole
    except ValueError:
        return None
    return share if 0 < share < 1 else None
