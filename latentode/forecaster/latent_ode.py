"""The forecaster of the latent ODE: ``fit(df)`` and ``predict(times)``."""

import math
import time
from collections.abc import Hashable, Sequence
from typing import Self

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from latentode.data import Scaler, scale_panel
from latentode.forecaster.question import Question
from latentode.forecaster.trained import TrainedForecaster
from latentode.models import (
    ELBO,
    LatentModel,
    LatentODE,
    SeriesDataModule,
    Told,
    forecast,
    own_torch_state,
    train,
    unscaled,
)
from latentode.nn import Decoder, Encoder
from latentode.solvers import ADJOINTS, METHODS, MLP
from latentode.solvers.checks import (
    check_choice,
    check_not_negative,
    check_part,
    check_positive,
    check_whole,
)

# Draws of the latent state behind the spread of a forecast.
_N_DRAWS = 16
# Training steps that the default number of epochs amounts to, and how few and many epochs these
# may be; and the share of them that follows, on all rows, after early stopping.
_N_STEPS, _FEWEST_EPOCHS, _MOST_EPOCHS = 1000, 10, 100
_REFIT_SHARE = 0.6
# Decay of the moving average of the weights, which is what is kept of a training.
_AVERAGING = 0.99


class LatentODEForecaster(TrainedForecaster):
    """Forecast irregular time series at any times, with a latent ODE.

    The frame holds one row for each moment of a series, at any spacing, with NaN for a variable
    that was not measured then. Rows may come in any order, and nothing of the frame is changed.
    See ``docs/the-frame.md`` for all that is accepted.

    Parameters
    ----------
    id_col, time_col : Hashable, optional
        Columns of the series and of the time; by default recognised by name, and a frame without
        a column of series is one series.
    target_cols : Hashable or list, optional
        Columns to forecast. By default ``y``, ``target`` or ``value`` if there is one, and every
        other column of numbers if not.
    latent_size : int, default=16
        Width of the latent state.
    hidden_size : int, default=64
        Width of the encoder and of the vector field.
    objective : {"forecast", "elbo"}, default="forecast"
        Train to foretell what follows random cuts, or to reconstruct what is read, which is the
        variational autoencoder of Chen et al. (2018).
    kl_weight : float, optional
        Weight of the prior over the latent state; by default 0.01, and 1 for "elbo".
    dropout : float, default=0.3
        Share of the encoder's features left out of each training step.
    method : str, default="tsit5"
        Solver; see `odeint`.
    rtol, atol : float, default=1e-3
        Tolerances of the solver, for a latent state of size 1.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="direct"
        How training differentiates the solver; see `odeint`.
    val_fraction : float, default=0.15
        Last part of each series' own time span, held out for early stopping.
    patience : int, default=20
        Epochs without a lower loss on the held-out part after which training stops.
    refit : bool, default=True
        Whether to train a little further on all rows after early stopping, the held-out ones
        included: they are the latest, and forecasts start from there.
    max_epochs : int, optional
        Passes over the training series at most, before the refit; by default as many as make 1,000
        training steps, but at least 10 and at most 100.
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
        What was observed: where forecasts start from.
    history_ : DataFrame
        Losses of each epoch.
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

    def __init__(
        self,
        *,
        id_col: Hashable | None = None,
        time_col: Hashable | None = None,
        target_cols: Hashable | Sequence[Hashable] | None = None,
        latent_size: int = 16,
        hidden_size: int = 64,
        objective: str = "forecast",
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
        batch_size: int = 64,
        max_rows: int = 512,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-2,
        accelerator: str = "cpu",
        verbose: int = 1,
        logger: object = None,
        warm_start: bool = False,
        random_state: int | None = None,
    ) -> None:
        self.id_col = id_col
        self.time_col = time_col
        self.target_cols = target_cols
        self.latent_size = latent_size
        self.hidden_size = hidden_size
        self.objective = objective
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
        self.batch_size = batch_size
        self.max_rows = max_rows
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.accelerator = accelerator
        self.verbose = verbose
        self.logger = logger
        self.warm_start = warm_start
        self.random_state = random_state

    def fit(self, df: object, y: None = None) -> Self:
        """Learn from every series of a frame.

        Parameters
        ----------
        df : DataFrame
            One row an observation; see ``docs/the-frame.md``.
        y : None
            Not used; the targets are columns of ``df``.

        Returns
        -------
        LatentODEForecaster
            The forecaster itself.

        Raises
        ------
        FrameError
            If the frame does not keep the contract; the message says where, and how to mend it.
        ValueError
            If a parameter cannot be used.
        """
        return self._fit(df)

    def _fit(self, df: object, epochs: int | None = None) -> Self:
        _check_numbers(self)
        _check_choices(self)
        began = time.perf_counter()
        seed = self._seed()
        with own_torch_state(seed):
            data = self._data(df, seed)
            module = self.build_module(data.n_features)
            if self.warm_start and hasattr(self, "module_"):
                self._start_where_it_was(module, data.panel)
            history = self._train(module, data, epochs or self.max_epochs)
        self.module_ = module
        self.scaler_ = data.scaler
        self.context_ = data.panel
        self.history_ = history
        self.calibration_ = None
        self.fitted_with_ = self.get_params(deep=False)
        self.fit_seconds_ = time.perf_counter() - began
        self.see_columns(data.schema)
        return self

    def _seed(self) -> int:
        return _draw_seed(self.random_state)

    def _data(self, source: object, seed: int, scaler: Scaler | None = None) -> SeriesDataModule:
        return SeriesDataModule(
            source,
            id_col=self.id_col,
            time_col=self.time_col,
            target_cols=self.target_cols,
            regime=self.objective,
            batch_size=int(self.batch_size),
            val_fraction=self.val_fraction,
            max_rows=int(self.max_rows),
            scaler=scaler,
            random_state=seed,
        )

    def _train(
        self, module: LatentModel, data: SeriesDataModule, max_epochs: int | None
    ) -> pd.DataFrame:
        """Stop early on the held-out rows, then go on a little with all of them."""
        max_epochs = max_epochs or _n_epochs(len(data.train_dataloader()))
        history = self._train_stage(module, data, max_epochs=max_epochs, stage="fit")
        if not (self.refit and data.n_held_out):
            return history
        whole, n_epochs = data.without_holdout(), math.ceil(_REFIT_SHARE * max_epochs)
        module.learning_rate = self.learning_rate / 2
        refit = self._train_stage(module, whole, max_epochs=n_epochs, stage="refit")
        return pd.concat([history, refit], ignore_index=True)

    def _train_further(
        self, module: LatentModel, data: SeriesDataModule, epochs: int | None
    ) -> pd.DataFrame:
        """Train on all rows, as in the refit."""
        _check_numbers(self)
        n_epochs = self.max_epochs or _n_epochs(len(data.train_dataloader()))
        epochs = epochs or math.ceil(_REFIT_SHARE * n_epochs)
        module.learning_rate = self.learning_rate / 2
        return self._train_stage(module, data, max_epochs=epochs, stage="further")

    def _train_stage(
        self, module: LatentModel, data: SeriesDataModule, *, max_epochs: int, stage: str
    ) -> pd.DataFrame:
        history = train(
            module,
            data,
            max_epochs=max_epochs,
            patience=self.patience,
            accelerator=self.accelerator,
            label=stage if self.verbose else None,
            averaging=_AVERAGING,
            logger=self.logger,
        )
        return pd.DataFrame(history).assign(stage=stage)

    def build_module(self, n_features: int) -> LatentODE:
        """Build an untrained module for D targets."""
        is_elbo = self.objective == "elbo"
        kl_weight = self.kl_weight if self.kl_weight is not None else (1.0 if is_elbo else 0.01)
        return LatentODE(
            Encoder(
                n_features,
                self.latent_size,
                self.hidden_size,
                reader="gru-backward" if is_elbo else "gru",
                n_hidden=1,
                dropout=self.dropout,
                anchor="start" if is_elbo else "end",
            ),
            # Bounded: a solution grows no faster than time, however far a forecast reaches.
            MLP([self.latent_size, self.hidden_size, self.latent_size], activation="tanh"),
            Decoder(self.latent_size, n_features, rule=None if is_elbo else "fading"),
            objective=ELBO(kl_weight),
            context_weight=1.0 if is_elbo else 0.1,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            method=self.method,
            rtol=self.rtol,
            atol=self.atol,
            adjoint=self.adjoint,
        ).float()  # whatever torch's default is

    def _tell(
        self,
        question: Question,
        *,
        levels: np.ndarray | None = None,
        truth: np.ndarray | None = None,
        with_spread: bool = True,
    ) -> Told:
        """Give the forecasts of P pairs, in the units of the frame."""
        told = forecast(
            self.module_,
            scale_panel(question.known, self.scaler_),
            question.query.series,
            question.since / self.scaler_.time_unit,
            max_rows=int(self.max_rows),
            n_draws=_N_DRAWS if with_spread else 0,
            levels=levels,
            truth=None if truth is None else self.scaler_.scale(truth),
        )
        return unscaled(told, self.scaler_)


def _draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Give a seed; without a random state one from the system, not from numpy's global one."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return int(check_random_state(random_state).randint(2**31 - 1))


def _n_epochs(n_batches: int) -> int:
    return min(max(math.ceil(_N_STEPS / n_batches), _FEWEST_EPOCHS), _MOST_EPOCHS)


def _check_numbers(forecaster: LatentODEForecaster) -> None:
    """Refuse what would fail late, or not at all; the rest is checked where it is used."""
    for name in ("latent_size", "hidden_size", "patience", "batch_size", "max_rows"):
        check_whole(name, getattr(forecaster, name))
    if forecaster.max_epochs is not None:
        check_whole("max_epochs", forecaster.max_epochs)
    for name in ("learning_rate", "rtol", "atol"):
        check_positive(name, getattr(forecaster, name))
    check_not_negative("weight_decay", forecaster.weight_decay)
    if forecaster.kl_weight is not None:
        check_not_negative("kl_weight", forecaster.kl_weight)
    check_part("dropout", forecaster.dropout)


def _check_choices(forecaster: LatentODEForecaster) -> None:
    if not isinstance(forecaster.refit, bool | np.bool_):
        raise TypeError(f"refit={forecaster.refit} must be True or False.")
    check_choice("objective", forecaster.objective, ("forecast", "elbo"))
    methods = [name for name, tableau in METHODS.items() if tableau.error is not None]
    if forecaster.method not in methods:
        raise ValueError(
            f"method={forecaster.method} is not one that chooses its own steps: choose one of "
            f"{', '.join(methods)}."
        )
    if forecaster.adjoint == "none":
        raise ValueError("adjoint=none gives no gradient to train with: choose adjoint=auto.")
    check_choice("adjoint", forecaster.adjoint, ADJOINTS)
