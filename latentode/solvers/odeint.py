"""The one public solve function: check, choose, solve, report."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from latentode.solvers.adjoint import ADJOINTS, is_transformed, solve_with_adjoint
from latentode.solvers.control import Tolerance
from latentode.solvers.dense import Track
from latentode.solvers.events import Event, Occurrences, flattened_events, solve_with_events
from latentode.solvers.explicit import Field
from latentode.solvers.fields import analytic
from latentode.solvers.loop import Clock, Options, failure, start_time
from latentode.solvers.methods import METHODS
from latentode.solvers.solution import DenseSolution, Solution, SolverError, Stats
from latentode.solvers.solve import Answer, Task, problem_for
from latentode.solvers.state import Layout, State, layout_of, spread, tensors_of

VectorField = Callable[..., Any]


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
    is_transformed()  # vmap would fail below, and not say why
    layout = layout_of(y0)
    _check_state(y0)
    rows = layout.packed(y0).contiguous()
    ts = _check_times(ts, rows)
    n_skipped = 0
    if t0 is not None:
        ts, n_skipped = _check_times(_with_start(ts, t0), rows), 1
    _check_choices(method, adjoint, has_step_size=step_size is not None, dense=dense)
    if compile and METHODS[method].is_implicit:
        raise ValueError(f"compile=True is for explicit methods, not for method={method}.")
    _check_choice("control", control, ("per_sample", "joint"))
    _check_choice("on_failure", on_failure, ("raise", "mask"))
    _check_whole("max_steps", max_steps)
    _check_whole("checkpoint_every", checkpoint_every)
    _check_step_range(min_step, max_step)

    # Steps are summed up in float64 where there is one: a state may be coarse, its time is not.
    exact = ts.to(torch.float32 if rows.device.type == "mps" else torch.float64)
    sign = torch.where(exact[:, -1] < exact[:, 0], -1.0, 1.0).to(exact).detach()
    stops, jumps = _stops(step_ts, jump_ts, exact)
    options = Options(
        tolerance=_tolerance(rtol, atol, layout, rows),
        step_size=_step_sizes("step_size", step_size, sign),
        first_step=_step_sizes("first_step", first_step, sign),
        min_step=float(min_step),
        max_step=float(max_step),
        max_steps=max_steps,
        clip_end=clip_end,
        joint=control == "joint",
        forgiving=on_failure == "mask",
        has_jumps=jumps is not None and bool(jumps.any()),
        compiled=compile,
    )
    if stops is not None and adjoint == "backsolve":
        raise ValueError("step_ts and jump_ts are not for adjoint=backsolve: use adjoint=direct.")
    runs_back = bool((sign < 0).any())
    field = _flattened(f, layout, args, rows.dtype)
    stillborn: dict[int, SolverError] = {}
    if options.forgiving:
        clock = Clock(exact[:, 0].detach(), sign, _real(rows.dtype), runs_back)
        with torch.no_grad():
            k = field(start_time(clock, options), rows)
        rows, exact, sign, stillborn = _replaced_starts(k, rows, exact, sign, method)
    clock = Clock(exact[:, 0], sign, _real(rows.dtype), runs_back)
    task = Task(field, METHODS[method], clock, options, stops, jumps)
    evals_backward = torch.zeros_like(sign, dtype=torch.long)
    how: dict[str, Any] = {"evals_backward": evals_backward, "checkpoint_every": checkpoint_every}
    occurrences: tuple[Occurrences, ...] = ()
    if events:
        flat_events = flattened_events(events, layout, clock.dtype)
        answer, occurrences = solve_with_events(
            adjoint, task, rows, exact, flat_events, keep_steps=dense, **how
        )
    else:
        answer = solve_with_adjoint(adjoint, task, rows, exact, keep_steps=dense, **how)
    answer.failures.update(stillborn)
    ys = _masked(answer, exact, task, stillborn)[:, n_skipped:]
    return Solution(
        layout.unpacked(ys),
        _stats(answer, evals_backward),
        _reader(answer.track, clock, rows, layout, list(stillborn)) if dense else None,
        answer.failures,
        tuple(_of_living(found, stillborn, layout) for found in occurrences),
    )


def _flattened(f: VectorField, layout: Layout, args: tuple[Any, ...], dtype: torch.dtype) -> Field:
    """Give f as a field of states (B, D), and check what it returns."""

    def flat(t: Tensor, y: Tensor) -> Tensor:
        k = f(t, y, *args)
        if type(k) is Tensor and k.shape == y.shape and k.dtype == dtype:
            return k
        layout.check(k, dtype)
        if len(k) != len(y):
            raise _other_batch(k, y)
        return k.to(dtype)

    def flattening(t: Tensor, y: Tensor) -> Tensor:
        k = f(t, layout.unpacked(y), *args)
        layout.check(k, dtype)
        for part in tensors_of(k):
            if len(part) != len(y):
                raise _other_batch(part, y)
        return layout.packed(k).to(dtype)

    if not layout.is_row:
        flattening.given = f  # type: ignore[attr-defined]
        return flattening
    flat.given = f  # type: ignore[attr-defined]
    if not args:
        flat.analytic = analytic(f)  # type: ignore[attr-defined]
    return flat


def _replaced_starts(
    k0: Tensor, y0: Tensor, ts: Tensor, sign: Tensor, name: str
) -> tuple[Tensor, Tensor, Tensor, dict[int, SolverError]]:
    """Put another sample's start where the field is not finite, and say which samples failed so.

    Nothing that is not finite may enter a graph, even masked: its gradient is not zero.
    """
    bad = ~k0.isfinite().all(dim=1)
    if not bool(bad.any()):
        return y0, ts, sign, {}
    errors = {
        i: SolverError(
            f"{name} cannot solve sample {i} of {len(y0)} past t={float(ts[i, 0]):.6g}: the "
            "vector field is not finite at the start. Check it there.",
            sample=i,
            t=float(ts[i, 0]),
        )
        for i in bad.nonzero()[:, 0].tolist()
    }
    if bool(bad.all()):
        raise errors[0]
    mate = int((~bad).nonzero()[0])
    mates = torch.arange(len(bad), device=bad.device).masked_fill(bad, mate)
    return y0[mates], ts[mates], sign[mates], errors


def _of_living(
    found: Occurrences, stillborn: dict[int, SolverError], layout: Layout
) -> Occurrences:
    """Leave out what was found for the stand-ins of samples that could not start."""
    n, ts, ys = found
    if stillborn:
        dead = torch.zeros_like(n, dtype=torch.bool)
        dead[list(stillborn)] = True
        n = n.masked_fill(dead, 0)
        ts = ts.masked_fill(dead[:, None], torch.nan)
        ys = ys.masked_fill(dead[:, None, None], torch.nan)
    return Occurrences(n, ts, layout.unpacked(ys))


def _other_batch(k: Tensor, y: Tensor) -> ValueError:
    return ValueError(
        f"f must return dy/dt for each of the {len(y)} samples of y, but it returned shape "
        f"{tuple(k.shape)}."
    )


def _stats(answer: Answer, evals_backward: Tensor) -> Stats:
    counts = answer.counts
    rejected = counts.tried - counts.accepted
    return Stats(counts.tried, counts.accepted, rejected, counts.evals, evals_backward)


def _real(dtype: torch.dtype) -> torch.dtype:
    return torch.empty((), dtype=dtype).abs().dtype


def _reader(
    track: Track, clock: Clock, y0: Tensor, layout: Layout, stillborn: list[int]
) -> DenseSolution:
    def read(ts: Tensor) -> State:
        if not isinstance(ts, Tensor):
            raise TypeError(f"times must be a Tensor, not {type(ts).__name__}.")
        s = clock.since_start(_check_shape(ts, len(y0)))
        reached = track.reached() if track.pieces else torch.zeros_like(s[:, 0])
        outside = ~((s >= 0) & (s <= reached[:, None]))
        if bool(outside.any()):
            i, j = outside.nonzero()[0].tolist()
            raise ValueError(
                f"time {clock.time(s[:, j]).detach()[i]:.6g} of sample {i} lies outside of what "
                f"was solved, {clock.t0.detach()[i]:.6g} to {clock.time(reached).detach()[i]:.6g}."
            )
        ys = track.read(s) if track.pieces else y0[:, None].expand(*s.shape, -1)
        if stillborn:
            dead = torch.zeros(len(ys), dtype=torch.bool, device=ys.device)
            dead[stillborn] = True
            ys = ys.masked_fill(dead[:, None, None], torch.nan)
        return layout.unpacked(ys)

    return read


def _check_state(y0: State) -> None:
    first, *others = tensors_of(y0)
    for other in others:
        if (other.dtype, other.device, len(other)) != (first.dtype, first.device, len(first)):
            raise ValueError(
                "the parts of y0 must have the same batch size, dtype and device, but they have "
                f"{len(first)}, {first.dtype}, {first.device} and {len(other)}, {other.dtype}, "
                f"{other.device}."
            )
    for part in (first, *others):
        finite = part.detach().isfinite()
        bad = ~(finite.flatten(1).all(dim=1) if finite.dim() > 1 else finite)
        if bool(bad.any()):
            raise ValueError(f"y0 is not finite in sample {int(bad.nonzero()[0])}.")


def _with_start(ts: Tensor, t0: float | Tensor) -> Tensor:
    start = torch.as_tensor(t0, device=ts.device)
    if start.shape not in ((), ts.shape[:1]):
        raise ValueError(
            f"t0 must be a number or have shape (B,) with B={len(ts)}, not {tuple(start.shape)}."
        )
    # A number takes the dtype of the times, if that can hold it.
    exact = start.dim() or (start.is_floating_point() and not ts.is_floating_point())
    dtype = torch.promote_types(ts.dtype, start.dtype) if exact else ts.dtype
    return torch.cat([start.to(dtype).expand(len(ts))[:, None], ts.to(dtype)], dim=1)


def _stops(
    step_ts: Tensor | None, jump_ts: Tensor | None, exact: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Give where steps end as times (B, J), and at which of them (J,) the field jumps."""
    stops, jumps = [], []
    for name, given in (("step_ts", step_ts), ("jump_ts", jump_ts)):
        if given is None:
            continue
        times = _check_shape(torch.as_tensor(given, device=exact.device), len(exact), name)
        if not times.shape[1]:
            continue
        if not bool(times.isfinite().all()):
            raise ValueError(f"{name} must be finite.")
        stops.append(times.to(exact.dtype).detach())
        jumps.append(torch.full((times.shape[1],), name == "jump_ts", device=exact.device))
    if not stops:
        return None, None
    return torch.cat(stops, dim=1), torch.cat(jumps)


