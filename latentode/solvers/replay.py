"""The discrete adjoint: the gradient of the steps themselves, taken again one by one."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentode.solvers.dense import Track, piece_of_step
from latentode.solvers.loop import Counts, Tried, take_step
from latentode.solvers.solve import (
    Task,
    add_gradients,
    inner,
    problem_for,
    refuse_second_derivative,
    solve,
)


class Taken(NamedTuple):
    """The steps that the samples took, with the n-th step of every sample in row n.

    A sample that took fewer than N rests at its end, in steps of size 0.

    Attributes
    ----------
    s0, dt, s1 : Tensor of shape (N, B)
        Start, size and end of each step.
    y0 : Tensor of shape (N, B, D)
        State at the start.
    """

    s0: Tensor
    dt: Tensor
    s1: Tensor
    y0: Tensor


class Record:
    """Where each step of a solve started, and nothing of what the field computed."""

    def __init__(self, s0: Tensor, y0: Tensor) -> None:
        self._steps: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = []
        self._end = s0, y0

    def add(self, tried: Tried) -> None:
        """Keep a step."""
        before, after = tried.before, tried.after
        self._steps.append((before.s, tried.dt, after.s, before.y, tried.accepted))
        self._end = after.s, after.y

    def taken(self) -> Taken:
        """Give the steps that were accepted, or one that rests if there was none to take."""
        s_end, y_end = self._end
        if not self._steps:
            rest = torch.zeros_like(s_end)[None]
            return Taken(rest, rest, rest, y_end[None])
        s0, dt, s1, y0, accepted = (torch.stack(part) for part in zip(*self._steps, strict=True))
        number = accepted.cumsum(dim=0) - 1
        n_steps = int(number[-1].max()) + 1
        i, sample = accepted.nonzero(as_tuple=True)
        place = number[i, sample], sample

        def aligned(rest: Tensor, values: Tensor) -> Tensor:
            rows = rest.expand(n_steps, *rest.shape).clone()
            rows[place] = values[i, sample]
            return rows

        return Taken(
            aligned(s_end, s0),
            aligned(torch.zeros_like(s_end), dt),
            aligned(s_end, s1),
            aligned(y_end, y0),
        )


class Replay(torch.autograd.Function):
    """The exact gradient of the numbers returned, with a graph of one step at a time.

    Between the passes it keeps the state at the start of each accepted step. Backward, it takes
    each step again, from the last to the first, and pulls the gradient through it. The result is
    that of autograd through the whole solve, if the field gives the same values again.

    References
    ----------
    Zhuang et al. (2020), Adaptive checkpoint adjoint method for gradient estimation in neural
    ODE, with the step sizes held fixed.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        report: dict[str, Counts],
        evals_backward: Tensor,
        task: Task,
        y0: Tensor,
        ts: Tensor,
        *tensors: Tensor,
    ) -> Tensor:
        """Solve for the states at ts (B, T), from y0 (B, D)."""
        record = Record(torch.zeros_like(task.clock.t0), y0.detach())
        with torch.no_grad():
            ys, report["counts"], _ = solve(task, y0, ts, keep_steps=False, observe=record.add)
        ctx.task, ctx.evals_backward, ctx.taken = task, evals_backward, record.taken()
        ctx.save_for_backward(ts, *tensors)
        return ys

    @staticmethod
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Give dL/dy0, dL/dts and dL/dtheta from dL/dys (B, T, D)."""
        refuse_second_derivative("replay")
        ts, *tensors = ctx.saved_tensors
        rewind = _Rewind(ctx.task, ctx.taken, ts, tensors, moving=ctx.needs_input_grad[4])
        adj = rewind.run(grad_ys)
        ctx.evals_backward += rewind.evals
        return None, None, None, adj, rewind.grad_ts(), *rewind.gradients


class _Rewind:
    """The steps of a solve, taken again from the last to the first."""

    def __init__(
        self, task: Task, taken: Taken, ts: Tensor, tensors: list[Tensor], *, moving: bool
    ) -> None:
        self.taken = taken
        self.tensors = tensors
        self.gradients = [torch.zeros_like(tensor) for tensor in tensors]
        self.sign = task.clock.sign
        # The start of the clock as a leaf of its own, for fields that change with time.
        self.t0 = task.clock.t0.clone().requires_grad_(moving)
        self.problem = problem_for(
            task._replace(clock=task.clock._replace(t0=self.t0)), taken.y0[0]
        )
        self.s = task.clock.since_start(ts)
        at = torch.searchsorted(taken.s1.t().contiguous(), self.s.contiguous())
        self.at = at.clamp(max=len(taken.s1) - 1)
        self.grad_s = torch.zeros_like(self.s)
        self.grad_t0 = torch.zeros_like(self.t0)
        self.evals = torch.zeros_like(self.t0, dtype=torch.long)

    def run(self, grad_ys: Tensor) -> Tensor:
        """Give dL/dy0 (B, D) from dL/dys (B, T, D), and gather the other gradients."""
        adj = torch.zeros_like(grad_ys[:, 0])
        for n in reversed(range(len(self.taken.dt))):
            adj = self._step_back(n, adj, grad_ys)
        self._move_with_times(grad_ys)
        return adj

    def _move_with_times(self, grad_ys: Tensor) -> None:
        """Give the times of samples that never move their gradient, which no step has."""
        resting = self.s[:, -1] <= 0
        if bool(resting.any()):
            clock = self.problem.clock
            with torch.no_grad():
                k = self.problem.field(clock.time_for_field(self.taken.s0[0]), self.taken.y0[0])
            moved = inner(grad_ys, k[:, None]).to(self.grad_s.dtype)
            self.grad_s = torch.where(resting[:, None], moved, self.grad_s)

    def grad_ts(self) -> Tensor:
        """Give dL/dts: each time moves its own state, and the first one all of the others too."""
        grad_ts = self.sign[:, None] * self.grad_s
        grad_ts[:, 0] += self.grad_t0 - grad_ts.sum(dim=1)
        return grad_ts

    def _step_back(self, n: int, adj: Tensor, grad_ys: Tensor) -> Tensor:
        """Pull the gradient through step n, and through the states read off within it."""
        s0, dt, s1, y0 = (part[n] for part in self.taken)
        read_here = self.at == n
        method, clock = self.problem.method, self.problem.clock
        with torch.enable_grad():
            y = y0.detach().requires_grad_()
            s = self.s.detach().requires_grad_()
            times = clock.time_for_field(s0 + method.c[:, None] * dt)
            k = self.problem.field(times[0], y)
            step = take_step(self.problem, times, dt, y, k)
            track = Track()
            track.pieces.append(piece_of_step(method, step.increments, s0=s0, dt=dt, s1=s1, y0=y))
            read = track.read_where(s, read_here)
        self.evals += (1 + step.evals) * (dt > 0)
        outputs, cotangents = (step.y1, read), (adj, grad_ys[read_here])
        grad_y = torch.zeros_like(y0)
        inputs = [y, s, *self.tensors]
        totals = [grad_y, self.grad_s, *self.gradients]
        if self.t0.requires_grad:
            inputs, totals = [*inputs, self.t0], [*totals, self.grad_t0]
        add_gradients(outputs, inputs, cotangents, totals)
        return grad_y
