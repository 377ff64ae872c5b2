"""Long frames of generated series: what was observed, and on request the truth beside it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def long_frame(
    times: np.ndarray,
    observed: np.ndarray,
    *,
    names: Sequence[str],
    truth: np.ndarray | None = None,
    known: dict[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Put generated series into a frame with one row an observation.

    Parameters
    ----------
    times : ndarray of shape (T,)
        Times of all series.
    observed : ndarray of shape (B, T, D)
        What was measured, NaN where nothing was.
    names : sequence of str
        Names of the D variables.
    truth : ndarray of shape (B, T, D), optional
        What would have been measured without noise, NaN where there is none. With it, times at
        which nothing was measured have rows too.
    known : dict of ndarray of shape (B,), optional
        What else is known of each series, by the name of its column.

    Returns
    -------
    DataFrame
        Columns ``id`` and ``time``, the names, with a truth each name with ``_true`` behind it,
        and those of ``known``.
    """
    n_series, n_times, _ = observed.shape
    columns = {"id": np.repeat(np.arange(n_series), n_times), "time": np.tile(times, n_series)}
    columns |= _named(observed, names)
    kept = np.isfinite(observed).any(axis=2)
    if truth is not None:
        columns |= _named(truth, [f"{name}_true" for name in names])
        kept |= np.isfinite(truth).any(axis=2)
    for name, values in (known or {}).items():
        columns[name] = np.repeat(values, n_times)
    return pd.DataFrame(columns)[kept.ravel()].reset_index(drop=True)


def _named(values: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    return {name: values[:, :, k].ravel() for k, name in enumerate(names)}
