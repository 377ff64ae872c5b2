"""What a fitted forecaster of events tells: intensities, counts, the next event, draws."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted

from latentode.data import (
    EventLog,
    ScaledLog,
    Schema,
    as_native,
    read_length,
    scale_log,
    to_event_log,
)
from latentode.forecaster.event_answers import (
    EventQuestion,
    ask_events,
    drawn_table,
    next_table,
    refuse_times,
    unit_of,
)
from latentode.forecaster.event_futures import (
    Futures,
    counts_of,
    draw_futures,
    intensities,
    later_intensities,
    survival,
    waits,
)
from latentode.forecaster.event_network import Rates, kind_columns
from latentode.forecaster.levels import probabilities
from latentode.forecaster.seed import draw_seed
from latentode.forecaster.table import beside, quantile_names
from latentode.nn import PointProcess
from latentode.solvers.checks import check_whole


class EventPredictions:
    """A forecaster of events that can be asked, once it is fitted.

    Attributes
    ----------
    process_ : PointProcess
        The trained process.
    context_ : EventLog
        The events and windows that forecasts start from.
    rates_ : Rates
        The process's unit of time, and how often each kind came.
    schema_ : Schema
        The columns, and the type of the times.
    """

    process_: PointProcess
    context_: EventLog
    rates_: Rates
    schema_: Schema

    def predict_intensity(
        self,
        at: object = None,
        *,
        horizon: object = None,
        step: object = None,
        per: object = None,
        context: object = None,
        start: object = None,
        end: object = None,
        n: int = 100,
        random_state: int | None = None,
    ) -> pd.DataFrame:
        """Give the intensity: how many events to expect in a short time, over that time.

        Within what is known, it is that just before a time, given all events before. After it,
        it is the mean over draws of what may have come meanwhile.

        Parameters
        ----------
        at : time, sequence of times, or DataFrame
            One time or several, for every series; or a frame with the columns of series and time,
            for exactly its rows.
        horizon, step : Timedelta, str or number, optional
            Instead of ``at``: times each ``step`` after the end of a series' window, up to and
            including ``horizon``; without ``step``, the horizon alone.
        per : Timedelta, str or number, optional
            Unit of time that events are counted in; by default 1 for times that are numbers, and a
            day for any other.
        context : DataFrame, optional
            Events of other series, or of the same ones instead of what ``fit`` saw.
        start, end : time, Series or DataFrame, optional
            The windows of ``context``, as in ``fit``.
        n : int, default=100
            Number of draws.
        random_state : int, optional
            Seed of the draws; by default others each time.

        Returns
        -------
        DataFrame
            Columns of series and time, and ``intensity``; with several kinds one more for each,
            such as ``intensity_call``.

        Raises
        ------
        FrameError
            If frames do not keep the contract, or a time is before what is known of its series.
        NotFittedError
            Before ``fit``.
        """
        check_whole("n", n)
        question = self._question(at, horizon, step, context, start, end)
        refuse_times(question, question.since < 0, "before what is known of their series")
        log, series = self._scaled(question.log), question.query.series
        t, later = question.since / self.rates_.time_unit, question.is_later
        told = np.empty((len(t), len(self.context_.levels)))
        if not later.all():
            told[~later] = intensities(self.process_, log, series[~later], t[~later])
        if later.any():
            asked = series[later], t[later]
            futures = self._futures(question, n, random_state)
            told[later] = later_intensities(self.process_, log, futures, asked, n)
        told = self._with_total(told) * unit_of(per, self.schema_) / self.rates_.time_unit
        names = kind_columns("intensity", self.context_.levels, [""])
        return self._answer(question, told, names)

    def predict_counts(
        self,
        at: object = None,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        *,
        horizon: object = None,
        step: object = None,
        context: object = None,
        start: object = None,
        end: object = None,
        n: int = 200,
        random_state: int | None = None,
    ) -> pd.DataFrame:
        """Give how many events to expect from the end of a series' window up to any time after.

        Parameters
        ----------
        at : time, sequence of times, or DataFrame
            As in `predict_intensity`.
        quantiles : sequence of float, default=(0.1, 0.5, 0.9)
            Probabilities of quantiles of the count, each above 0 and below 1.
        horizon, step : Timedelta, str or number, optional
            As in `predict_intensity`.
        context : DataFrame, optional
            As in `predict_intensity`.
        start, end : time, Series or DataFrame, optional
            As in `predict_intensity`.
        n : int, default=200
            Number of draws of what may come, of which these are mean and quantiles.
        random_state : int, optional
            Seed of the draws; by default others each time.

        Returns
        -------
        DataFrame
            Columns of series and time, the mean ``count``, and quantiles such as ``count_q0.1``;
            with several kinds as many more for each, such as ``count_call``.

        Raises
        ------
        FrameError
            If frames do not keep the contract, or a time is before the end of a window.
        """
        check_whole("n", n)
        levels = probabilities(quantiles)
        question = self._question(at, horizon, step, context, start, end)
        early = question.query.times < question.log.end[question.query.series]
        refuse_times(question, early, "before the end of the windows")
        futures = self._futures(question, n, random_state)
        asked = question.query.series, question.since / self.rates_.time_unit
        counts = counts_of(futures, asked, n, len(self.context_.levels))
        counts = np.moveaxis(self._with_total(counts), 1, 0)
        parts = [counts.mean(axis=0)]
        parts += [np.quantile(counts, level, axis=0, method="inverted_cdf") for level in levels]
        told = np.stack(parts, axis=-1).reshape(len(asked[0]), -1)
        names = kind_columns("count", self.context_.levels, ["", *quantile_names(levels)])
        return self._answer(question, told, names)

    def predict_survival(
        self,
        at: object = None,
        *,
        horizon: object = None,
        step: object = None,
        context: object = None,
        start: object = None,
        end: object = None,
    ) -> pd.DataFrame:
        """Give the probability that no event comes from the end of a window up to a time after.

        Parameters
        ----------
        at : time, sequence of times, or DataFrame
            As in `predict_intensity`.
        horizon, step : Timedelta, str or number, optional
            As in `predict_intensity`.
        context : DataFrame, optional
            As in `predict_intensity`.
        start, end : time, Series or DataFrame, optional
            As in `predict_intensity`.

        Returns
        -------
        DataFrame
            Columns of series and time, and ``survival``.

        Raises
        ------
        FrameError
            If frames do not keep the contract, or a time is before the end of a window.
        """
        question = self._question(at, horizon, step, context, start, end)
        early = question.query.times < question.log.end[question.query.series]
        refuse_times(question, early, "before the end of the windows")
        t = question.since / self.rates_.time_unit
        told = survival(self.process_, self._scaled(question.log), question.query.series, t)
        return self._answer(question, told[:, None], ["survival"])

    def predict_next(
        self,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        *,
        context: object = None,
        start: object = None,
        end: object = None,
    ) -> pd.DataFrame:
        """Give when the next event of each series will have come, with given probabilities.

        They are quantiles of the time of the next event after the end of the window, exact up to
        the tolerances of the solver; that of 0.5 is the median.

        Parameters
        ----------
        quantiles : sequence of float, default=(0.1, 0.5, 0.9)
            Probabilities, each above 0 and below 1.
        context : DataFrame, optional
            As in `predict_intensity`.
        start, end : time, Series or DataFrame, optional
            As in `predict_intensity`.

        Returns
        -------
        DataFrame
            A row for each series, with its id and a time for each quantile, such as
            ``time_q0.5``: infinity or NaT where that is a million mean times between events away.

        Raises
        ------
        FrameError
            If frames do not keep the contract.
        """
        check_is_fitted(self)
        levels = probabilities(quantiles)
        log = self._log(context, start, end)
        waited = waits(self.process_, self._scaled(log), np.array(levels))
        waited = waited * self.rates_.time_unit
        table = next_table(log, waited, quantile_names(levels), self.schema_)
        return as_native(table, self.schema_.backend)

    def sample(
        self,
        horizon: object,
        n: int = 100,
        *,
        context: object = None,
        start: object = None,
        end: object = None,
        random_state: int | None = None,
    ) -> pd.DataFrame:
        """Draw what comes after the windows.

        Draws of different series are independent, and do not depend on what else is asked.

        Parameters
        ----------
        horizon : Timedelta, str or number
            How far to go from the end of each window.
        n : int, default=100
            Number of draws.
        context : DataFrame, optional
            As in `predict_intensity`.
        start, end : time, Series or DataFrame, optional
            As in `predict_intensity`.
        random_state : int, optional
            Seed of the draws; by default others each time.

        Returns
        -------
        DataFrame
            A row for each event, with the columns ``draw``, series, time and kind. A draw in which
            nothing happens has no row.

        Raises
        ------
        FrameError
            If frames do not keep the contract, or the horizon is no length of time.
        """
        check_whole("n", n)
        check_is_fitted(self)
        log = self._log(context, start, end)
        scaled = self._scaled(log)
        until = scaled.end + read_length("horizon", horizon, self.schema_) / self.rates_.time_unit
        seed = draw_seed(random_state)
        futures = draw_futures(self.process_, scaled, log.ids, until, n_draws=n, seed=seed)
        return as_native(drawn_table(log, futures, self.rates_.time_unit), self.schema_.backend)

    def _log(self, context: object, start: object, end: object) -> EventLog:
        """Give the events that a forecast starts from."""
        if context is not None:
            return to_event_log(context, self.schema_, self.context_.levels, start=start, end=end)
        if start is not None or end is not None:
            raise ValueError(
                "start and end go with context: the series of fit have their windows.\n"
                "Fix: model.predict_counts(at, context=df, end=end)"
            )
        return self.context_

    def _question(
        self,
        at: object,
        horizon: object,
        step: object,
        context: object,
        start: object,
        end: object,
    ) -> EventQuestion:
        check_is_fitted(self)
        return ask_events(self._log(context, start, end), at, horizon, step)

    def _scaled(self, log: EventLog) -> ScaledLog:
        return scale_log(log, self.rates_.time_unit)

    def _futures(self, question: EventQuestion, n: int, random_state: int | None) -> Futures:
        """Draw what comes up to the last time asked of each series."""
        log, t = self._scaled(question.log), question.since / self.rates_.time_unit
        until = log.end.numpy().copy()
        np.maximum.at(until, question.query.series, t)
        return draw_futures(
            self.process_,
            log,
            question.log.ids,
            torch.tensor(until),
            n_draws=n,
            seed=draw_seed(random_state),
        )

    def _with_total(self, told: np.ndarray) -> np.ndarray:
        """Give what is told of each kind (..., K) behind what that is in all."""
        if told.shape[-1] == 1:
            return told
        return np.concatenate([told.sum(axis=-1, keepdims=True), told], axis=-1)

    def _answer(
        self, question: EventQuestion, told: np.ndarray, names: Sequence[object]
    ) -> pd.DataFrame:
        table = beside(question.query.frame, told, names)
        frame: pd.DataFrame = as_native(table, question.query.backend)
        return frame
