"""Fields that are told of inputs: controls, and what does not change in a series."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from latentode.nn.controls import NO_INPUTS, Inputs, chosen_inputs
from latentode.nn.vector_field import Field
from latentode.solvers.checks import check_sizes, check_whole


@runtime_checkable
class Driven(Protocol):
    """A vector field that is told of inputs, as `DrivenField`.

    Attributes
    ----------
    n_controls, n_static : int
        How many numbers of each kind.
    """

    n_controls: int
    n_static: int

    def driven(self, u: Callable[[Tensor], Tensor] | None, static: Tensor | None) -> Field:
        """Give dz/dt as a function of latent time (B,) and z (B, L), anew for each solve.

        From controls (B, C) at latent times (B,), and what does not change (B, E).
        """
        ...


class DrivenField(nn.Module):
    """A field that controls, and numbers that do not change, drive beside the latent state.

    ``dz/dt = f(t, z) + W2 tanh(W1 [z, u(t), s] + b1) + B [u(t), s]``, with any field f, controls
    u and numbers s of each series. Twice the rate drives twice as much through B, and what comes
    of it may depend on the state.

    Parameters
    ----------
    field : Module
        The field f, such as `MLPField` or `MLP`.
    latent_size : int
        Width L of the latent state.
    n_controls, n_static : int
        How many controls C there are, and how many numbers E that do not change.
    hidden_size : int, default=32
        Width of the hidden layer.

    Examples
    --------
    >>> from latentode.nn import MLPField
    >>> field = DrivenField(MLPField(3), 3, n_controls=2, n_static=1)
    >>> driven = field.driven(lambda t: torch.zeros(5, 2), torch.ones(5, 1))
    >>> driven(torch.zeros(5), torch.randn(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        field: nn.Module,
        latent_size: int,
        *,
        n_controls: int = 0,
        n_static: int = 0,
        hidden_size: int = 32,
    ) -> None:
        super().__init__()
        check_sizes(latent_size=latent_size, hidden_size=hidden_size)
        check_whole("n_controls", n_controls, least=0)
        check_whole("n_static", n_static, least=0)
        if n_controls + n_static == 0:
            raise ValueError("nothing drives the field: give n_controls or n_static, or it alone.")
        self.field = field
        self.n_controls = n_controls
        self.n_static = n_static
        self.of_state = nn.Linear(latent_size, hidden_size)
        self.of_inputs = nn.Linear(n_controls + n_static, hidden_size, bias=False)
        self.outer = nn.Linear(hidden_size, latent_size, bias=False)
        self.direct = nn.Linear(n_controls + n_static, latent_size, bias=False)
        with torch.no_grad():  # the field f alone says what happens at first, or nearly so
            self.outer.weight.mul_(0.3)

    def forward(self, t: Tensor, z: Tensor, u: Tensor, static: Tensor | None = None) -> Tensor:
        """Give dz/dt (B, L) at times t (B,), states z (B, L) and controls u (B, C)."""
        return self.driven(lambda _: u, static)(t, z)

    def driven(self, u: Callable[[Tensor], Tensor] | None, static: Tensor | None) -> Field:
        """Give dz/dt as a function of t and z, anew for each solve.

        Parameters
        ----------
        u : callable or None
            Controls (B, C) at times t (B,); None if there are none.
        static : Tensor of shape (B, E), or None
            What does not change.

        Returns
        -------
        callable
            Of t (B,) and z (B, L).
        """
        prepared = getattr(self.field, "prepared", None)
        alone = self.field if prepared is None else prepared()
        fixed = [] if static is None else [static]

        def field(t: Tensor, z: Tensor) -> Tensor:
            told = torch.cat([*([] if u is None else [u(t)]), *fixed], dim=-1)
            hidden = torch.tanh(self.of_state(z) + self.of_inputs(told))
            dz: Tensor = alone(t, z) + self.outer(hidden) + self.direct(told)
            return dz

        return field


def told_to(field: object, inputs: Inputs) -> Inputs:
    """Give what of the inputs a field is told: nothing if it has no method ``driven``."""
    if not isinstance(field, Driven):
        return NO_INPUTS
    return chosen_inputs(
        inputs,
        n_controls=field.n_controls,
        n_static=field.n_static,
        reader="the vector field",
    )


def field_at(field: nn.Module, t: Tensor, inputs: Inputs) -> Field:
    """Give a field as a function of latent time and state, with its inputs as at times t (B,)."""
    if not isinstance(field, Driven):
        return field
    told = told_to(field, inputs)
    u = None if told.controls is None else told.controls.at(t[:, None])[:, 0]
    return field.driven(None if u is None else lambda _: u, told.static)
