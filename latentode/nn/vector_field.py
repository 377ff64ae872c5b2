"""Neural vector fields dz/dt = f(t, z)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from latentode.solvers.checks import check_positive, check_sizes

Field = Callable[[Tensor, Tensor], Tensor]


class Frame(NamedTuple):
    """Moving coordinates in which a state moves little, and that agree with z at time 0.

    Attributes
    ----------
    field : callable
        dy/ds as a function of s (B,), the time since the start, and the coordinates y (B, L).
    leave : callable
        Gives z (B, P, L) from s (B, P) and y (B, P, L).
    """

    field: Field
    leave: Field


class MLPField(nn.Module):
    """A network with one or more hidden layers, bounded and damped: no solution can grow forever.

    ``dz/dt = tanh(W2 tanh(W1 z + b1) + b2) - softplus(d) z``, with a learned rate d for each
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

    Examples
    --------
    >>> import torch
    >>> field = MLPField(3)
    >>> field(torch.zeros(5), torch.randn(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(self, latent_size: int, hidden_size: int = 32, *, n_hidden: int = 1) -> None:
        super().__init__()
        self.inner = _hidden(latent_size, hidden_size, n_hidden)
        self.outer = nn.Linear(hidden_size, latent_size)
        self.damping = nn.Parameter(torch.full((latent_size,), -1.0))

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Give dz/dt of shape (B, L) at states z (B, L); times t (B,) are not used."""
        return self.prepared()(t, z)

    def prepared(self) -> Field:
        """Give the field as a function, with all that is the same in every evaluation at hand."""
        rate = -softplus(self.damping)

        def field(t: Tensor, z: Tensor) -> Tensor:
            return torch.addcmul(torch.tanh(self.outer(self.inner(z))), rate, z)

        return field


class GatedField(nn.Module):
    """A field with the gates of a GRU: solutions that start in [-1, 1] stay there.

    ``dz/dt = (1 - u) (g - z)``, with the update gate u and the candidate g of a gated recurrent
    unit.

    Parameters
    ----------
    latent_size : int
        Width L of the latent state.
    hidden_size : int, default=32
        Width of the hidden layer.

    References
    ----------
    De Brouwer, Simm, Arany and Moreau (2019), GRU-ODE-Bayes, equation 3.

    Examples
    --------
    >>> import torch
    >>> GatedField(3)(torch.zeros(5), torch.randn(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(self, latent_size: int, hidden_size: int = 32) -> None:
        super().__init__()
        self.inner = _hidden(latent_size, hidden_size, 1)
        self.gates = nn.Linear(hidden_size, 2 * latent_size)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Give dz/dt of shape (B, L) at states z (B, L); times t (B,) are not used."""
        update, candidate = self.gates(self.inner(z)).chunk(2, dim=-1)
        return torch.sigmoid(update) * (torch.tanh(candidate) - z)


class SecondOrderField(nn.Module):
    """A field of positions and velocities: what is to be learned is the acceleration.

    The first half of the latent state is positions x, the second half velocities v:
    ``dx/dt = v, dv/dt = a(t, [x, v])``. So two series may cross where they are and still go on in
    their own directions.

    Parameters
    ----------
    acceleration : Module
        Gives a (B, L / 2) from t (B,) and z (B, L).

    References
    ----------
    Norcliffe, Bodnar, Day, Simidjievski and Lio (2020), On Second Order Behaviour in Augmented
    Neural ODEs, equation 4.

    Examples
    --------
    A spring: half a period turns the position around.

    >>> import math
    >>> import torch
    >>> from latentode.solvers import odeint
    >>> spring = SecondOrderField(lambda t, z: -z[:, :1])
    >>> ts = torch.tensor([0.0, math.pi])
    >>> odeint(spring, torch.tensor([[1.0, 0.0]]), ts, rtol=1e-6, atol=1e-6).ys[0, 1, 0]
    tensor(-1.0000)
    """

    def __init__(self, acceleration: Field) -> None:
        super().__init__()
        self.acceleration = acceleration

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Give dz/dt of shape (B, L) at states z (B, L) and times t (B,)."""
        n = z.shape[-1] // 2
        a = self.acceleration(t, z)
        if a.shape[-1] != n or 2 * n != z.shape[-1]:
            raise ValueError(
                f"the acceleration of a latent state of width {z.shape[-1]} must be of width "
                f"{z.shape[-1] / 2:g}, not {a.shape[-1]}."
            )
        return torch.cat([z[..., n:], a], dim=-1)


class OscillatorField(nn.Module):
    """Damped oscillators that a network drives and couples.

    ``dz/dt = A z + W2 tanh(W1 z + b1) + b2``, where A turns each pair of latent variables at
    a learned frequency and damps it at a learned rate. The frequencies start spread evenly over
    their logarithms, and stay below the largest. The turning is solved for exactly, in
    coordinates that turn alike: the steps of a solver need only follow the rest.

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

    References
    ----------
    Lawson (1967), Generalized Runge-Kutta Processes for Stable Systems with Large Lipschitz
    Constants: the change of coordinates.

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

    @property
    def frequency(self) -> Tensor:
        """Frequencies (L / 2,), in periods per unit of time."""
        return self.max_frequency * torch.sigmoid(self.raw_frequency)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Give dz/dt of shape (B, L) at states z (B, L); times t (B,) are not used."""
        return torch.addcmul(self._rest()(z), self._turns(), _partners(z))

    def frame(self) -> Frame:
        """Give the field in coordinates that turn with the oscillators."""
        turns, rest = self._turns(), self._rest()

        def field(s: Tensor, y: Tensor) -> Tensor:
            angle = s[:, None] * turns
            cosine, sine = angle.cos(), angle.sin()
            dz = rest(torch.addcmul(cosine * y, sine, _partners(y)))
            return torch.addcmul(cosine * dz, sine, _partners(dz), value=-1)

        def leave(s: Tensor, y: Tensor) -> Tensor:
            angle = s[..., None] * turns
            return torch.addcmul(angle.cos() * y, angle.sin(), _partners(y))

        return Frame(field, leave)

    def _turns(self) -> Tensor:
        """Give by what the partner of each variable drives it, (L,), in 1 per unit of time."""
        omega = 2 * math.pi * self.frequency
        return torch.cat([omega, -omega])

    def _rest(self) -> Callable[[Tensor], Tensor]:
        """Give all but the turning."""
        rate = -softplus(self.damping).repeat(2)
        weight, bias = self.outer.weight.mT, self.outer.bias

        def rest(z: Tensor) -> Tensor:
            return torch.addmm(torch.addcmul(bias, rate, z), self.inner(z), weight)

        return rest


def _partners(z: Tensor) -> Tensor:
    """Give the other variable of each pair, in place of the one: pairs stand L / 2 apart."""
    return z.roll(z.shape[-1] // 2, dims=-1)


def _hidden(latent_size: int, hidden_size: int, n_hidden: int) -> nn.Sequential:
    check_sizes(latent_size=latent_size, hidden_size=hidden_size, n_hidden=n_hidden)
    width, layers = latent_size, list[nn.Module]()
    for _ in range(n_hidden):
        layers += [nn.Linear(width, hidden_size), nn.Tanh()]
        width = hidden_size
    return nn.Sequential(*layers)
