"""How well a forecaster does: on rows that it has not seen, and at earlier times."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from latentode.forecaster import backtest, evaluation
from latentode.forecaster.levels import probabilities

if TYPE_CHECKING:
    from latentode.forecaster.base import Forecaster


class Measured:
    """A forecaster that can be measured, beside naive ones."""

    @property
    def _itself(self) -> "Forecaster":
        return cast("Forecaster", self)

    def score(
        self, df: object, y: None = None, *, metric: str = "crps", static: object = None
    ) -> float:
        """Give how well later rows are told: higher is better, and 0 is perfect.

        Parameters
        ----------
        df : DataFrame
            Of a series of ``fit``, the rows after its last observation there are told. Of any
            other, and of one without such a row, the first half of its time span is read, and
            the rest is told from it.
        y : None
            Not used; the targets are columns of ``df``.
        metric : {"crps", "mse", "mae", "rmse", "nll", "pinball_0.9", ...}, default="crps"
            A loss, in standard deviations of the training values; see `evaluate`.
        static : DataFrame, optional
            As in `predict`, of these series.

        Returns
        -------
        float
            The mean over the values of a variable, and over variables, with its sign changed.

        Raises
        ------
        FrameError
            If the frame does not keep the contract, or nothing in it is left to tell.
        ValueError
            If the metric is not known, or is no loss.
        """
        check_is_fitted(self)
        return evaluation.score(self._itself, df, metric, static)

    def evaluate(
        self,
        df: object,
        metrics: Sequence[str] = ("mse", "mae", "crps", "coverage_90"),
        *,
        by: str | None = None,
        edges: Sequence[object] | None = None,
        scaled: bool = True,
        baselines: bool = True,
        static: object = None,
    ) -> pd.DataFrame:
        """Measure forecasts of later rows, beside those of naive rules that are told the same.

        Parameters
        ----------
        df : DataFrame
            Rows to tell, and to tell them from; see `score`.
        metrics : sequence of str
            "mse", "rmse", "mae", "crps", "nll" in nats, "pinball_0.9" for the quantile of a level,
            "coverage_90" for the share of values in the central interval that is to hold 90 %,
            and "width_90" for its width. Quantiles are those of `predict_quantiles`.
        by : {"variable", "lead"}, optional
            Give each variable, or each third of the lead times, a row of its own.
        edges : sequence of Timedelta, str or number, optional
            Lead times at which other parts than thirds end; with ``by="lead"``.
        scaled : bool, default=True
            Whether to count in standard deviations of the training values.
        baselines : bool, default=True
            Whether to add the naive forecasters, fitted on the rows that this one knows.
        static : DataFrame, optional
            As in `predict`, of these series.

        Returns
        -------
        DataFrame
            A row for each forecaster, this one first, and a column for each metric: means over
            the values of a variable, and over variables.

        Raises
        ------
        FrameError
            As in `score`.
        ValueError
            If a metric or a grouping is not known.
        """
        check_is_fitted(self)
        return evaluation.evaluate(
            self._itself,
            df,
            metrics,
            by=by,
            edges=edges,
            scaled=scaled,
            baselines=baselines,
            static=static,
        )

    def backtest(
        self,
        df: object,
        *,
        horizon: object,
        n_cutoffs: int = 3,
        cutoffs: Sequence[object] | None = None,
        step: object = None,
        refit: bool = False,
        metrics: Sequence[str] = ("mse", "mae", "crps", "coverage_90"),
        by: str | None = None,
        edges: Sequence[object] | None = None,
        scaled: bool = True,
        baselines: bool = True,
        static: object = None,
    ) -> pd.DataFrame:
        """Measure forecasts as they would have been made at earlier times.

        At each cutoff, the rows up to a horizon after it are told from those at or before it, of
        the series that were observed by then. A clone is fitted; this forecaster need not be, and
        is not changed.

        Parameters
        ----------
        df : DataFrame
            All rows, those to be told included.
        horizon : Timedelta, str or number
            How far after a cutoff rows are told: ``"7D"`` for datetimes, a number for numbers.
        n_cutoffs : int, default=3
            Number of cutoffs: so many whole horizons before the last time of the frame.
        cutoffs : sequence of times, optional
            The cutoffs themselves.
        step : Timedelta, str or number, optional
            Time between cutoffs; by default the horizon.
        refit : bool, default=False
            Fit a clone at each cutoff; by default one is fitted at the first, and later ones only
            let it read more rows.
        metrics : sequence of str
            As in `evaluate`.
        by : {"variable", "lead", "cutoff"}, optional
            As in `evaluate`, or a row for each cutoff.
        edges : sequence of Timedelta, str or number, optional
            As in `evaluate`.
        scaled : bool, default=True
            As in `evaluate`: in standard deviations of the values that were fitted.
        baselines : bool, default=True
            As in `evaluate`, fitted whenever the clone is.
        static : DataFrame, optional
            As in ``fit``.

        Returns
        -------
        DataFrame
            As from `evaluate`, over the rows told at all cutoffs.

        Raises
        ------
        FrameError
            If the frame does not keep the contract, or a cutoff leaves nothing to fit or to tell.
        ValueError
            If a metric or a grouping is not known.
        """
        past = backtest.look_back(
            self._itself,
            df,
            horizon=horizon,
            n_cutoffs=n_cutoffs,
            cutoffs=cutoffs,
            step=step,
            static=static,
        )
        return backtest.backtest(
            past, metrics, refit=refit, by=by, edges=edges, scaled=scaled, baselines=baselines
        )

    def historical_forecasts(
        self,
        df: object,
        *,
        horizon: object,
        n_cutoffs: int = 3,
        cutoffs: Sequence[object] | None = None,
        step: object = None,
        refit: bool = False,
        quantiles: Sequence[float] | None = None,
        static: object = None,
    ) -> pd.DataFrame:
        """Give the forecasts that would have been made at earlier times, beside what came.

        Parameters
        ----------
        df : DataFrame
            As in `backtest`.
        horizon : Timedelta, str or number
            As in `backtest`.
        n_cutoffs : int, default=3
            As in `backtest`.
        cutoffs : sequence of times, optional
            As in `backtest`.
        step : Timedelta, str or number, optional
            As in `backtest`.
        refit : bool, default=False
            As in `backtest`.
        quantiles : sequence of float, optional
            Probabilities of quantiles to add.
        static : DataFrame, optional
            As in ``fit``.

        Returns
        -------
        DataFrame
            Columns ``cutoff``, of series and time, and for each target ``y``, quantiles such as
            ``y_q0.1``, and what came, ``y_true``. One row for each row told, sorted by cutoff,
            series and time.

        Raises
        ------
        FrameError
            As in `backtest`.
        ValueError
            If a quantile is not a probability.
        """
        levels = None if quantiles is None else probabilities(quantiles)
        past = backtest.look_back(
            self._itself,
            df,
            horizon=horizon,
            n_cutoffs=n_cutoffs,
            cutoffs=cutoffs,
            step=step,
            static=static,
        )
        return backtest.historical_forecasts(past, levels, refit=refit)
