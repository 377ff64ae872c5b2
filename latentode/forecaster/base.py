"""What every forecaster can do once it is fitted: answer for any series at any time."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from latentode.data import (
    FrameError,
    OnDuplicates,
    Panel,
    Scaler,
    to_panel,
    without_covariates,
)
from latentode.data.errors import plainly, warn
from latentode.forecaster.calibration import Calibration
from latentode.forecaster.held_out import held_out
from latentode.forecaster.measured import Measured
from latentode.forecaster.plots import plot
from latentode.forecaster.predicting import Predicting
from latentode.forecaster.question import Question, Wanted, ask
from latentode.forecaster.streaming import Streaming
from latentode.forecaster.updating import Updating

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Median spans of the training series beyond which a forecast comes with a warning.
_FAR = 10


class Forecaster(Predicting, Updating, Measured, Streaming, BaseEstimator, ABC):
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
        told = self._tell(question, Wanted(truth=truth))
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
