"""Tell a number of whole irregular series, with the encoder of a latent ODE."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from latentode.data import OnDuplicates
from latentode.models.ode_net import Loss
from latentode.supervised.base import Targets
from latentode.supervised.label_values import numbers_of
from latentode.supervised.ode_net import squared_error
from latentode.supervised.series_base import SeriesEstimator
from latentode.supervised.series_scores import value_scores


class SeriesRegressor(RegressorMixin, SeriesEstimator):
    """Tell a number of a whole irregular series, as how long a stay lasts, by a latent ODE.

    The same network as that of `SeriesClassifier`, trained by squared errors.

    Parameters
    ----------
    id_col : Hashable or list, optional
        Column of the series, or columns that tell them apart together; by default recognised by
        name.
    time_col : Hashable, optional
        Column of the time; by default recognised by name.
    feature_cols : Hashable or list, optional
        Columns that are read; as in `SeriesClassifier`.
    static_cols : Hashable or list, optional
        Static covariates, of numbers, categories or text: what does not change in a series.
    on_duplicates : {"raise", "mean", "last", "merge"}, default="raise"
        What becomes of rows of one series at the same time; see `LatentODEForecaster`.
    latent_size : int, default=16
        Width of the latent state.
    hidden_size : int, default=64
        Width of the encoder, of the vector field and of the head.
    dropout : float, default=0.5
        Share of what the head reads that each training step leaves out; half of it for what the
        encoder reads.
    method : str, default="tsit5"
        Solver; see `odeint`.
    rtol, atol : float, default=1e-3
        Its tolerances.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="direct"
        How training differentiates it.
    n_members : int, default=1
        Networks whose answers are averaged.
    val_fraction : float, default=0.15
        Share of the series that is held out; the epoch with the lowest loss on them is kept. With
        0, the last one is.
    patience : int or None, default=10
        Epochs without a lower loss on them after which to stop.
    max_epochs : int, optional
        Passes over the series at most; by default as many as make 2,000 training steps, but at
        least 10 and at most 100.
    batch_size : int, default=64
        Series in a training step.
    max_rows : int, default=512
        Rows of a series that are read at most: the latest ones.
    learning_rate : float, default=0.003
        Highest learning rate.
    weight_decay : float, default=0.3
        Decay of the weight matrices.
    accelerator : str, default="cpu"
        Where to train: "cpu", "cuda" or "auto".
    verbose : int, default=0
        Whether to show a bar.
    random_state : int, RandomState or None, default=None
        Seed of the weights, the batches and what is held out.

    Attributes
    ----------
    mean_, std_ : float
        Mean and standard deviation of the values told.
    members_ : ModuleList of SeriesNet
        The trained networks.
    schema_ : Schema
        The columns in use, and the type of the times.
    scaler_ : Scaler
        Scales of values and times.
    history_ : DataFrame
        Losses of each epoch of each member: squared errors of standardised values.
    n_parameters_ : int
        Trained parameters, of all members.
    n_features_in_ : int
        Number of columns in use.
    feature_names_in_ : ndarray
        Their names.
    fitted_with_ : dict
        The parameters at the time of ``fit``.

    Examples
    --------
    >>> from latentode import load_pbcseq
    >>> df = load_pbcseq(static=True)
    >>> model = SeriesRegressor(
    ...     id_col="patient",
    ...     time_col="day",
    ...     feature_cols=["bili", "albumin", "protime"],
    ...     hidden_size=8,
    ...     max_epochs=2,
    ...     random_state=0,
    ... ).fit(df, "age")
    >>> bool(model.predict(df).between(30, 70).all())
    True
    """

    mean_: float
    std_: float

    def __init__(
        self,
        *,
        id_col: Hashable | Sequence[Hashable] | None = None,
        time_col: Hashable | None = None,
        feature_cols: Hashable | Sequence[Hashable] | None = None,
        static_cols: Hashable | Sequence[Hashable] | None = None,
        on_duplicates: OnDuplicates = "raise",
        latent_size: int = 16,
        hidden_size: int = 64,
        dropout: float = 0.5,
        method: str = "tsit5",
        rtol: float = 1e-3,
        atol: float = 1e-3,
        adjoint: str = "direct",
        n_members: int = 1,
        val_fraction: float = 0.15,
        patience: int | None = 10,
        max_epochs: int | None = None,
        batch_size: int = 64,
        max_rows: int = 512,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.3,
        accelerator: str = "cpu",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.id_col = id_col
        self.time_col = time_col
        self.feature_cols = feature_cols
        self.static_cols = static_cols
        self.on_duplicates = on_duplicates
        self.latent_size = latent_size
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.method = method
        self.rtol = rtol
        self.atol = atol
        self.adjoint = adjoint
        self.n_members = n_members
        self.val_fraction = val_fraction
        self.patience = patience
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.max_rows = max_rows
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.accelerator = accelerator
        self.verbose = verbose
        self.random_state = random_state

    def predict(self, df: object, *, static: object = None) -> pd.Series:
        """Give the expected value of each series.

        Parameters
        ----------
        df : DataFrame
            Rows as in ``fit``, of any series.
        static : DataFrame, optional
            Static covariates of the series, where ``df`` does not have them.

        Returns
        -------
        Series of shape (S,)
            Values by id, in the order in which series first appear.

        Raises
        ------
        FrameError
            If the frame does not keep the contract.
        NotFittedError
            Before ``fit``.
        """
        told = self._tell(df, static)
        values = self.mean_ + self.std_ * told.outputs[..., 0].mean(axis=1)
        return pd.Series(values, index=self._index(told.ids))

    def score(self, df: object, y: object, *, static: object = None) -> float:
        """Give the share of the variance of the values that is told.

        Parameters
        ----------
        df : DataFrame
            As in `predict`.
        y : Series, mapping, DataFrame, Hashable or array
            Values as in ``fit``.
        static : DataFrame, optional
            As in `predict`.

        Returns
        -------
        float
            R squared.

        Raises
        ------
        FrameError
            As in ``fit``.
        """
        told = self.predict(df, static=static)
        return float(r2_score(self._truth(df, y, told.index.tolist()), told.to_numpy()))

    def evaluate(self, df: object, y: object, *, static: object = None) -> pd.Series:
        """Measure how well the values of series are told.

        Parameters
        ----------
        df : DataFrame
            As in `predict`.
        y : Series, mapping, DataFrame, Hashable or array
            Values as in ``fit``.
        static : DataFrame, optional
            As in `predict`.

        Returns
        -------
        Series
            ``rmse`` and ``mae`` in the units of the values, and ``r2``.

        Raises
        ------
        FrameError
            As in ``fit``.
        """
        told = self.predict(df, static=static)
        return value_scores(self._truth(df, y, told.index.tolist()), told.to_numpy())

    def n_outputs(self) -> int:
        """Give the width of the head: one number."""
        return 1

    def _targets(self, labels: pd.Series, ids: Sequence[Hashable]) -> Targets:
        values = numbers_of(labels, ids)
        self.mean_, self.std_ = float(values.mean()), float(values.std())
        scaled = (values - self.mean_) / (self.std_ or 1.0)
        nothing = np.zeros(len(values), dtype=int)
        return Targets(scaled[:, None], nothing, np.ones(len(values)), 1)

    def learned(self) -> dict[str, object]:
        """Give what was learned beside weights and scales, for a file."""
        return {"mean_": self.mean_, "std_": self.std_}

    def learn(self, learned: Mapping[str, Any]) -> None:
        """Take over what `learned` gave."""
        self.mean_, self.std_ = learned["mean_"], learned["std_"]

    def loss(self) -> Loss:
        """Give the loss of each series."""
        return squared_error
