"""The discrete adjoint: the gradient of the steps themselves, from the last to the first."""

from typing import Any

import torch
from torch import Tensor

from latentode.solvers.attempt import step_again
from latentode.solvers.course import Position
from latentode.solvers.dense import piece_at
from latentode.solvers.explicit import Step, workspace_for
from latentode.solvers.problem import is_pulled_by_hand
from latentode.solvers.pullback import Evaluation, Gradients, pull_step
from latentode.solvers.reads import Reads
from latentode.solvers.record import Plan, Record, Steps, aligned
from latentode.solvers.solve import (
    Task,
    inner,
    problem_for,
    refuse_second_derivative,
    solve,
    solve_keeping,
)


class Discrete(torch.autograd.Function):
    """The exact gradient of the numbers returned, with graphs of single evaluations only.

    The steps are pulled back by hand, from the last to the first, with the step sizes held fixed.
    The graphs of the stages are those of the forward pass, or, if those were too many, those of
    evaluating the field again at the states kept between the steps.

    References
    ----------
    Zhuang et al. (2020), Adaptive checkpoint adjoint method for gradient estimation in neural
    ODE.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        plan: Plan,
        y0: Tensor,
        ts: Tensor,
        *tensors: Tensor,
    ) -> Tensor:
        """Solve for the states at ts (B, T), from y0 (B, D)."""
        problem = problem_for(plan.task, y0)
        record = Record(plan, problem, tensors)
        with torch.no_grad():
            answer = solve(
                plan.task,
                problem._replace(field=record.field),
                y0,
                plan.first.k.detach(),
                ts,
                observe=record.add,
                with_slopes=plan.moving,
            )
        record.close()
        plan.report["answer"] = answer
        ctx.plan, ctx.problem, ctx.record = plan, problem, record
        ctx.end, ctx.slopes = answer.end, answer.slopes
        ctx.save_for_backward(y0, ts, *tensors)
        return answer.ys

    @staticmethod
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Give dL/dy0, dL/dts and dL/dtheta from dL/dys (B, T, D)."""
        plan: Plan = ctx.plan
        y0, ts, *tensors = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True
            if not plan.twice:
                refuse_second_derivative("replay")
            return None, *_solved_again(plan.task, y0, ts, tensors, grad_ys)
        gradients = Gradients(tensors, torch.zeros_like(ts[:, 0]))
        with torch.autocast(grad_ys.device.type, enabled=False):  # the field has its own
            adj = _Sweep(ctx, ts, grad_ys, gradients).run()
        gradients.settle()
        grad_ts = None
        if plan.moving:
            clock = plan.task.clock
            grad_ts = clock.sign[:, None] * inner(grad_ys, ctx.slopes).to(ts.dtype)
            # The first time moves its own state and, as the start of the clock, all others.
            grad_ts[:, 0] += gradients.for_t - grad_ts.sum(dim=1)
        return None, adj, grad_ts, *gradients.totals


