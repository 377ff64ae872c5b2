"""Forecasts in the shapes that other packages measure; none of them is needed here."""

import re
from collections.abc import Hashable

import numpy as np
import pandas as pd

__all__ = ["to_nixtla"]

_QUANTILE = re.compile(r"(.*)_q([0-9.e-]+)")


def to_nixtla(
    forecast: pd.DataFrame, name: str = "latentode", *, target: Hashable | None = None
) -> pd.DataFrame:
    """Give quantiles in the columns of Nixtla's utilsforecast.

    Parameters
    ----------
    forecast : DataFrame
        From `predict_quantiles`, wide: with the median, and a quantile as far above it for each
        one below it. A column of the target itself, as from `predict`, is taken for the point
        forecast instead of the median.
    name : str, default="latentode"
        What to call the forecaster.
    target : Hashable, optional
        Which target to give; needed if there are several.

    Returns
    -------
    DataFrame
        Columns ``unique_id`` (0 for a frame that is one series), ``ds``, the name, and
        ``name-lo-90`` and ``name-hi-90`` for quantiles of 0.05 and 0.95, narrow intervals first.

    Raises
    ------
    ValueError
        If there are several targets, or none, or there is no point forecast.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode import LastValue
    >>> df = pd.DataFrame({"id": ["a", "a", "b"], "t": [1, 4, 2], "y": [3.0, 5.0, 2.0]})
    >>> to_nixtla(LastValue().fit(df).predict_quantiles(6), "last").columns.tolist()
    ['unique_id', 'ds', 'last', 'last-lo-80', 'last-hi-80']
    """
    targets = _targets(forecast)
    chosen = _chosen(targets, target)
    quantiles = targets[chosen]
    keys = list(forecast.columns[: _n_keys(forecast, list(targets))])
    point = chosen if chosen in forecast.columns else quantiles.get(0.5)
    if point is None or not 1 <= len(keys) <= 2:
        raise ValueError(
            f"no point forecast of {chosen}, or not one or two columns of series and time before "
            f"it: {list(forecast.columns)}. "
            "Ask for model.predict_quantiles(at, [0.05, 0.5, 0.95])."
        )
    ids = forecast[keys[0]].array if len(keys) == 2 else np.zeros(len(forecast), dtype=int)
    out = pd.DataFrame({"unique_id": ids, "ds": forecast[keys[-1]].array}, index=forecast.index)
    out[name] = forecast[point]
    for level in sorted((q for q in quantiles if q < 0.5), reverse=True):
        upper = quantiles.get(round(1 - level, 12))
        if upper is not None:
            percent = f"{round(100 * (1 - 2 * level), 6):g}"
            out[f"{name}-lo-{percent}"] = forecast[quantiles[level]]
            out[f"{name}-hi-{percent}"] = forecast[upper]
    return out


def _targets(forecast: pd.DataFrame) -> dict[str, dict[float, str]]:
    """Give the column of each level of each target."""
    targets: dict[str, dict[float, str]] = {}
    for column in forecast.columns:
        found = _QUANTILE.fullmatch(str(column))
        if found:
            targets.setdefault(found[1], {})[round(float(found[2]), 12)] = column
    return targets


def _chosen(targets: dict[str, dict[float, str]], target: Hashable | None) -> str:
    names = list(targets)
    if not names:
        raise ValueError(
            "the forecast has no columns of quantiles such as y_q0.5: give one from "
            "model.predict_quantiles(at, [0.05, 0.5, 0.95]), in the wide format."
        )
    if target is None and len(names) > 1:
        raise ValueError(
            f"the forecast has targets {names}: pass target={names[0]!r}, or another."
        )
    chosen = names[0] if target is None else str(target)
    if chosen not in targets:
        raise ValueError(f"target={target} has no quantiles in the forecast: choose of {names}.")
    return chosen


def _n_keys(forecast: pd.DataFrame, names: list[str]) -> int:
    """Count the columns before the first that belongs to a target."""
    own = [
        str(column) in names or _QUANTILE.fullmatch(str(column)) is not None
        for column in forecast.columns
    ]
    return own.index(True)
