"""Density estimation with a continuous normalizing flow, in scikit-learn's form."""

import copy
from typing import Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from latentode.forecaster.seed import draw_seed
from latentode.models import Plan, own_torch_state, train_flow
from latentode.nn import ContinuousFlow, FlowField
from latentode.solvers.checks import check_part, check_positive, check_whole

# Points that are solved for at once: what they need in memory is bounded.
_AT_ONCE = 10_000


class FlowDensity(DensityMixin, BaseEstimator):
    """Learn the density of points: a normal distribution carried along a learned vector field.

    It is exact: `score_samples` gives log densities that integrate to one, and `sample` draws from
    that same density. Training is by maximum likelihood on standardised columns.

    Parameters
    ----------
    hidden_size : int, default=64
        Width of the hidden layers of the field.
    n_hidden : int, default=2
        How many there are.
    trace : {"exact", "hutchinson"}, default="exact"
        How training has the divergence of the field: itself, or by Hutchinson's estimate, which
        is less costly only with more than two hidden layers. Densities told are always exact.
    kinetic, jacobian : float, default=0.0
        Weights of the kinetic energy of the paths, and of the squared Frobenius norm of the
        field's Jacobian along them: 0.01 to 0.1 makes flows that take fewer steps.
    steps : {"shared", "adaptive"}, default="shared"
        How training solves: in a few steps that all points share, drawn anew each time, and more
        of them when the density asks for it; or in steps that each point chooses, as densities
        and samples are always told. The former is the faster by far.
    method : str, default="tsit5"
        Solver of adaptive steps; see `odeint`.
    rtol, atol : float, default=1e-3
        Its tolerances in training; densities and samples have a tenth of them.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="auto"
        How to differentiate adaptive steps.
    max_epochs : int, default=200
        Passes over the points at most.
    batch_size : int, default=256
        Points a step.
    learning_rate : float, default=0.005
        Highest learning rate of the cycle.
    val_fraction : float, default=0.1
        Share of the points held out to stop by; 0 trains on all, for all epochs.
    patience : int, default=50
        Epochs without a better loss of those after which to stop.
    random_state : int, optional
        Seed of weights, batches and held out points.
    verbose : int, default=0
        Whether to show a bar while training.

    Attributes
    ----------
    flow_ : ContinuousFlow
        The trained flow, in float64, of standardised columns.
    mean_, scale_ : ndarray of shape (D,)
        Mean and standard deviation of each column.
    history_ : DataFrame
        Losses and mean evaluations of the field, epoch by epoch.
    n_features_in_ : int
        Number of columns D.

    References
    ----------
    Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud (2019), FFJORD. Finlay, Jacobsen,
    Nurbekyan and Oberman (2020), How to Train Your Neural ODE.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> X, _ = make_moons(300, noise=0.1, random_state=0)
    >>> model = FlowDensity(hidden_size=8, max_epochs=2, random_state=0).fit(X)
    >>> model.score_samples(X[:3]).shape, model.sample(5, random_state=0).shape
    ((3,), (5, 2))
    """

    flow_: ContinuousFlow
    mean_: np.ndarray
    scale_: np.ndarray
    history_: pd.DataFrame
    n_features_in_: int

    def __init__(
        self,
        *,
        hidden_size: int = 64,
        n_hidden: int = 2,
        trace: str = "exact",
        kinetic: float = 0.0,
        jacobian: float = 0.0,
        steps: str = "shared",
        method: str = "tsit5",
        rtol: float = 1e-3,
        atol: float = 1e-3,
        adjoint: str = "auto",
        max_epochs: int = 200,
        batch_size: int = 256,
        learning_rate: float = 5e-3,
        val_fraction: float = 0.1,
        patience: int = 50,
        random_state: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_size = hidden_size
        self.n_hidden = n_hidden
        self.trace = trace
        self.kinetic = kinetic
        self.jacobian = jacobian
        self.steps = steps
        self.method = method
        self.rtol = rtol
        self.atol = atol
        self.adjoint = adjoint
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.val_fraction = val_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: object, y: None = None) -> Self:
        """Learn the density of points.

        Parameters
        ----------
        X : array-like of shape (N, D)
            The points, finite numbers; no column may be constant.
        y : None
            Not used.

        Returns
        -------
        FlowDensity
            The estimator itself.

        Raises
        ------
        ValueError
            If the points or a parameter cannot be used.
        FloatingPointError
            If training diverges.
        """
        plan = self._plan()
        points = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        mean, scale = points.mean(0), points.std(0)
        _check_varying(scale, mean)
        with own_torch_state(draw_seed(self.random_state)):
            flow = self._untrained(points.shape[1])
            x = torch.tensor((points - mean) / scale, dtype=torch.float32)
            x = x[torch.randperm(len(x))]
            n_held_out = min(int(self.val_fraction * len(x)), len(x) - 1)
            label = type(self).__name__ if self.verbose else None
            history = train_flow(flow, x[n_held_out:], x[:n_held_out], plan, label=label)
        self.flow_ = self._exact(flow)
        self.mean_, self.scale_ = mean, scale
        self.history_ = pd.DataFrame(history)
        return self

    def score_samples(self, X: object) -> np.ndarray:
        """Give the log density of each point, in nats, in the units of the columns.

        Parameters
        ----------
        X : array-like of shape (N, D)
            The points.

        Returns
        -------
        ndarray of shape (N,)
            The log densities.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        points = validate_data(self, X, dtype=np.float64, reset=False)
        x = torch.tensor((points - self.mean_) / self.scale_)
        with torch.no_grad():
            parts = [self.flow_().log_prob(part) for part in x.split(_AT_ONCE)]
        told: np.ndarray = torch.cat(parts).numpy() - np.log(self.scale_).sum()
        return told

    def score(self, X: object, y: None = None) -> float:
        """Give the mean log density of points, in nats; higher is better.

        Parameters
        ----------
        X : array-like of shape (N, D)
            The points.
        y : None
            Not used.

        Returns
        -------
        float
            The mean.
        """
        return float(self.score_samples(X).mean())

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> np.ndarray:
        """Draw points from the density.

        Parameters
        ----------
        n_samples : int, default=1
            How many.
        random_state : int or RandomState, optional
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_samples, D)
            The points.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        check_whole("n_samples", n_samples)
        normal = _generator(random_state).standard_normal((n_samples, self.flow_.size))
        z = torch.from_numpy(normal)
        with torch.no_grad():
            parts = [self.flow_.carry(part, 0.0, 1.0) for part in z.split(_AT_ONCE)]
        drawn: np.ndarray = self.mean_ + self.scale_ * torch.cat(parts).numpy()
        return drawn

    def _plan(self) -> Plan:
        """Read how to train, and refuse what would fail late."""
        plan = Plan(
            self.max_epochs,
            self.batch_size,
            self.learning_rate,
            self.patience,
            self.kinetic,
            self.jacobian,
            self.steps,
        )
        plan.check()
        check_part("val_fraction", self.val_fraction)
        check_positive("rtol", self.rtol)
        check_positive("atol", self.atol)
        if self.adjoint == "none":
            raise ValueError("adjoint=none gives no gradient to train with: choose adjoint=auto.")
        return plan

    def _untrained(self, size: int) -> ContinuousFlow:
        return ContinuousFlow(
            size,
            FlowField(size, self.hidden_size, n_hidden=self.n_hidden),
            trace=self.trace,
            method=self.method,
            rtol=self.rtol,
            atol=self.atol,
            adjoint=self.adjoint,
        ).float()  # whatever torch's default is

    def _exact(self, trained: ContinuousFlow) -> ContinuousFlow:
        """Give a flow as it is used: more precise than it was trained."""
        flow = ContinuousFlow(
            trained.size,
            copy.deepcopy(trained.field),
            method=self.method,
            rtol=0.1 * self.rtol,
            atol=0.1 * self.atol,
        )
        return flow.double().eval().requires_grad_(requires_grad=False)


def _check_varying(scale: np.ndarray, mean: np.ndarray) -> None:
    """Refuse columns that do not vary, but for the rounding of their mean."""
    constant = np.flatnonzero(scale <= 1e-12 * np.abs(mean))
    if len(constant):
        columns = ", ".join(map(str, constant[:5]))
        raise ValueError(
            f"{len(constant)} of {len(scale)} columns do not vary, as column {columns}: their "
            "density is not finite.\nFix: X = X[:, X.std(axis=0) > 0]"
        )


def _generator(random_state: int | np.random.RandomState | None) -> np.random.RandomState:
    """Give numpy's generator; without a random state a new one, not the global one."""
    given = draw_seed(None) if random_state is None else random_state
    generator: np.random.RandomState = check_random_state(given)
    return generator
