"""What every forecaster can do once it is fitted: answer for any series at any time."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from latentode.data import (
    FrameError,
    OnDuplicates,
    Panel,
    Scaler,
    as_native,
    to_panel,
    without_covariates,
)
from latentode.data.errors import plainly, warn
from latentode.forecaster.calibration import Calibration
from latentode.forecaster.held_out import held_out
from latentode.forecaster.levels import probabilities, probability
from latentode.forecaster.measured import Measured
from latentode.forecaster.plots import plot
from latentode.forecaster.question import Question, ask
from latentode.forecaster.streaming import Streaming
from latentode.forecaster.table import as_table, quantile_parts
from latentode.forecaster.updating import Updating
from latentode.models import Told
from latentode.solvers.checks import check_choice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Median spans of the training series beyond which a forecast comes with a warning.
_FAR = 10


class Forecaster(Updating, Measured, Streaming, BaseEstimator, ABC):
    """A forecaster of irregular series, to be fitted on a frame and asked at any times.

    Attributes
    ----------
    schema_ : Schema
        The columns in use, and the type of the times.
    context_ : Panel
        What was observed: where forecasts start from.
    scaler_ : Scaler
        Scales of values and times.
    calibration_ : Calibration or None
        What `calibrate` learned.
    """

    on_duplicates: OnDuplicates
    scaler_: Scaler
    calibration_: Calibration | None

    @abstractmethod
    def fit(self, df: object, y: None = None, *, static: object = None) -> Self:
        """Learn from every series of a frame."""

    @abstractmethod
    def _tell(
        self,
        question: Question,
        *,
        levels: np.ndarray | None = None,
        truth: np.ndarray | None = None,
        with_spread: bool = True,
    ) -> Told:
        """Give the forecasts of P pairs, in the units of the frame.

        Parameters
        ----------
        question : Question
            The pairs, and what is known of their series.
        levels : ndarray of shape (K,) or (P, D, K), optional
            Probabilities of the quantiles wanted.
        truth : ndarray of shape (P, D), optional
            What came, NaN where nothing did.
        with_spread : bool, default=True
            Whether anything but the mean is wanted.
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
        told = self._tell(question, with_spread=return_std)
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
        parts = quantile_parts(levels, self._tell_levels(question, levels))
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
        told = self._tell_levels(question, [outside, 1 - outside])
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

    def calibrate(self, df: object, *, static: object = None) -> Self:
        """Make quantiles hold what they say, on rows that were not fitted.

        Each quantile asked later is that which held its share of these rows, at about the same
        lead time (conformal prediction). Quantiles still never cross, and the mean stays.

        Parameters
        ----------
        df : DataFrame
            Later rows of the series that are known, or other series, of which the first half of
            their time span is read and the rest is told; see `score`.
        static : DataFrame, optional
            As in `predict`, of these series.

        Returns
        -------
        Forecaster
            The forecaster itself.

        Raises
        ------
        FrameError
            If the frame does not keep the contract, or nothing in it is left to tell.

        Examples
        --------
        >>> from latentode import LatentODEForecaster, load_pbcseq
        >>> df = load_pbcseq()
        >>> model = LatentODEForecaster(id_col="patient", time_col="day", max_epochs=2, verbose=0)
        >>> model = model.fit(df[df.patient < 200]).calibrate(df[df.patient >= 200])
        >>> model.predict_interval(5000, 0.9).columns.tolist()[2:5]
        ['bili', 'bili_lower', 'bili_upper']
        """
        check_is_fitted(self)
        question, truth = held_out(self.context_, self._panel(df, static))
        told = self._tell(question, truth=truth)
        cdf = np.where(np.isfinite(truth), told.cdf, np.nan)
        self.calibration_ = Calibration.fit(cdf, question.since)
        return self

    def plot(
        self,
        ids: Iterable[Hashable] | None = None,
        *,
        horizon: object = None,
        targets: Sequence[Hashable] | None = None,
        coverages: Sequence[float] = (0.9, 0.5),
        truth: object = None,
        context: object = None,
        static: object = None,
    ) -> "Figure":
        """Draw what was observed of some series, and their forecasts with intervals.

        Nothing is shown: save the figure with ``figure.savefig("forecast.png")``, or end a
        notebook cell with it. Needs matplotlib.

        Parameters
        ----------
        ids : iterable, optional
            Series to draw; by default the first three.
        horizon : Timedelta, str or number, optional
            How far after the last observation; by default half the median span of a series.
        targets : sequence, optional
            Columns to draw, each in a row of its own; by default the first four.
        coverages : sequence of float, default=(0.9, 0.5)
            Shares of what comes that the bands around the median are to hold.
        truth : DataFrame, optional
            What was observed later, drawn hollow.
        context : DataFrame, optional
            As in `predict`.
        static : DataFrame, optional
            As in `predict`.

        Returns
        -------
        Figure
            With a panel for each target and series.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If a series or a target is not known, or a coverage is no share.

        Examples
        --------
        >>> from latentode import LatentODEForecaster, load_pbcseq
        >>> df = load_pbcseq()
        >>> model = LatentODEForecaster(id_col="patient", time_col="day", max_epochs=2, verbose=0)
        >>> figure = model.fit(df).plot([2, 3], targets=["bili", "albumin"])
        >>> len(figure.axes)
        4
        """
        check_is_fitted(self)
        panel = self._known() if context is None else self._panel(context, static)
        later = None if truth is None else to_panel(truth, without_covariates(self.schema_))
        return plot(
            self,
            panel,
            ids=ids,
            horizon=horizon,
            targets=targets,
            coverages=coverages,
            truth=later,
        )

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that the input is a frame with missing values, and needs no y."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = False
        return tags

    def _panel(self, df: object, static: object = None) -> Panel:
        """Read a frame with the columns of fit."""
        return to_panel(df, self.schema_, on_duplicates=self.on_duplicates, static=static)

    def _known(self) -> Panel:
        """Give what was observed; raise `FrameError` if nothing is kept of it."""
        if self.context_.ids:
            return self.context_
        raise FrameError(
            "E-CONTEXT",
            "the model was fitted on Parquet files, whose rows it does not keep: say where "
            "forecasts are to start from, in files or in a frame.",
            "model.predict_parquet('folder', 'forecasts', horizon=...)  # or "
            "model.set_context(df)",
        )

    def _question(
        self,
        at: object,
        horizon: object,
        step: object,
        context: object,
        cutoff: object,
        static: object,
    ) -> Question:
        """Read what is asked; warn of what can hardly be answered."""
        check_is_fitted(self)
        if static is not None and context is None:
            raise ValueError(
                "static goes with context: the series that are known have their static covariates."
                "\nFix: model.set_context(df, static=static)  # to give them others"
            )
        panel = self._known() if context is None else self._panel(context, static)
        question = ask(panel, at, horizon, step, cutoff)
        _warn_of_far_times(question, self.scaler_.time_unit)
        _warn_of_empty_series(question)
        return question

    def _tell_levels(
        self,
        question: Question,
        levels: Sequence[float] | np.ndarray,
        *,
        truth: np.ndarray | None = None,
        with_spread: bool = True,
    ) -> Told:
        """Give the forecasts with quantiles (P, D, K), calibrated if `calibrate` was called."""
        asked = np.array(levels)
        if self.calibration_ is not None and asked.size:
            asked = self.calibration_.levels(asked, question.since)
        return self._tell(question, levels=asked, truth=truth, with_spread=with_spread)


def _warn_of_far_times(question: Question, time_unit: float) -> None:
    far = np.abs(question.since / time_unit) > _FAR
    if not far.any():
        return
    query = question.query
    first = query.ids[query.series[far][0]]
    warn(
        f"{int(far.sum())} of the {len(far)} times asked lie more than {_FAR} times the span of a "
        f"typical series away from what was observed, first of series {plainly(first)}: forecasts "
        "there say little more than the mean."
    )


def _warn_of_empty_series(question: Question) -> None:
    empty = np.diff(question.known.offsets) == 0
    if not empty.any():
        return
    first = question.known.ids[int(np.flatnonzero(empty)[0])]
    warn(
        f"nothing was observed of {int(empty.sum())} of the {len(empty)} series asked, first of "
        f"series {plainly(first)}: its forecasts are those of a series that nothing is known of."
    )
