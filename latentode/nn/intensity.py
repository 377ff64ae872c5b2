"""How often events happen, as a function of a latent state, and fields that carry it far."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from latentode.nn.vector_field import Field
from latentode.solvers.checks import check_positive

# Below this, softplus(a) is exp(a) to the last digit of float64.
_EXPONENTIAL = -40.0


class Intensity(nn.Module):
    """Give the logarithms of positive intensities, one for each kind of event, of a latent state.

    They are ``log(softplus(a))``, where a is a linear function of the state and of a hidden layer
    of it: an intensity grows no faster than the state does, and never is zero.

    Parameters
    ----------
    latent_size : int
        Width L of the latent state.
    rates : sequence of float, default=(1.0,)
        Intensities of the K kinds to start from, in events per unit of time.
    hidden_size : int, default=32
        Width of the hidden layer.

    Examples
    --------
    >>> Intensity(4, [1.0, 0.1])(torch.zeros(5, 4)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self, latent_size: int, rates: Sequence[float] = (1.0,), *, hidden_size: int = 32
    ) -> None:
        super().__init__()
        for rate in rates:
            check_positive("rate", rate)
        self.inner = nn.Sequential(nn.Linear(latent_size, hidden_size), nn.Tanh())
        self.outer = nn.Linear(hidden_size, len(rates))
        self.direct = nn.Linear(latent_size, len(rates), bias=False)
        with torch.no_grad():
            self.outer.weight *= 0.1
            self.outer.bias.copy_(torch.tensor([_inverse_softplus(rate) for rate in rates]))

    def forward(self, z: Tensor) -> Tensor:
        """Give log intensities (..., K) of states z (..., L)."""
        a = self.outer(self.inner(z)) + self.direct(z)
        return torch.where(a > _EXPONENTIAL, softplus(a.clamp(min=_EXPONENTIAL)).log(), a)


class SlowingField(nn.Module):
    """A field that has ever less to say of ever longer silence: it is slowed by ``1 + t / after``.

    Here t is the time since the last event. The state moves with the logarithm of a long silence,
    so that a solver takes few steps through one however long it lasts.

    Parameters
    ----------
    field : Module
        dz/dt as a function of t (B,) and z (B, L).
    after : float, default=10.0
        Time at which it is half as fast.

    Examples
    --------
    >>> field = SlowingField(lambda t, z: torch.ones_like(z))
    >>> field(torch.tensor([0.0, 10.0]), torch.zeros(2, 1))[:, 0]
    tensor([1.0000, 0.5000])
    """

    def __init__(self, field: Field, *, after: float = 10.0) -> None:
        super().__init__()
        check_positive("after", after)
        self.field = field
        self.after = after

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Give dz/dt (B, L) at times t (B,) since the last event and states z (B, L)."""
        return self.prepared()(t, z)

    def prepared(self) -> Field:
        """Give the field as a function, with all that is the same in every evaluation at hand."""
        inner = prepared_field(self.field)

        def field(t: Tensor, z: Tensor) -> Tensor:
            return inner(t, z) / (1 + t / self.after)[:, None]

        return field


def prepared_field(field: Field) -> Field:
    """Give a field as a function for one solve, where it has such a form."""
    prepared = getattr(field, "prepared", None)
    ready: Field = field if prepared is None else prepared()
    return ready


def _inverse_softplus(x: float) -> float:
    return x + math.log(-math.expm1(-x))
