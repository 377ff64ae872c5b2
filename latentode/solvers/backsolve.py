"""The continuous adjoint: a gradient by one solve backward in time."""

from typing import Any

import torch
from torch import Tensor

from latentode.solvers.captured import StandIns
from latentode.solvers.control import Tolerance
from latentode.solvers.course import Tried, course_to
from latentode.solvers.explicit import Field, Method
from latentode.solvers.loop import march, start
from latentode.solvers.problem import Problem
from latentode.solvers.solution import SolverError
from latentode.solvers.solve import (
    Answer,
    Task,
    add_gradients,
    inner,
    problem_for,
    refuse_second_derivative,
    solve,
)


class Backsolve(torch.autograd.Function):
    """The continuous adjoint: gradients by one solve backward in time, without stored steps.

    With a(t) = dL/dy(t), it solves ``da/dt = -a^T df/dy`` from the last time to the first,
    adding dL/dy(t_j) at each time asked for, and gathers ``dL/dtheta = int a^T df/dtheta dt`` on
    the way. The state is solved backward along with it, from its stored value at every t_j.

    Steps are chosen by the error of (y, a) alone: the integral for theta steers nothing (Kidger,
    Chen and Lyons 2021, "Hey, that's not an ODE"), and each sample's a is scaled to size 1, so
    that the tolerances mean the same for small gradients as for large ones.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    algorithm 1 and appendix B; for the times, its eqs. (50) to (52).
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        report: dict[str, Answer],
        evals_backward: Tensor,
        task: Task,
        y0: Tensor,
        ts: Tensor,
        k0: Tensor,
        *tensors: Tensor,
    ) -> Tensor:
        """Solve for the states at ts (B, T), from y0 (B, D)."""
        with torch.no_grad():
            report["answer"] = answer = solve(task, problem_for(task, y0), y0, k0, ts)
        ctx.task, ctx.evals_backward = task, evals_backward
        ctx.save_for_backward(*_known_part(task, answer, ts), *tensors)
        return answer.ys

    @staticmethod
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Give dL/dy0, dL/dts and dL/dtheta from dL/dys (B, T, D)."""
        refuse_second_derivative("backsolve")
        if not bool(grad_ys.isfinite().all()):
            raise FloatingPointError("the gradient of the loss for the states is not finite.")
        ts, ys, *tensors = ctx.saved_tensors
        stand_ins = StandIns(tensors)
        task = ctx.task
        if stand_ins.leaves:
            task = task._replace(f=_within(stand_ins, task.f))
        sweep = _Sweep(task, [*tensors, *stand_ins.leaves], ctx.evals_backward)
        grad_ts = torch.zeros_like(ts)
        adj = grad_ys[:, -1]
        for j in range(ts.shape[1] - 1, 0, -1):
            f_j = ctx.task.f(ts[:, j].to(ctx.task.clock.dtype), ys[:, j])
            grad_ts[:, j] = inner(grad_ys[:, j], f_j)
            adj = sweep.back(adj, ys[:, j], ts[:, j], ts[:, j - 1])
            if j == 1:
                f_0 = ctx.task.f(ts[:, 0].to(ctx.task.clock.dtype), ys[:, 0])
                grad_ts[:, 0] = -inner(adj, f_0)
            adj = adj + grad_ys[:, j - 1]
        # Where torch is not asked, as in a graph of TorchScript, a tensor is used itself.
        gradients, others = sweep.gradients[: len(tensors)], sweep.gradients[len(tensors) :]
        for i, other in zip(stand_ins.places, others, strict=True):
            gradients[i] += other
        return None, None, None, adj, grad_ts, None, *gradients


def _within(stand_ins: StandIns, f: Field) -> Field:
    def field(t: Tensor, y: Tensor) -> Tensor:
        with stand_ins:
            return f(t, y)

    return field


