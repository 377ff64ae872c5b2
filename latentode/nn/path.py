"""Latent paths: from a state at one time to the states at others."""

from functools import partial

import torch
from torch import Tensor, nn

from latentode.nn.vector_field import Frame
from latentode.solvers import odeint
from latentode.solvers.arguments import check_choices
from latentode.solvers.checks import check_positive

# How far from the anchor time runs as it is, and how much of it is left after that, in the model's
# unit: ahead, where solutions are damped, and back, where the same damping lets them grow.
_AHEAD, _BACK = 4.0, 1.0
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
        that this gives, anew for each solve.
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
    ) -> None:
        super().__init__()
        check_choices(method, adjoint, has_step_size=step_size is not None, dense=False)
        check_positive("speed", speed)
        self.field = field
        self.speed = speed
        self.solve = partial(
            odeint,
            method=method,
            rtol=rtol,
            atol=atol,
            step_size=step_size,
            adjoint=adjoint,
            max_steps=_MAX_STEPS,
        )

    def forward(self, z0: Tensor, t0: Tensor, ts: Tensor) -> Tensor:
        """Give the states (B, P, L) at times ts (B, P) in any order, from z0 (B, L) at t0 (B,)."""
        since, t0 = self.speed * far_time(ts - t0[:, None]), self.speed * t0
        is_later = since >= 0
        if bool(is_later.all()) or not bool(is_later.any()):
            return self._solved(z0, t0, since)
        # Both directions at once: a sample that is asked for both stands there twice.
        looks_back = (~is_later).any(dim=1).nonzero()[:, 0]
        times = torch.cat([since.clamp(min=0), since[looks_back].clamp(max=0)])
        start = torch.cat([z0, z0[looks_back]]), torch.cat([t0, t0[looks_back]])
        forward, backward = self._solved(*start, times).split([len(z0), len(looks_back)])
        backward = forward.index_copy(0, looks_back, backward)
        return torch.where(is_later[..., None], forward, backward)

    def rate(self, t: Tensor, z: Tensor) -> Tensor:
        """Give dz/dt (B, L), in 1 per unit of time, at times t (B,) and states z (B, L)."""
        dz: Tensor = self.speed * self.field(self.speed * t, z)
        return dz

    def _solved(self, z0: Tensor, t0: Tensor, since: Tensor) -> Tensor:
        """Solve away from t0, all times on one side of it."""
        distance = since.abs()
        if bool((distance.diff(dim=1) >= 0).all()):
            return self._in_order(z0, t0, since)
        order = distance.argsort(dim=1, stable=True)
        zs = self._in_order(z0, t0, since.gather(1, order))
        return zs.gather(1, order.argsort(dim=1)[..., None].expand_as(zs))

    def _in_order(self, z0: Tensor, t0: Tensor, since: Tensor) -> Tensor:
        """Solve for times whose distances from t0 rise."""
        since = nn.functional.pad(since, (1, 0))
        frame_of = getattr(self.field, "frame", None)
        if frame_of is not None:
            frame: Frame = frame_of()
            ys = self.solve(frame.field, z0, since).ys
            return frame.leave(since[:, 1:], ys[:, 1:])
        # What does not change between the steps is computed once for all of them.
        prepared = getattr(self.field, "prepared", None)
        field = self.field if prepared is None else prepared()
        zs: Tensor = self.solve(field, z0, t0[:, None] + since).ys[:, 1:]
        return zs


