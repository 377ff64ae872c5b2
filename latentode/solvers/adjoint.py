"""How to differentiate a solve; the only module that knows."""

import functools
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from latentode.solvers.dense import Track, piece_of_step
from latentode.solvers.explicit import Field, method_for
from latentode.solvers.loop import Clock, Counts, Options, Position, Problem, Tried, march, start
from latentode.solvers.solution import SolverError
from latentode.solvers.tableau import Tableau

# Steps kept before the states asked for within them are read off: a constant, so that the memory
# of a solve without a graph does not grow with its steps.
_CHUNK = 64


class Task(NamedTuple):
    """A solve to be done: ``f(t, y)`` is dy/dt at times t (B,) and states y (B, D)."""

    f: Field
    tableau: Tableau
    clock: Clock
    options: Options


def problem_for(task: Task, y: Tensor) -> Problem:
    """Put a field of time on the clock of the solve, for states like y (B, D)."""
    f, clock = task.f, task.clock
    runs_backward = bool((clock.sign < 0).any())
    sign = clock.sign[:, None].to(y.dtype)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return sign * f(t, y)

    method = method_for(task.tableau, y, clock.t0.dtype)
    return Problem(field if runs_backward else f, method, clock, task.options)


def solve(task: Task, y0: Tensor, ts: Tensor, *, keep_steps: bool) -> tuple[Tensor, Counts, Track]:
    """Solve, and keep the steps if a gradient may be asked for through them.

    Parameters
    ----------
    task : Task
        What to solve.
    y0 : Tensor of shape (B, D)
        State at the start.
    ts : Tensor of shape (B, T)
        Times, in the direction of the clock.
    keep_steps : bool
        Whether to keep the steps in any case.

    Returns
    -------
    ys : Tensor of shape (B, T, D)
        States there.
    counts : Counts
        What it cost.
    track : Track
        The steps, if they were kept.
    """
    problem, s = problem_for(task, y0), task.clock.since_start(ts)
    position, counts = start(problem, torch.zeros_like(s[:, 0]).detach(), y0)
    if keep_steps or position.k.requires_grad or y0.requires_grad or s.requires_grad:
        return _solve_keeping(problem, position, counts, s)
    return _solve_forgetting(problem, position, counts, s)


def _solve_keeping(
    problem: Problem, position: Position, counts: Counts, s: Tensor
) -> tuple[Tensor, Counts, Track]:
    """Keep every step, and read the states off them at the end."""
    track, y0 = Track(), position.y
    _, counts = march(
        problem, position, counts, s[:, -1].detach(), lambda tried: _keep(track, problem, tried)
    )
    ys = track.read(s) if track.pieces else y0[:, None].expand(*s.shape, -1)
    return ys, counts, track


def _solve_forgetting(
    problem: Problem, position: Position, counts: Counts, s: Tensor
) -> tuple[Tensor, Counts, Track]:
    """Read the states off some steps at a time, in memory that does not grow with the steps."""
    track = Track()
    ys = position.y[:, None].expand(*s.shape, -1).clone()
    begun = position.s.clone()

    def read_off() -> None:
        reached = track.reached()
        wanted = (s > begun[:, None]) & (s <= reached[:, None])
        ys[wanted] = track.read_where(s, wanted)
        begun.copy_(reached)
        track.pieces.clear()

    def observe(tried: Tried) -> None:
        _keep(track, problem, tried)
        if len(track.pieces) == _CHUNK:
            read_off()

    _, counts = march(problem, position, counts, s[:, -1], observe)
    if track.pieces:
        read_off()
    return ys, counts, track


