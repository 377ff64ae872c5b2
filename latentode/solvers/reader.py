"""The solution as a function of time, for those who asked for it."""

import torch
from torch import Tensor

from latentode.solvers.clock import Clock
from latentode.solvers.dense import Track
from latentode.solvers.solution import DenseSolution
from latentode.solvers.state import Layout, State
from latentode.solvers.times import rows_of_times


def reader_of(
    track: Track, clock: Clock, y0: Tensor, layout: Layout, stillborn: list[int]
) -> DenseSolution:
    """Give a function of times (P,) or (B, P) that reads the states there off a track."""

    def read(ts: Tensor) -> State:
        if not isinstance(ts, Tensor):
            raise TypeError(f"times must be a Tensor, not {type(ts).__name__}.")
        s = clock.since_start(rows_of_times(ts, len(y0)))
        reached = track.reached() if track.pieces else torch.zeros_like(s[:, 0])
        outside = ~((s >= 0) & (s <= reached[:, None]))
        outside[stillborn] = False
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
