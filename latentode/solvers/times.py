"""The times that a caller gives, checked and put in rows."""

import torch
from torch import Tensor

from latentode.solvers.clock import Clock, sides_of


def with_start(ts: Tensor, t0: float | Tensor) -> Tensor:
    """Put the time of the state, one or (B,), before times (B, T)."""
    start = torch.as_tensor(t0, device=ts.device)
    if start.shape not in ((), ts.shape[:1]):
        raise ValueError(
            f"t0 must be a number or have shape (B,) with B={len(ts)}, not {tuple(start.shape)}."
        )
    # A number takes the dtype of the times, if that can hold it.
    exact = start.dim() or (start.is_floating_point() and not ts.is_floating_point())
    dtype = torch.promote_types(ts.dtype, start.dtype) if exact else ts.dtype
    return torch.cat([start.to(dtype).expand(len(ts))[:, None], ts.to(dtype)], dim=1)


def stops_and_jumps(
    step_ts: Tensor | None, jump_ts: Tensor | None, exact: Tensor, adjoint: str
) -> tuple[Tensor, Tensor]:
    """Give where steps end as times (B, J), and at which of them (J,) the field jumps."""
    stops = [exact.detach()[:, :0]]
    jumps = [torch.zeros(0, dtype=torch.bool, device=exact.device)]
    for name, given in (("step_ts", step_ts), ("jump_ts", jump_ts)):
        if given is None:
            continue
        times = rows_of_times(torch.as_tensor(given, device=exact.device), len(exact), name)
        if not times.shape[1]:
            continue
        if not bool(times.isfinite().all()):
            raise ValueError(f"{name} must be finite.")
        if adjoint == "backsolve":
            raise ValueError(f"{name} is not for adjoint=backsolve: use adjoint=direct.")
        stops.append(times.to(exact.dtype).detach())
        jumps.append(torch.full((times.shape[1],), name == "jump_ts", device=exact.device))
    return torch.cat(stops, dim=1), torch.cat(jumps)


def with_jumps(clock: Clock, ts: Tensor, stops: Tensor, jumps: Tensor) -> Clock:
    """Tell the clock of the jumps, and check that a field has times between any two of them."""
    sides = sides_of(clock, stops[:, jumps])
    s, begin, end = sides
    s_end = clock.since_start(ts.detach())[:, -1:]
    is_passed = (s[:, :-1] < s[:, 1:]) & (s[:, :-1] < s_end) & (s[:, 1:] > 0)
    first, last = begin[:, 1:-1], end[:, 1:-1]
    bad = is_passed & ((last - first) * clock.sign[:, None] < 0)
    if bool(bad.any()):
        i, j = bad.nonzero()[0].tolist()
        one, two = (float(clock.time(s[:, n])[i].detach()) for n in (j, j + 1))
        apart = float((first - end[:, :-2])[i, j].abs()) / 2
        raise ValueError(
            f"jump_ts holds {one:.16g} and {two:.16g} for sample {i}, between which f has no "
            f"time: it is given times in the precision of the state, which are {apart:g} apart "
            "there. Make y0 float64, or subtract the first time of each sample from all its times."
        )
    return clock._replace(sides=sides)


def times_of(ts: Tensor, y0: Tensor) -> Tensor:
    """Give the times as (B, T)."""
    if not isinstance(ts, Tensor) or ts.is_complex() or ts.dtype == torch.bool:
        raise TypeError("ts must be a Tensor of real times.")
    ts = rows_of_times(ts, len(y0))
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


def rows_of_times(ts: Tensor, n_samples: int, name: str = "times") -> Tensor:
    """Give times of shape (T,) or (B, T) as (B, T)."""
    if ts.dim() not in (1, 2) or (ts.dim() == 2 and len(ts) != n_samples):
        raise ValueError(
            f"{name} must have shape (T,) or (B, T) with B={n_samples} as in y0, not "
            f"{tuple(ts.shape)}."
        )
    return ts.expand(n_samples, -1)
