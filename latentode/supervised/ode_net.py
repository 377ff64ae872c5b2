"""ODE-Nets that tell classes or values apart."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Tags
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from torch import Tensor

from latentode.models.ode_net import Loss
from latentode.supervised.base import ODENetEstimator, Targets
from latentode.supervised.rows import balanced


class ODENetClassifier(ClassifierMixin, ODENetEstimator):
    """Tell the class of a row by a network whose middle is an ordinary differential equation.

    A linear layer makes a state of the standardised inputs, an ODE carries it from depth 0 to 1,
    and a linear layer reads the classes off. Rows that are hard to tell take more steps.

    Parameters
    ----------
    hidden_size : int, default=64
        Width of the state.
    field_size : int, default=64
        Width of the hidden layer of the vector field.
    method : str, default="tsit5"
        Solver, one that chooses its steps by the tolerances; see `odeint`.
    rtol, atol : float, default=1e-2
        Its tolerances. They may be tightened or loosened after ``fit``, as
        ``model.network_.block.rtol = 1e-1``.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="auto"
        How to differentiate it; "backsolve" needs least memory.
    max_epochs : int, default=40
        Passes over the rows, at most.
    batch_size : int, default=64
        Rows of a batch.
    learning_rate : float, default=0.004
        Its largest value, in one cycle of AdamW.
    weight_decay : float, default=0.3
        Decay of matrices.
    val_fraction : float, default=0.1
        Share of the rows of each class that is held out; the epoch with the lowest loss on them
        is kept. With 0, the last one is.
    patience : int or None, default=None
        Epochs without a lower loss on them after which to stop.
    class_weight : {"balanced"}, dict or None, default=None
        Weights of the classes, by their labels; "balanced" gives each the same weight in all.
    random_state : int, RandomState or None, default=None
        Seed of the weights, the batches and what is held out.
    verbose : int, default=0
        Whether to show a bar.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The labels, sorted.
    network_ : ODENet
        The trained network, of standardised inputs.
    scaler_ : StandardScaler
        Mean and deviation of the inputs.
    history_ : DataFrame
        Losses of each epoch, in nats.
    n_f_evals_ : float
        Evaluations of the field that a row of the training data takes, on average.
    n_parameters_ : int
        Trained parameters.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (D,)
        Their names, if X was a frame.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 3.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ODENetClassifier(hidden_size=8, learning_rate=0.03, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    """

    classes_: np.ndarray

    def __init__(
        self,
        *,
        hidden_size: int = 64,
        field_size: int = 64,
        method: str = "tsit5",
        rtol: float = 1e-2,
        atol: float = 1e-2,
        adjoint: str = "auto",
        max_epochs: int = 40,
        batch_size: int = 64,
        learning_rate: float = 4e-3,
        weight_decay: float = 0.3,
        val_fraction: float = 0.1,
        patience: int | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_size = hidden_size
        self.field_size = field_size
        self.method = method
        self.rtol = rtol
        self.atol = atol
        self.adjoint = adjoint
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.val_fraction = val_fraction
        self.patience = patience
        self.class_weight = class_weight
        self.random_state = random_state
        self.verbose = verbose

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: ANN401
        """Give the probability of each class.

        Parameters
        ----------
        X : array of shape (N, D)
            Inputs.

        Returns
        -------
        ndarray of shape (N, K)
            Probabilities, in the order of ``classes_``.
        """
        return torch.softmax(torch.from_numpy(self._outputs(X)), dim=1).numpy()

    def predict(self, X: Any) -> np.ndarray:  # noqa: ANN401
        """Give the most probable class of each row.

        Parameters
        ----------
        X : array of shape (N, D)
            Inputs.

        Returns
        -------
        ndarray of shape (N,)
            Labels.
        """
        best = self._outputs(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def _reading(self) -> dict[str, bool]:
        return {}

    def _targets(self, y: np.ndarray, weights: np.ndarray) -> Targets:
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            factors = balanced(codes, weights)
        else:
            factors = compute_sample_weight(self.class_weight, y)
        return Targets(codes, codes, weights * factors, len(self.classes_))

    def _loss(self) -> Loss:
        return cross_entropy


class ODENetRegressor(RegressorMixin, ODENetEstimator):
    """Tell the value of a row by a network whose middle is an ordinary differential equation.

    A linear layer makes a state of the standardised inputs, an ODE carries it from depth 0 to 1,
    and a linear layer reads the standardised targets off, of which there may be several.

    Parameters
    ----------
    hidden_size : int, default=64
        Width of the state.
    field_size : int, default=64
        Width of the hidden layer of the vector field.
    method : str, default="tsit5"
        Solver, one that chooses its steps by the tolerances; see `odeint`.
    rtol, atol : float, default=1e-2
        Its tolerances. They may be tightened or loosened after ``fit``, as
        ``model.network_.block.rtol = 1e-1``.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="auto"
        How to differentiate it; "backsolve" needs least memory.
    max_epochs : int, default=40
        Passes over the rows, at most.
    batch_size : int, default=64
        Rows of a batch.
    learning_rate : float, default=0.004
        Its largest value, in one cycle of AdamW.
    weight_decay : float, default=0.3
        Decay of matrices.
    val_fraction : float, default=0.1
        Share of the rows that is held out; the epoch with the lowest loss on them is kept. With
        0, the last one is.
    patience : int or None, default=None
        Epochs without a lower loss on them after which to stop.
    random_state : int, RandomState or None, default=None
        Seed of the weights, the batches and what is held out.
    verbose : int, default=0
        Whether to show a bar.

    Attributes
    ----------
    network_ : ODENet
        The trained network, of standardised inputs and targets.
    scaler_ : StandardScaler
        Mean and deviation of the inputs.
    target_scaler_ : StandardScaler
        Mean and deviation of the targets.
    history_ : DataFrame
        Losses of each epoch: squared errors of standardised targets.
    n_f_evals_ : float
        Evaluations of the field that a row of the training data takes, on average.
    n_parameters_ : int
        Trained parameters.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (D,)
        Their names, if X was a frame.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 3.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = ODENetRegressor(hidden_size=8, field_size=16, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.4
    True
    """

    target_scaler_: StandardScaler

    def __init__(
        self,
        *,
        hidden_size: int = 64,
        field_size: int = 64,
        method: str = "tsit5",
        rtol: float = 1e-2,
        atol: float = 1e-2,
        adjoint: str = "auto",
        max_epochs: int = 40,
        batch_size: int = 64,
        learning_rate: float = 4e-3,
        weight_decay: float = 0.3,
        val_fraction: float = 0.1,
        patience: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_size = hidden_size
        self.field_size = field_size
        self.method = method
        self.rtol = rtol
        self.atol = atol
        self.adjoint = adjoint
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.val_fraction = val_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    def predict(self, X: Any) -> np.ndarray:  # noqa: ANN401
        """Give the expected value of each row.

        Parameters
        ----------
        X : array of shape (N, D)
            Inputs.

        Returns
        -------
        ndarray of shape (N,) or (N, K)
            Values in the units of y, and of its shape.
        """
        outputs = self._outputs(X).astype(np.float64)
        values: np.ndarray = self.target_scaler_.inverse_transform(outputs)
        return values[:, 0] if self._is_one_column else values

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that there may be several targets."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _reading(self) -> dict[str, bool]:
        return {"multi_output": True, "y_numeric": True}

    def _targets(self, y: np.ndarray, weights: np.ndarray) -> Targets:
        self._is_one_column = y.ndim == 1
        columns = y.reshape(len(y), -1).astype(np.float64)
        self.target_scaler_ = StandardScaler().fit(columns, sample_weight=weights)
        values = self.target_scaler_.transform(columns)
        # A target that never varied is told as it was, whatever the network gives.
        self.target_scaler_.scale_[(columns == columns[0]).all(axis=0)] = 0
        return Targets(values, np.zeros(len(y), dtype=int), weights, values.shape[1])

    def _loss(self) -> Loss:
        return squared_error


def cross_entropy(outputs: Tensor, codes: Tensor) -> Tensor:
    """Give minus the logarithm of the probability (B,) of the classes that are true, in nats."""
    return torch.nn.functional.cross_entropy(outputs, codes, reduction="none")


def squared_error(outputs: Tensor, values: Tensor) -> Tensor:
    """Give the squared error (B,) of each row, the mean over its values."""
    return (outputs - values).square().mean(dim=1)