def _keep(track: Track, problem: Problem, tried: Tried) -> None:
    before, after = tried.before, tried.after
    increments = tried.step.increments
    track.pieces.append(
        piece_of_step(
            problem.method, increments, s0=before.s, dt=tried.dt, s1=after.s, y0=before.y
        )
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
        report: dict[str, Counts],
        n_f_evals_backward: Tensor,
        task: Task,
        y0: Tensor,
        ts: Tensor,
        *tensors: Tensor,
    ) -> Tensor:
        """Solve for the states at ts (B, T), from y0 (B, D)."""
        with torch.no_grad():
            ys, report["counts"], _ = solve(task, y0, ts, keep_steps=False)
        ctx.task, ctx.n_f_evals_backward = task, n_f_evals_backward
        ctx.save_for_backward(ts, ys, *tensors)
        return ys

    @staticmethod
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Give dL/dy0, dL/dts and dL/dtheta from dL/dys (B, T, D)."""
        if torch.is_grad_enabled():  # create_graph=True: this gradient would have no graph
            raise RuntimeError("adjoint=backsolve has no second derivative: use adjoint=direct.")
        if not bool(grad_ys.isfinite().all()):
            raise FloatingPointError("the gradient of the loss for the states is not finite.")
        ts, ys, *tensors = ctx.saved_tensors
        sweep = _Sweep(ctx.task, tensors, ctx.n_f_evals_backward)
        grad_ts = torch.zeros_like(ts)
        adj = grad_ys[:, -1]
        for j in range(ts.shape[1] - 1, 0, -1):
            f_j = ctx.task.f(ts[:, j].to(ctx.task.clock.dtype), ys[:, j])
            grad_ts[:, j] = _inner(grad_ys[:, j], f_j)
            adj = sweep.back(adj, ys[:, j], ts[:, j], ts[:, j - 1])
            if j == 1:
                f_0 = ctx.task.f(ts[:, 0].to(ctx.task.clock.dtype), ys[:, 0])
                grad_ts[:, 0] = -_inner(adj, f_0)
            adj = adj + grad_ys[:, j - 1]
        return None, None, None, adj, grad_ts, *sweep.gradients


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
        clock = self.task.clock._replace(t0=t, sign=-self.task.clock.sign)
        size = torch.linalg.vector_norm(adj, dim=1) / adj.shape[1] ** 0.5
        size = size.where(size > 0, 1.0)
        both = torch.cat([y, adj / size[:, None]], dim=1)
        # The field is not evaluated before the first time, where it need not exist.
        options = self.task.options._replace(clip_end=True)
        if self._dt is not None:  # go on with the step size of the interval before
            options = options._replace(first_step=self._dt)
        problem = problem_for(Task(self._field, self.task.tableau, clock, options), both)
        s_end = clock.since_start(t_before[:, None])[:, 0]
        weight = self.task.clock.sign * size
        try:
            position, counts = start(problem, torch.zeros_like(clock.t0), both)
            position, counts = march(
                problem,
                position,
                counts,
                s_end,
                lambda tried: self._gather(problem, tried, weight),
            )
        except SolverError as error:
            raise SolverError(
                f"solving backward for the gradient: {error} The equation may be stable in one "
                "direction of time only: use adjoint=direct.",
                sample=error.sample,
                t=error.t,
            ) from error
        self._dt = position.dt
        # One evaluation more for the first stage of each step, by `_gather`.
        self.n_f_evals += counts.evals + counts.tried
        return position.y[:, adj.shape[1] :] * size[:, None]

    def _field(self, t: Tensor, both: Tensor) -> Tensor:
        """Give d(y, a)/dt = (f, -a^T df/dy), and remember the graph of f for `_gather`."""
        y, adj = (part.detach() for part in both.chunk(2, dim=1))
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
        weights = problem.method.a[-1]
        stages = self._stages[-len(weights) :]  # those of this step, after its first
        self._stages = []
        if not self.tensors:
            return
        problem.field(problem.clock.time_for_field(tried.before.s), tried.before.y)
        stages = self._stages + stages[:-1]
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
        # The graph of f may go on into one that is not ours, as behind a global: keep that.
        parts = torch.autograd.grad(
            outputs, self.tensors, cotangents, allow_unused=True, retain_graph=True
        )
        for total, part in zip(self.gradients, parts, strict=True):
            if part is not None:
                total += part


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Give the real inner product of each row, of shape (B,)."""
    return (a.conj() * b).real.sum(dim=1) if a.is_complex() else (a * b).sum(dim=1)


def tensors_behind(f: Field, t: Tensor, y: Tensor) -> list[Tensor]:
    """Find every tensor that ``f`` uses and that requires a gradient.

    Parameters of modules and tensors in closures, partial arguments and attributes are found
    where they are kept; leaves reached in any other way, as globals, are found in the graph of
    one evaluation at t (B,) and y.
    """
    held = {id(x): x for x in _held(f, set()) if x.requires_grad}
    stop = {x.grad_fn for x in held.values() if x.grad_fn is not None}
    with torch.enable_grad():
        k = f(t.detach(), y.detach())
    for leaf in _leaves(k.grad_fn, stop) if isinstance(k, Tensor) else ():
        held.setdefault(id(leaf), leaf)
    return list(held.values())


def _held(x: object, seen: set[int]) -> Iterator[Tensor]:
    """Give the tensors kept in an object that is called, however deep."""
    if id(x) in seen:
        return
    seen.add(id(x))
    if isinstance(x, Tensor):
        yield x
        return
    for part in _parts(x):
        yield from _held(part, seen)


def _parts(x: object) -> Iterator[object]:
    if isinstance(x, nn.Module):
        yield from x.parameters()
        yield from x.buffers()
        yield from (vars(module) for module in x.modules())
    elif isinstance(x, functools.partial):
        yield from (x.func, x.args, x.keywords)
    elif inspect.ismethod(x):
        yield from (x.__self__, x.__func__)
    elif inspect.isfunction(x):
        yield from (cell.cell_contents for cell in x.__closure__ or () if _is_filled(cell))
        yield from x.__defaults__ or ()
        yield from (x.__kwdefaults__ or {}).values()
    elif isinstance(x, dict):
        yield from x.values()
    elif isinstance(x, list | tuple):
        yield from x
    elif callable(x) and hasattr(x, "__dict__") and not inspect.isclass(x):
        yield vars(x)


def _is_filled(cell: Any) -> bool:  # noqa: ANN401
    try:
        _ = cell.cell_contents
    except ValueError:  # a name that its function has not assigned yet
        return False
    return True


def _leaves(node: Any, stop: set[Any]) -> Iterator[Tensor]:  # noqa: ANN401
    """Give the leaf tensors of a graph, not looking behind the nodes to stop at."""
    waiting, seen = [node], set(stop)
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting.extend(below for below, _ in node.next_functions)