def _check_times(ts: Tensor, y0: Tensor) -> Tensor:
    """Give the times as (B, T)."""
    if not isinstance(ts, Tensor) or ts.is_complex() or ts.dtype == torch.bool:
        raise TypeError("ts must be a Tensor of real times.")
    ts = _check_shape(ts, len(y0))
    if ts.shape[1] == 0:
        raise ValueError("ts is empty: give at least the time of y0.")
    given = ts.detach()
    if not given.is_floating_point() and given.numel() and int(given.abs().max()) > 2**53:
        raise ValueError(
            "ts holds whole numbers above 2**53, which float64 cannot tell apart: subtract the "
            "first time, or count in a coarser unit."
        )
    given = given.double() if given.device.type != "mps" else given.float()
    bad = ~given.isfinite()
    if bool(bad.any()):
        i, j = bad.nonzero()[0].tolist()
        raise ValueError(f"ts[{i}, {j}] is {given[i, j]:g}: times must be finite.")
    steps = given.diff(dim=1)
    turns = (steps > 0).any(dim=1) & (steps < 0).any(dim=1)
    if bool(turns.any()):
        i = int(turns.nonzero()[0])
        first = steps[i][steps[i] != 0][0]
        j = int((steps[i] * first < 0).nonzero()[0])
        raise ValueError(
            f"times must rise or fall along a row, but ts[{i}, {j}]={given[i, j]:.6g} is "
            f"followed by ts[{i}, {j + 1}]={given[i, j + 1]:.6g}: sort them."
        )
    return ts


