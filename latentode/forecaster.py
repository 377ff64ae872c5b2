"""The scikit-learn face: ``fit(df)`` and ``predict(times)``."""

import math
import warnings
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from latentode.data import (
    LatentODEWarning,
    Panel,
    Query,
    Schema,
    difference,
    drop_empty_rows,
    query_at,
    query_horizon,
    scale_panel,
    select_series,
    to_panel,
)
from latentode.models import (
    ELBO,
    LatentODE,
    SeriesDataModule,
    forecast_moments,
    own_torch_state,
    train,
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
# Median spans of the training series beyond which a forecast comes with a warning.
_FAR = 10
# Training steps that the default number of epochs amounts to, and how few and many epochs these
# may be; and the share of them that follows, on all rows, after early stopping.
_N_STEPS, _FEWEST_EPOCHS, _MOST_EPOCHS = 1000, 10, 100
_REFIT_SHARE = 0.6
# Decay of the moving average of the weights, which is what is kept of a training.
_AVERAGING = 0.99


class Forecast(NamedTuple):
    """Mean and standard deviation at every pair asked, each (P, D), in the targets' own units."""

    query: Query
    mean: np.ndarray
    std: np.ndarray


class LatentODEForecaster(BaseEstimator):
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
        id_col: Hashable | Sequence[Hashable] | None = None,
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
        self.random_state = random_state

    def fit(self, df: pd.DataFrame, y: None = None) -> Self:
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
        _check_numbers(self)
        _check_choices(self)
        seed = _draw_seed(self.random_state)
        with own_torch_state(seed):
            data = self._data(df, seed)
            module = self._build(data.n_features)
            history = self._train(module, data)
        self.module_ = module
        self.schema_ = data.schema
        self.scaler_ = data.scaler
        self.context_ = data.panel
        self.history_ = history
        self.feature_names_in_ = np.array(_columns(data.schema), dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        return self

    def _data(self, df: pd.DataFrame, seed: int) -> SeriesDataModule:
        return SeriesDataModule(
            df,
            id_col=self.id_col,
            time_col=self.time_col,
            target_cols=self.target_cols,
            regime=self.objective,
            batch_size=int(self.batch_size),
            val_fraction=self.val_fraction,
            max_rows=int(self.max_rows),
            random_state=seed,
        )

    def _train(self, module: LatentODE, data: SeriesDataModule) -> pd.DataFrame:
        """Stop early on the held-out rows, then go on a little with all of them."""
        max_epochs = self.max_epochs or _n_epochs(len(data.train_dataloader()))
        history = self._train_stage(module, data, max_epochs=max_epochs, stage="fit")
        if not (self.refit and data.n_held_out):
            return history
        whole, n_epochs = data.without_holdout(), math.ceil(_REFIT_SHARE * max_epochs)
        module.learning_rate = self.learning_rate / 2
        refit = self._train_stage(module, whole, max_epochs=n_epochs, stage="refit")
        return pd.concat([history, refit], ignore_index=True)

    def _train_stage(
        self, module: LatentODE, data: SeriesDataModule, *, max_epochs: int, stage: str
    ) -> pd.DataFrame:
        history = train(
            module,
            data,
            max_epochs=max_epochs,
            patience=self.patience,
            accelerator=self.accelerator,
            label=stage if self.verbose else None,
            averaging=_AVERAGING,
        )
        return pd.DataFrame(history).assign(stage=stage)

    def predict(
        self,
        at: object = None,
        *,
        horizon: object = None,
        step: object = None,
        context: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Give the expected values at any times: after what was observed, within, or before.

        Parameters
        ----------
        at : time, sequence of times, or DataFrame
            One time or several, for every series; or a frame with the columns of series and time,
            for exactly its rows.
        horizon, step : Timedelta, str or number, optional
            Instead of ``at``: times each ``step`` after a series' last observation, up to and
            including ``horizon``; without ``step``, the horizon alone.
        context : DataFrame, optional
            What was observed of other series, or of the same ones instead of what ``fit`` saw.
            Forecasts start from these rows, without a new fit.

        Returns
        -------
        DataFrame
            Columns of series, time and targets. The rows of a frame come back in their order and
            with their index.

        Raises
        ------
        FrameError
            If the frames do not keep the contract, or a series is not known.
        NotFittedError
            Before ``fit``.

        Warns
        -----
        LatentODEWarning
            If a time is so far from what was observed that its forecast is little but the mean.
        """
        forecast = self._forecast(at, horizon, step, context, n_draws=0)
        return _beside(forecast.query, forecast.mean, self.schema_.target_cols)

    def predict_quantiles(
        self,
        at: object = None,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        *,
        horizon: object = None,
        step: object = None,
        context: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Give quantiles of the forecast; see `predict` for the other parameters.

        Each is that of a normal distribution, whose variance is that of an observation for a
        known latent state plus that of the state itself.

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

        Returns
        -------
        DataFrame
            Columns of series and time, and one for each target and quantile: ``y_q0.1``.

        Raises
        ------
        FrameError
            As in `predict`.
        ValueError
            If a quantile is not a probability.
        """
        levels = _levels(quantiles)
        forecast = self._forecast(at, horizon, step, context, n_draws=_N_DRAWS)
        normal = NormalDist()
        values = [forecast.mean + normal.inv_cdf(level) * forecast.std for level in levels]
        names = [f"{name}_q{level}" for name in self.schema_.target_cols for level in levels]
        stacked = np.stack(values, axis=2).reshape(len(forecast.mean), -1)
        return _beside(forecast.query, stacked, names)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that the input is a frame with missing values, and needs no y."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = False
        return tags

    def _build(self, n_features: int) -> LatentODE:
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

    def _forecast(
        self,
        at: object,
        horizon: object,
        step: object,
        context: pd.DataFrame | None,
        *,
        n_draws: int,
    ) -> Forecast:
        check_is_fitted(self)
        panel = self.context_ if context is None else to_panel(context, self.schema_)
        observed = drop_empty_rows(panel)
        query = _ask(at, horizon, step, panel, observed)
        chosen, asked_of = select_series(observed, query.ids), select_series(panel, query.ids)
        starts = _last_times(asked_of, chosen)
        since = difference(query.times, starts[query.series]) / self.scaler_.time_unit
        _warn_of_far_times(since, query)
        scaled = scale_panel(chosen, self.scaler_)
        mean, std = forecast_moments(
            self.module_,
            scaled,
            query.series,
            since,
            max_rows=int(self.max_rows),
            n_draws=n_draws,
        )
        # A constant target has no scale: its forecast is that constant.
        return Forecast(query, self.scaler_.unscale(mean), self.scaler_.std * std)


def _draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Give a seed; without a random state one from the system, not from numpy's global one."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return int(check_random_state(random_state).randint(2**31 - 1))


def _warn_of_far_times(since: np.ndarray, query: Query) -> None:
    far = np.abs(since) > _FAR
    if not far.any():
        return
    first = query.ids[query.series[far][0]]
    warnings.warn(
        f"{int(far.sum())} of the {len(far)} times asked lie more than {_FAR} times the span of a "
        f"typical series away from what was observed, first of series {first}: forecasts there "
        "say little more than the mean.",
        LatentODEWarning,
        stacklevel=4,
    )


def _n_epochs(n_batches: int) -> int:
    return min(max(math.ceil(_N_STEPS / n_batches), _FEWEST_EPOCHS), _MOST_EPOCHS)


def _columns(schema: Schema) -> list[Hashable]:
    return [*schema.id_cols, schema.time_col, *schema.target_cols]


def _ask(at: object, horizon: object, step: object, panel: Panel, observed: Panel) -> Query:
    if (at is None) == (horizon is None):
        raise ValueError("give either times, predict(at), or predict(horizon=...).")
    if at is not None:
        if step is not None:
            raise ValueError("step goes with horizon, not with times.")
        return query_at(at, panel.schema, panel.ids)
    last_times = dict(zip(panel.ids, _last_times(panel, observed).tolist(), strict=True))
    return query_horizon(horizon, step, last_times, panel.schema)


def _last_times(panel: Panel, observed: Panel) -> np.ndarray:
    """Give the last time (S,) at which something of a series was observed, or its last row."""
    return np.where(np.diff(observed.offsets) > 0, _ends(observed), _ends(panel))


def _ends(panel: Panel) -> np.ndarray:
    last = np.maximum(panel.offsets[1:] - 1, 0)
    return panel.times[last] if len(panel.times) else np.zeros(len(last), panel.times.dtype)


def _beside(query: Query, values: np.ndarray, names: Sequence[Hashable]) -> pd.DataFrame:
    """Put the columns of a forecast beside those that were asked."""
    forecast = pd.DataFrame(values, index=query.frame.index, columns=list(names))
    return pd.concat([query.frame, forecast], axis=1)


def _levels(quantiles: Sequence[float]) -> list[float]:
    if isinstance(quantiles, int | float):
        raise TypeError(f"quantiles must be a list of numbers: [{quantiles}].")
    levels = [float(level) for level in quantiles]
    if not levels:
        raise ValueError("quantiles is empty: give at least one.")
    for level in levels:
        if not 0 < level < 1:
            raise ValueError(f"quantile {level} must be above 0 and below 1.")
        if levels.count(level) > 1:
            raise ValueError(f"quantile {level} is asked more than once.")
    return levels


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
