"""The forecaster of the latent ODE: ``fit(df)`` and ``predict(times)``."""

import datetime as dt
import math
import os
import time
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted
from torch import nn

from latentode.data import (
    OnDuplicates,
    ScaledPanel,
    Scaler,
    Schema,
    empty_panel,
    scale_panel,
)
from latentode.forecaster.devices import on_devices
from latentode.forecaster.drawing import Drawing
from latentode.forecaster.mechanistic import adopt_units, own_field, warn_of_late_starts
from latentode.forecaster.network import build_latent_ode, check_choices, check_numbers
from latentode.forecaster.question import Question, Wanted
from latentode.forecaster.resume import Training, open_training
from latentode.forecaster.saving import parameters_as_json
from latentode.forecaster.seed import draw_seed
from latentode.forecaster.stages import Job, check_restarts, learn, learn_further
from latentode.forecaster.trained import TrainedForecaster
from latentode.models import (
    LatentModel,
    LatentODE,
    SeriesDataModule,
    Told,
    forecast,
    own_torch_state,
    unscaled,
)
from latentode.nn import Mechanism

# Draws of the latent state behind the spread of a forecast.
_N_DRAWS = 16
# Parameters that change nothing of what is learned.
_NO_MATTER = ("verbose", "logger")


class LatentODEForecaster(Drawing, TrainedForecaster):
    """Forecast irregular time series at any times, with a latent ODE.

    The frame holds one row for each moment of a series, at any spacing, with NaN for a variable
    that was not measured then. Rows may come in any order, and nothing of the frame is changed.
    See ``docs/the-frame.md`` for all that is accepted.

    Parameters
    ----------
    id_col : Hashable or list, optional
        Column of the series, or columns that tell them apart together; by default recognised by
        name, and a frame without one is one series.
    time_col : Hashable, optional
        Column of the time; by default recognised by name.
    target_cols : Hashable or list, optional
        Columns to forecast. By default ``y``, ``target`` or ``value`` if there is one, and every
        other column of numbers if not.
    past_cols : Hashable or list, optional
        Past covariates: observed and read like the targets, but not to be forecast.
    known_cols : Hashable or list, optional
        Known covariates: known ahead of time, such as an infusion rate; NaN is *as before*.
    static_cols : Hashable or list, optional
        Static covariates, of numbers, categories or text: what does not change in a series.
    known_interpolation : {"previous", "linear"}, default="previous"
        What lies between two values of a known covariate: the former, or a line.
    noise_cols : mapping of Hashable to Hashable, optional
        Known errors: of a target, the column with the standard deviations of its measurements, as
        in ``{"mag": "mag_err"}``. Training does not take them for what the series does, and
        intervals are those of a value measured without error.
    on_duplicates : {"raise", "mean", "last", "merge"}, default="raise"
        What becomes of rows of one series at the same time: an error; the mean of what was
        measured of each column; the last one, whole; or one row of all that was measured, where no
        two of them have a value in the same column.
    latent_size : int, default=16
        Width of the latent state; a `Mechanism` has its own.
    hidden_size : int, default=64
        Width of the encoder and of the vector field.
    vector_field : Module, optional
        dz/dt as a function of t (B,) and z (B, L), instead of a network; or a `Mechanism`: what
        is known of the system, in the units of the frame, and what is seen of it. ``fit`` trains
        a copy, which is then ``vector_field_``. See ``docs/mechanistic.md``.
    objective : {"forecast", "interpolation", "elbo"}, default="forecast"
        Train to foretell what follows random cuts; or to fill in rows that are hidden, singly and
        in gaps, for `smooth`; or to reconstruct what is read, which is the variational
        autoencoder of Chen et al. (2018).
    likelihood : {"gaussian", "student-t", "quantiles", "flow"}, default="gaussian"
        Family of the distribution of a value around the latent path: normal; with heavier tails,
        for outliers; any, by its quantiles; or, of all values of a series at one time together,
        any, by a continuous normalizing flow. See ``docs/uncertainty.md``.
    posterior : {"normal", "flow"}, default="normal"
        Family of the distribution of the latent state: normal; or that, bent by a continuous
        normalizing flow, so that a state may have several likely places.
    kl_weight : float, optional
        Weight of the prior over the latent state; by default 0.01, and 1 for "elbo" and for a
        `Mechanism`.
    dropout : float, default=0.3
        Share of the encoder's features left out of each training step.
    method : str, default="tsit5"
        Solver; see `odeint`.
    rtol, atol : float, default=1e-3
        Tolerances of the solver, for a latent state of size 1.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="direct"
        How training differentiates the solver; see `odeint`.
    val_fraction : float, default=0.15
        Last part of each series' own time span, held out for early stopping; nothing is held out
        for "interpolation".
    patience : int, default=20
        Epochs without a lower loss on the held-out part after which training stops.
    refit : bool, default=True
        Whether to train a little further on all rows after early stopping, the held-out ones
        included: they are the latest, and forecasts start from there.
    max_epochs : int, optional
        Passes over the training series at most, before the refit; by default as many as make 1,000
        training steps, but at least 10 and at most 100.
    max_time : float, str or timedelta, optional
        How long ``fit`` may take, in seconds or as ``"10min"``, reading and the refit included;
        by default there is no limit. Training stops after the step with which its time is over,
        but not within its first epoch, and the learning rate comes down in time for that. What
        is learned then depends on the machine, whatever ``random_state`` is.
    n_restarts : int, default=1
        How many times to train, each from initial weights of its own, to keep those with the
        lowest loss on the held-out part; they share ``max_time``, and the refit follows once.
    batch_size : int, default=64
        Series in a training step.
    max_rows : int, default=512
        Rows of a series that are read at most: the latest ones before a forecast starts.
    learning_rate : float, default=0.01
        Highest learning rate.
    weight_decay : float, default=0.01
        Decay of the weight matrices.
    accelerator : str, default="cpu"
        Where to compute: "cpu", "cuda" or "auto".
    devices : int, default=1
        How many devices train together, each in a process of its own; the series of a batch are
        shared among them. No main guard is needed.
    verbose : int, default=1
        0 shows no progress bar.
    logger : lightning.pytorch.loggers.Logger, optional
        Where to log the losses of each epoch; by default nothing is written.
    warm_start : bool, default=False
        Whether ``fit`` starts from the weights of the fit before, which must have had the same
        columns and sizes; scales are learned anew. See `partial_fit` to keep these too.
    random_state : int, optional
        Seed of all that is random. The same seed gives the same model.

    Attributes
    ----------
    module_ : LatentODE
        The trained Lightning module.
    schema_ : Schema
        The columns in use, and the type of the times.
    scaler_ : Scaler
        Scales of values and times.
    context_ : Panel
        What was observed: where forecasts start from; nothing after ``fit`` of files.
    vector_field_ : Module
        The trained vector field; parameters of a `Mechanism` are in the units of the frame.
    history_ : DataFrame
        Losses of each epoch of each ``stage``: "fit", "fit 2" and so on with ``n_restarts``,
        "refit" and "further"; their score ``val_crps``, and evaluations of the vector field. With
        ``max_time``, ``out_of_time`` says where it ended a stage.
    n_features_in_ : int
        Number of columns in use.
    feature_names_in_ : ndarray
        Their names.
    n_parameters_ : int
        Number of trained parameters.
    fit_seconds_ : float
        Seconds that all training since the last ``fit`` took.
    fitted_with_ : dict
        The parameters at the time of ``fit``.

    Examples
    --------
    >>> from latentode import LatentODEForecaster, load_pbcseq
    >>> df = load_pbcseq()
    >>> model = LatentODEForecaster(id_col="patient", time_col="day", max_epochs=2, verbose=0)
    >>> forecast = model.fit(df).predict(5000)
    >>> forecast.columns.tolist()[:4]
    ['patient', 'day', 'bili', 'chol']
    >>> len(forecast)
    312
    """

    module_: LatentODE

    def __init__(
        self,
        *,
        id_col: Hashable | Sequence[Hashable] | None = None,
        time_col: Hashable | None = None,
        target_cols: Hashable | Sequence[Hashable] | None = None,
        past_cols: Hashable | Sequence[Hashable] | None = None,
        known_cols: Hashable | Sequence[Hashable] | None = None,
        static_cols: Hashable | Sequence[Hashable] | None = None,
        known_interpolation: str = "previous",
        noise_cols: Mapping[Hashable, Hashable] | None = None,
        on_duplicates: OnDuplicates = "raise",
        latent_size: int = 16,
        hidden_size: int = 64,
        vector_field: nn.Module | None = None,
        objective: str = "forecast",
        likelihood: str = "gaussian",
        posterior: str = "normal",
        kl_weight: float | None = None,
        dropout: float = 0.3,
        method: str = "tsit5",
        rtol: float = 1e-3,
        atol: float = 1e-3,
        adjoint: str = "direct",
        val_fraction: float = 0.15,
        patience: int = 20,
        refit: bool = True,
        max_epochs: int | None = None,
        max_time: float | str | dt.timedelta | None = None,
        n_restarts: int = 1,
        batch_size: int = 64,
        max_rows: int = 512,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-2,
        accelerator: str = "cpu",
        devices: int = 1,
        verbose: int = 1,
        logger: object = None,
        warm_start: bool = False,
        random_state: int | None = None,
    ) -> None:
        self.id_col = id_col
        self.time_col = time_col
        self.target_cols = target_cols
        self.past_cols = past_cols
        self.known_cols = known_cols
        self.static_cols = static_cols
        self.known_interpolation = known_interpolation
        self.noise_cols = noise_cols
        self.on_duplicates = on_duplicates
        self.latent_size = latent_size
        self.hidden_size = hidden_size
        self.vector_field = vector_field
        self.objective = objective
        self.likelihood = likelihood
        self.posterior = posterior
        self.kl_weight = kl_weight
        self.dropout = dropout
        self.method = method
        self.rtol = rtol
        self.atol = atol
        self.adjoint = adjoint
        self.val_fraction = val_fraction
        self.patience = patience
        self.refit = refit
        self.max_epochs = max_epochs
        self.max_time = max_time
        self.n_restarts = n_restarts
        self.batch_size = batch_size
        self.max_rows = max_rows
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.accelerator = accelerator
        self.devices = devices
        self.verbose = verbose
        self.logger = logger
        self.warm_start = warm_start
        self.random_state = random_state

    def fit(
        self,
        df: object,
        y: None = None,
        *,
        static: object = None,
        resume: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Learn from every series of a frame.

        Parameters
        ----------
        df : DataFrame, path or ParquetFiles
            One row an observation; see ``docs/the-frame.md``. A Parquet file, or a folder of
            them, is read a part at a time, and none of it is kept for forecasts to start from;
            see ``docs/large-data.md``.
        y : None
            Not used; the targets are columns of ``df``.
        static : DataFrame, optional
            Static covariates, where ``df`` does not have them: one row for each series.
        resume : path, optional
            A file that keeps the state of training, about once a second. If training ends early,
            even by a loss of power, the same call goes on from there, and comes to the very
            weights that it would have come to (on a CPU, unless ``max_time`` ends it). Once it
            is over, the same call gives the model at once. The file may be removed then.

        Returns
        -------
        LatentODEForecaster
            The forecaster itself.

        Raises
        ------
        FrameError
            If the frame does not keep the contract; the message says where, and how to mend it.
        ResumeError
            If ``resume`` is damaged, or keeps a training on other data or with other parameters.
        ValueError
            If a parameter cannot be used.
        """
        return self._fit(df, static, resume=resume)

    def _fit(
        self,
        df: object,
        static: object = None,
        epochs: int | None = None,
        resume: str | os.PathLike[str] | None = None,
    ) -> Self:
        check_numbers(self)
        check_choices(self)
        began = time.perf_counter()
        training = open_training(resume, self._seed())
        with own_torch_state(training.seed):
            data = self._data(df, training.seed, static=static)
            files = data.streamed
            training.check(
                self._what_matters(), data.panel if files is None else files.fingerprint
            )
            module = self.build_module(data.schema)
            if self.warm_start and hasattr(self, "module_"):
                self._start_where_it_was(module, data.schema)
            adopt_units(module, data.scaler, data.schema)
            check_restarts(self, data)
            job = Job(self, data, training, epochs)
            history = on_devices(partial(learn, job=job), module, self.devices, self.accelerator)
        self.module_ = module
        self.scaler_ = data.scaler
        self.context_ = data.panel if files is None else empty_panel(data.schema)
        self.history_ = history
        self.calibration_ = None
        self.fitted_with_ = self.get_params(deep=False)
        self.fit_seconds_ = time.perf_counter() - began
        self.see_columns(data.schema)
        if self._knows():
            warn_of_late_starts(self.context_)
        return self

    def _what_matters(self) -> dict[str, object]:
        """Give the parameters that training depends on, as JSON."""
        parameters = self.get_params(deep=False)
        kept = {k: v for k, v in parameters.items() if k not in _NO_MATTER}
        return parameters_as_json(kept)

    @property
    def vector_field_(self) -> nn.Module:
        """The trained vector field: a copy of that handed in, or a network."""
        check_is_fitted(self)
        return own_field(self.module_.vector_field)

    def _knows(self) -> bool:
        return isinstance(self.vector_field, Mechanism)

    def _seed(self) -> int:
        return draw_seed(self.random_state)

    def _data(
        self, source: object, seed: int, *, static: object = None, scaler: Scaler | None = None
    ) -> SeriesDataModule:
        return SeriesDataModule(
            source,
            id_col=self.id_col,
            time_col=self.time_col,
            target_cols=self.target_cols,
            past_cols=self.past_cols,
            known_cols=self.known_cols,
            static_cols=self.static_cols,
            static=static,
            known_interpolation=self.known_interpolation,
            noise_cols=self.noise_cols,
            on_duplicates=self.on_duplicates,
            regime=self.objective,
            batch_size=math.ceil(self.batch_size / self.devices),
            # The end of a series is not told like what lies between two rows.
            val_fraction=0.0 if self.objective == "interpolation" else self.val_fraction,
            max_rows=int(self.max_rows),
            scaler=scaler,
            random_state=seed,
        )

    def _train_further(
        self, module: LatentModel, data: SeriesDataModule, epochs: int | None, seed: int
    ) -> pd.DataFrame:
        """Train on all rows, as in the refit."""
        check_numbers(self)
        job = Job(self, data, Training(seed), epochs)
        return on_devices(partial(learn_further, job=job), module, self.devices, self.accelerator)

    def build_module(self, schema: Schema) -> LatentODE:
        """Build an untrained module for the columns of a schema."""
        return build_latent_ode(self, schema)

    def _tell(self, question: Question, wanted: Wanted) -> Told:
        """Give the forecasts of P pairs, in the units of the frame."""
        n_past = len(self.schema_.past_cols)
        levels, truth, with_spread = wanted
        if truth is not None:
            truth = self.scaler_.scale(with_past(truth, n_past, np.nan))
            truth[:, self.scaler_.std == 0] = np.nan  # a constant says nothing of the others
        told = forecast(
            self.module_,
            *self._in_units_of_model(question),
            max_rows=int(self.max_rows),
            n_draws=_N_DRAWS if with_spread else 0,
            levels=None if levels is None else with_past(levels, n_past, 0.5),
            truth=truth,
        )
        told = unscaled(told, self.scaler_)
        n_targets = len(self.schema_.target_cols)
        return Told(*(part[:, :n_targets] for part in told))

    def _in_units_of_model(self, question: Question) -> tuple[ScaledPanel, np.ndarray, np.ndarray]:
        """Give what is known, and the series and times asked, as the module takes them."""
        since = question.since / self.scaler_.time_unit
        return scale_panel(question.known, self.scaler_), question.query.series, since


def with_past(values: np.ndarray, n_past: int, fill: float) -> np.ndarray:
    """Add past covariates to what is of P pairs and D targets, (P, D) or (P, D, K).

    Levels (K,) are those of every variable, and stay.
    """
    if values.ndim == 1 or n_past == 0:
        return values
    width = [(0, 0), (0, n_past), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, width, constant_values=fill)