def _check_shape(ts: Tensor, n_samples: int, name: str = "times") -> Tensor:
    if ts.dim() not in (1, 2) or (ts.dim() == 2 and len(ts) != n_samples):
        raise ValueError(
            f"{name} must have shape (T,) or (B, T) with B={n_samples} as in y0, not "
            f"{tuple(ts.shape)}."
        )
    return ts.expand(n_samples, -1)


def _check_choices(method: str, adjoint: str, *, has_step_size: bool, dense: bool) -> None:
    _check_choice("method", method, tuple(METHODS))
    _check_choice("adjoint", adjoint, ADJOINTS)
    if METHODS[method].error is None and not has_step_size:
        raise ValueError(f"method={method} takes steps of one size: give step_size.")
    if METHODS[method].is_implicit and adjoint == "backsolve":
        raise ValueError(f"method={method} is implicit: use adjoint=direct or adjoint=replay.")
    if dense and adjoint in ("replay", "backsolve"):
        raise ValueError(f"adjoint={adjoint} keeps no graph: use adjoint=direct with dense=True.")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value} is not known: choose one of {', '.join(choices)}.")


def _check_whole(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value} must be a whole number of at least 1.")


def _check_step_range(min_step: float, max_step: float) -> None:
    if not 0 <= min_step < math.inf:
        raise ValueError(f"min_step={min_step} must be a number of at least 0.")
    if not max_step > 0 or max_step < min_step:
        raise ValueError(f"max_step={max_step} must be positive, and at least min_step.")


