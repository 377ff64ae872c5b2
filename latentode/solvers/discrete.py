"""The discrete adjoint: the gradient of the steps themselves, from the last to the first."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentode.solvers.attempt import step_again, take_step
from latentode.solvers.course import Position, Tried
from latentode.solvers.dense import piece_at
from latentode.solvers.explicit import Method, Step, workspace_for
from latentode.solvers.methods import Switching
from latentode.solvers.problem import Problem, is_pulled_by_hand
from latentode.solvers.pullback import Evaluation, Gradients, evaluator, pull_step
from latentode.solvers.solve import (
    Answer,
    Task,
    inner,
    problem_for,
    refuse_second_derivative,
    solve,
    solve_keeping,
)

# Bytes of cotangents that are computed at once, and of how many steps at most.
_HELD, _MOST_HELD = 2**21, 32


class Plan(NamedTuple):
    """How to solve and to differentiate, and where to say what it cost.

    Attributes
    ----------
    task : Task
        What to solve.
    n_graphs : float
        Evaluations of the field whose graphs may be kept. If there are more, none are, and each
        step is taken again in the backward pass.
    checkpoint_every : int
        Of the steps that are taken again, the state of every so many is kept.
    twice : bool
        Whether the gradient may be differentiated again, by solving again with a graph.
    moving : bool
        Whether times have a gradient.
    first : Evaluation
        The field at the start.
    evals_backward : Tensor of shape (B,)
        Where to add up the evaluations of a backward pass.
    report : dict
        Gets the `Answer` of the solve, for what has no gradient.
    """

    task: Task
    n_graphs: float
    checkpoint_every: int
    twice: bool
    moving: bool
    first: Evaluation
    evals_backward: Tensor
    report: dict[str, Answer]


class Steps(NamedTuple):
    """The steps of a solve.

    Attributes
    ----------
    s0, dt, s1 : Tensor of shape (N, B)
        Start, size and end of each step; a sample rests in a step of size 0.
    accepted : Tensor of shape (N, B), dtype=torch.bool
        Which samples took the step.
    y0 : Tensor of shape (N, B, D)
        State at the start.
    k0 : Tensor of shape (N, B, D) or None
        Field there, where it is not what the field gives for that state.
    streak : Tensor of shape (N, B) or None
        Of a method that switches, how stiff the steps before were.
    """

    s0: Tensor
    dt: Tensor
    s1: Tensor
    accepted: Tensor
    y0: Tensor
    k0: Tensor | None
    streak: Tensor | None


class Record:
    """What a backward pass needs of a solve: its steps, and the graphs of their stages.

    Attributes
    ----------
    evaluate : callable
        It gives an Evaluation for times (B,) and states (B, D).
    graphs : list of lists of Evaluations, or None
        The stages of every step but the first; None if they are to be evaluated again.
    """

    def __init__(self, plan: Plan, problem: Problem, tensors: Sequence[Tensor]) -> None:
        self.evaluate = evaluator(problem.field, tensors, moving=plan.moving)
        self.graphs: list[list[Evaluation]] | None = [] if plan.n_graphs else None
        self._plan = plan
        self._problem = problem
        self._with_slopes = _keeps_slopes(problem)
        self._steps: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self._states: list[tuple[Tensor, Tensor] | None] = []
        self._streaks: list[Tensor | None] = []
        self._ratios: list[Tensor] = []
        self._fresh: list[Evaluation] = []
        self._n_graphs = 0
        method = problem.method
        self._n_evals = len(method.a) - 1 if isinstance(method, Method) else 0

    def field(self, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the field, and keep its graph while there is room."""
        if self.graphs is None:
            return self._problem.field(t, y)
        at = self.evaluate(t, y)
        self._fresh.append(at)
        return at.k.detach()

    def add(self, tried: Tried, after: Position) -> None:
        """Keep a step."""
        before, n = tried.before, len(self._steps)
        self._steps.append((before.s, tried.dt, after.s, tried.accepted))
        is_kept = n % self._plan.checkpoint_every == 0
        # Of methods whose slope is that of the state, one tensor is enough.
        slope = before.k if self._with_slopes or self._plan.checkpoint_every > 1 else before.y
        self._states.append((before.y, slope) if is_kept else None)
        self._streaks.append(before.streak)
        if self.graphs is None:
            return
        self._ratios.append(tried.ratio)
        # Before the first step, the field was evaluated to guess its size.
        self.graphs.append(self._fresh[-self._n_evals :])
        self._n_graphs += len(self.graphs[-1])
        self._fresh = []
        if self._n_graphs > self._plan.n_graphs:
            self.graphs = None

    def close(self) -> None:
        """Put the steps together, once they are all there."""
        # A graph that holds a number that is not finite gives zero times infinity, which is not
        # zero: of such a solve, the steps that were accepted are taken again.
        if self.graphs and not bool(torch.stack(self._ratios).isfinite().all()):
            self.graphs = None
        self._ratios = []
        if self._steps:
            self.s0, self.dt, self.s1, self.accepted = (
                torch.stack(column) for column in zip(*self._steps, strict=True)
            )

    @property
    def is_empty(self) -> bool:
        """Whether no step was taken."""
        return not self._steps

    def sections(self, end: Position) -> Iterator[tuple[range, Steps, Position]]:
        """Give the steps from the last to the first, as many at a time as one state is kept for.

        With each section comes the range of its rounds, and where it ended.
        """
        n_rounds, every = len(self._steps), self._plan.checkpoint_every
        size = every if every > 1 else max(n_rounds, 1)
        for first in reversed(range(0, n_rounds, size)):
            rounds = range(first, min(first + size, n_rounds))
            y0s, k0s = self._states_of(rounds)
            part = slice(rounds.start, rounds.stop)
            streaks = [x for x in self._streaks[part] if x is not None]
            steps = Steps(
                self.s0[part],
                self.dt[part],
                self.s1[part],
                self.accepted[part],
                y0s,
                k0s,
                torch.stack(streaks) if streaks else None,
            )
            yield rounds, steps, end
            end = end._replace(s=steps.s0[0], y=y0s[0], k=y0s[0] if k0s is None else k0s[0])

    def _states_of(self, rounds: range) -> tuple[Tensor, Tensor | None]:
        """Give the states at the start of some rounds, and the slopes if they are needed."""
        states = [self._states[n] for n in rounds]
        missing = [n for n, state in zip(rounds, states, strict=True) if state is None]
        if missing:
            with torch.no_grad():
                states = self._stepped_again(rounds)
        y0s, k0s = (torch.stack(part) for part in zip(*filter(None, states), strict=True))
        return y0s, k0s if self._with_slopes else None

    def _stepped_again(self, rounds: range) -> list[tuple[Tensor, Tensor] | None]:
        """Step through some rounds from the state that was kept, with the step sizes known."""
        kept = self._states[rounds.start]
        if kept is None:
            raise RuntimeError("the first state of a section is always kept")
        y, k = kept
        problem = self._problem
        if isinstance(problem.method, Method):
            problem = problem._replace(workspace=workspace_for(problem.method, y))
        states: list[tuple[Tensor, Tensor] | None] = [(y, k)]
        for n in rounds[:-1]:
            s0, dt = self.s0[n], self.dt[n]
            before = Position(s0, y, k, dt, torch.ones_like(s0), self._streaks[n])
            step = take_step(problem, before, self.dt[n])
            took = self.accepted[n][:, None]
            y, k = torch.where(took, step.y1, y), torch.where(took, step.k1, k)
            states.append((y, k))
            spent = self._plan.evals_backward
            spent += step.evals * (self.dt[n] > 0)
        return states


