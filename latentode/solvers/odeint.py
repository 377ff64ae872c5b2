"""The one public solve function: check, choose, solve, report."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from latentode.solvers.adjoint import ADJOINTS, solve_with_adjoint
from latentode.solvers.control import Tolerance
from latentode.solvers.dense import Track
from latentode.solvers.explicit import Field
from latentode.solvers.loop import Clock, Options, failure
from latentode.solvers.solution import DenseSolution, Solution, Stats
from latentode.solvers.solve import Task, problem_for
from latentode.solvers.tableau import METHODS

VectorField = Callable[[Tensor, Tensor], Tensor]


def odeint(
    f: VectorField,
    y0: Tensor,
    ts: Tensor,
    *,
    method: str = "tsit5",
    rtol: float = 1e-4,
    atol: float = 1e-6,
    adjoint: str = "auto",
    step_size: float | Tensor | None = None,
    first_step: float | Tensor | None = None,
    max_steps: int = 10_000,
    clip_end: bool = False,
    dense: bool = False,
) -> Solution:
    """Solve dy/dt = f(t, y) for every sample of a batch, at that sample's own times.

    Each sample takes its own steps: its solution depends neither on the other samples of the
    batch nor on which other times are asked for.

    Parameters
    ----------
    f : callable
        ``f(t, y)`` with t of shape (B,) and y of shape (B, ...) gives dy/dt of the shape of y.
    y0 : Tensor of shape (B, ...)
        State at the first time of each sample; real or complex.
    ts : Tensor of shape (T,) or (B, T)
        Times at which to give the state, shared or per sample. Each row rises or falls; times may
        repeat, so that a short row is padded with its last time. Given in float64, steps and
        states are exact for times of any size; ``f`` is given them in the precision of the state.
    method : str, default="tsit5"
        Runge-Kutta method: "tsit5", "dopri5", "bosh3", "heun" or "ralston", which choose their
        steps by the tolerances, or "rk4", "midpoint" or "euler", which need a ``step_size``. For
        stiff equations "kvaerno5" or "kvaerno3", which choose their steps, or "implicit_euler",
        "implicit_midpoint" or "trapezoid".
    rtol, atol : float, default=1e-4 and 1e-6
        The error of a step is kept below ``atol + rtol * abs(y)``, root-mean-square over the
        entries of one sample.
    adjoint : {"direct", "replay", "backsolve"}, default="direct"
        How gradients are computed. "direct" differentiates the steps taken: exact for the numbers
        returned, with memory for all that ``f`` computes in every step. "replay" gives the same
        numbers, but keeps only the states between the steps and takes each step again. "backsolve"
        solves the adjoint equation of Chen et al. (2018) backward in time: its memory does not
        grow with the steps, it costs a solve per time asked for, and it is accurate to the
        tolerances only, less so where the equation is unstable backward in time. All give the
        gradient for ``y0``, for every entry of ``ts`` and for every tensor that ``f`` uses.
    step_size : float or Tensor of shape (B,), optional
        Size of every step, in units of time; overrides the tolerances.
    first_step : float or Tensor of shape (B,), optional
        Size of the first step to try, instead of a guess that costs one evaluation.
    max_steps : int, default=10_000
        Steps of one sample after which to give up.
    clip_end : bool, default=False
        End the last step exactly at the last time, so that ``f`` is never evaluated past it. By
        default the last step may pass it, and the state is read off within the step.
    dense : bool, default=False
        Keep the steps, and give back the solution as a function of time; with "direct" only.

    Returns
    -------
    Solution
        ``ys`` of shape (B, T, ...) with ``ys[:, 0] == y0``, ``stats``, and ``dense``.

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
    _check_state(y0)
    ts = _check_times(ts, y0)
    _check_choices(method, adjoint, has_step_size=step_size is not None, dense=dense)
    _check_tolerances(rtol=rtol, atol=atol)
    if not isinstance(max_steps, int) or max_steps < 1:
        raise ValueError(f"max_steps={max_steps} must be a whole number of at least 1.")

    # Steps are summed up in float64 where there is one: a state may be coarse, its time is not.
    time_dtype = torch.float32 if y0.device.type == "mps" else torch.float64
    exact = ts.to(time_dtype)
    sign = torch.where(exact[:, -1] < exact[:, 0], -1.0, 1.0).to(exact)
    options = Options(
        tolerance=Tolerance(rtol, max(atol, torch.finfo(_real_dtype(y0)).tiny)),
        step_size=_step_sizes("step_size", step_size, sign),
        first_step=_step_sizes("first_step", first_step, sign),
        min_step=0.0,
        max_step=math.inf,
        max_steps=max_steps,
        clip_end=clip_end,
        joint=False,
        forgiving=False,
    )
    clock = Clock(exact[:, 0], sign.detach(), _real_dtype(y0), bool((sign < 0).any()))
    task = Task(_flattened(f, y0), METHODS[method], clock, options)
    evals_backward = torch.zeros_like(sign, dtype=torch.long)
    flat = y0.reshape(len(y0), math.prod(y0.shape[1:])).contiguous()
    answer = solve_with_adjoint(
        adjoint, task, flat, exact, keep_steps=dense, evals_backward=evals_backward
    )
    ys, counts, track = answer.ys, answer.counts, answer.track
    _check_solution(ys, exact, task)
    return Solution(
        ys.reshape(*ts.shape, *y0.shape[1:]),
        Stats(
            counts.tried,
            counts.accepted,
            counts.tried - counts.accepted,
            counts.evals,
            evals_backward,
        ),
        _reader(track, task.clock, flat, y0.shape[1:]) if dense else None,
    )


