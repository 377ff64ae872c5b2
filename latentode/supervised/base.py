"""What the classifier and the regressor have in common: scale, train, solve."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from latentode.models import ODENet, Rows, RowsDataModule, Supervised, own_torch_state, train
from latentode.models.ode_net import Loss
from latentode.solvers import ADJOINTS, METHODS
from latentode.solvers.checks import (
    check_choice,
    check_not_negative,
    check_part,
    check_positive,
    check_whole,
)
from latentode.supervised.rows import held_out, refuse_not_finite, weights_of

# Rows that are solved at once where nothing is learned.
_ROWS_AT_ONCE = 1024


class Targets(NamedTuple):
    """What is to be told of N rows.

    Attributes
    ----------
    values : ndarray of shape (N,) or (N, K)
        What the loss compares with: numbers of classes, or scaled values.
    codes : ndarray of shape (N,)
        The group of each row, of each of which a share is held out.
    weights : ndarray of shape (N,)
        How much each counts in the loss.
    n_outputs : int
        Width of the head.
    """

    values: np.ndarray
    codes: np.ndarray
    weights: np.ndarray
    n_outputs: int


class ODENetEstimator(BaseEstimator, ABC):
    """An ODE-Net that is fitted on arrays.

    Attributes
    ----------
    network_ : ODENet
        The trained network, of standardised inputs.
    scaler_ : StandardScaler
        Mean and deviation of the inputs.
    history_ : DataFrame
        Losses of each epoch.
    n_f_evals_ : float
        Evaluations of the field that a row of the training data takes, on average.
    """

    hidden_size: int
    field_size: int
    method: str
    rtol: float
    atol: float
    adjoint: str
    max_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    val_fraction: float
    patience: int | None
    random_state: int | np.random.RandomState | None
    verbose: int
    network_: ODENet
    scaler_: StandardScaler
    history_: pd.DataFrame
    n_f_evals_: float

    @abstractmethod
    def _reading(self) -> dict[str, bool]:
        """Give what ``validate_data`` is told of y."""

    @abstractmethod
    def _targets(self, y: np.ndarray, weights: np.ndarray) -> Targets:
        """Learn of y what is needed to scale it or to name its classes, and give the targets."""

    @abstractmethod
    def _loss(self) -> Loss:
        """Give the loss of each row."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: ANN401
        """Learn from rows, a part of which is held out to choose the best epoch by.

        The same rows with the same seed give the same network. The network has the precision of
        X: float32 or float64.

        Parameters
        ----------
        X : array of shape (N, D)
            Inputs.
        y : array of shape (N,), or (N, K) for a regressor
            Targets.
        sample_weight : array of shape (N,), optional
            How much each row counts, for the scales too. A weight of 0 leaves the row out; where
            one batch holds all rows and none is held out, one of 2 is a row that is there twice.

        Returns
        -------
        ODENetEstimator
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            If rows or a parameter cannot be used; the message says which, and why.
        FloatingPointError
            If the training diverges.
        """
        check_parameters(self)
        X, y = validate_data(
            self, X, y, dtype=(np.float64, np.float32), ensure_all_finite=False, **self._reading()
        )
        refuse_not_finite(X, self)
        weights = weights_of(sample_weight, len(X))
        X, y, weights = X[weights > 0], y[weights > 0], weights[weights > 0]
        targets = self._targets(y, weights)
        self.scaler_ = StandardScaler().fit(X, sample_weight=weights)
        x = torch.tensor(self.scaler_.transform(X))
        seed = draw_seed(self.random_state)
        with own_torch_state(seed):
            self.network_ = self._network(X.shape[1], targets.n_outputs).to(x)
            self.history_ = self._train(x, targets, seed)
        self.n_f_evals_ = self._forward(x)[1]
        return self

    @property
    def n_parameters_(self) -> int:
        """Number of trained parameters."""
        return sum(p.numel() for p in self.network_.parameters())

    def _outputs(self, X: Any) -> np.ndarray:  # noqa: ANN401
        """Give the outputs (N, n_outputs) of the network for rows as in fit."""
        check_is_fitted(self)
        X = validate_data(
            self, X, reset=False, dtype=(np.float64, np.float32), ensure_all_finite=False
        )
        refuse_not_finite(X, self)
        x = torch.tensor(self.scaler_.transform(X)).to(self.network_.head.weight)
        return self._forward(x)[0].numpy()

    def _network(self, n_inputs: int, n_outputs: int) -> ODENet:
        return ODENet(
            n_inputs,
            n_outputs,
            hidden_size=self.hidden_size,
            field_size=self.field_size,
            method=self.method,
            rtol=self.rtol,
            atol=self.atol,
            adjoint=self.adjoint,
        )

    def _train(self, x: Tensor, targets: Targets, seed: int) -> pd.DataFrame:
        weights = torch.tensor(targets.weights / targets.weights.mean()).to(x)
        values = torch.tensor(targets.values)
        rows = Rows(x, values.to(x) if values.is_floating_point() else values, weights)
        marked = held_out(targets.codes, self.val_fraction, np.random.default_rng(seed))
        data = RowsDataModule(
            Rows(*(part[~marked] for part in rows)),
            Rows(*(part[marked] for part in rows)) if marked.any() else None,
            batch_size=int(self.batch_size),
            seed=seed,
        )
        module = Supervised(
            self.network_,
            self._loss(),
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
        )
        history = train(
            module,
            data,
            max_epochs=int(self.max_epochs),
            patience=self.patience,
            accelerator="cpu",
            label="fit" if self.verbose else None,
        )
        return pd.DataFrame(history)

    def _forward(self, x: Tensor) -> tuple[Tensor, float]:
        """Give the outputs (N, n_outputs), and the mean of the evaluations of the field."""
        outputs, n_evals = [], 0
        with torch.no_grad():
            for part in x.split(_ROWS_AT_ONCE):
                outputs.append(self.network_(part))
                stats = self.network_.block.stats
                assert stats is not None
                n_evals += int(stats.n_f_evals.sum())
        return torch.cat(outputs), n_evals / len(x)


def check_parameters(estimator: ODENetEstimator) -> None:
    """Refuse parameters that would fail late, or not at all."""
    for name in ("hidden_size", "field_size", "max_epochs", "batch_size"):
        check_whole(name, getattr(estimator, name))
    if estimator.patience is not None:
        check_whole("patience", estimator.patience)
    for name in ("learning_rate", "rtol", "atol"):
        check_positive(name, getattr(estimator, name))
    check_not_negative("weight_decay", estimator.weight_decay)
    check_part("val_fraction", estimator.val_fraction)
    methods = [name for name, method in METHODS.items() if method.error is not None]
    check_choice("method", estimator.method, methods)
    check_choice("adjoint", estimator.adjoint, [name for name in ADJOINTS if name != "none"])


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Give a seed; a generator that is handed in moves on by one number."""
    if random_state is None:  # from the system, not from numpy's global state
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    check_whole("random_state", random_state, least=0)
    return int(random_state)