class _Sweep:
    """One backward solve of (y, a), interval by interval, and the integral for theta."""

    def __init__(self, task: Task, tensors: list[Tensor], n_f_evals: Tensor) -> None:
        self.task = task
        self.tensors = tensors
        self.gradients = [torch.zeros_like(tensor) for tensor in tensors]
        self.n_f_evals = n_f_evals
        self._dt: Tensor | None = None
        self._stages: list[tuple[Tensor, Tensor]] = []

    def back(self, adj: Tensor, y: Tensor, t: Tensor, t_before: Tensor) -> Tensor:
        """Carry a = adj (B, D) from times t (B,), with state y (B, D), to t_before (B,)."""
        clock = self.task.clock._replace(t0=t, sign=-self.task.clock.sign, runs_back=True)
        size = torch.nn.functional.pad(adj.abs(), (0, 1)).amax(dim=1)
        moves = size > 0  # a cotangent of zero stays zero: the sample may rest
        size = size.where(moves, 1.0)
        both = torch.cat([y, adj / size[:, None]], dim=1)
        # The field is not evaluated before the first time, where it need not exist.
        # A failure of this solve is one of the whole batch: its gradients would be wrong.
        options = self.task.options._replace(
            clip_end=True, tolerance=_for_both(self.task.options.tolerance), forgiving=False
        )
        known = self._dt  # the step size of the interval before, if the sample moved there
        if known is not None and bool((known > 0).all()):
            options, known = options._replace(first_step=known), None
        problem = problem_for(Task(self._field, self.task.tableau, clock, options), both)
        s_end = clock.since_start(t_before[:, None])[:, 0].where(moves, 0.0)
        weight = self.task.clock.sign * size
        try:
            k = problem.field(problem.clock.time_for_field(torch.zeros_like(s_end)), both)
            position, at_start = start(problem, s_end, both, k)
            if known is not None:
                position = position._replace(dt=torch.where(known > 0, known, position.dt))
            outcome = march(
                problem,
                position,
                course_to(s_end, options),
                lambda tried, _: self._gather(problem, tried, weight),
            )
        except SolverError as error:
            raise SolverError(
                f"solving backward for the gradient: {error} The equation may be stable in one "
                "direction of time only: use adjoint=direct.",
                sample=error.sample,
                t=error.t,
            ) from error
        # One evaluation more for the first stage of each step, by `_gather`.
        self.n_f_evals += at_start.evals + outcome.counts.evals + outcome.counts.tried
        return outcome.position.y[:, adj.shape[1] :] * size[:, None]

    def _field(self, t: Tensor, both: Tensor) -> Tensor:
        """Give d(y, a)/dt = (f, -a^T df/dy), and remember the graph of f for `_gather`."""
        y, adj = (part.detach().contiguous() for part in both.chunk(2, dim=1))
        with torch.enable_grad():
            y = y.requires_grad_()
            k = self.task.f(t, y)
        self._stages.append((k, adj))
        if not k.requires_grad:
            return torch.cat([k, torch.zeros_like(adj)], dim=1)
        (pull,) = torch.autograd.grad(k, y, -adj, retain_graph=True, allow_unused=True)
        return torch.cat([k.detach(), torch.zeros_like(adj) if pull is None else pull], dim=1)

    def _gather(self, problem: Problem, tried: Tried, weight: Tensor) -> None:
        """Add the step's part of int a^T df/dtheta dt, by the quadrature of the method itself."""
        first = tried.next_dt if self._dt is None else self._dt
        self._dt = torch.where(tried.dt > 0, tried.next_dt, first)
        method = problem.method
        assert isinstance(method, Method)  # odeint refuses the others
        weights = method.a[method.end]
        # Those of this step after its first, without what only its dense output needs.
        stages = self._stages[1 - len(method.a) :][: len(weights) - 1]
        self._stages = []
        if not self.tensors:
            return
        problem.field(problem.clock.time_for_field(tried.before.s), tried.before.y)
        stages = self._stages + stages
        self._stages = []
        each = (weight * tried.dt * tried.accepted)[:, None].to(tried.before.y.dtype)
        terms = [
            (k, b * each * adj)
            for b, (k, adj) in zip(weights, stages, strict=True)
            if k.requires_grad
        ]
        if not terms:
            return
        outputs, cotangents = zip(*terms, strict=True)
        add_gradients(outputs, self.tensors, cotangents, self.gradients)


def _known_part(task: Task, answer: Answer, ts: Tensor) -> tuple[Tensor, Tensor]:
    """Give times and states, with samples that failed resting where they had come to."""
    if not answer.failures:
        return ts, answer.ys
    clock, reached = task.clock, answer.end.s[:, None]
    late = torch.zeros_like(ts, dtype=torch.bool)
    late[list(answer.failures)] = True
    late &= clock.since_start(ts) > reached
    until = (clock.t0 + clock.sign * answer.end.s)[:, None]
    return torch.where(late, until, ts), torch.where(
        late[..., None], answer.end.y[:, None], answer.ys
    )


def _for_both(tolerance: Tolerance) -> Tolerance:
    """Give the tolerance of a state for the state and its cotangent, side by side."""
    rtol, atol = (torch.cat([x, x], dim=1) if isinstance(x, Tensor) else x for x in tolerance)
    return Tolerance(rtol, atol)