class _Door(torch.autograd.Function):
    """The identity, through which a gradient passes only while the door is open."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, is_open: list[bool]) -> Tensor:  # noqa: ANN401
        ctx.is_open = is_open
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:  # noqa: ANN401
        return (grad if ctx.is_open[0] else None), None


def _solved_again(
    task: Task, y0: Tensor, ts: Tensor, tensors: list[Tensor], grad_ys: Tensor
) -> list[Tensor | None]:
    """Give the same gradients as differentiable functions, from a solve with a graph."""
    # The start may have been computed from what the field uses: its gradient goes there by itself.
    is_open = [False]
    start, times = (_Door.apply(x, is_open) for x in (y0, ts))
    task = task._replace(clock=task.clock._replace(t0=times[:, 0]))
    ys = solve_keeping(task, start, times).ys
    inputs = (start, times, *tensors)
    wanted = [x for x in inputs if x.requires_grad]
    found = iter(torch.autograd.grad(ys, wanted, grad_ys, create_graph=True, allow_unused=True))
    is_open[0] = True
    return [next(found) if x.requires_grad else None for x in inputs]


class _Sweep:
    """The steps of a solve, pulled back from the last to the first."""

    def __init__(self, ctx: Any, ts: Tensor, grad_ys: Tensor, gradients: Gradients) -> None:  # noqa: ANN401
        self.plan, self.problem, self.end = ctx.plan, ctx.problem, ctx.end
        self.gradients = gradients
        self.grad_ys = grad_ys
        self.record: Record = ctx.record
        self.s = self.problem.clock.since_start(ts)
        self.evals = ctx.plan.evals_backward
        self.none = torch.zeros_like(grad_ys[:, 0])
        # Cotangents of the state and of the slope where the steps not yet pulled back end.
        self.adj, self.adj_k = self.none, self.none
        self.after: Evaluation | None = None

    def run(self) -> Tensor:
        """Give dL/dy0 (B, D), and gather the other gradients."""
        for rounds, steps, end in self.record.sections(self.end):
            if self.record.graphs is not None:
                self._through_kept(steps, self.record.graphs)
                continue
            chosen = self._reads_of(rounds)
            steps = aligned(steps, end)
            if is_pulled_by_hand(self.problem.method, self.problem.options):
                self._through_stages(steps, chosen, end)
            else:
                self._through_graphs(steps, chosen)
        if self.record.is_empty:
            self.adj = self.grad_ys.sum(dim=1)
        first = self.plan.first if self.after is None else self.after
        return self.adj + self.gradients.pull(first, self.adj_k)

    def _reads_of(self, rounds: range) -> Tensor | None:
        """Say which states were read off some rounds, (B, T); None if all were."""
        if len(rounds) == len(self.record.s1):
            return None
        at = piece_at(self.s, self.record.s1)
        return (at >= rounds.start) & (at < rounds.stop)

    def _through_kept(self, steps: Steps, graphs: list[list[Evaluation]]) -> None:
        """Pull through the stages that were kept, of steps as they were tried."""
        reads = Reads(self.problem, steps, self.s, self.grad_ys, None)
        adj, adj_k = self.adj, self.adj_k
        everyone = steps.accepted.all(dim=1).tolist()
        anyone = steps.accepted.any(dim=1).tolist()
        for n in reversed(range(len(graphs))):
            grad_y, grad_increments = reads.of(n)
            if not anyone[n]:
                adj = adj + grad_y
                continue
            rest, rest_k, h = None, None, steps.dt[n][:, None].to(adj.dtype)
            if not everyone[n]:  # the others stayed where they were
                took = steps.accepted[n][:, None]
                rest, rest_k = adj.masked_fill(took, 0), adj_k.masked_fill(took, 0)
                adj, adj_k = adj.where(took, 0), adj_k.where(took, 0)
            pulled = pull_step(
                self.problem.method,
                [None, *graphs[n]],
                h,
                (adj, adj_k, grad_increments),
                self.gradients,
            )
            adj, adj_k = pulled.y + grad_y, pulled.k
            if rest is not None and rest_k is not None:
                adj, adj_k = adj + rest, adj_k + rest_k
        self.adj, self.adj_k = adj, adj_k

    def _through_stages(self, steps: Steps, chosen: Tensor | None, end: Position) -> None:
        """Evaluate the stages of each step again, and pull through them.

        A step starts where the one before ends: the field there is evaluated once for both.
        """
        method, clock = self.problem.method, self.problem.clock
        reads = Reads(self.problem, steps, self.s, self.grad_ys, chosen)
        merges = method.end == len(method.a) - 1
        adj, adj_k, after = self.adj, self.adj_k, self.after
        if after is None:
            after = self.record.evaluate(clock.time_for_field(end.s), end.y)
            self.evals += end.s > 0
        workspace = workspace_for(method, adj)
        for n in reversed(range(len(steps.dt))):
            grad_y, grad_increments = reads.of(n)
            h = steps.dt[n][:, None].to(adj.dtype)
            if merges:
                adj_k = adj_k + grad_increments[method.end].view(adj.shape) * h
            adj = adj + self.gradients.pull(after, adj_k)
            times = clock.stage_times(steps.s0[n], steps.dt[n], method.c).unbind()
            y = steps.y0[n]
            stages = [self.record.evaluate(times[0], y)]
            for i in range(1, len(method.a) - merges):
                torch.mul(stages[-1].k.detach(), h, out=workspace.stages[i - 1])
                yi = torch.addmv(y.view(-1), workspace.before[i], method.a[i]).view(y.shape)
                stages.append(self.record.evaluate(times[i], yi))
            pulled = pull_step(
                method,
                [*stages, None] if merges else stages,
                h,
                (adj, self.none, grad_increments),
                self.gradients,
            )
            adj, adj_k, after = pulled.y + grad_y, pulled.k, stages[0]
            self.evals += len(stages) * (steps.dt[n] > 0)
        self.adj, self.adj_k, self.after = adj, adj_k, after

    def _through_graphs(self, steps: Steps, chosen: Tensor | None) -> None:
        """Take each step again with a graph of its own, and pull through that."""
        reads = Reads(self.problem, steps, self.s, self.grad_ys, chosen)
        adj, adj_k = self.adj, self.adj_k
        for n in reversed(range(len(steps.dt))):
            grad_y, grad_powers = reads.of(n)
            inputs, step = self._step_again(steps, n)
            self.evals += step.evals * (steps.dt[n] > 0)
            outputs = [
                (output, cotangent)
                for output, cotangent in zip(
                    (step.y1, step.k1, step.powers), (adj, adj_k, grad_powers), strict=True
                )
                if output.requires_grad
            ]
            found = torch.autograd.grad(
                [output for output, _ in outputs],
                [*inputs, *self.gradients.tensors],
                [cotangent for _, cotangent in outputs],
                allow_unused=True,
                retain_graph=True,
            )
            pulled = [self.none if x is None else x for x in found[:2]]
            adj, adj_k = pulled[0] + grad_y, pulled[1]
            if self.plan.moving and found[2] is not None:
                self.gradients.for_t += found[2]
            self.gradients.add(found[len(inputs) :])
        self.adj, self.adj_k = adj, adj_k

    def _step_again(self, steps: Steps, n: int) -> tuple[list[Tensor], Step]:
        """Take step n again from leaves: the state, the slope there and the start of the clock."""
        problem, s0, dt = self.problem, steps.s0[n], steps.dt[n]
        with torch.enable_grad():
            y = steps.y0[n].detach().requires_grad_()
            t0 = problem.clock.t0.detach().requires_grad_(self.plan.moving)
            clock = problem.clock._replace(t0=t0)
            problem = problem._replace(clock=clock)
            # Where the field may have jumped, the slope is what it is after the jump.
            leaf = (y if steps.k0 is None else steps.k0[n]).detach().requires_grad_()
            k = problem.field(clock.time_from(s0, s0), y) if steps.k0 is None else leaf
            streak = None if steps.streak is None else steps.streak[n]
            before = Position(s0, y, k, dt, torch.ones_like(s0), streak)
            step = step_again(problem, before, dt)
        return ([y, leaf, t0] if self.plan.moving else [y, leaf]), step
