"""Neural vector fields dz/dt = f(t, z)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from latentode.solvers.checks import check_positive, check_sizes

Field = Callable[[Tensor, Tensor], Tensor]


class MLPField(nn.Module):
    """A network with one or more hidden layers, bounded and damped: no solution can grow forever.

    ``dz/dt = r (tanh(W2 tanh(W1 z + b1) + b2) - softplus(d) z)``, with a learned rate d for each
    latent variable. It does not change with time, so that shifting a series in time shifts its
    forecast.

    Parameters
    ----------
    latent_size : int
        Width L of the latent state.
    hidden_size : int, default=32
        Width of the hidden layers.
    n_hidden : int, default=1
        How many there are.
    speed : float, default=1.0
        The factor r, in 1 per unit of time: how much may happen in one.

    Examples
    --------
    >>> import torch
    >>> field = MLPField(3)
    >>> field(torch.zeros(5), torch.randn(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self, latent_size: int, hidden_size: int = 32, *, n_hidden: int = 1, speed: float = 1.0
    ) -> None:
        super().__init__()
        self.inner = _hidden(latent_size, hidden_size, n_hidden)
        self.outer = nn.Linear(hidden_size, latent_size)
        self.damping = nn.Parameter(torch.full((latent_size,), -1.0))
        self.speed = speed

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Give dz/dt of shape (B, L) at states z (B, L); times t (B,) are not used."""
        return self.prepared()(t, z)

    def prepared(self) -> Field:
        """Give the field as a function, with all that is the same in every evaluation at hand."""
        rate, speed = -self.speed * softplus(self.damping), self.speed

        def field(t: Tensor, z: Tensor) -> Tensor:
            return torch.add(rate * z, torch.tanh(self.outer(self.inner(z))), alpha=speed)

        return field


class GatedField(nn.Module):
    """A field with the gates of a GRU: solutions that start in [-1, 1] stay there.

    ``dz/dt = r (1 - u) (g - z)``, with the update gate u and the candidate g of a gated recurrent
    unit.

    Parameters
    ----------
    latent_size : int
        Width L of the latent state.
    hidden_size : int, default=32
        Width of the hidden layer.
    speed : float, default=1.0
        The factor r, in 1 per unit of time.

    References
    ----------
    De Brouwer, Simm, Arany and Moreau (2019), GRU-ODE-Bayes, equation 3.

    Examples
    --------
    >>> import torch
    >>> GatedField(3)(torch.zeros(5), torch.randn(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(self, latent_size: int, hidden_size: int = 32, *, speed: float = 1.0) -> None:
        super().__init__()
        self.inner = _hidden(latent_size, hidden_size, 1)
        self.gates = nn.Linear(hidden_size, 2 * latent_size)
        self.speed = speed

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Give dz/dt of shape (B, L) at states z (B, L); times t (B,) are not used."""
        update, candidate = self.gates(self.inner(z)).chunk(2, dim=-1)
        return self.speed * torch.sigmoid(update) * (torch.tanh(candidate) - z)


class OscillatorField(nn.Module):
    """Damped oscillators that a network drives and couples.

    ``dz/dt = A z + r (W2 tanh(W1 z + b1) + b2)``, where A turns each pair of latent variables at
    a learned frequency and damps it at a learned rate. The frequencies start spread evenly over
    their logarithms, and stay below the largest.

    Parameters
    ----------
    latent_size : int
        Width L of the latent state, even.
    hidden_size : int, default=32
        Width of the hidden layers.
    max_frequency : float, default=5.0
        Largest frequency, in periods per unit of time: what the spacing of the data supports.
    n_hidden : int, default=1
        Hidden layers of the network.
    speed : float, default=1.0
        The factor r, in 1 per unit of time.

    Examples
    --------
    >>> import torch
    >>> OscillatorField(4)(torch.zeros(5), torch.randn(5, 4)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        latent_size: int,
        hidden_size: int = 32,
        *,
        max_frequency: float = 5.0,
        n_hidden: int = 1,
        speed: float = 1.0,
    ) -> None:
        super().__init__()
        check_positive("max_frequency", max_frequency)
        if latent_size % 2:
            raise ValueError(f"latent_size={latent_size} must be even: oscillators are pairs.")
        n = latent_size // 2
        self.inner = _hidden(latent_size, hidden_size, n_hidden)
        self.outer = nn.Linear(hidden_size, latent_size)
        nn.init.normal_(self.outer.weight, std=0.1 / math.sqrt(hidden_size))
        nn.init.zeros_(self.outer.bias)
        lowest = min(0.5, max_frequency / 2)
        start = torch.logspace(math.log10(lowest), math.log10(max_frequency), n)
        # A sigmoid that is nearly 1 learns slowly: the fastest start a little below the largest.
        self.raw_frequency = nn.Parameter(torch.logit(start / max_frequency * 0.95))
        self.damping = nn.Parameter(torch.full((n,), -4.0))
        self.max_frequency = max_frequency
        self.speed = speed

    @property
    def frequency(self) -> Tensor:
        """Frequencies (L / 2,), in periods per unit of time."""
        return self.max_frequency * torch.sigmoid(self.raw_frequency)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Give dz/dt of shape (B, L) at states z (B, L); times t (B,) are not used."""
        return self.prepared()(t, z)

    def prepared(self) -> Field:
        """Give the field as a function, with all that is the same in every evaluation at hand."""
        omega, rate = torch.diag(2 * math.pi * self.frequency), torch.diag(-softplus(self.damping))
        turning = torch.cat([torch.cat([rate, -omega]), torch.cat([omega, rate])], dim=1).mT
        weight, bias = self.speed * self.outer.weight.mT, self.speed * self.outer.bias

        def field(t: Tensor, z: Tensor) -> Tensor:
            return torch.addmm(torch.addmm(bias, z, turning), self.inner(z), weight)

        return field


def _hidden(latent_size: int, hidden_size: int, n_hidden: int) -> nn.Sequential:
    check_sizes(latent_size=latent_size, hidden_size=hidden_size, n_hidden=n_hidden)
    width, layers = latent_size, list[nn.Module]()
    for _ in range(n_hidden):
        layers += [nn.Linear(width, hidden_size), nn.Tanh()]
        width = hidden_size
    return nn.Sequential(*layers)
