"""Tell the class of whole irregular series, with the encoder of a latent ODE."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight

from latentode.data import OnDuplicates
from latentode.models.ode_net import Loss
from latentode.supervised.base import Targets
from latentode.supervised.label_values import classes_of
from latentode.supervised.ode_net import cross_entropy
from latentode.supervised.rows import balanced
from latentode.supervised.series_base import SeriesEstimator
from latentode.supervised.series_scores import class_scores


class SeriesClassifier(ClassifierMixin, SeriesEstimator):
    """Tell the class of a whole irregular series, as whether a patient dies, by a latent ODE.

    An encoder reads the rows of a series, at any spacing and with NaN for what was not measured,
    into a latent state at the last row; an ODE carries it on; and a head tells the class from the
    states on its path, from summaries of every variable and from static covariates. All values
    are read as normal scores, so that outliers, units and logarithms do not matter.

    Parameters
    ----------
    id_col : Hashable or list, optional
        Column of the series, or columns that tell them apart together; by default recognised by
        name.
    time_col : Hashable, optional
        Column of the time; by default recognised by name.
    feature_cols : Hashable or list, optional
        Columns that are read. By default ``y``, ``target`` or ``value`` if there is one, and every
        other column of numbers if not.
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
    class_weight : {"balanced"}, dict or None, default=None
        Weights of the classes, by their labels; "balanced" gives each the same weight in all.
        Probabilities are then those of classes that are as frequent as they weigh.
    n_members : int, default=1
        Networks, each with weights and held out series of its own, whose probabilities are
        averaged: a few of them tell better than one, and take as much longer.
    val_fraction : float, default=0.15
        Share of the series of each class that is held out; the epoch with the lowest loss on them
        is kept. With 0, the last one is.
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
    classes_ : ndarray of shape (K,)
        The labels, sorted.
    members_ : ModuleList of SeriesNet
        The trained networks.
    schema_ : Schema
        The columns in use, and the type of the times.
    scaler_ : Scaler
        Scales of values and times.
    history_ : DataFrame
        Losses of each epoch of each member, in nats.
    n_parameters_ : int
        Trained parameters, of all members.
    n_features_in_ : int
        Number of columns in use.
    feature_names_in_ : ndarray
        Their names.
    fitted_with_ : dict
        The parameters at the time of ``fit``.

    References
    ----------
    Rubanova, Chen and Duvenaud (2019), Latent ODEs for irregularly-sampled time series, section
    4.5. Silva et al. (2012), Predicting in-hospital mortality of ICU patients.

    Examples
    --------
    >>> from latentode import load_pbcseq
    >>> df = load_pbcseq(static=True)
    >>> first, labels = df[df.day < 400], df.groupby("patient").status.first() == 2
    >>> model = SeriesClassifier(
    ...     id_col="patient",
    ...     time_col="day",
    ...     feature_cols=["bili", "albumin", "protime"],
    ...     static_cols="age",
    ...     hidden_size=8,
    ...     max_epochs=2,
    ...     random_state=0,
    ... ).fit(first, labels)
    >>> model.predict_proba(first).shape, model.classes_.tolist()
    ((312, 2), [False, True])
    """

    classes_: np.ndarray

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
        class_weight: str | Mapping[Any, float] | None = None,
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
        self.class_weight = class_weight
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

    def predict_proba(self, df: object, *, static: object = None) -> pd.DataFrame:
        """Give the probability of each class for each series.

        Parameters
        ----------
        df : DataFrame
            Rows as in ``fit``, of any series.
        static : DataFrame, optional
            Static covariates of the series, where ``df`` does not have them.

        Returns
        -------
        DataFrame of shape (S, K)
            One row for each series, indexed by its id, in the order in which series first appear;
            one column for each of ``classes_``.

        Raises
        ------
        FrameError
            If the frame does not keep the contract.
        NotFittedError
            Before ``fit``.

        Warns
        -----
        LatentODEWarning
            If nothing was observed of a series.
        """
        told = self._tell(df, static)
        of_members = torch.softmax(torch.from_numpy(told.outputs), dim=-1)
        probabilities = of_members.mean(dim=1).numpy()
        return pd.DataFrame(probabilities, index=self._index(told.ids), columns=self.classes_)

    def predict(self, df: object, *, static: object = None) -> pd.Series:
        """Give the most probable class of each series.

        Parameters
        ----------
        df : DataFrame
            As in `predict_proba`.
        static : DataFrame, optional
            As in `predict_proba`.

        Returns
        -------
        Series of shape (S,)
            Labels by id, as in `predict_proba`.

        Raises
        ------
        FrameError
            As in `predict_proba`.
        """
        p = self.predict_proba(df, static=static)
        return pd.Series(self.classes_[p.to_numpy().argmax(axis=1)], index=p.index)

    def score(self, df: object, y: object, *, static: object = None) -> float:
        """Give the share of the series whose class is told.

        Parameters
        ----------
        df : DataFrame
            As in `predict_proba`.
        y : Series, mapping, DataFrame, Hashable or array
            Labels as in ``fit``.
        static : DataFrame, optional
            As in `predict_proba`.

        Returns
        -------
        float
            Accuracy.

        Raises
        ------
        FrameError
            As in ``fit``.
        """
        told = self.predict(df, static=static)
        return float(np.mean(told.to_numpy() == self._truth(df, y, told.index.tolist())))

    def evaluate(self, df: object, y: object, *, static: object = None) -> pd.Series:
        """Measure how well the classes of series are told.

        Parameters
        ----------
        df : DataFrame
            As in `predict_proba`.
        y : Series, mapping, DataFrame, Hashable or array
            Labels as in ``fit``.
        static : DataFrame, optional
            As in `predict_proba`.

        Returns
        -------
        Series
            ``auroc``, the area under the receiver operating characteristic, and
            ``average_precision``, the mean over one class against the others where there are more
            than two; ``log_loss`` in nats; ``brier``, the squared error of the probabilities,
            summed over classes and halved; ``accuracy``; and ``prevalence``, what a constant has
            for average precision. With two classes it is the second of ``classes_`` that is
            looked for.

        Raises
        ------
        FrameError
            As in ``fit``.
        ValueError
            If a label is none of ``classes_``, or there is no series of one of these.
        """
        p = self.predict_proba(df, static=static)
        truth = self._truth(df, y, p.index.tolist())
        return class_scores(truth, p.to_numpy(), self.classes_)

    def n_outputs(self) -> int:
        """Give the number of classes."""
        return len(self.classes_)

    def _targets(self, labels: pd.Series, ids: Sequence[Hashable]) -> Targets:
        self.classes_, codes = classes_of(labels, ids)
        weights = self._weights(self.classes_[codes], codes)
        return Targets(codes, codes, weights, len(self.classes_))

    def learned(self) -> dict[str, object]:
        """Give what was learned beside weights and scales, for a file."""
        return {"classes_": self.classes_.tolist(), "dtype": self.classes_.dtype.str}

    def learn(self, learned: Mapping[str, Any]) -> None:
        """Take over what `learned` gave."""
        self.classes_ = np.array(learned["classes_"], dtype=np.dtype(learned["dtype"]))

    def _weights(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            return balanced(codes, np.ones(len(codes)))
        weights: np.ndarray = compute_sample_weight(self.class_weight, values)
        return weights

    def loss(self) -> Loss:
        """Give the loss of each series."""
        return cross_entropy
