"""The interface of torchdiffeq: programs written for it run after a change of their imports.

A state there is one system, of any shape, with one step size for all of it. Here that is a batch
of one, so every result is that of `latentode.solvers.odeint` for one sample.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentode.solvers.checks import check_choice
from latentode.solvers.events import Event
from latentode.solvers.odeint import odeint as solve_batch
from latentode.solvers.one_state import (
    Function,
    OneState,
    batched,
    each,
    number,
    parts,
    stacked,
    with_batch_axis,
    without_batch_axis,
)
from latentode.solvers.solution import Solution, SolverError
from latentode.solvers.torchdiffeq_arguments import (
    ADAPTIVE_OPTIONS,
    GRID_OPTIONS,
    ON_GRID,
    PASSED_ON,
    OneTolerance,
    check_field,
    check_options,
    check_state,
    check_times,
    native_method,
    tolerance,
)
from latentode.solvers.torchdiffeq_grid import grid_along, read_linearly, steps_of_one_size

__all__ = ["odeint", "odeint_adjoint", "odeint_event"]

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
        field, start = batched(self.func, self.y0), each(with_batch_axis, self.y0)
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
    check_field(func)
    check_state(y0)
    check_times(t)
    method = "dopri5" if method is None else method
    arguments = {
        "method": native_method(method),
        "adjoint": adjoint,
        "max_steps": _MAX_STEPS if event_fn is None else _MAX_STEPS_TO_EVENT,
    }
    on_grid = method in ON_GRID
    check_options(options, method, GRID_OPTIONS if on_grid else ADAPTIVE_OPTIONS)
    if not on_grid:
        arguments["rtol"] = tolerance("rtol", rtol, y0)
        arguments["atol"] = tolerance("atol", atol, y0)
    for name, (theirs, value_of) in PASSED_ON.items():
        if options.get(theirs) is not None:
            arguments[name] = value_of(options[theirs])
    system = _System(func, y0, t.to(parts(y0)[0].device), arguments)
    if event_fn is not None:
        return _until_event(system, event_fn, steps_of_one_size(options) if on_grid else {})
    if on_grid:
        return _on_grid(system, options)
    return each(without_batch_axis, system.solve(system.t).ys)


def _on_grid(system: _System, options: dict[str, Any]) -> OneState:
    """Step along a grid of times, and read states off between them."""
    t, grid = system.t, grid_along(system.func, system.y0, system.t, options)
    interp = options.get("interp", "linear")
    check_choice("interp", interp, ("linear", "cubic"))
    # A step as long as the whole is cut at every time of the grid.
    whole = abs(number(grid[-1] - grid[0])) or 1.0
    steps: dict[str, Any] = {"step_size": whole, "step_ts": grid}
    if options.get("perturb", False):
        steps = {"step_size": whole, "jump_ts": grid[:-1], "step_ts": grid[-1:]}
    if grid is t or interp == "cubic":
        return each(without_batch_axis, system.solve(t, **steps).ys)
    states = system.solve(grid, **steps).ys
    return each(lambda ys: read_linearly(ys[0], grid, t), states)


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
    earliest = min(happened, key=lambda event: abs(number(event.ts[0, 0] - t[0])))
    states = [y0, each(lambda ys: ys[0, 0], earliest.ys)]
    return earliest.ts[0, 0].to(t.dtype), stacked(states)


def _events(event_fn: Function, t0: Tensor, y0: OneState) -> list[Event]:
    """Give an event for each number that event_fn returns."""
    with torch.no_grad():
        at_start = event_fn(t0.to(parts(y0)[0].abs().dtype), y0)
    if not isinstance(at_start, Tensor):
        raise TypeError(f"event_fn must return a Tensor, not {type(at_start).__name__}.")

    def entry(i: int) -> Event:
        def g(t: Tensor, y: OneState) -> Tensor:
            return event_fn(t[0], each(without_batch_axis, y)).reshape(-1)[i : i + 1]

        return Event(g, terminal=True)

    return [entry(i) for i in range(at_start.numel())]


def _no_event(cause: str, t: float) -> SolverError:
    return SolverError(
        f"event_fn did not become zero by t={t:.6g}. Check its sign on the way, give max_step if "
        f"steps may pass over it, or raise max_num_steps. {cause}",
        sample=0,
        t=t,
    )