def _tolerance(
    rtol: float | Tensor, atol: float | Tensor, layout: Layout, rows: Tensor
) -> Tolerance:
    like = torch.empty((), dtype=_real(rows.dtype), device=rows.device)
    values = []
    for name, given in (("rtol", rtol), ("atol", atol)):
        value = spread(given, layout, len(rows), like, name)
        least, most = (value, value) if isinstance(value, float) else _range(value)
        if not 0 <= least <= most < math.inf:
            raise ValueError(f"{name}={given} must be a number of at least 0.")
        values.append(value)
    if not bool((torch.as_tensor(values[0]) + torch.as_tensor(values[1]) > 0).all()):
        raise ValueError("rtol and atol are both 0: no step is without error. Give one of them.")
    # Without atol, a state of zero would tolerate an error of zero.
    smallest = torch.finfo(like.dtype).tiny
    atol = values[1]
    atol = max(atol, smallest) if isinstance(atol, float) else atol.clamp(min=smallest)
    return Tolerance(values[0], atol)


def _range(x: Tensor) -> tuple[float, float]:
    if not x.numel():
        return 0.0, 0.0
    if bool(x.isnan().any()):
        return math.nan, math.nan
    return float(x.min()), float(x.max())


def _step_sizes(name: str, size: float | Tensor | None, like: Tensor) -> Tensor | None:
    if size is None:
        return None
    sizes = torch.as_tensor(size, dtype=like.dtype, device=like.device).detach()
    if sizes.shape not in ((), like.shape):
        raise ValueError(
            f"{name} must be a number or have shape (B,) with B={len(like)}, not "
            f"{tuple(sizes.shape)}."
        )
    sizes = sizes.expand_as(like)
    if not bool(((sizes > 0) & sizes.isfinite()).all()):
        raise ValueError(f"{name} must be positive, also where time runs backward.")
    return sizes


def _masked(
    answer: Answer, exact: Tensor, task: Task, stillborn: dict[int, SolverError]
) -> Tensor:
    """Give the states, those of samples that failed NaN after the time they had reached.

    Numbers of a solve that failed are never returned, also not those of steps of one size, which
    go wrong without a sign.
    """
    ys, s = answer.ys, task.clock.since_start(exact).detach()
    if answer.failures:
        failed = torch.zeros(len(ys), dtype=torch.bool, device=ys.device)
        failed[list(answer.failures)] = True
        late = failed[:, None] & (s > answer.end.s[:, None])
        late[list(stillborn)] = True
        ys = ys.masked_fill(late[..., None], torch.nan)
    bad = ~ys.detach().isfinite().all(dim=2)
    bad[list(answer.failures)] = False
    if not bool(bad.any()):
        return ys
    for sample in bad.any(dim=1).nonzero()[:, 0].tolist():
        error = _not_finite(sample, s[:, int(bad[sample].nonzero()[0])], task, ys)
        if not task.options.forgiving:
            raise error
        answer.failures[sample] = error
    return ys.masked_fill(bad[..., None], torch.nan)


def _not_finite(sample: int, s: Tensor, task: Task, ys: Tensor) -> SolverError:
    return failure(
        "the state is not finite there. Take a shorter step_size, or a method with tolerances",
        s=s,
        sample=sample,
        problem=problem_for(task, ys[:, 0]),
    )
