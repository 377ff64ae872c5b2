"""What a fitted forecaster tells: expected values, quantiles and intervals at any times."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from latentode.data import Panel, Schema, as_native, empty_panel
from latentode.forecaster.calibration import Calibration
from latentode.forecaster.levels import probabilities, probability
from latentode.forecaster.question import Question, Wanted
from latentode.forecaster.shards import tell_on
from latentode.forecaster.table import as_table, quantile_parts
from latentode.models import Told
from latentode.solvers.checks import check_choice, check_whole


class Predicting(ABC):
    """A forecaster that tells values at any times.

    Attributes
    ----------
    schema_ : Schema
        The columns in use, and the type of the times.
    context_ : Panel
        What was observed: where forecasts start from.
    calibration_ : Calibration or None
        What `calibrate` learned.
    """

    schema_: Schema
    context_: Panel
    calibration_: Calibration | None
    _question: Callable[..., Question]

    @abstractmethod
    def _tell(self, question: Question, wanted: Wanted) -> Told:
        """Give the forecasts of P pairs, in the units of the frame.

        Parameters
        ----------
        question : Question
            The pairs, and what is known of their series.
        wanted : Wanted
            What is wanted of the pairs.
        """

    def predict(
        self,
        at: object = None,
        *,
        horizon: object = None,
        step: object = None,
        context: object = None,
        cutoff: object = None,
        static: object = None,
        return_std: bool = False,
        format: str = "wide",  # noqa: A002  what pandas users would call it
        n_jobs: int = 1,
    ) -> pd.DataFrame:
        """Give the expected values at any times: after what was observed, within, or before.

        Parameters
        ----------
        at : time, sequence of times, or DataFrame
            One time or several, for every series; or a frame with the columns of series and time,
            for exactly its rows, and with what is known ahead: those of ``known_cols``.
        horizon, step : Timedelta, str or number, optional
            Instead of ``at``: times each ``step`` after a series' last observation, or after the
            cutoff if there is one, up to and including ``horizon``; without ``step``, the horizon
            alone.
        context : DataFrame, optional
            What was observed of other series, or of the same ones instead of what ``fit`` saw.
            Forecasts start from these rows, without a new fit.
        cutoff : time, optional
            Read nothing that was observed after this time. By default all of a series is read,
            also where a time within it is asked.
        static : DataFrame, optional
            Static covariates of the series of ``context``, where it does not have them: one row
            for each.
        return_std : bool, default=False
            Whether to add a column ``y_std`` for each target, the standard deviation.
        format : {"wide", "long"}, default="wide"
            One column for each target, or one row, with the columns ``target`` and ``value``.
        n_jobs : int, default=1
            How many processes share the series among them. They take seconds to start, which
            pays for millions of rows; see ``docs/large-data.md``.

        Returns
        -------
        DataFrame
            Columns of series, time and targets. The rows of a frame come back in their order and
            with their index; what the index says of series and time is not said in columns too.

        Raises
        ------
        FrameError
            If the frames do not keep the contract, or a series is not known.
        NotFittedError
            Before ``fit``.

        Warns
        -----
        LatentODEWarning
            If a time is so far from what was observed that its forecast is little but the mean,
            or if nothing was observed of a series.
        """
        check_choice("format", format, ("wide", "long"))
        question = self._question(at, horizon, step, context, cutoff, static)
        told = self._tell_on(n_jobs, question, Wanted(with_spread=return_std))
        parts = {"": told.mean, "_std": told.std} if return_std else {"": told.mean}
        table = as_table(question.query, parts, self.schema_, format)
        return as_native(table, question.query.backend)

    def predict_quantiles(
        self,
        at: object = None,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        *,
        horizon: object = None,
        step: object = None,
        context: object = None,
        cutoff: object = None,
        static: object = None,
        format: str = "wide",  # noqa: A002  as in predict
        n_jobs: int = 1,
    ) -> pd.DataFrame:
        """Give quantiles of the forecast; see `predict` for the other parameters.

        After `calibrate`, they are those that held their share of what came.

        Parameters
        ----------
        at : time, sequence of times, or DataFrame
            As in `predict`.
        quantiles : sequence of float, default=(0.1, 0.5, 0.9)
            Probabilities, each above 0 and below 1.
        horizon, step : Timedelta, str or number, optional
            As in `predict`.
        context : DataFrame, optional
            As in `predict`.
        cutoff : time, optional
            As in `predict`.
        static : DataFrame, optional
            As in `predict`.
        format : {"wide", "long"}, default="wide"
            One column for each target and quantile, ``y_q0.1``; or one row, with the columns
            ``target``, ``quantile`` and ``value``.
        n_jobs : int, default=1
            As in `predict`.

        Returns
        -------
        DataFrame
            Columns of series and time, and those of the quantiles.

        Raises
        ------
        FrameError
            As in `predict`.
        ValueError
            If a quantile is not a probability.
        """
        check_choice("format", format, ("wide", "long"))
        levels = probabilities(quantiles)
        question = self._question(at, horizon, step, context, cutoff, static)
        told = self._tell_calibrated(question, Wanted(np.array(levels)), n_jobs=n_jobs)
        parts = quantile_parts(levels, told)
        table = as_table(question.query, parts, self.schema_, format)
        return as_native(table, question.query.backend)

    def predict_interval(
        self,
        at: object = None,
        coverage: float = 0.9,
        *,
        horizon: object = None,
        step: object = None,
        context: object = None,
        cutoff: object = None,
        static: object = None,
        n_jobs: int = 1,
    ) -> pd.DataFrame:
        """Give the expected values, and an interval that is to hold a share of what comes.

        Parameters
        ----------
        at : time, sequence of times, or DataFrame
            As in `predict`.
        coverage : float, default=0.9
            The share, above 0 and below 1; as much lies above the interval as below.
        horizon, step : Timedelta, str or number, optional
            As in `predict`.
        context : DataFrame, optional
            As in `predict`.
        cutoff : time, optional
            As in `predict`.
        static : DataFrame, optional
            As in `predict`.
        n_jobs : int, default=1
            As in `predict`.

        Returns
        -------
        DataFrame
            Columns of series and time, and ``y``, ``y_lower`` and ``y_upper`` for each target.

        Raises
        ------
        FrameError
            As in `predict`.
        ValueError
            If the coverage is not a share.
        """
        share = probability("coverage", coverage)
        question = self._question(at, horizon, step, context, cutoff, static)
        outside = (1 - share) / 2
        levels = np.array([outside, 1 - outside])
        told = self._tell_calibrated(question, Wanted(levels), n_jobs=n_jobs)
        lower, upper = np.moveaxis(told.quantiles, 2, 0)
        parts = {"": told.mean, "_lower": lower, "_upper": upper}
        table = as_table(question.query, parts, self.schema_, "wide")
        return as_native(table, question.query.backend)

    def smooth(self, df: object, *, static: object = None) -> pd.DataFrame:
        """Give the expected values at the rows of a frame, from all of them, before and after.

        What was measured is smoothed, and what was not is filled in. Of the parameters of
        `LatentODEForecaster`, ``objective="interpolation"`` is made for this.

        Parameters
        ----------
        df : DataFrame
            Rows as in ``fit``, of any series.
        static : DataFrame, optional
            As in `predict`.

        Returns
        -------
        DataFrame
            Columns of series, time and targets, with the rows and the index of the frame.

        Raises
        ------
        FrameError
            If the frame does not keep the contract.

        Examples
        --------
        >>> from latentode import LatentODEForecaster, load_pbcseq
        >>> df = load_pbcseq()
        >>> model = LatentODEForecaster(id_col="patient", time_col="day", max_epochs=2, verbose=0)
        >>> filled = df.fillna(model.fit(df).smooth(df))
        >>> int(df.chol.isna().sum()), int(filled.chol.isna().sum())
        (821, 0)
        """
        rows = df.to_frame() if isinstance(df, pd.Series) else df  # else its values are times
        return self.predict(rows, context=df, static=static)

    def _tell_calibrated(self, question: Question, wanted: Wanted, *, n_jobs: int = 1) -> Told:
        """Give the forecasts with quantiles (P, D, K), calibrated if `calibrate` was called."""
        if self.calibration_ is not None and wanted.levels is not None and wanted.levels.size:
            levels = self.calibration_.levels(wanted.levels, question.since)
            wanted = wanted._replace(levels=levels)
        return self._tell_on(n_jobs, question, wanted)

    def _tell_on(self, n_jobs: int, question: Question, wanted: Wanted) -> Told:
        """Give the forecasts here, or by several processes."""
        check_whole("n_jobs", n_jobs)
        if n_jobs == 1:
            return self._tell(question, wanted)
        alone = copy.copy(self)
        alone.context_ = empty_panel(self.schema_)  # all that is read is in the question
        return tell_on(n_jobs, alone._tell, question, wanted)
