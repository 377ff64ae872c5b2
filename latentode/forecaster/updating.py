"""What a fitted forecaster knows of its series: added to, or replaced, without a new fit."""

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from latentode.data import Panel, Schema, merge_panels
from latentode.data.lookup import rows_known


class Updating(ABC):
    """A forecaster that starts from a context, which may grow.

    Attributes
    ----------
    schema_ : Schema
        The columns in use, and the type of the times.
    context_ : Panel
        What was observed: where forecasts start from.
    """

    schema_: Schema
    context_: Panel

    @abstractmethod
    def _panel(self, df: object, static: object = None) -> Panel:
        """Read a frame with the columns of fit."""

    def update(self, df: object, *, static: object = None) -> Self:
        """Add rows to what is known, of the same series or of new ones, without a fit.

        Forecasts then start from these rows too, to the bit as if they had been given with all
        others at once. Weights, scales and calibration stay as they are.

        Parameters
        ----------
        df : DataFrame
            New rows, in any order, with the columns of ``fit``.
        static : DataFrame, optional
            As in ``fit``, of the series of these rows.

        Returns
        -------
        Forecaster
            The forecaster itself.

        Raises
        ------
        FrameError
            If the frame does not keep the contract, or a row is at a time that is known already;
            nothing is added then. ``df[~model.knows(df)]`` are the rows that are new.
        NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> from latentode import LatentODEForecaster, load_pbcseq
        >>> df = load_pbcseq()
        >>> model = LatentODEForecaster(id_col="patient", time_col="day", max_epochs=2, verbose=0)
        >>> model = model.fit(df[df.day < 3000]).update(df[df.day >= 3000])
        >>> len(model.context_.times) == len(df)
        True
        """
        check_is_fitted(self)
        self.context_ = merge_panels(self.context_, self._panel(df, static))
        return self

    def set_context(self, df: object, *, static: object = None) -> Self:
        """Replace all that is known of the series, without a fit.

        Parameters
        ----------
        df : DataFrame
            Rows with the columns of ``fit``; series that it does not have are forgotten.
        static : DataFrame, optional
            As in ``fit``, of these series.

        Returns
        -------
        Forecaster
            The forecaster itself.

        Raises
        ------
        FrameError
            If the frame does not keep the contract.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        self.context_ = self._panel(df, static)
        return self

    def knows(self, df: object) -> np.ndarray:
        """Tell which rows of a frame are at a time of which the model has a row already.

        Parameters
        ----------
        df : DataFrame
            Rows with the columns of series and time.

        Returns
        -------
        ndarray of shape (N,), dtype=bool
            True for rows that `update` would refuse; what was measured does not matter.

        Raises
        ------
        FrameError
            If a column is missing, or an id or a time cannot be read.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        return rows_known(self.context_, df)
