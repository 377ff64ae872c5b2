"""The problems the solvers are compared on: fields for torch, with their data."""

import copy
import functools
import itertools
from dataclasses import dataclass

import numpy as np
import torch
from solver_equations import EQUATIONS
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Problem:
    """A batch of initial value problems, and a loss on their solutions.

    Attributes
    ----------
    field : nn.Module
        ``field(t, y)`` is dy/dt for y of shape (B, D).
    y0 : Tensor of shape (B, D)
        State at the first time.
    ts : Tensor of shape (T,) or (B, T)
        Times at which the states are asked for; float64 always.
    target : Tensor of shape (B, T, D)
        The loss is the mean square of the difference to it.
    """

    field: nn.Module
    y0: Tensor
    ts: Tensor
    target: Tensor

    @property
    def equation(self) -> str:
        """Name of the field for other libraries."""
        return self.field.equation if isinstance(self.field, Equation) else "perceptron"

    def to(self, dtype: torch.dtype) -> "Problem":
        """Give the same problem with states and parameters of another precision."""
        field = copy.deepcopy(self.field).to(dtype)
        return Problem(field, self.y0.to(dtype), self.ts, self.target.to(dtype))


class Equation(nn.Module):
    """One of `EQUATIONS`, with parameters (B, ...) of its own for every sample."""

    def __init__(self, equation: str, parameters: np.ndarray) -> None:
        super().__init__()
        self.equation = equation
        self.rates = nn.Parameter(torch.from_numpy(parameters))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        entries = EQUATIONS[self.equation](y.unbind(-1), self.rates.unbind(-1))
        return torch.stack(entries, dim=-1)


class Perceptron(nn.Module):
    """Linear maps with tanh between them, the usual field of a neural ODE."""

    def __init__(self, sizes: tuple[int, ...], rng: np.random.Generator) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            layer = nn.Linear(n_in, n_out, dtype=torch.float64)
            weight = 1.5 * rng.standard_normal((n_out, n_in)) / np.sqrt(n_in)
            layer.weight.data = torch.from_numpy(weight)
            layer.bias.data = torch.from_numpy(0.1 * rng.standard_normal(n_out))
            layers += [layer, nn.Tanh()]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.net(y)


@functools.cache
def van_der_pol(
    n_samples: int, *, n_times: int, end: float, mu: tuple[float, float], spread: float = 0.1
) -> Problem:
    """Give oscillators whose stiffness mu runs between two values over the batch."""
    rng = np.random.default_rng(0)
    y0 = np.array([2.0, 0.0]) + spread * rng.standard_normal((n_samples, 2))
    field = Equation("van_der_pol", np.linspace(*mu, n_samples)[:, None])
    return _problem(field, y0, np.linspace(0, end, n_times))


@functools.cache
def lotka_volterra(n_samples: int, *, n_times: int, end: float) -> Problem:
    """Give hunters and prey, with four rates that differ by a fifth between samples."""
    rng = np.random.default_rng(1)
    factors = np.clip(1 + 0.2 * rng.standard_normal((n_samples, 4)), 0.5, 1.5)
    field = Equation("lotka_volterra", np.array([1.5, 1.0, 3.0, 1.0]) * factors)
    return _problem(field, 1 + 3 * rng.random((n_samples, 2)), np.linspace(0, end, n_times))


@functools.cache
def robertson(n_samples: int, *, n_times: int, end: float) -> Problem:
    """Give Robertson's reactions, with three rates that differ by a tenth between samples."""
    field = Equation("robertson", _factors(n_samples, 3))
    y0 = np.tile([1.0, 0.0, 0.0], (n_samples, 1))
    return _problem(field, y0, np.linspace(0, end, n_times))


@functools.cache
def hires(n_samples: int, *, n_times: int, end: float) -> Problem:
    """Give the high irradiance response, with three rates that differ by a tenth."""
    field = Equation("hires", _factors(n_samples, 3))
    y0 = np.tile([1.0, 0, 0, 0, 0, 0, 0, 0.0057], (n_samples, 1))
    return _problem(field, y0, np.linspace(0, end, n_times))


@functools.cache
def perceptron(n_samples: int, *, n_times: int, end: float = 3.0) -> Problem:
    """Give a neural ODE with 20 variables and two hidden layers of 100, at shared times."""
    return _neural(n_samples, np.linspace(0, end, n_times))


@functools.cache
def perceptron_at_own_times(n_samples: int, *, n_times: int, end: float = 3.0) -> Problem:
    """Give the same with different times in every sample, which start together."""
    times = np.sort(np.random.default_rng(3).random((n_samples, n_times)) * end, axis=1)
    times[:, 0] = 0.0
    return _neural(n_samples, times)


def _neural(n_samples: int, times: np.ndarray) -> Problem:
    rng = np.random.default_rng(2)
    field = Perceptron((20, 100, 100, 20), rng)
    return _problem(field, rng.standard_normal((n_samples, 20)), times)


def _problem(field: nn.Module, y0: np.ndarray, times: np.ndarray) -> Problem:
    target = np.random.default_rng(4).standard_normal((len(y0), times.shape[-1], y0.shape[1]))
    return Problem(field, *(torch.from_numpy(x) for x in (y0, times, target)))


def _factors(n_samples: int, n_rates: int) -> np.ndarray:
    return np.exp(0.1 * np.random.default_rng(5).standard_normal((n_samples, n_rates)))
