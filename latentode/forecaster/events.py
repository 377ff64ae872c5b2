"""Forecasts of when events come: intensities, counts, and the next one."""

import os
import time
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Self

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from latentode.data import (
    EventLog,
    FrameError,
    Schema,
    event_schema,
    follow,
    to_event_log,
)
from latentode.forecaster.event_answers import (
    unit_of,
)
from latentode.forecaster.event_network import (
    Rates,
    check_parameters,
    rates_of,
    train_process,
)
from latentode.forecaster.event_predictions import EventPredictions
from latentode.forecaster.event_saving import pack_events, unpack_events
from latentode.forecaster.event_scores import check_told, compare, table_of
from latentode.forecaster.model_file import read_model_file, write_model_file
from latentode.forecaster.seed import draw_seed
from latentode.nn import PointProcess


class EventForecaster(EventPredictions, BaseEstimator):
    """Learn when events come, from when others came, and forecast them.

    How many events to expect in a short time, over that time, is their intensity. It follows a
    latent ODE from each event to the next, and a recurrent network that has read all events so far
    sets the state of the ODE anew at each. Training maximises the likelihood of the times and
    kinds of all events together. See ``docs/event-times.md``.

    Parameters
    ----------
    id_col : Hashable or sequence of Hashable, optional
        Column of the series, or columns that tell them apart together; by default recognised by
        name, as in `LatentODEForecaster`.
    time_col : Hashable, optional
        Column of the time; by default recognised by name.
    kind_col : Hashable, optional
        Column of the kind of each event; by default all are of one kind.
    latent_size : int, default=16
        Width of the latent state.
    hidden_size : int, default=32
        Width of the networks.
    method : str, default="tsit5"
        Solver; see `odeint`.
    rtol, atol : float, default=1e-3
        Its tolerances in training; answers have a tenth of them.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="auto"
        How to differentiate it.
    val_fraction : float, default=0.1
        Share that is held out to choose the best epoch by: of the series, or of the window of each
        if they are fewer than 20. 0 holds out nothing.
    patience : int, optional, default=20
        Epochs without a better loss of what is held out after which to stop.
    max_epochs : int, optional
        Passes over the series at most; by default as many as make 500 training steps.
    batch_size : int, default=32
        Series a step.
    learning_rate : float, default=0.01
        Highest learning rate of the cycle.
    weight_decay : float, default=0.01
        Decay of matrices.
    accelerator : str, default="cpu"
        Lightning's name of the device to train on.
    verbose : int, default=1
        Whether to show a bar while training.
    random_state : int, optional
        Seed of weights, batches and what is held out.

    Attributes
    ----------
    process_ : PointProcess
        The trained process, in float64.
    context_ : EventLog
        The events and windows that forecasts start from.
    rates_ : Rates
        Mean time between events, the process's unit of time, and how often each kind came.
    history_ : DataFrame
        Losses of each epoch, in nats for each event.
    schema_ : Schema
        The columns, and the type of the times.
    fit_seconds_ : float
        Seconds that training took.
    fitted_with_ : dict
        The parameters at the time of ``fit``.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 5.2.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> df = pd.DataFrame({"id": np.repeat([1, 2, 3], 9), "time": np.tile(np.arange(1.0, 10), 3)})
    >>> model = EventForecaster(max_epochs=2, verbose=0, random_state=0).fit(df, start=0, end=10)
    >>> model.predict_next().columns.tolist()
    ['id', 'time_q0.1', 'time_q0.5', 'time_q0.9']
    >>> model.predict_counts(12.5, random_state=0).columns.tolist()
    ['id', 'time', 'count', 'count_q0.1', 'count_q0.5', 'count_q0.9']
    """

    process_: PointProcess
    context_: EventLog
    rates_: Rates
    history_: pd.DataFrame
    schema_: Schema
    fit_seconds_: float
    fitted_with_: dict[str, Any]

    def __init__(
        self,
        *,
        id_col: Hashable | Sequence[Hashable] | None = None,
        time_col: Hashable | None = None,
        kind_col: Hashable | None = None,
        latent_size: int = 16,
        hidden_size: int = 32,
        method: str = "tsit5",
        rtol: float = 1e-3,
        atol: float = 1e-3,
        adjoint: str = "auto",
        val_fraction: float = 0.1,
        patience: int | None = 20,
        max_epochs: int | None = None,
        batch_size: int = 32,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-2,
        accelerator: str = "cpu",
        verbose: int = 1,
        random_state: int | None = None,
    ) -> None:
        self.id_col = id_col
        self.time_col = time_col
        self.kind_col = kind_col
        self.latent_size = latent_size
        self.hidden_size = hidden_size
        self.method = method
        self.rtol = rtol
        self.atol = atol
        self.adjoint = adjoint
        self.val_fraction = val_fraction
        self.patience = patience
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.accelerator = accelerator
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, df: object, y: None = None, *, start: object = None, end: object = None) -> Self:
        """Learn from the events of every series.

        Parameters
        ----------
        df : DataFrame
            One row for each event, in any order; other columns are not read.
        y : None
            Not used.
        start, end : time, Series or DataFrame, optional
            The window in which each series was observed, so that no event is missing: one time
            for all series, a Series with the ids in its index, or a frame with the columns of
            series and time. Events up to the start are read, and not learned. A series with both
            times and no event is one in which nothing happened. By default windows reach from the
            first event of a series to its last: what is then not known is the silence before and
            after, and long gaps are too rare by those that the window cut off.

        Returns
        -------
        EventForecaster
            The forecaster itself.

        Raises
        ------
        FrameError
            If the frame or a window cannot be used; the message says where, and how to mend it.
        ValueError
            If a parameter cannot be used.
        FloatingPointError
            If training diverges.
        """
        check_parameters(self)
        began = time.perf_counter()
        schema = self._read_schema(df)
        log = to_event_log(df, schema, start=start, end=end)
        rates = rates_of(log)
        seed = draw_seed(self.random_state)
        self.process_, self.history_ = train_process(self, log, rates, seed)
        self.schema_, self.context_, self.rates_ = schema, log, rates
        self.fitted_with_ = self.get_params(deep=False)
        self.fit_seconds_ = time.perf_counter() - began
        return self

    def score(
        self, df: object, y: None = None, *, start: object = None, end: object = None
    ) -> float:
        """Give the mean log-likelihood of an event, in nats: higher is better.

        It is that of the times and kinds of all events in the windows, and of the silence between
        and after them, over the number of events.

        Parameters
        ----------
        df : DataFrame
            Of a series of ``fit``, the events after its window there are told, whether it stands
            in ``df`` from its beginning or not. Of any other, and of one that ends no later than
            it did there, those in its window.
        y : None
            Not used.
        start, end : time, Series or DataFrame, optional
            The windows, as in ``fit``; a series of ``fit`` starts where it ended there.

        Returns
        -------
        float
            For times in the unit of the frame; in days if they are no numbers.

        Raises
        ------
        FrameError
            If the frame does not keep the contract, or no event is left to tell.
        """
        table = self.evaluate(df, start=start, end=end, baselines=False)
        return float(table["log_likelihood"].iloc[0])

    def evaluate(
        self, df: object, *, start: object = None, end: object = None, baselines: bool = True
    ) -> pd.DataFrame:
        """Measure how well events are told, beside naive rules.

        Parameters
        ----------
        df : DataFrame
            As in `score`.
        start, end : time, Series or DataFrame, optional
            As in `score`.
        baselines : bool, default=True
            Whether to measure a Poisson process with a rate for each series (``SeriesRate``,
            learned from its events so far), and one with the rate of the training events
            (``TrainingRate``).

        Returns
        -------
        DataFrame
            A row for each, with ``log_likelihood`` as in `score`, ``ks`` and ``n_events``. The
            integral of a true intensity from one event to the next is exponentially distributed:
            ``ks`` is the greatest distance between the distribution of these integrals and that
            one (Kolmogorov and Smirnov), 0 for the best.

        Raises
        ------
        FrameError
            As in `score`.
        """
        check_is_fitted(self)
        log = self._log(df, start, end)
        log = follow(self.context_, log)
        check_told(log)
        scaled = self._scaled(log)
        processes = {type(self).__name__: self.process_}
        told = compare(processes, scaled, self.rates_, baselines=baselines)
        unit = unit_of(None, self.schema_) / self.rates_.time_unit
        return table_of(told, scaled, unit)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that was learned into one file, for `load`.

        Parameters
        ----------
        path : path
            The file, such as "model.lode"; one that is there is replaced.

        Raises
        ------
        TypeError
            If an id, a kind, a column or a parameter is of a type that a file has no form for.
        OSError
            If the file cannot be written; one that was there is as it was.
        """
        check_is_fitted(self)
        write_model_file(path, pack_events(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a forecaster that `save` wrote; its forecasts are the same to the bit.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        EventForecaster
            With all that was learned, and the same parameters.

        Raises
        ------
        ModelFileError
            If the file is no such model, is damaged or cut off, or comes from a later version.
        OSError
            If it cannot be read.
        """
        return unpack_events(cls, read_model_file(path), Path(path).name)

    @property
    def n_parameters_(self) -> int:
        """Number of trained parameters."""
        return sum(p.numel() for p in self.process_.parameters())

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that the input is a frame, and needs no y."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.target_tags.required = False
        return tags

    def _read_schema(self, df: object) -> Schema:
        """Tell the columns of a frame to fit."""
        names = {"id_col": self.id_col, "time_col": self.time_col, "kind_col": self.kind_col}
        try:
            return event_schema(df, **names)
        except FrameError as error:
            fix = error.fix.replace("LatentODEForecaster(", f"{type(self).__name__}(")
            raise FrameError(error.code, error.what, fix) from None
