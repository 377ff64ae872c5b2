"""Latent paths: from a state at one time to the states at others."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from latentode.nn.controls import NO_INPUTS, Controls, Inputs, chosen_inputs
from latentode.nn.driven import Driven, field_at, told_to
from latentode.nn.latent_time import SLOWING, Clock, far_time
from latentode.nn.pieces import along, pieces_of
from latentode.nn.precision import widened, without_autocast
from latentode.nn.vector_field import Field, Frame
from latentode.solvers import Stats, odeint
from latentode.solvers.arguments import check_choices
from latentode.solvers.checks import check_positive
from latentode.solvers.outside import outside_graphs

# A latent path is short and smooth: one that needs more steps has diverged.
_MAX_STEPS = 1000


class ODEPath(nn.Module):
    """Carry a latent state forward and backward in time by a vector field.

    Far from where it starts, latent time runs slower and slower, so that a forecast settles: see
    `far_time`.

    Parameters
    ----------
    field : Module
        dz/dt as a function of t (B,) and z (B, L). If it has a method ``frame``, what that gives
        is solved instead, see `Frame`; or else, if it has a method ``prepared``, the function
        that this gives, anew for each solve. Of inputs it is told by its method ``driven``, see
        `DrivenField`. Where controls are held, they are so in each solve: a path is solved from
        one change of them to the next.
    speed : float, default=1.0
        Latent time that passes in a unit of time, which is what the field is told and solved in:
        how much may happen.
    method : str, default="tsit5"
        Solver; see `odeint`.
    rtol, atol : float, default=1e-3
        Its tolerances.
    step_size : float, optional
        Size of every step instead, in units of time.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="auto"
        How to differentiate it.
    clock : Clock, default=SLOWING
        How latent time runs; `STEADY` for a field that knows what time is.

    Examples
    --------
    >>> import torch
    >>> path = ODEPath(lambda t, z: -z)
    >>> path(torch.ones(1, 1), torch.zeros(1), torch.tensor([[1.0, -1.0]]))[0, :, 0]
    tensor([0.3679, 2.7183])
    """

    def __init__(
        self,
        field: nn.Module,
        *,
        speed: float = 1.0,
        method: str = "tsit5",
        rtol: float = 1e-3,
        atol: float = 1e-3,
        step_size: float | None = None,
        adjoint: str = "auto",
        clock: Clock = SLOWING,
    ) -> None:
        super().__init__()
        check_choices(method, adjoint, has_step_size=step_size is not None, dense=False)
        check_positive("speed", speed)
        self.field = field
        self.speed = speed
        self.clock = clock
        self.costs: list[Stats] | None = None
        self.solve = partial(
            odeint,
            method=method,
            rtol=rtol,
            atol=atol,
            step_size=step_size,
            adjoint=adjoint,
            max_steps=_MAX_STEPS,
        )

    @outside_graphs  # in how many solves, the times themselves decide
    def forward(self, z0: Tensor, t0: Tensor, ts: Tensor, inputs: Inputs = NO_INPUTS) -> Tensor:
        """Give the states (B, P, L) at times ts (B, P) in any order, from z0 (B, L) at t0 (B,).

        Under autocast, too, they are solved in float32.
        """
        z0 = widened(z0)
        with without_autocast(z0):
            return self._both_ways(z0, t0, ts, inputs)

    def _both_ways(self, z0: Tensor, t0: Tensor, ts: Tensor, inputs: Inputs) -> Tensor:
        since, told = self.speed * self.clock.latent(ts - t0[:, None]), told_to(self.field, inputs)
        is_later = since >= 0
        if bool(is_later.all()) or not bool(is_later.any()):
            return self._solved(z0, t0, since, told)
        # Both directions at once: a sample that is asked for both stands there twice.
        looks_back = (~is_later).any(dim=1).nonzero()[:, 0]
        twice = torch.cat([torch.arange(len(z0), device=z0.device), looks_back])
        times = torch.cat([since.clamp(min=0), since[looks_back].clamp(max=0)])
        start = torch.cat([z0, z0[looks_back]]), torch.cat([t0, t0[looks_back]])
        states = self._solved(*start, times, told.of(twice))
        forward, backward = states.split([len(z0), len(looks_back)])
        backward = forward.index_copy(0, looks_back, backward)
        return torch.where(is_later[..., None], forward, backward)

    def rate(self, t: Tensor, z: Tensor, inputs: Inputs = NO_INPUTS) -> Tensor:
        """Give dz/dt (B, L), in 1 per unit of time, at times t (B,) and states z (B, L)."""
        return self.speed * field_at(self.field, t, inputs)(self.speed * t, z)

    def _solved(self, z0: Tensor, t0: Tensor, since: Tensor, told: Inputs) -> Tensor:
        """Solve away from t0, all times on one side of it."""
        distance = since.abs()
        if bool((distance.diff(dim=1) >= 0).all()):
            return self._in_order(z0, t0, since, told)
        order = distance.argsort(dim=1, stable=True)
        zs = self._in_order(z0, t0, since.gather(1, order), told)
        return zs.gather(1, order.argsort(dim=1)[..., None].expand_as(zs))

    def _in_order(self, z0: Tensor, t0: Tensor, since: Tensor, told: Inputs) -> Tensor:
        """Solve for times whose distances from t0 rise."""
        if isinstance(self.field, Driven):
            return self._driven(self.field, z0, t0, since, told)
        t0, since = self.speed * t0, nn.functional.pad(since, (1, 0))
        frame_of = getattr(self.field, "frame", None)
        if frame_of is not None:
            frame: Frame = frame_of()
            ys = self._ys(frame.field, z0, since)
            return frame.leave(since[:, 1:], ys[:, 1:])
        # What does not change between the steps is computed once for all of them.
        prepared = getattr(self.field, "prepared", None)
        field = self.field if prepared is None else prepared()
        return self._ys(field, z0, t0[:, None] + since)[:, 1:]

    def _ys(self, field: Field, z0: Tensor, ts: Tensor) -> Tensor:
        solution = self.solve(field, z0, ts)
        if self.costs is not None:
            self.costs.append(solution.stats)
        ys: Tensor = solution.ys
        return ys

    def _driven(
        self, driven: Driven, z0: Tensor, t0: Tensor, since: Tensor, told: Inputs
    ) -> Tensor:
        """Do the same for a field that is told of inputs."""
        controls, begin = told.controls, self.speed * t0

        def solve(u: Callable[[Tensor], Tensor] | None, z: Tensor, since: Tensor) -> Tensor:
            field = driven.driven(u, told.static)
            return self._ys(field, z, begin[:, None] + since)

        def moving(controls: Controls) -> Callable[[Tensor], Tensor]:
            def u(t: Tensor) -> Tensor:
                real = t0 + self.clock.real((t - begin) / self.speed)
                return controls.at(real[:, None])[:, 0]

            return u

        if controls is None or controls.interpolation == "linear":
            u = None if controls is None else moving(controls)
            return solve(u, z0, nn.functional.pad(since, (1, 0)))[:, 1:]
        knots = self.speed * self.clock.latent(controls.t - t0[:, None])
        pieces = pieces_of(knots, controls.values, controls.changes(), since)
        sign = torch.where(since[:, -1:] < 0, -1.0, 1.0)
        return along(
            pieces, z0, since.abs(), lambda u, z, gone: solve(lambda _: u, z, sign * gone)
        )


@contextlib.contextmanager
def counted(path: nn.Module) -> Iterator[list[Stats]]:
    """Give a list to which each solve of a path adds what it costs, for as long as this lasts.

    What a backward pass costs is added to the same numbers once it is over.
    """
    paths = [part for part in path.modules() if isinstance(part, ODEPath)]
    costs: list[Stats] = []
    for one in paths:
        one.costs = costs
    try:
        yield costs
    finally:
        for one in paths:
            one.costs = None


class GRUStep(nn.Module):
    """Carry a latent state to any time by one step of a GRU that is told how far: no ODE.

    The rival of `ODEPath` in a recurrent network. A state does not depend on what other times are
    asked.

    Parameters
    ----------
    latent_size : int
        Width L of the latent state.
    n_controls, n_static : int, default=0
        Controls that it is told, at the time asked and as their integrals up to it, and numbers
        that do not change in a series.

    Examples
    --------
    >>> import torch
    >>> GRUStep(3)(torch.ones(1, 3), torch.zeros(1), torch.tensor([[1.0, 2.0]])).shape
    torch.Size([1, 2, 3])
    """

    def __init__(self, latent_size: int, *, n_controls: int = 0, n_static: int = 0) -> None:
        super().__init__()
        self.cell = nn.GRUCell(3 + 2 * n_controls + n_static, latent_size)
        self.n_controls = n_controls
        self.n_static = n_static

    def forward(self, z0: Tensor, t0: Tensor, ts: Tensor, inputs: Inputs = NO_INPUTS) -> Tensor:
        """Give the states (B, P, L) at times ts (B, P), from z0 (B, L) at t0 (B,)."""
        lead = far_time(ts - t0[:, None])
        told = torch.stack([lead, lead.sign() * torch.log1p(10 * lead.abs()), lead.square()], -1)
        inputs = chosen_inputs(
            inputs, n_controls=self.n_controls, n_static=self.n_static, reader="the step"
        )
        since = t0[:, None].expand_as(ts)
        told = torch.cat([told, *inputs.at(ts), *inputs.amounts(since, ts)], dim=-1)
        start = z0[:, None].expand(-1, ts.shape[1], -1)
        zs: Tensor = self.cell(told.flatten(0, 1), start.flatten(0, 1))
        return zs.unflatten(0, ts.shape)


class EulerStep(nn.Module):
    """Carry a latent state to any time by a single step of Euler's method: the least of an ODE.

    Parameters
    ----------
    field : Module
        dz/dt as a function of t (B,) and z (B, L).
    speed : float, default=1.0
        Latent time that passes in a unit of time.

    Examples
    --------
    >>> import torch
    >>> path = EulerStep(lambda t, z: -z)
    >>> path(torch.ones(1, 1), torch.zeros(1), torch.tensor([[0.5, 1.0]]))[0, :, 0]
    tensor([0.5000, 0.0000])
    """

    def __init__(self, field: nn.Module, *, speed: float = 1.0) -> None:
        super().__init__()
        check_positive("speed", speed)
        self.field = field
        self.speed = speed

    def forward(self, z0: Tensor, t0: Tensor, ts: Tensor, inputs: Inputs = NO_INPUTS) -> Tensor:
        """Give the states (B, P, L) at times ts (B, P), from z0 (B, L) at t0 (B,)."""
        since = self.speed * far_time(ts - t0[:, None])
        slope = field_at(self.field, t0, inputs)(self.speed * t0, z0)
        return z0[:, None] + since[..., None] * slope[:, None]
