"""Naive forecasters: rules that anybody can compute, and that a model must beat to be of use."""

import math
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Self

import numpy as np

from latentode.data import (
    OnDuplicates,
    Panel,
    Scaler,
    check_time_span,
    columns_of,
    drop_empty_rows,
    infer_schema,
    to_panel,
    without_covariates,
)
from latentode.forecaster import rules
from latentode.forecaster.base import Forecaster
from latentode.forecaster.calibration import ndtr, ndtri
from latentode.forecaster.decay import choose_decay
from latentode.forecaster.question import Question, Wanted
from latentode.forecaster.trials import Rule, Spread, Trial, trials_of
from latentode.models import Told


class NaiveForecaster(Forecaster):
    """A rule with a normal distribution around it, as wide as it missed the training series.

    Each training series is cut at a quarter, a half and three quarters of its time span, and its
    later rows are told from those before: the root of the mean squared error of a variable, by
    lead time, is the standard deviation. Where nothing is known of a variable of a series, it has
    the mean and the standard deviation of the training values.

    Parameters
    ----------
    id_col : Hashable or list, optional
        Column of the series, or several; see `LatentODEForecaster`.
    time_col : Hashable, optional
        Column of the time.
    target_cols : Hashable or list, optional
        Columns to forecast.
    on_duplicates : {"raise", "mean", "last", "merge"}, default="raise"
        What becomes of rows of one series at the same time.

    Attributes
    ----------
    rule_ : callable
        Gives the values (P, D) of P pairs of a series and a time.
    spread_ : Spread
        How far the rule misses, by lead time.
    """

    rule_: Rule
    spread_: Spread

    def __init__(
        self,
        *,
        id_col: Hashable | Sequence[Hashable] | None = None,
        time_col: Hashable | None = None,
        target_cols: Hashable | Sequence[Hashable] | None = None,
        on_duplicates: OnDuplicates = "raise",
    ) -> None:
        self.id_col = id_col
        self.time_col = time_col
        self.target_cols = target_cols
        self.on_duplicates = on_duplicates

    def fit(self, df: object, y: None = None, *, static: object = None) -> Self:
        """Learn from every series of a frame.

        Parameters
        ----------
        df : DataFrame
            One row an observation; see ``docs/the-frame.md``.
        y : None
            Not used; the targets are columns of ``df``.
        static : DataFrame, optional
            Not used; no rule reads covariates.

        Returns
        -------
        NaiveForecaster
            The forecaster itself.

        Raises
        ------
        FrameError
            If the frame does not keep the contract; the message says where, and how to mend it.
        """
        schema = infer_schema(
            df, id_col=self.id_col, time_col=self.time_col, target_cols=self.target_cols
        )
        panel = to_panel(df, schema, on_duplicates=self.on_duplicates)
        check_time_span(panel)
        return self._fit_panel(panel)

    @abstractmethod
    def _rule(self, trials: list[Trial], scaler: Scaler) -> Rule:
        """Give the rule, with what it learned from trials on the training series."""

    def _fit_panel(self, panel: Panel) -> Self:
        """Learn from every series of a panel."""
        panel = targets_alone(panel)
        observed = drop_empty_rows(panel)
        trials = trials_of(observed)
        self.schema_ = panel.schema
        self.context_ = panel
        self.scaler_ = Scaler.fit(observed, observed)
        self.calibration_ = None
        self.rule_ = self._rule(trials, self.scaler_)
        self.spread_ = Spread.fit(self.rule_, trials, self.scaler_.mean, self.scaler_.std)
        self.feature_names_in_ = np.array(columns_of(panel.schema), dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        return self

    def _tell(self, question: Question, wanted: Wanted) -> Told:
        """Give the forecasts of P pairs, in the units of the frame."""
        query, scaler = question.query, self.scaler_
        told = self.rule_(targets_alone(question.known), query.series, query.times)
        is_known = np.isfinite(told)
        mean = np.where(is_known & (scaler.std > 0), told, scaler.mean)
        std = scaler.std * np.where(is_known, self.spread_(question.since), 1.0)
        return _normal(mean, std, wanted.levels, wanted.truth)


class LastValue(NaiveForecaster):
    """Forecast the last value observed.

    For a time within what is known, that is the last value at or before it.

    Parameters
    ----------
    id_col : Hashable or list, optional
        Column of the series, or several; see `LatentODEForecaster`.
    time_col : Hashable, optional
        Column of the time.
    target_cols : Hashable or list, optional
        Columns to forecast.
    on_duplicates : {"raise", "mean", "last", "merge"}, default="raise"
        What becomes of rows of one series at the same time.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"id": ["a", "a", "b"], "t": [1, 4, 2], "y": [3.0, 5.0, 2.0]})
    >>> LastValue().fit(df).predict(6).y.tolist()
    [5.0, 2.0]
    """

    def _rule(self, trials: list[Trial], scaler: Scaler) -> Rule:
        return rules.last_value


class SeriesMean(NaiveForecaster):
    """Forecast the mean of what was observed of a series.

    Parameters
    ----------
    id_col : Hashable or list, optional
        Column of the series, or several; see `LatentODEForecaster`.
    time_col : Hashable, optional
        Column of the time.
    target_cols : Hashable or list, optional
        Columns to forecast.
    on_duplicates : {"raise", "mean", "last", "merge"}, default="raise"
        What becomes of rows of one series at the same time.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"id": ["a", "a", "b"], "t": [1, 4, 2], "y": [3.0, 5.0, 2.0]})
    >>> SeriesMean().fit(df).predict(6).y.tolist()
    [4.0, 2.0]
    """

    def _rule(self, trials: list[Trial], scaler: Scaler) -> Rule:
        return rules.series_mean


class DecayedMean(NaiveForecaster):
    """Forecast a mean in which values lose weight as they age, drawn to the training mean.

    How fast they do, and how many values the training mean is worth, is chosen for each variable:
    what forecasts the later rows of the training series best from the earlier ones. As time goes
    by, all that is known ages, and the forecast goes to the training mean.

    Parameters
    ----------
    id_col : Hashable or list, optional
        Column of the series, or several; see `LatentODEForecaster`.
    time_col : Hashable, optional
        Column of the time.
    target_cols : Hashable or list, optional
        Columns to forecast.
    on_duplicates : {"raise", "mean", "last", "merge"}, default="raise"
        What becomes of rows of one series at the same time.

    Attributes
    ----------
    rule_ : Decay
        What was chosen: the time constant of each variable, in the unit of the panel, and how many
        values the training mean is worth.

    Examples
    --------
    >>> from latentode import DecayedMean, load_pbcseq
    >>> model = DecayedMean(id_col="patient", time_col="day", target_cols="bili")
    >>> model.fit(load_pbcseq()).rule_.worth
    array([0.])
    """

    def _rule(self, trials: list[Trial], scaler: Scaler) -> Rule:
        return choose_decay(trials, scaler)  # type: ignore[return-value]  # it can be called


class LinearInterpolation(NaiveForecaster):
    """Forecast what lies on the line between the values observed before and after a time.

    After the last value of a series that one is forecast, and before the first the first.

    Parameters
    ----------
    id_col : Hashable or list, optional
        Column of the series, or several; see `LatentODEForecaster`.
    time_col : Hashable, optional
        Column of the time.
    target_cols : Hashable or list, optional
        Columns to forecast.
    on_duplicates : {"raise", "mean", "last", "merge"}, default="raise"
        What becomes of rows of one series at the same time.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"t": [1, 5], "y": [3.0, 5.0]})
    >>> LinearInterpolation().fit(df).predict([0, 2, 9]).y.tolist()
    [3.0, 3.5, 5.0]
    """

    def _rule(self, trials: list[Trial], scaler: Scaler) -> Rule:
        return rules.linear_interpolation


class TrainingMean(NaiveForecaster):
    """Forecast the mean of all training values.

    Parameters
    ----------
    id_col : Hashable or list, optional
        Column of the series, or several; see `LatentODEForecaster`.
    time_col : Hashable, optional
        Column of the time.
    target_cols : Hashable or list, optional
        Columns to forecast.
    on_duplicates : {"raise", "mean", "last", "merge"}, default="raise"
        What becomes of rows of one series at the same time.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"t": [1, 5], "y": [3.0, 5.0]})
    >>> TrainingMean().fit(df).predict(6).y.tolist()
    [4.0]
    """

    def _rule(self, trials: list[Trial], scaler: Scaler) -> Rule:
        return rules.nothing


NAIVE = (LastValue, SeriesMean, DecayedMean, LinearInterpolation, TrainingMean)


def targets_alone(panel: Panel) -> Panel:
    """Leave out all covariates, which no rule reads."""
    schema = without_covariates(panel.schema)
    values = panel.values[:, : len(schema.target_cols)]
    return panel._replace(values=values, schema=schema, known=None, static=None, noise=None)


def _normal(
    mean: np.ndarray, std: np.ndarray, levels: np.ndarray | None, truth: np.ndarray | None
) -> Told:
    """Tell normal distributions; a constant target has neither a density nor a cdf."""
    z = np.zeros(0) if levels is None else ndtri(levels)
    came = np.full_like(mean, np.nan) if truth is None else truth
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(std > 0, (came - mean) / std, np.nan)
        log_density = -0.5 * np.square(score) - np.log(std * math.sqrt(2 * math.pi))
    return Told(mean, std, mean[..., None] + std[..., None] * z, ndtr(score), log_density)
