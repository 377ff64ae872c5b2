"""The periodic series of Rubanova et al. (2019)."""

import numpy as np
import pandas as pd
import torch

from latentode.datasets.frames import long_frame
from latentode.solvers.checks import check_not_negative, check_sizes, check_whole

# Times lie between 0 and this.
END = 5.0


def make_periodic(
    n_series: int = 1000,
    *,
    n_times: int = 100,
    noise: float = 0.01,
    truth: bool = False,
    random_state: int = 0,
) -> pd.DataFrame:
    """Give sines, each of a frequency and around a level of its own, at irregular times.

    All series are observed at the same times: at 0, and at others drawn evenly from [0, 5].
    Frequencies are drawn from U(0.4, 0.8), levels from N(1, 0.1^2). The noise is uniform and not
    centred, and the first value of a series has none, as in the authors' code.

    Parameters
    ----------
    n_series : int, default=1000
        Number of series.
    n_times : int, default=100
        Number of times.
    noise : float, default=0.01
        Noise is drawn from U(0, noise).
    truth : bool, default=False
        Add the noise-free values, and the frequency and the level of each series.
    random_state : int, default=0
        Seed; 1991 draws the data of the authors' code.

    Returns
    -------
    DataFrame
        Columns ``id``, ``time`` and ``y``; with ``truth``, also ``y_true``, ``frequency`` and
        ``level``.

    Raises
    ------
    ValueError
        If a number is out of its range.

    References
    ----------
    Rubanova, Chen and Duvenaud (2019), Latent ODEs for irregularly-sampled time series, section
    4.1; the numbers, and the order of the draws, are those of ``generate_timeseries.py``.

    Examples
    --------
    >>> from latentode.datasets import make_periodic
    >>> make_periodic(3, n_times=20).shape
    (60, 3)
    """
    check_sizes(n_series=n_series, n_times=n_times)
    check_not_negative("noise", noise)
    check_whole("random_state", random_state, least=0)
    later = torch.rand(n_times - 1, generator=torch.Generator().manual_seed(random_state)) * END
    times = np.sort(np.append(0.0, later.numpy().astype(np.float64)))
    draws = np.random.RandomState(random_state)
    pairs = [(draws.random_sample() * 0.4 + 0.4, draws.normal(1.0, 0.1)) for _ in range(n_series)]
    frequency, level = np.array(pairs).T
    true = np.sin(2 * np.pi * frequency[:, None] * times) + level[:, None]
    observed = true.copy()
    observed[:, 1:] += noise * draws.random_sample((n_series, n_times - 1))
    return long_frame(
        times,
        observed[..., None],
        names=["y"],
        truth=true[..., None] if truth else None,
        known={"frequency": frequency, "level": level} if truth else None,
    )