def _flattened(f: VectorField, y0: Tensor) -> Field:
    """Give f as a field of states (B, D), and check what it returns."""
    shape, dtype = y0.shape, y0.dtype

    def flat(t: Tensor, y: Tensor) -> Tensor:
        k = f(t, y)
        if type(k) is Tensor and k.shape == shape and k.dtype == dtype:
            return k
        _check_returned(k, shape, dtype)
        return k.to(dtype)

    def flattening(t: Tensor, y: Tensor) -> Tensor:
        return flat(t, y.view(shape)).reshape(y.shape)

    return flat if y0.dim() == 2 else flattening


def _check_returned(k: object, shape: torch.Size, dtype: torch.dtype) -> None:
    if not isinstance(k, Tensor):
        raise TypeError(f"f must return a Tensor, but it returned {type(k).__name__}.")
    if k.shape != shape:
        raise ValueError(
            f"f must return dy/dt of the shape of y, {tuple(shape)}, but it returned "
            f"{tuple(k.shape)}."
        )
    if k.is_complex() and not dtype.is_complex:
        raise ValueError("f returned complex numbers for a real state: make y0 complex.")


def _real_dtype(y: Tensor) -> torch.dtype:
    return y.abs().dtype


def _reader(track: Track, clock: Clock, y0: Tensor, shape: torch.Size) -> DenseSolution:
    def read(ts: Tensor) -> Tensor:
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
        return ys.reshape(*s.shape, *shape)

    return read


def _check_state(y0: Tensor) -> None:
    if not isinstance(y0, Tensor):
        raise TypeError(f"y0 must be a Tensor of shape (B, ...), not {type(y0).__name__}.")
    if not (y0.is_floating_point() or y0.is_complex()):
        raise ValueError(f"y0 must hold real or complex numbers, not {y0.dtype}: y0.double().")
    if y0.dim() < 1:
        raise ValueError("y0 must have a batch axis first, shape (B, ...): y0[None].")
    bad = (~y0.detach().flatten(1).isfinite().all(dim=1)) if y0.dim() > 1 else ~y0.isfinite()
    if bool(bad.any()):
        raise ValueError(f"y0 is not finite in sample {int(bad.nonzero()[0])}.")


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


def _check_shape(ts: Tensor, n_samples: int) -> Tensor:
    if ts.dim() not in (1, 2) or (ts.dim() == 2 and len(ts) != n_samples):
        raise ValueError(
            f"times must have shape (T,) or (B, T) with B={n_samples} as in y0, not "
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


def _check_tolerances(*, rtol: float, atol: float) -> None:
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not isinstance(value, int | float):
            raise TypeError(f"{name} must be a number, not {type(value).__name__}.")
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}={value} must be a number of at least 0.")
    if rtol == atol == 0:
        raise ValueError("rtol and atol are both 0: no step is without error. Give one of them.")


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


def _check_solution(ys: Tensor, exact: Tensor, task: Task) -> None:
    """Never return numbers from a solve that failed, as steps of one size can without a sign."""
    bad = ~ys.detach().isfinite().all(dim=2)
    if not bool(bad.any()):
        return
    sample, j = bad.nonzero()[0].tolist()
    raise failure(
        "the state is not finite there. Take a shorter step_size, or a method with tolerances",
        s=task.clock.since_start(exact)[:, j],
        sample=sample,
        problem=problem_for(task, ys[:, 0]),
    )
