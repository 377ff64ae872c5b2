"""Continuous normalizing flows: a normal distribution carried along a vector field."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from latentode.nn.flow_grid import carried_on_grid, density_on_grid, drawn_grid, has_products
from latentode.nn.flow_rates import (
    NOISES,
    Carried,
    Costs,
    Rates,
    estimated_rates,
    exact_rates,
    rates_with_costs,
)
from latentode.nn.precision import widened, without_autocast
from latentode.solvers import Solution, odeint
from latentode.solvers.arguments import check_choices
from latentode.solvers.checks import check_choice, check_positive, check_sizes

TRACES = ("exact", "hutchinson")
# A flow is smooth: one that needs more steps has diverged.
_MAX_STEPS = 1000
# The costs of a path are integrals beside it, which are not to choose its steps.
_ANY = 1e9

_Shape = torch.Size | list[int] | tuple[int, ...]


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
        with without_autocast(z):
            solution = self.solve(field, z, ts.to(z.device), rtol=self.rtol, atol=self.atol)
        zs: Tensor = solution.ys
        return zs

    def carry_density(
        self,
        z: Tensor,
        t0: float,
        t1: float,
        context: Tensor | None = None,
        *,
        n_steps: int | None = None,
    ) -> Carried:
        """Carry points z (B, D) from time t0 to t1, and what happens to volumes around them.

        With ``n_steps``, over so many steps that all points share, near equal and drawn anew each
        time, instead of the solver's own: fast, and only as precise as that.
        """
        exact = self.trace == "exact"
        if n_steps is not None and exact and context is None and has_products(self.field):
            ts = drawn_grid(n_steps, t0, t1, z)
            z1, log_det = density_on_grid(self.field, z, ts)
            return Carried(z1, log_det, _evals_on(ts, z))
        if exact:
            rates = exact_rates(self.field, context)
        else:
            rates = estimated_rates(self.field, self._directions(z), context)
        tolerance = {"rtol": self.rtol, "atol": self.atol}
        state = z, z.new_zeros(len(z))
        (z1, log_det), evals = self._solved(rates, state, t0, t1, n_steps, **tolerance)
        return Carried(z1, log_det, evals)

    def carry_with_costs(
        self,
        z: Tensor,
        t0: float,
        t1: float,
        context: Tensor | None = None,
        *,
        n_steps: int | None = None,
    ) -> Costs:
        """Do the same, and integrate the costs of the paths.

        References
        ----------
        Finlay, Jacobsen, Nurbekyan and Oberman (2020), How to Train Your Neural ODE, section 3.
        """
        exact = self.trace == "exact"
        rates = rates_with_costs(self.field, self._directions(z), context, exact=exact)
        rtol, atol = ((x, x, _ANY, _ANY) for x in (self.rtol, self.atol))
        zero = z.new_zeros(len(z))
        parts, evals = self._solved(
            rates, (z, zero, zero, zero), t0, t1, n_steps, rtol=rtol, atol=atol
        )
        z1, log_det, kinetic, jacobian = parts
        sign = -1.0 if t1 < t0 else 1.0
        return Costs(z1, log_det, evals, sign * kinetic, sign * jacobian)

    def _solved(
        self,
        rates: Rates,
        state: tuple[Tensor, ...],
        t0: float,
        t1: float,
        n_steps: int | None,
        **tolerance: object,
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Give the parts of a state at time t1, and the evaluations that took (B,)."""
        if n_steps is not None:
            ts = drawn_grid(n_steps, t0, t1, state[0])
            return carried_on_grid(rates, state, ts), _evals_on(ts, state[0])
        with without_autocast(state[0]):
            solution = self.solve(rates, state, state[0].new_tensor([t0, t1]), **tolerance)
        return tuple(ys[:, -1] for ys in solution.ys), solution.stats.n_f_evals

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
        return self.carried(self._drawn(sample_shape))

    def rsample_with_log_prob(self, sample_shape: _Shape = ()) -> tuple[Tensor, Tensor]:
        """Draw samples (..., D) and give their log densities (...), by one solve for both."""
        return self.carried_with_log_prob(self._drawn(sample_shape))

    def carried(self, z: Tensor) -> Tensor:
        """Give where points (..., D) of the base arrive."""
        context = self._context_for(z.shape[:-1])
        x = self.flow.carry(z.reshape(-1, self.flow.size), 0.0, self.t, context)
        return x.view(z.shape)

    def carried_with_log_prob(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Give where points (..., D) of the base arrive, and their log densities there."""
        context = self._context_for(z.shape[:-1])
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

    def _drawn(self, sample_shape: _Shape) -> Tensor:
        """Draw from the base (..., D)."""
        return self.base.sample(torch.Size(sample_shape) + self.batch_shape)

    def _context_for(self, shape: torch.Size) -> Tensor | None:
        """Give the context (B, C) of points of a shape."""
        if self.context is None or not self.context.shape[-1]:
            return None
        width = self.context.shape[-1]
        return widened(self.context).expand(*shape, width).reshape(-1, width)


def _evals_on(ts: Tensor, z: Tensor) -> Tensor:
    return torch.full_like(z[:, 0], 4 * (len(ts) - 1), dtype=torch.long)


def _told(field: nn.Module, context: Tensor | None, t: Tensor, z: Tensor) -> Tensor:
    rate: Tensor = field(t, z) if context is None else field(t, z, context)
    return rate