def _keeps_slopes(problem: Problem) -> bool:
    """Say whether the slope at the start of a step is not just the field there."""
    by_hand = is_pulled_by_hand(problem.method, problem.options)
    return not (by_hand or problem.options.has_jumps)


def aligned(steps: Steps, end: Position) -> Steps:
    """Leave out rejected steps, so that the n-th step of every sample is in row n.

    A sample that took fewer than the others rests at its end.
    """
    taken = steps.accepted & (steps.dt > 0)
    if bool(taken.all()):
        return steps
    number = taken.cumsum(dim=0) - 1
    n_steps = max(int(number[-1].max()) + 1, 1)
    i, sample = taken.nonzero(as_tuple=True)
    place = number[i, sample], sample

    def moved(values: Tensor, rest: Tensor) -> Tensor:
        rows = rest.expand(n_steps, *rest.shape).clone()
        rows[place] = values[i, sample]
        return rows

    return Steps(
        moved(steps.s0, end.s),
        moved(steps.dt, torch.zeros_like(end.s)),
        moved(steps.s1, end.s),
        torch.ones_like(taken[:n_steps]),
        moved(steps.y0, end.y),
        None if steps.k0 is None else moved(steps.k0, end.k),
        None if steps.streak is None else moved(steps.streak, torch.zeros_like(steps.streak[0])),
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


class Reads:
    """The cotangents of the states read off the steps, step by step."""

    def __init__(
        self,
        problem: Problem,
        steps: Steps,
        s: Tensor,
        grad_ys: Tensor,
        chosen: Tensor | None,
    ) -> None:
        method = problem.method
        by_hand = is_pulled_by_hand(method, problem.options)
        dense = method.explicit.dense if isinstance(method, Switching) else method.dense
        self._weights = dense.t().contiguous() if by_hand else None
        self._n_powers = len(dense)
        self._grad_ys = grad_ys.flatten(0, 1)
        self._n_steps, self._n_samples = steps.dt.shape
        at = piece_at(s, steps.s1)
        s0, dt = (x.t().gather(1, at) for x in (steps.s0, steps.dt))
        self._theta = ((s - s0) / dt.where(dt > 0, torch.inf)).to(grad_ys.dtype).flatten()
        # Reads in the order of the steps, and where those of each chunk of steps begin.
        number, order = at.flatten().sort(stable=True)
        if chosen is not None:
            is_chosen = chosen.flatten()[order]
            number, order = number[is_chosen], order[is_chosen]
        self._order = order
        self._rows = number * self._n_samples + order // s.shape[1]
        size = (self._n_powers + len(dense[0])) * steps.y0[0].numel() * steps.y0.element_size()
        self._chunk = min(max(_HELD // max(size, 1), 2), _MOST_HELD)
        chunks = torch.arange(0, self._n_steps + self._chunk, self._chunk, device=s.device)
        self._bounds = torch.searchsorted(number, chunks).tolist()
        self._held: tuple[int, Tensor, Tensor] | None = None

    def of(self, n: int) -> tuple[Tensor, Tensor]:
        """Give the cotangents of step n: for its state at the start, and for the rest.

        The rest are its increments (R, B D), if it is pulled back by hand, or its powers
        (Q, B, D).
        """
        chunk, place = divmod(n, self._chunk)
        if self._held is None or self._held[0] != chunk:
            self._held = chunk, *self._of_chunk(chunk)
        return self._held[1][place], self._held[2][place]

    def _of_chunk(self, chunk: int) -> tuple[Tensor, Tensor]:
        reads = slice(self._bounds[chunk], self._bounds[chunk + 1])
        begin = chunk * self._chunk
        n_steps = min(self._chunk, self._n_steps - begin)
        order = self._order[reads]
        theta = self._theta.index_select(0, order)[:, None]
        parts = [self._grad_ys.index_select(0, order)]
        for _ in range(self._n_powers):
            parts.append(parts[-1] * theta)
        width = self._grad_ys.shape[1]
        total = self._grad_ys.new_zeros(n_steps * self._n_samples, len(parts) * width)
        total.index_add_(0, self._rows[reads] - begin * self._n_samples, torch.cat(parts, dim=1))
        each = total.view(n_steps, self._n_samples, len(parts), width).transpose(1, 2)
        for_y, for_powers = each[:, 0], each[:, 1:]
        if self._weights is None:
            return for_y, for_powers
        return for_y, torch.matmul(self._weights, for_powers.flatten(2))
