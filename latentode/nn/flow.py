"""Continuous normalizing flows: a normal distribution carried along a vector field."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from latentode.nn.divergence import with_product, with_trace
from latentode.solvers import Solution, odeint
from latentode.solvers.arguments import check_choices
from latentode.solvers.checks import check_choice, check_positive, check_sizes

TRACES = ("exact", "hutchinson")
# A flow is smooth: one that needs more steps has diverged.
_MAX_STEPS = 1000
# The costs of a path are integrals beside it, which are not to choose its steps.
_ANY = 1e9

_Shape = torch.Size | list[int] | tuple[int, ...]
_Rates = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


def rademacher(z: Tensor) -> Tensor:
    """Draw -1 or 1 with equal probability for every entry: the least variance for a trace.

    Parameters
    ----------
    z : Tensor
        Whose shape, type and device to take.

    Returns
    -------
    Tensor
        The draws.

    Examples
    --------
    >>> import torch
    >>> rademacher(torch.zeros(3, 2)).abs().unique()
    tensor([1.])
    """
    return torch.randint_like(z, 2) * 2 - 1


NOISES: dict[str, Callable[[Tensor], Tensor]] = {
    "rademacher": rademacher,
    "gaussian": torch.randn_like,
}


class Carried(NamedTuple):
    """Points carried along a flow.

    Attributes
    ----------
    z : Tensor of shape (B, D)
        Where they arrive.
    log_det : Tensor of shape (B,)
        Logarithm of the determinant of dz / dz(start): the integral of the trace.
    n_f_evals : Tensor of shape (B,)
        Evaluations of the field.
    """

    z: Tensor
    log_det: Tensor
    n_f_evals: Tensor


class Costs(NamedTuple):
    """Points carried along a flow, and what their paths cost.

    Attributes
    ----------
    z, log_det, n_f_evals : Tensor
        As in `Carried`.
    kinetic : Tensor of shape (B,)
        Integral of the square of the length of dz/dt: 0 where nothing moves.
    jacobian : Tensor of shape (B,)
        Integral of the square of the Frobenius norm of df/dz, estimated by one direction a path.
    """

    z: Tensor
    log_det: Tensor
    n_f_evals: Tensor
    kinetic: Tensor
    jacobian: Tensor


class ContinuousFlow(nn.Module):
    """Give distributions: standard normal at time 0, carried along dz/dt = f(t, z).

    The density follows the instantaneous change of variables, ``d log p(z(t)) / dt =
    -tr(df/dz)``. Called with a context, or with none, a flow gives a `FlowDistribution`.

    Parameters
    ----------
    size : int
        Number of variables D.
    field : Module
        dz/dt as a function of t (B,) and z (B, D), and of the context (B, C) where one is given.
        `FlowField` and `PlanarField` know their divergence; of any other it comes by autograd.
    duration : float, default=1.0
        Time T at which the distribution is that asked for.
    trace : {"exact", "hutchinson"}, default="exact"
        The divergence itself, or Hutchinson's estimate from one random direction a sample, which
        is held for the whole path; its cost does not grow with D.
    noise : {"rademacher", "gaussian"}, default="rademacher"
        What directions are drawn from.
    method : str, default="tsit5"
        Solver; see `odeint`.
    rtol, atol : float, default=1e-4
        Its tolerances.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="auto"
        How to differentiate it.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 4. Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud (2019), FFJORD.

    Examples
    --------
    >>> import torch
    >>> from latentode.nn import FlowField
    >>> flow = ContinuousFlow(2, FlowField(2))
    >>> x = flow().rsample((100,))
    >>> flow().log_prob(x).shape
    torch.Size([100])
    """

    def __init__(
        self,
        size: int,
        field: nn.Module,
        *,
        duration: float = 1.0,
        trace: str = "exact",
        noise: str = "rademacher",
        method: str = "tsit5",
        rtol: float = 1e-4,
        atol: float = 1e-4,
        adjoint: str = "auto",
    ) -> None:
        super().__init__()
        check_sizes(size=size)
        check_positive("duration", duration)
        check_choice("trace", trace, TRACES)
        check_choice("noise", noise, NOISES)
        check_choices(method, adjoint, has_step_size=False, dense=False)
        self.size = size
        self.field = field
        self.duration = duration
        self.trace = trace
        self.noise = noise
        self.rtol = rtol
        self.atol = atol
        self.solve: Callable[..., Solution] = partial(
            odeint, method=method, adjoint=adjoint, max_steps=_MAX_STEPS
        )

    def forward(
        self, context: Tensor | None = None, *, t: float | None = None
    ) -> "FlowDistribution":
        """Give the distribution at time t, T by default, for each context (..., C)."""
        return FlowDistribution(self, context, self.duration if t is None else t)

    def carry(self, z: Tensor, t0: float, t1: float, context: Tensor | None = None) -> Tensor:
        """Carry points z (B, D) from time t0 to t1."""
        zs: Tensor = self.trajectory(z, z.new_tensor([t0, t1]), context)
        return zs[:, -1]

    def trajectory(self, z: Tensor, ts: Tensor, context: Tensor | None = None) -> Tensor:
        """Give the states (B, T, D) at times ts (T,) of points that are z (B, D) at the first."""
        field = partial(_told, self.field, context)
        zs: Tensor = self.solve(field, z, ts.to(z.device), rtol=self.rtol, atol=self.atol).ys
        return zs

    def carry_density(
        self, z: Tensor, t0: float, t1: float, context: Tensor | None = None
    ) -> Carried:
        """Carry points z (B, D) from time t0 to t1, and what happens to volumes around them."""
        if self.trace == "exact":
            rates = self._exact_rates(context)
        else:
            rates = self._estimated_rates(self._directions(z), context)
        solution = self._solved(
            rates, (z, z.new_zeros(len(z))), t0, t1, rtol=self.rtol, atol=self.atol
        )
        z1, log_det = (ys[:, -1] for ys in solution.ys)
        return Carried(z1, log_det, solution.stats.n_f_evals)

    def carry_with_costs(
        self, z: Tensor, t0: float, t1: float, context: Tensor | None = None
    ) -> Costs:
        """Do the same, and integrate the costs of the paths.

        References
        ----------
        Finlay, Jacobsen, Nurbekyan and Oberman (2020), How to Train Your Neural ODE, section 3.
        """
        rates = self._rates_with_costs(self._directions(z), context)
        rtol, atol = ((x, x, _ANY, _ANY) for x in (self.rtol, self.atol))
        zero = z.new_zeros(len(z))
        solution = self._solved(rates, (z, zero, zero, zero), t0, t1, rtol=rtol, atol=atol)
        z1, log_det, kinetic, jacobian = (ys[:, -1] for ys in solution.ys)
        sign = -1.0 if t1 < t0 else 1.0
        n_f_evals = solution.stats.n_f_evals
        return Costs(z1, log_det, n_f_evals, sign * kinetic, sign * jacobian)

    def _solved(
        self, rates: _Rates, state: tuple[Tensor, ...], t0: float, t1: float, **tolerance: object
    ) -> Solution:
        return self.solve(rates, state, state[0].new_tensor([t0, t1]), **tolerance)

    def _exact_rates(self, context: Tensor | None) -> _Rates:
        return lambda t, state: with_trace(self.field, t, state[0], context)

    def _estimated_rates(self, v: Tensor, context: Tensor | None) -> _Rates:
        def rates(t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            rate, product = with_product(self.field, t, state[0], v, context)
            return rate, (v * product).sum(1)

        return rates

    def _rates_with_costs(self, v: Tensor, context: Tensor | None) -> _Rates:
        def rates(t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            rate, product = with_product(self.field, t, state[0], v, context)
            trace = (v * product).sum(1)
            if self.trace == "exact":
                trace = with_trace(self.field, t, state[0], context).trace
            return rate, trace, rate.square().sum(1), product.square().sum(1)

        return rates

    def _directions(self, z: Tensor) -> Tensor:
        return NOISES[self.noise](z.detach())


class FlowDistribution(Distribution):
    """The distribution that a flow has made of a standard normal one.

    Parameters
    ----------
    flow : ContinuousFlow
        The flow.
    context : Tensor of shape (..., C), optional
        What the field is told; the distribution has the batch shape of it.
    t : float, default=1.0
        Time at which it is.

    Examples
    --------
    >>> import torch
    >>> from latentode.nn import ContinuousFlow, FlowField
    >>> flow = ContinuousFlow(2, FlowField(2, context_size=3))
    >>> q = flow(torch.randn(7, 3))
    >>> x, log_prob = q.rsample_with_log_prob((10,))
    >>> x.shape, log_prob.shape
    (torch.Size([10, 7, 2]), torch.Size([10, 7]))
    """

    has_rsample = True
    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012  as torch has it

    def __init__(
        self, flow: ContinuousFlow, context: Tensor | None = None, t: float = 1.0
    ) -> None:
        check_positive("t", t)
        self.flow = flow
        self.context = context
        self.t = t
        batch_shape = torch.Size() if context is None else context.shape[:-1]
        super().__init__(batch_shape, torch.Size([flow.size]))

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self) -> constraints.Constraint:
        """Any vector of real numbers."""
        return constraints.real_vector

    @property
    def base(self) -> Distribution:
        """The standard normal distribution at time 0."""
        like = next(self.flow.parameters(), torch.empty(()))
        zero = torch.zeros(self.event_shape, dtype=like.dtype, device=like.device)
        return Independent(Normal(zero, zero + 1), 1)

    def expand(
        self, batch_shape: _Shape, _instance: "FlowDistribution | None" = None
    ) -> "FlowDistribution":
        """Give the same distribution for a larger batch shape."""
        if self.context is None:
            context = next(self.flow.parameters()).new_empty(*batch_shape, 0)
        else:
            context = self.context.expand(*batch_shape, -1)
        return FlowDistribution(self.flow, context, self.t)

    def rsample(self, sample_shape: _Shape = torch.Size()) -> Tensor:  # noqa: B008
        """Draw samples (..., D) with gradients for the field and the context."""
        z, context = self._drawn(torch.Size(sample_shape))
        x = self.flow.carry(z.reshape(-1, self.flow.size), 0.0, self.t, context)
        return x.view(z.shape)

    def rsample_with_log_prob(self, sample_shape: _Shape = ()) -> tuple[Tensor, Tensor]:
        """Draw samples (..., D) and give their log densities (...), by one solve for both."""
        z, context = self._drawn(torch.Size(sample_shape))
        carried = self.flow.carry_density(z.reshape(-1, self.flow.size), 0.0, self.t, context)
        log_prob = self.base.log_prob(z) - carried.log_det.view(z.shape[:-1])
        return carried.z.view(z.shape), log_prob

    def log_prob(self, value: Tensor) -> Tensor:
        """Give the log density, in nats, of each of the points (..., D)."""
        if self._validate_args:
            self._validate_sample(value)
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        x = value.expand(*shape, self.flow.size).reshape(-1, self.flow.size)
        carried = self.flow.carry_density(x, self.t, 0.0, self._context_for(shape))
        return (self.base.log_prob(carried.z) + carried.log_det).view(shape)

    def _drawn(self, sample_shape: torch.Size) -> tuple[Tensor, Tensor | None]:
        """Draw from the base (..., D), and give the context of each draw as rows."""
        shape = sample_shape + self.batch_shape
        return self.base.sample(shape), self._context_for(shape)

    def _context_for(self, shape: torch.Size) -> Tensor | None:
        """Give the context (B, C) of points of a shape."""
        if self.context is None or not self.context.shape[-1]:
            return None
        width = self.context.shape[-1]
        return self.context.expand(*shape, width).reshape(-1, width)


def _told(field: nn.Module, context: Tensor | None, t: Tensor, z: Tensor) -> Tensor:
    rate: Tensor = field(t, z) if context is None else field(t, z, context)
    return rate
