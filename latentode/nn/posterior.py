"""Distributions of the latent state: what an encoder gives, as it is or bent by a flow."""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from latentode.nn.flow import ContinuousFlow, FlowDistribution
from latentode.nn.flow_fields import FlowField

POSTERIORS = ("normal", "flow")


def prior_like(z: Tensor) -> Normal:
    """Give the standard normal prior of every entry of latent states."""
    return Normal(torch.zeros_like(z), torch.ones_like(z))


class Posterior(Protocol):
    """Where a latent state may be: q(z) of batch shape (B,), or (B, T) for one at every row."""

    @property
    def center(self) -> Tensor:
        """The state (B, L) or (B, T, L) to go on with where only one is wanted."""
        ...

    def placed(self, e: Tensor) -> Tensor:
        """Give the states that numbers (..., L) of a standard normal distribution stand for."""
        ...

    def drawn(self, n_samples: int) -> tuple[Tensor, Tensor]:
        """Draw S states (S, ..., L) with gradients, and give log q of each, (S, ...)."""
        ...

    def divergence(self) -> Tensor | None:
        """Give the Kullback-Leibler divergence (...) from the prior; None if draws must tell."""
        ...


class NormalPosterior:
    """The normal distribution itself.

    Parameters
    ----------
    normal : Normal
        What the encoder gives, of batch shape (B, L) or (B, T, L).

    Examples
    --------
    >>> import torch
    >>> q = NormalPosterior(Normal(torch.zeros(5, 3), torch.ones(5, 3)))
    >>> z0, log_q = q.drawn(7)
    >>> z0.shape, log_q.shape, q.divergence()
    (torch.Size([7, 5, 3]), torch.Size([7, 5]), tensor([0., 0., 0., 0., 0.]))
    """

    def __init__(self, normal: Normal) -> None:
        self.normal = normal

    @property
    def center(self) -> Tensor:
        """The mean."""
        mean: Tensor = self.normal.mean
        return mean

    def placed(self, e: Tensor) -> Tensor:
        """Give the states ``mean + std e``."""
        return self.normal.mean + self.normal.stddev * e

    def drawn(self, n_samples: int) -> tuple[Tensor, Tensor]:
        """Draw states, and give log q of each."""
        z = self.normal.rsample((n_samples,))
        return z, self.normal.log_prob(z).sum(-1)

    def divergence(self) -> Tensor:
        """Give the Kullback-Leibler divergence from the standard normal prior."""
        return kl_divergence(self.normal, prior_like(self.normal.mean)).sum(-1)


class FlowPosterior:
    """A normal distribution whose standard scores a flow carries on: ``z = mean + std x``.

    The flow is told the mean and the logarithm of the standard deviation. With a field that is
    zero, x is standard normal and q the normal distribution itself.

    Parameters
    ----------
    normal : Normal
        What the encoder gives, of batch shape (B, L) or (B, T, L).
    flow : ContinuousFlow
        The flow of L variables, told 2 L numbers.
    is_bent : Tensor of shape (B,), dtype=torch.bool
        For which series; the others, of which nothing is known, keep their normal distribution.
    """

    def __init__(self, normal: Normal, flow: ContinuousFlow, is_bent: Tensor) -> None:
        self.normal = normal
        told = torch.cat([normal.mean, normal.stddev.log()], dim=-1)
        self.scores: FlowDistribution = flow(told)
        self._is_bent = is_bent.view(-1, *[1] * (normal.mean.dim() - 2))

    @property
    def center(self) -> Tensor:
        """What the mean of the normal distribution is carried to: in one dimension, the median."""
        return self.placed(torch.zeros_like(self.normal.mean))

    def placed(self, e: Tensor) -> Tensor:
        """Give the states that standard normal numbers are carried to."""
        return self._of_scores(self.scores.carried(e.expand(self._shape(e))), e)

    def drawn(self, n_samples: int) -> tuple[Tensor, Tensor]:
        """Draw states and give log q of each, by one solve for both."""
        e = torch.randn_like(self.normal.mean.expand(n_samples, *self.normal.mean.shape))
        x, log_x = self.scores.carried_with_log_prob(e)
        plain = self.scores.base.log_prob(e)
        log_q = torch.where(self._is_bent, log_x, plain) - self.normal.stddev.log().sum(-1)
        return self._of_scores(x, e), log_q

    def divergence(self) -> None:
        """Have no closed form."""

    def _of_scores(self, x: Tensor, e: Tensor) -> Tensor:
        x = torch.where(self._is_bent[..., None], x, e)
        return self.normal.mean + self.normal.stddev * x

    def _shape(self, e: Tensor) -> torch.Size:
        return torch.broadcast_shapes(e.shape, self.normal.mean.shape)


class FlowedPosterior(nn.Module):
    """Bend the normal distributions of an encoder by a continuous normalizing flow.

    A latent state may then have two likely places, or lie along a curve, and its entries may
    depend on each other. To begin with, the flow hardly moves.

    Parameters
    ----------
    latent_size : int
        Width L of the latent state.
    hidden_size : int, default=32
        Width of the field's hidden layers.
    n_hidden : int, default=1
        How many there are.
    method : str, default="tsit5"
        Solver; see `odeint`.
    rtol, atol : float, default=1e-3
        Its tolerances.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="auto"
        How to differentiate it.

    References
    ----------
    Rezende and Mohamed (2015), Variational Inference with Normalizing Flows. Grathwohl, Chen,
    Bettencourt, Sutskever and Duvenaud (2019), FFJORD, section 4.2.

    Examples
    --------
    >>> import torch
    >>> q = FlowedPosterior(3)(Normal(torch.zeros(5, 3), torch.ones(5, 3)), torch.ones(5) > 0)
    >>> z0, log_q = q.drawn(7)
    >>> z0.shape, log_q.shape
    (torch.Size([7, 5, 3]), torch.Size([7, 5]))
    """

    def __init__(
        self,
        latent_size: int,
        hidden_size: int = 32,
        *,
        n_hidden: int = 1,
        method: str = "tsit5",
        rtol: float = 1e-3,
        atol: float = 1e-3,
        adjoint: str = "auto",
    ) -> None:
        super().__init__()
        field = FlowField(
            latent_size, hidden_size, n_hidden=n_hidden, context_size=2 * latent_size
        )
        with torch.no_grad():
            field.outer.weight.mul_(0.1)
            field.outer.bias.mul_(0.1)
        self.flow = ContinuousFlow(
            latent_size, field, method=method, rtol=rtol, atol=atol, adjoint=adjoint
        )

    def forward(self, normal: Normal, is_bent: Tensor) -> FlowPosterior:
        """Give q of normal distributions, bent where ``is_bent`` (B,)."""
        return FlowPosterior(normal, self.flow, is_bent)
