"""The one public solve function: check, choose, solve, report."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from latentode.solvers.adjoint import is_transformed, solve_with_adjoint
from latentode.solvers.arguments import (
    check_args,
    check_choices,
    check_state,
    check_step_range,
    real_dtype,
    step_sizes,
    tolerance_of,
)
from latentode.solvers.checks import check_choice, check_whole
from latentode.solvers.clock import Clock
from latentode.solvers.eventful import solve_with_events
from latentode.solvers.events import Event, Occurrences, flattened_events
from latentode.solvers.flat_field import VectorField, flattened_field
from latentode.solvers.masking import masked, of_living
from latentode.solvers.methods import METHODS
from latentode.solvers.outside import outside_graphs
from latentode.solvers.problem import Options
from latentode.solvers.reader import reader_of
from latentode.solvers.solution import Solution, SolverError, Stats
from latentode.solvers.solve import Answer, Task
from latentode.solvers.starts import Begin, living
from latentode.solvers.state import State, layout_of
from latentode.solvers.times import stops_and_jumps, times_of, with_jumps, with_start


@outside_graphs
def odeint(
    f: VectorField,
    y0: State,
    ts: Tensor,
    *,
    args: tuple[Any, ...] = (),
    method: str = "tsit5",
    rtol: float | Tensor = 1e-4,
    atol: float | Tensor = 1e-6,
    adjoint: str = "auto",
    t0: float | Tensor | None = None,
    step_size: float | Tensor | None = None,
    first_step: float | Tensor | None = None,
    min_step: float = 0.0,
    max_step: float = math.inf,
    max_steps: int = 10_000,
    step_ts: Tensor | None = None,
    jump_ts: Tensor | None = None,
    events: Sequence[Event] = (),
    control: str = "per_sample",
    clip_end: bool = False,
    dense: bool = False,
    on_failure: str = "raise",
    checkpoint_every: int = 1,
    compile: bool = False,  # noqa: A002
) -> Solution:
    """Solve dy/dt = f(t, y) for every sample of a batch, at that sample's own times.

    Each sample takes its own steps: its solution depends neither on the other samples of the
    batch nor on which other times are asked for.

    Parameters
    ----------
    f : callable
        ``f(t, y)`` with t of shape (B,) and y of shape (B, ...) gives dy/dt of the shape of y.
    y0 : Tensor of shape (B, ...)
        State at the first time of each sample; real or complex. A tuple, list or dict of such
        tensors is solved as one state: ``f`` gets it, and returns dy/dt, in the same structure.
    ts : Tensor of shape (T,) or (B, T)
        Times at which to give the state, shared or per sample. Each row rises or falls; times may
        repeat, so that a short row is padded with its last time. Given in float64, steps and
        states are exact for times of any size; ``f`` is given them in the precision of the state.
    args : tuple, default=()
        Further arguments of ``f``. Their tensors have gradients, as has every other tensor that
        ``f`` uses.
    method : str, default="tsit5"
        How to step: "tsit5", "dopri5", "dop853", "bosh3", "heun", "ralston", "midpoint" or
        "euler"; for stiff equations "kvaerno5", "kvaerno3", "trapezoid", "implicit_midpoint" or
        "implicit_euler". All choose their steps by the tolerances, or take steps of ``step_size``.
        "rk4" needs a ``step_size``.
    rtol, atol : float or Tensor, default=1e-4 and 1e-6
        The error of a step is kept below ``atol + rtol * abs(y)``, root-mean-square over the
        entries of one sample. A tensor of shape (B,) is for each sample, one that broadcasts with
        ``y0`` for each entry.
    adjoint : {"auto", "direct", "replay", "backsolve", "none"}, default="auto"
        How gradients are computed. "direct" differentiates the steps taken: exact for the numbers
        returned, with memory for all that ``f`` computes in every step. "replay" gives the same
        numbers, but keeps only the states between the steps and takes each step again. "auto" is
        "direct" while that takes less than a gigabyte, and "replay" otherwise. "backsolve" solves
        the adjoint equation of Chen et al. (2018) backward in time: its memory does not grow with
        the steps, it costs a solve per time asked for, and it is accurate to the tolerances only,
        less so where the equation is unstable backward in time. All of these give the gradient for
        ``y0``, for every entry of ``ts`` and for every tensor that ``f`` uses. "none" gives none.
    t0 : float or Tensor of shape (B,), optional
        Time of ``y0``, if that is not the first of ``ts``.
    step_size : float or Tensor of shape (B,), optional
        Size of every step, in units of time; overrides the tolerances.
    first_step : float or Tensor of shape (B,), optional
        Size of the first step to try, instead of a guess that costs one evaluation.
    min_step, max_step : float, default=0 and infinity
        Where the tolerances choose, no step is shorter or longer. A step of ``min_step`` that is
        not accurate enough is a failure.
    max_steps : int, default=10_000
        Steps of one sample after which to give up.
    step_ts, jump_ts : Tensor of shape (J,) or (B, J), optional
        Times at which a step ends: because something happens there that the steps would miss, or
        because ``f`` jumps there; then it is evaluated on either side, but never at the jump. Not
        with "backsolve".
    events : sequence of Event, default=()
        What to look out for on the way: the times at which a function of time and state is zero.
        A sample may stop at one. The times found have gradients.
    control : {"per_sample", "joint"}, default="per_sample"
        Whether each sample has its own steps, or all share the size of theirs, by the error of the
        whole batch, root-mean-square. "joint" may take fewer rounds of steps for samples that are
        much alike; a sample's answer then depends on the others.
    clip_end : bool, default=False
        End the last step exactly at the last time, so that ``f`` is never evaluated past it. By
        default the last step may pass it, and the state is read off within the step.
    dense : bool, default=False
        Keep the steps, and give back the solution as a function of time; with "direct" only.
    on_failure : {"raise", "mask"}, default="raise"
        Raise a `SolverError` for the first sample that cannot be solved, or give it NaN after the
        time it had reached, and go on with the others.
    checkpoint_every : int, default=1
        With "replay", keep the state of every so many rounds of steps only, and take those between
        once more to have them back.
    compile : bool, default=False
        Compile a round of steps of an explicit method, ``f`` within it, to one graph. The first
        call for a field and a shape takes seconds; later ones a fraction of the time for a small
        field. ``f`` must be compilable by ``torch.compile(fullgraph=True)``.

    Returns
    -------
    Solution
        ``ys`` of shape (B, T, ...), ``stats``, ``dense``, ``failures`` and ``events``.

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be used; the message says which, and why.
    SolverError
        If a sample cannot be solved; the message says which, when, and what to try.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations.

    Examples
    --------
    >>> import torch
    >>> y0 = torch.tensor([[1.0], [2.0]])
    >>> ts = torch.tensor([[0.0, 0.5, 1.0], [0.0, 0.1, 3.0]])
    >>> solution = odeint(lambda t, y: -y, y0, ts)
    >>> solution.ys[..., 0]
    tensor([[1.0000, 0.6065, 0.3679],
            [2.0000, 1.8097, 0.0996]])
    >>> solution.stats.n_f_evals
    tensor([26, 50])
    """
    if not callable(f):
        raise TypeError(f"f must be callable as f(t, y), not {type(f).__name__}.")
    check_args(args)
    is_transformed()  # vmap would fail below, and not say why
    layout = layout_of(y0)
    check_state(y0)
    rows = layout.packed(y0).contiguous()
    ts = times_of(ts, rows)
    n_skipped = 0
    if t0 is not None:
        ts, n_skipped = times_of(with_start(ts, t0), rows), 1
    check_choices(method, adjoint, has_step_size=step_size is not None, dense=dense)
    if compile and METHODS[method].is_implicit:
        raise ValueError(f"compile=True is for explicit methods, not for method={method}.")
    check_choice("control", control, ("per_sample", "joint"))
    check_choice("on_failure", on_failure, ("raise", "mask"))
    check_whole("max_steps", max_steps)
    check_whole("checkpoint_every", checkpoint_every)
    check_step_range(min_step, max_step)

    # Steps are summed up in float64 where there is one: a state may be coarse, its time is not.
    exact = ts.to(torch.float32 if rows.device.type == "mps" else torch.float64)
    sign = torch.where(exact[:, -1] < exact[:, 0], -1.0, 1.0).to(exact).detach()
    stops, jumps = stops_and_jumps(step_ts, jump_ts, exact, adjoint)
    options = Options(
        tolerance=tolerance_of(rtol, atol, layout, rows),
        step_size=step_sizes("step_size", step_size, sign),
        first_step=step_sizes("first_step", first_step, sign),
        min_step=float(min_step),
        max_step=float(max_step),
        max_steps=int(max_steps),
        clip_end=clip_end,
        joint=control == "joint",
        forgiving=on_failure == "mask",
        has_jumps=bool(jumps.any()),
        compiled=compile,
    )
    runs_back = bool((sign < 0).any())

    def task_for(begin: Begin) -> Task:
        clock = Clock(begin.ts[:, 0], begin.sign, real_dtype(rows.dtype), runs_back)
        if options.has_jumps:
            clock = with_jumps(clock, begin.ts, stops, jumps)
        field = flattened_field(f, layout, begin.args, rows.dtype)
        on_the_way = (stops, jumps) if len(jumps) else (None, None)
        return Task(field, METHODS[method], clock, options, *on_the_way)

    evals_backward = torch.zeros_like(sign, dtype=torch.long)
    how: dict[str, Any] = {
        "keep_steps": dense,
        "evals_backward": evals_backward,
        "checkpoint_every": int(checkpoint_every),
    }

    def solved(begin: Begin) -> tuple[Answer, tuple[Occurrences, ...]]:
        task = task_for(begin)
        if not events:
            return solve_with_adjoint(adjoint, task, begin.y0, begin.ts, **how), ()
        flat_events = flattened_events(events, layout, task.clock.dtype)
        return solve_with_events(adjoint, task, begin.y0, begin.ts, flat_events, **how)

    begin, stillborn = Begin(rows, exact, sign, tuple(args)), dict[int, SolverError]()
    try:
        answer, occurrences = solved(begin)
    except SolverError:
        if not options.forgiving:
            raise
        # A solve that forgives fails at its start alone, which is so rare that it is looked into
        # afterwards.
        begin, stillborn, n_evals = living(begin, task_for)
        answer, occurrences = solved(begin)
        evals = answer.counts.evals + 1 + n_evals  # one before it failed
        answer = answer._replace(counts=answer.counts._replace(evals=evals))
    answer.failures.update(stillborn)
    task = task_for(begin)
    ys = masked(answer, begin.ts, task, stillborn)[:, n_skipped:]
    return Solution(
        layout.unpacked(ys),
        _stats(answer, evals_backward),
        reader_of(answer.track, task.clock, begin.y0, layout, list(stillborn)) if dense else None,
        answer.failures,
        tuple(of_living(found, stillborn, layout) for found in occurrences),
    )


def _stats(answer: Answer, evals_backward: Tensor) -> Stats:
    counts = answer.counts
    rejected = counts.tried - counts.accepted
    return Stats(counts.tried, counts.accepted, rejected, counts.evals, evals_backward)
