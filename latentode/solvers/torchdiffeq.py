"""The interface of torchdiffeq: programs written for it run after a change of their imports.

A state there is one system, of any shape, with one step size for all of it. Here that is a batch
of one, so every result is that of `latentode.solvers.odeint` for one sample.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentode.solvers.checks import check_choice
from latentode.solvers.events import Event
from latentode.solvers.methods import METHODS
from latentode.solvers.odeint import odeint as solve_batch
from latentode.solvers.solution import Solution, SolverError

__all__ = ["odeint", "odeint_adjoint", "odeint_event"]

# A Tensor of any shape, or a tuple of them.
OneState = Any
Function = Callable[[Tensor, OneState], Any]
# A number, a Tensor, or one of these for each part of a tuple.
OneTolerance = Any

# In torchdiffeq, these step on a given grid of times; all others choose their steps.
_ON_GRID = {
    "euler": "euler",
    "midpoint": "midpoint",
    "heun2": "heun",
    "rk4": "rk4",
    "implicit_euler": "implicit_euler",
    "implicit_midpoint": "implicit_midpoint",
    "trapezoid": "trapezoid",
}
_ADAPTIVE = {name: name for name in METHODS if name not in _ON_GRID} | {
    "adaptive_heun": "heun",
    "dopri8": "dop853",
}
_ABSENT = {
    "fehlberg2": "adaptive_heun, of the same order, or bosh3",
    "heun3": "bosh3, of the same order, or rk4 on the same grid",
    "explicit_adams": "rk4, or dopri5 with max_step",
    "implicit_adams": "dopri5, or kvaerno5 for a stiff equation",
    "fixed_adams": "dopri5, or kvaerno5 for a stiff equation",
    "scipy_solver": "dopri5 or dopri8, or kvaerno5 for a stiff equation",
    "gl4": "implicit_midpoint, or kvaerno5",
    "gl6": "implicit_midpoint, or kvaerno5",
    "radauIIA3": "kvaerno3",
    "radauIIA5": "kvaerno5",
    "sdirk2": "trapezoid, or kvaerno3",
    "trbdf2": "trapezoid, or kvaerno3",
}

_ADAPTIVE_OPTIONS = (
    "first_step",
    "min_step",
    "max_step",
    "max_num_steps",
    "step_t",
    "jump_t",
    "dtype",
)
_GRID_OPTIONS = ("step_size", "grid_constructor", "interp", "perturb", "max_num_steps")
# Options that are arguments of the solve, by our names: theirs, and how to read the value.
_PASSED_ON: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "first_step": ("first_step", float),
    "min_step": ("min_step", float),
    "max_step": ("max_step", float),
    "max_steps": ("max_num_steps", int),
    "step_ts": ("step_t", torch.as_tensor),
    "jump_ts": ("jump_t", torch.as_tensor),
}
_ABSENT_OPTIONS = {
    "norm": "The error is its root mean square: weigh it by rtol and atol of the shape of y0.",
    "safety": "The step size is chosen by a controller of its own: leave it out.",
    "ifactor": "The step size is chosen by a controller of its own: leave it out.",
    "dfactor": "The step size is chosen by a controller of its own: leave it out.",
}
_CALLBACKS = ("callback_step", "callback_accept_step", "callback_reject_step")

# torchdiffeq has no limit that anyone meets, but for the steps of one size on the way to an event.
_MAX_STEPS = 2**31 - 1
_MAX_STEPS_TO_EVENT = 20_000
# An end that no solve reaches. Steps do not depend on it.
_FAR = 1e30


def odeint(
    func: Function,
    y0: OneState,
    t: Tensor,
    *,
    rtol: OneTolerance = 1e-7,
    atol: OneTolerance = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
    event_fn: Function | None = None,
) -> OneState:
    """Solve dy/dt = func(t, y) as one system, as torchdiffeq's function of this name.

    Gradients, for ``y0``, ``t`` and every tensor that ``func`` uses, are those of the steps taken.

    Parameters
    ----------
    func : callable
        ``func(t, y)``, with t of shape () and y of the shapes of ``y0``, gives dy/dt.
    y0 : Tensor of any shape, or tuple of Tensors
        State at the first time.
    t : Tensor of shape (T,)
        Times that rise or fall, in float32 or float64.
    rtol, atol : float, Tensor or tuple, default=1e-7 and 1e-9
        The error of a step is kept below ``atol + rtol * abs(y)``, root-mean-square over all
        entries. For a tuple of states there may be a tuple of tolerances.
    method : str, optional
        "dopri5", the default, "dopri8", "bosh3", "adaptive_heun", "tsit5", or any other adaptive
        method of `latentode.solvers.odeint`; or, with steps from each time to the next, "euler",
        "midpoint", "heun2", "rk4", "implicit_euler", "implicit_midpoint" or "trapezoid".
    options : dict, optional
        Of adaptive methods: "first_step", "min_step", "max_step", "max_num_steps", "step_t",
        "jump_t" and "dtype", which does nothing: times are always counted in float64. Of the
        others: "step_size", "grid_constructor", "interp" and "perturb".
    event_fn : callable, optional
        ``event_fn(t, y)`` gives real numbers of any shape. The solve ends where one of them
        becomes zero, however late; of ``t``, which has two times, only the first and the
        direction count then.

    Returns
    -------
    Tensor of shape (T, ...), or tuple of them
        The state at each time. With ``event_fn``, the time of the event, and the states at the
        start and there.

    Raises
    ------
    ValueError, TypeError
        If an argument or an option cannot be used; the message says what to do.
    SolverError
        If the system cannot be solved, or there is no event within "max_num_steps", or 20,000.

    Examples
    --------
    >>> import torch
    >>> t = torch.linspace(0, 1, 3)
    >>> odeint(lambda t, y: -y, torch.ones(2), t)
    tensor([[1.0000, 1.0000],
            [0.6065, 0.6065],
            [0.3679, 0.3679]])
    >>> odeint(lambda t, y: -y, torch.ones(2), t, method="euler")
    tensor([[1.0000, 1.0000],
            [0.5000, 0.5000],
            [0.2500, 0.2500]])
    """
    return _solved(
        func, y0, t, method, options or {}, event_fn, rtol=rtol, atol=atol, adjoint="auto"
    )


def odeint_adjoint(
    func: Function,
    y0: OneState,
    t: Tensor,
    *,
    rtol: OneTolerance = 1e-7,
    atol: OneTolerance = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
    event_fn: Function | None = None,
    adjoint_rtol: object = None,
    adjoint_atol: object = None,
    adjoint_method: str | None = None,
    adjoint_options: dict[str, Any] | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
) -> OneState:
    """Solve like `odeint`, with less memory for the gradient.

    One state is kept for each step, and the steps are taken again, from the last to the first, in
    the backward pass. The gradient is that of `odeint` to rounding, and no adjoint equation is
    solved: the arguments that say how are accepted, and not needed.

    Parameters
    ----------
    func, y0, t, rtol, atol, method, options, event_fn : as of `odeint`
        What to solve, and how.
    adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options : of any type
        Not needed.
    adjoint_params : iterable of Tensors, optional
        Not needed: every tensor that ``func`` uses has its gradient, be ``func`` a module or not.

    Returns
    -------
    Tensor of shape (T, ...), or tuple of them
        As of `odeint`.

    Raises
    ------
    ValueError, TypeError, SolverError
        As by `odeint`.

    Examples
    --------
    >>> import torch
    >>> rate = torch.tensor(2.0, requires_grad=True)
    >>> t = torch.tensor([0.0, 1.0])
    >>> odeint_adjoint(lambda t, y: -rate * y, torch.ones(1), t)[-1].sum().backward()
    >>> rate.grad
    tensor(-0.1353)
    """
    return _solved(
        func, y0, t, method, options or {}, event_fn, rtol=rtol, atol=atol, adjoint="replay"
    )


# torchdiffeq's signature asks for `**kwargs`.
def odeint_event(
    func: Function,
    y0: OneState,
    t0: Tensor,
    *,
    event_fn: Function,
    reverse_time: bool = False,
    odeint_interface: Callable[..., Any] = odeint,
    **kwargs: Any,  # noqa: ANN401
) -> tuple[Tensor, OneState]:
    """Solve until an event, as torchdiffeq's function of this name.

    Parameters
    ----------
    func, y0 : as of `odeint`
        What to solve.
    t0 : Tensor with one entry
        Time of ``y0``.
    event_fn : callable
        ``event_fn(t, y)`` gives real numbers of any shape, of which one becomes zero at the event.
        A zero at the start is none.
    reverse_time : bool, default=False
        Whether to solve backward in time.
    odeint_interface : callable
        `odeint`, the default, or `odeint_adjoint`, which say how gradients are computed.
    **kwargs
        Further arguments of that function.

    Returns
    -------
    event_t : Tensor of shape ()
        When the event happens, with its gradients.
    solution : Tensor of shape (2, ...), or tuple of them
        The states at the start and at the event.

    Examples
    --------
    >>> import torch
    >>> speed = torch.tensor(2.0, requires_grad=True)
    >>> event_t, _ = odeint_event(
    ...     lambda t, y: speed.expand(1),
    ...     torch.zeros(1),
    ...     torch.tensor(0.0),
    ...     event_fn=lambda t, y: y[0] - 3,
    ... )
    >>> event_t.backward()
    >>> event_t.detach(), speed.grad
    (tensor(1.5000), tensor(-0.7500))
    """
    start = t0.reshape(1)
    later = start.detach() + (-1.0 if reverse_time else 1.0)
    return odeint_interface(func, y0, torch.cat([start, later]), event_fn=event_fn, **kwargs)


class _System(NamedTuple):
    """What to solve, as a batch of one.

    Attributes
    ----------
    func : callable
        The user's field.
    y0 : Tensor or tuple of Tensors
        The user's state.
    t : Tensor of shape (T,)
        Times.
    arguments : dict
        Further arguments of `solve_batch`.
    """

    func: Function
    y0: OneState
    t: Tensor
    arguments: dict[str, Any]

    def solve(self, ts: Tensor, **more: Any) -> Solution:  # noqa: ANN401
        """Solve for the states at ts (T,)."""
        field, start = _batched(self.func, self.y0), _each(_with_batch_axis, self.y0)
        return solve_batch(field, start, ts, **self.arguments, **more)


def _solved(
    func: Function,
    y0: OneState,
    t: Tensor,
    method: str | None,
    options: dict[str, Any],
    event_fn: Function | None,
    *,
    rtol: OneTolerance,
    atol: OneTolerance,
    adjoint: str,
) -> OneState:
    _check_field(func)
    _check_state(y0)
    _check_times(t)
    method = "dopri5" if method is None else method
    arguments = {
        "method": _native_method(method),
        "adjoint": adjoint,
        "max_steps": _MAX_STEPS if event_fn is None else _MAX_STEPS_TO_EVENT,
    }
    on_grid = method in _ON_GRID
    _check_options(options, method, _GRID_OPTIONS if on_grid else _ADAPTIVE_OPTIONS)
    if not on_grid:
        arguments["rtol"] = _tolerance("rtol", rtol, y0)
        arguments["atol"] = _tolerance("atol", atol, y0)
    for name, (theirs, value_of) in _PASSED_ON.items():
        if options.get(theirs) is not None:
            arguments[name] = value_of(options[theirs])
    system = _System(func, y0, t.to(_parts(y0)[0].device), arguments)
    if event_fn is not None:
        return _until_event(system, event_fn, _steps_of_one_size(options) if on_grid else {})
    if on_grid:
        return _on_grid(system, options)
    return _each(_first, system.solve(system.t).ys)


def _on_grid(system: _System, options: dict[str, Any]) -> OneState:
    """Step along a grid of times, and read states off between them."""
    t, grid = system.t, _grid(system, options)
    interp = options.get("interp", "linear")
    check_choice("interp", interp, ("linear", "cubic"))
    # A step as long as the whole is cut at every time of the grid.
    whole = abs(_number(grid[-1] - grid[0])) or 1.0
    steps: dict[str, Any] = {"step_size": whole, "step_ts": grid}
    if options.get("perturb", False):
        steps = {"step_size": whole, "jump_ts": grid[:-1], "step_ts": grid[-1:]}
    if grid is t or interp == "cubic":
        return _each(_first, system.solve(t, **steps).ys)
    states = system.solve(grid, **steps).ys
    return _each(lambda ys: _read_linearly(ys[0], grid, t), states)


def _grid(system: _System, options: dict[str, Any]) -> Tensor:
    t, size, construct = system.t, options.get("step_size"), options.get("grid_constructor")
    if size is not None and construct is not None:
        raise ValueError("step_size and grid_constructor exclude each other: give one of them.")
    span = _number(t[-1] - t[0])
    if construct is not None and span != 0:
        return _checked_grid(construct(system.func, system.y0, t), t)
    if size is None or span == 0:
        return t
    size = _positive_step_size(size)
    # The rounding of a time is not worth a step.
    n_steps = math.ceil(abs(span) / size * (1 - 4 * torch.finfo(t.dtype).eps))
    sizes = torch.arange(1, n_steps, dtype=t.dtype, device=t.device) * size
    return torch.cat([t[:1], t[0].detach() + math.copysign(1, span) * sizes, t[-1:]])


def _checked_grid(grid: object, t: Tensor) -> Tensor:
    if not isinstance(grid, Tensor) or grid.dim() != 1 or len(grid) < 2:
        raise ValueError("grid_constructor must return a Tensor of times, of shape (N,).")
    grid = grid.to(t)
    if bool(grid[0] != t[0]) or bool(grid[-1] != t[-1]):
        raise ValueError(
            f"the grid must go from {_number(t[0]):.6g} to {_number(t[-1]):.6g}, as t does, but "
            f"grid_constructor returned {_number(grid[0]):.6g} to {_number(grid[-1]):.6g}."
        )
    steps = grid.detach().diff() * (1 if bool(grid[-1] >= grid[0]) else -1)
    if bool((steps <= 0).any()):
        raise ValueError("the grid of grid_constructor must rise or fall as t does: sort it.")
    return grid


def _read_linearly(ys: Tensor, grid: Tensor, t: Tensor) -> Tensor:
    """Give the states at t (T,) on straight lines between those at grid (N,)."""
    ahead = (grid - grid[0]).detach().abs()
    right = torch.searchsorted(ahead, (t - grid[0]).detach().abs()).clamp(1, len(grid) - 1)
    theta = (t - grid[right - 1]) / (grid[right] - grid[right - 1])
    shape = (-1, *(1 for _ in ys.shape[1:]))
    return torch.lerp(ys[right - 1], ys[right], theta.reshape(shape).to(ys.dtype))


def _steps_of_one_size(options: dict[str, Any]) -> dict[str, Any]:
    """Give the steps to an event of a method without a choice of its own."""
    for name in ("grid_constructor", "perturb"):
        if options.get(name):
            raise ValueError(f"{name} needs an end, which event_fn has not: leave it out.")
    if options.get("step_size") is None:
        raise ValueError("event_fn with steps of one size needs their size: give step_size.")
    return {"step_size": _positive_step_size(options["step_size"])}


def _until_event(
    system: _System, event_fn: Function, stepping: dict[str, Any]
) -> tuple[Tensor, OneState]:
    """Give the time of the first event, and the states at the start and there."""
    t, y0 = system.t, system.y0
    if len(t) != 2:
        raise ValueError(f"t must have two times with event_fn, not {len(t)}: t[:2].")
    far = -_FAR if bool(t[1] < t[0]) else _FAR
    ts = torch.cat([t[:1], torch.full_like(t[:1], far)])
    events = _events(event_fn, t[0], y0)
    try:
        solution = system.solve(ts, events=events, **stepping)
    except SolverError as error:
        raise _no_event(f"{error}", error.t) from error
    happened = [occurrences for occurrences in solution.events if int(occurrences.n[0])]
    if not happened:
        raise _no_event("The solve has come to the end of all times.", far)
    first = min(happened, key=lambda event: abs(_number(event.ts[0, 0] - t[0])))
    states = [y0, _each(lambda ys: ys[0, 0], first.ys)]
    return first.ts[0, 0].to(t.dtype), _stacked(states)


def _events(event_fn: Function, t0: Tensor, y0: OneState) -> list[Event]:
    """Give an event for each number that event_fn returns."""
    with torch.no_grad():
        at_start = event_fn(t0.to(_parts(y0)[0].abs().dtype), y0)
    if not isinstance(at_start, Tensor):
        raise TypeError(f"event_fn must return a Tensor, not {type(at_start).__name__}.")

    def entry(i: int) -> Event:
        def g(t: Tensor, y: OneState) -> Tensor:
            return event_fn(t[0], _each(_first, y)).reshape(-1)[i : i + 1]

        return Event(g, terminal=True)

    return [entry(i) for i in range(at_start.numel())]


def _no_event(cause: str, t: float) -> SolverError:
    return SolverError(
        f"event_fn did not become zero by t={t:.6g}. Check its sign on the way, give max_step if "
        f"steps may pass over it, or raise max_num_steps. {cause}",
        sample=0,
        t=t,
    )


def _batched(func: Function, y0: OneState) -> Callable[[Tensor, Any], Any]:
    """Give func as a field of a batch of one."""
    shapes = [part.shape for part in _parts(y0)]

    def field(t: Tensor, y: OneState) -> OneState:
        slope = func(t[0], _each(_first, y))
        if isinstance(slope, list):
            slope = tuple(slope)
        if [getattr(part, "shape", None) for part in _parts(slope)] != shapes:
            raise ValueError(
                f"func must return dy/dt of the shape of y0, {_described(y0)}, but it returned "
                f"{_described(slope)}."
            )
        return _each(_with_batch_axis, slope)

    return field


def _parts(state: OneState) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def _each(function: Callable[[Tensor], Tensor], state: OneState) -> OneState:
    return tuple(map(function, state)) if isinstance(state, tuple) else function(state)


def _number(x: Tensor) -> float:
    return float(x.detach())


def _with_batch_axis(y: Tensor) -> Tensor:
    return y[None]


def _first(ys: Tensor) -> Tensor:
    return ys[0]


def _stacked(states: list[OneState]) -> OneState:
    if isinstance(states[0], tuple):
        return tuple(torch.stack(parts) for parts in zip(*states, strict=True))
    return torch.stack(states)


def _described(state: object) -> str:
    if isinstance(state, tuple):
        return f"({', '.join(map(_described, state))})"
    return f"{tuple(state.shape)}" if isinstance(state, Tensor) else type(state).__name__


def _tolerance(name: str, value: OneTolerance, y0: OneState) -> OneTolerance:
    if isinstance(value, int | float) or (isinstance(value, Tensor) and value.dim() == 0):
        return value
    if not isinstance(y0, tuple):
        return _entrywise(name, value, y0)
    if len(value) != len(y0):
        raise ValueError(f"{name} has {len(value)} parts, and y0 has {len(y0)}: give as many.")
    return tuple(_entrywise(name, x, y) for x, y in zip(value, y0, strict=True))


def _entrywise(name: str, value: float | Tensor, y: Tensor) -> Tensor:
    """Give the tolerance of every entry of y, which may lie in a row as in torchdiffeq."""
    given = torch.as_tensor(value, device=y.device)
    if given.numel() == y.numel():
        return given.reshape(1, *y.shape)
    try:
        return given.expand(y.shape)[None]
    except RuntimeError as error:
        raise ValueError(
            f"{name} of shape {tuple(given.shape)} does not fit a state of shape "
            f"{tuple(y.shape)}: give a number, or one for each entry."
        ) from error


def _positive_step_size(size: float | Tensor) -> float:
    if not 0 < float(size) < math.inf:
        raise ValueError(f"step_size={size} must be positive, also where time runs backward.")
    return float(size)


def _native_method(name: str) -> str:
    known = _ADAPTIVE | _ON_GRID
    if name in _ABSENT:
        raise ValueError(f"method={name} of torchdiffeq is not here: use {_ABSENT[name]}.")
    check_choice("method", name, known)
    return known[name]


def _check_options(options: dict[str, Any], method: str, known: tuple[str, ...]) -> None:
    for name in options:
        if name in _ABSENT_OPTIONS:
            raise ValueError(f"the option {name} is not here. {_ABSENT_OPTIONS[name]}")
        if name not in known:
            raise ValueError(f"method={method} has no option {name}: it has {', '.join(known)}.")


def _check_field(func: object) -> None:
    if not callable(func):
        raise TypeError(f"func must be callable as func(t, y), not {type(func).__name__}.")
    for name in _CALLBACKS:
        for full_name in (name, f"{name}_adjoint"):
            if hasattr(func, full_name):
                raise ValueError(
                    f"func.{full_name} would not be called: remove it. The steps are counted in "
                    "the stats of latentode.odeint."
                )


def _check_state(y0: object) -> None:
    for part in y0 if isinstance(y0, tuple) else (y0,):
        if not isinstance(part, Tensor):
            raise TypeError(f"y0 must be a Tensor or a tuple of them, not {type(part).__name__}.")


def _check_times(t: object) -> None:
    if not isinstance(t, Tensor) or not t.is_floating_point():
        raise TypeError("t must be a Tensor of floating-point times: t.double().")
    if t.dim() != 1 or not len(t):
        raise ValueError(f"t must have shape (T,) with at least one time, not {tuple(t.shape)}.")
