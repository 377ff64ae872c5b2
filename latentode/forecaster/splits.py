"""Splits of the rows of a frame by time, for scikit-learn."""

from collections.abc import Hashable, Iterator

import numpy as np

from latentode.data import FrameError
from latentode.forecaster.calendar import Calendar
from latentode.solvers.checks import check_whole


class TimeCutoffSplit:
    """Split the rows of a frame at calendar cutoffs: train on those before, test on those after.

    At a cutoff c, the training rows are those at t <= c and the test rows those at
    c + gap < t <= c + gap + horizon, of all series alike. The last test rows end with the frame.

    Parameters
    ----------
    n_splits : int, default=3
        Number of cutoffs.
    horizon : Timedelta, str or number
        How far the test rows reach: ``"7D"`` for datetimes, a number for numbers.
    step : Timedelta, str or number, optional
        Time from one cutoff to the next; by default the horizon, so that no row is tested twice.
    gap : Timedelta, str or number, default=0
        Time after a cutoff that is neither trained nor tested on.
    window : Timedelta, str or number, optional
        Train on rows at t > c - window alone; by default on all before the cutoff.
    time_col : Hashable, optional
        Column of the time; by default recognised by name, as in `LatentODEForecaster`.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"id": ["a", "b"] * 4, "t": range(8), "y": 0.0})
    >>> for train, test in TimeCutoffSplit(2, horizon=2).split(df):
    ...     print(train, test)
    [0 1 2 3] [4 5]
    [0 1 2 3 4 5] [6 7]
    """

    def __init__(
        self,
        n_splits: int = 3,
        *,
        horizon: object,
        step: object = None,
        gap: object = 0,
        window: object = None,
        time_col: Hashable | None = None,
    ) -> None:
        check_whole("n_splits", n_splits)
        self.n_splits = n_splits
        self.horizon = horizon
        self.step = step
        self.gap = gap
        self.window = window
        self.time_col = time_col

    def split(
        self,
        X: object,
        y: object = None,
        groups: object = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give the positions of the rows of each split, the earliest first.

        Parameters
        ----------
        X : DataFrame
            One row an observation, in any order.
        y, groups : object, optional
            Not used.

        Yields
        ------
        train, test : ndarray
            Positions of rows.

        Raises
        ------
        FrameError
            If the frame has no such time column, a length of time cannot be read, or a split has
            nothing to train or to test on.
        """
        calendar = Calendar.of(X, self.time_col, asker="TimeCutoffSplit")
        times = calendar.times
        horizon = calendar.length("horizon", self.horizon)
        step = horizon if self.step is None else calendar.length("step", self.step)
        gap = 0 if self.gap == 0 else calendar.length("gap", self.gap)
        for end in calendar.last_ends(self.n_splits, step):
            cutoff = end - horizon - gap
            train = times <= cutoff
            if self.window is not None:
                train &= times > cutoff - calendar.length("window", self.window)
            test = (times > end - horizon) & (times <= end)
            self._refuse_nothing(train, test, calendar, cutoff)
            yield np.flatnonzero(train), np.flatnonzero(test)

    def get_n_splits(
        self,
        X: object = None,
        y: object = None,
        groups: object = None,
    ) -> int:
        """Give the number of splits.

        Parameters
        ----------
        X, y, groups : object, optional
            Not used.

        Returns
        -------
        int
            As many as there are cutoffs.
        """
        return self.n_splits

    def __repr__(self) -> str:
        options = "".join(
            f", {name}={value!r}" for name, value in vars(self).items() if name != "n_splits"
        )
        return f"TimeCutoffSplit({self.n_splits}{options})"

    def _refuse_nothing(
        self, train: np.ndarray, test: np.ndarray, calendar: Calendar, cutoff: float
    ) -> None:
        if train.any() and test.any():
            return
        first, last = (
            calendar.plainly(calendar.times.min()),
            calendar.plainly(calendar.times.max()),
        )
        none = "train" if not train.any() else "test"
        raise FrameError(
            "E-CUTOFF",
            f"the cutoff {calendar.plainly(cutoff)} of {self} leaves no row to {none} on: column "
            f"{calendar.schema.time_col!r} reaches from {first} to {last}.",
            f"TimeCutoffSplit(n_splits={max(self.n_splits - 1, 1)}, horizon=...)  # fewer splits, "
            "or another horizon",
        )