class GRUStep(nn.Module):
    """Carry a latent state to any time by one step of a GRU that is told how far: no ODE.

    The rival of `ODEPath` in a recurrent network. A state does not depend on what other times are
    asked.

    Parameters
    ----------
    latent_size : int
        Width L of the latent state.

    Examples
    --------
    >>> import torch
    >>> GRUStep(3)(torch.ones(1, 3), torch.zeros(1), torch.tensor([[1.0, 2.0]])).shape
    torch.Size([1, 2, 3])
    """

    def __init__(self, latent_size: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(3, latent_size)

    def forward(self, z0: Tensor, t0: Tensor, ts: Tensor) -> Tensor:
        """Give the states (B, P, L) at times ts (B, P), from z0 (B, L) at t0 (B,)."""
        lead = far_time(ts - t0[:, None])
        told = torch.stack([lead, lead.sign() * torch.log1p(10 * lead.abs()), lead.square()], -1)
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

    def forward(self, z0: Tensor, t0: Tensor, ts: Tensor) -> Tensor:
        """Give the states (B, P, L) at times ts (B, P), from z0 (B, L) at t0 (B,)."""
        since = self.speed * far_time(ts - t0[:, None])
        return z0[:, None] + since[..., None] * self.field(self.speed * t0, z0)[:, None]


def segment_path(path: nn.Module, zs: Tensor, t: Tensor, lengths: Tensor, ts: Tensor) -> Tensor:
    """Carry a state at every row to the times that follow it, all rows of all series at once.

    Parameters
    ----------
    path : Module
        Carries a state from one time to others, as `ODEPath`.
    zs : Tensor of shape (B, T, L)
        States at the rows.
    t : Tensor of shape (B, T)
        Times of the rows, rising.
    lengths : Tensor of shape (B,)
        Rows of each series.
    ts : Tensor of shape (B, P)
        Times asked, in any order; each is reached from the last row up to it, or from the first.

    Returns
    -------
    Tensor of shape (B, P, L)
        The states there.

    Examples
    --------
    >>> import torch
    >>> path = EulerStep(lambda t, z: torch.ones_like(z))
    >>> zs, t = torch.tensor([[[0.0], [10.0]]]), torch.tensor([[-1.0, 0.0]])
    >>> ts = torch.tensor([[-0.75, 0.5, -1.25]])
    >>> segment_path(path, zs, t, torch.tensor([2]), ts)[0, :, 0]
    tensor([ 0.2500, 10.5000, -0.2500])
    """
    n_before = torch.searchsorted(t.contiguous(), ts.contiguous(), right=True)
    row = (n_before.minimum(lengths[:, None]) - 1).clamp(min=0)
    segment = (torch.arange(len(t), device=t.device)[:, None] * t.shape[1] + row).flatten()
    order = segment.argsort(stable=True)
    used, counts = segment[order].unique_consecutive(return_counts=True)
    # Times of the same segment stand in a line of their own, as long as twice the mean at most: a
    # segment with more of them has several lines, and is solved in each.
    width = max(2 * len(segment) // len(used), 1)
    number = torch.arange(len(used), device=t.device).repeat_interleave(counts)
    place = torch.arange(len(segment), device=t.device) - (counts.cumsum(0) - counts)[number]
    n_lines = torch.ceil(counts / width).long()
    line = (n_lines.cumsum(0) - n_lines)[number] + place // width
    of_line = used.repeat_interleave(n_lines)
    start = t.flatten()[of_line]
    asked = start[:, None].repeat(1, min(width, int(counts.max())))
    asked = asked.index_put((line, place % width), ts.flatten()[order])
    states = path(zs.flatten(0, 1)[of_line], start, asked)
    result = states[line, place % width]
    return result[order.argsort()].unflatten(0, ts.shape)


def far_time(since: Tensor) -> Tensor:
    """Give latent time since the anchor: as it is nearby, and bounded however far it goes.

    Examples
    --------
    >>> far_time(torch.tensor([-1e6, -0.5, 3.0, 6.0, 1e6]))
    tensor([-2.0000, -0.5000,  3.0000,  5.5739,  8.0000])
    """
    near = torch.where(since > 0, _AHEAD, _BACK)
    beyond = (since.abs() - near).clamp(min=0)
    slowed = near * -torch.expm1(-beyond / near)
    return since.sign() * (since.abs().minimum(near) + slowed)
