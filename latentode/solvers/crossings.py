"""Events found on the way: where their functions change their signs."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.solvers.course import Position, Tried
from latentode.solvers.dense import Piece, polynomial
from latentode.solvers.events import Event
from latentode.solvers.failure import failure
from latentode.solvers.problem import Problem
from latentode.solvers.solution import SolverError
from latentode.solvers.zeros import first_zero

# Parts of a step at whose ends the sign of g is looked at.
_N_PARTS = 4


class _Crossings(NamedTuple):
    """Where g of one event changes its sign, M times.

    Attributes
    ----------
    samples : Tensor of shape (M,)
        Whose.
    lo, hi : Tensor of shape (M,)
        Times since the start before and after the change.
    g_lo, g_hi : Tensor of shape (M,)
        g there; the latter may be zero.
    pieces : Piece
        The steps they lie in, as if of M samples.
    """

    samples: Tensor
    lo: Tensor
    hi: Tensor
    g_lo: Tensor
    g_hi: Tensor
    pieces: Piece


class Places(NamedTuple):
    """Where one event occurs; filled up with the start of the sample where it occurs less often.

    Attributes
    ----------
    there : Tensor of shape (B, N), dtype=torch.bool
        Whether it occurs.
    s, ts : Tensor of shape (B, N)
        Time since the start, and time.
    ys : Tensor of shape (B, N, D)
        State.
    """

    there: Tensor
    s: Tensor
    ts: Tensor
    ys: Tensor


class Search(NamedTuple):
    """What a solve without a graph found.

    Attributes
    ----------
    places : list of Places
        For each event.
    s_rest, s_fail : Tensor of shape (B,)
        Time since the start where a terminal event stops the sample, and where a g is NaN;
        infinite where there is none.
    """

    places: list[Places]
    s_rest: Tensor
    s_fail: Tensor


class Watch:
    """Looks at every step for changes of the sign of g, and stops samples at terminal events.

    Attributes
    ----------
    failures : dict of int to SolverError
        Samples for which a g was NaN, if samples may fail.
    """

    def __init__(self, problem: Problem, events: Sequence[Event], y0: Tensor, ts: Tensor) -> None:
        self.failures: dict[int, SolverError] = {}
        self._problem, self._events, self._y0, self._ts = problem, events, y0, ts
        self._s_end = problem.clock.since_start(ts)[:, -1]
        self._s_fail = torch.full_like(self._s_end, torch.inf)
        self._crossings: list[list[_Crossings]] = [[] for _ in events]
        ends = torch.arange(1, _N_PARTS + 1, dtype=ts.dtype, device=ts.device)
        self._parts = ends[:, None] / _N_PARTS
        self._last = self._values(torch.zeros_like(ts[:, :1]).t(), y0[None])[:, 0]

        def each(values: list[bool]) -> Tensor:
            return torch.tensor(values, device=ts.device)[:, None, None]

        self._may_rise = each([event.direction >= 0 for event in events])
        self._may_fall = each([event.direction <= 0 for event in events])
        self._is_terminal = each([event.terminal for event in events])

    def observe(self, tried: Tried, after: Position) -> Tensor | None:
        """Look at a step, as far as it leads to the last time; say which samples stop."""
        before, moved = tried.before, after.s > tried.before.s
        piece = Piece(before.s, tried.dt, after.s, before.y, tried.step.powers)
        end = torch.minimum(after.s, self._s_end)
        s = torch.minimum(before.s + self._parts * (end - before.s), end)
        ys = torch.where(moved[:, None], _state(piece, s), before.y)
        values = torch.cat([self._last[:, None], self._values(s, ys)], dim=1)
        self._last = torch.where(moved, values[:, -1], self._last)
        changed = self._changed(values) & moved
        stops = (changed & self._is_terminal).any(dim=0)
        n_stops = stops.cumsum(dim=0)
        changed &= n_stops == stops  # nothing is there past the part with the first stop
        # Where a sample is past its end, g need not exist.
        alive = torch.cat([moved[None], moved & (n_stops == 0)])
        broken = values.isnan() & alive
        if not bool(changed.any() | broken.any()):
            return None
        s = torch.cat([before.s[None], s])
        self._record(changed, s, values, piece)
        return stops.any(dim=0) | self._failing(broken, s, ys)

    def _values(self, s: Tensor, ys: Tensor) -> Tensor:
        """Give g (E, P, B) of every event at times s (P, B) and states (P, B, D)."""
        times = [self._problem.clock.time_for_field(each) for each in s]
        return torch.stack([
            torch.stack([event.g(t, y) for t, y in zip(times, ys, strict=True)])
            for event in self._events
        ])

    def _changed(self, values: Tensor) -> Tensor:
        """Say in which parts (E, P, B) the sign changes between ends (E, P + 1, B).

        It does where g reaches zero, and not where it leaves it.
        """
        begin, end = values[:, :-1], values[:, 1:]
        rises = self._may_rise & (begin < 0) & (end >= 0)
        falls = self._may_fall & (begin > 0) & (end <= 0)
        return rises | falls

    def _record(self, changed: Tensor, s: Tensor, values: Tensor, piece: Piece) -> None:
        for i, crossings in enumerate(self._crossings):
            part, sample = changed[i].nonzero(as_tuple=True)
            if len(sample):
                s0, dt, s1, y0 = (x[sample] for x in piece[:4])
                crossings.append(
                    _Crossings(
                        sample,
                        s[part, sample],
                        s[part + 1, sample],
                        values[i, part, sample],
                        values[i, part + 1, sample],
                        Piece(s0, dt, s1, y0, piece.powers[:, sample]),
                    )
                )

    def _failing(self, broken: Tensor, s: Tensor, ys: Tensor) -> Tensor:
        """Say for which samples (B,) a g is NaN, though the state is finite."""
        broken = broken & ys.isfinite().all(dim=2).all(dim=0)
        failing = broken.any(dim=0).any(dim=0)
        for sample in failing.nonzero()[:, 0].tolist():
            i, place = broken[:, :, sample].nonzero()[0].tolist()
            self._fail(i, sample, s[place])
        self._s_fail = torch.where(failing, s[0], self._s_fail)
        return failing

    def _fail(self, i: int, sample: int, s: Tensor) -> None:
        error = failure(
            f"g of events[{i}] is NaN there. Check it at that time and state",
            s=s,
            sample=sample,
            problem=self._problem,
        )
        if not self._problem.options.forgiving:
            raise error
        self.failures[sample] = error

    def search(self) -> Search:
        """Locate what was found."""
        all_places = [self._located(i) for i in range(len(self._events))]
        s_rest = torch.full_like(self._s_end, torch.inf)
        for event, places in zip(self._events, all_places, strict=True):
            if event.terminal and places.s.shape[1]:
                first = places.s[:, 0].where(places.there[:, 0], torch.inf)
                s_rest = torch.minimum(s_rest, first)
        last = torch.minimum(s_rest, self._s_fail)
        kept = [self._until(last, each) for each in all_places]
        return Search(kept, s_rest, self._s_fail)

    def _located(self, i: int) -> Places:
        """Give the places of event i, to the rounding of the time."""
        turns = [self._refined(i, each) for each in _by_turn(self._crossings[i])]
        if not turns:
            none = self._ts[:, :0]
            return Places(none.bool(), none, none, self._y0[:, None][:, :0])
        there, s, ys = (torch.stack(column, dim=1) for column in zip(*turns, strict=True))
        times = self._problem.clock.time(s.t()).t()
        # The sum may end one rounding past the last time.
        return Places(there, s, times.where(s < self._s_end[:, None], self._ts[:, -1:]), ys)

    def _refined(self, i: int, crossings: _Crossings) -> tuple[Tensor, Tensor, Tensor]:
        """Say which samples have one of these crossings, at most one each, when, and the state."""
        samples, lo, hi, g_lo, g_hi, pieces = crossings
        clock, none = self._problem.clock, torch.zeros_like(self._s_end)

        def of_all(values: Tensor, others: Tensor) -> Tensor:
            return others.index_copy(0, samples, values)

        powers = pieces.powers.new_zeros(len(pieces.powers), *self._y0.shape)
        piece = Piece(
            of_all(pieces.s0, none),
            of_all(pieces.dt, none + 1),
            of_all(pieces.s1, none),
            of_all(pieces.y0, self._y0),
            powers.index_copy(1, samples, pieces.powers),
        )
        there = of_all(torch.ones_like(samples, dtype=torch.bool), torch.zeros_like(none).bool())
        upward = of_all(-g_lo.sign(), none.to(g_lo.dtype))

        broken = torch.full_like(none, torch.nan)

        def rising(s: Tensor) -> Tensor:
            value = self._events[i].g(clock.time_for_field(s), _state(piece, s[None])[0])
            broken.copy_(torch.where(there & value.isnan(), s, broken))
            return upward * value

        bracket = (of_all(x, none.to(x.dtype)) for x in (lo, hi, -g_lo.abs(), g_hi.abs()))
        s = first_zero(rising, *bracket)
        for sample in (~broken.isnan()).nonzero()[:, 0].tolist():
            self._fail(i, sample, broken)
            self._s_fail[sample] = torch.minimum(self._s_fail, piece.s0)[sample]
        return there, s, _state(piece, s[None])[0]

    def _until(self, last: Tensor, places: Places) -> Places:
        """Keep the places up to a time since the start (B,)."""
        there = places.there & (places.s <= last[:, None])
        n = int(there.sum(dim=1).amax()) if there.numel() else 0
        there, s, ts, ys = (x[:, :n] for x in places._replace(there=there))
        return Places(
            there,
            s.where(there, 0.0),
            ts.where(there, self._ts[:, :1]),
            torch.where(there[..., None], ys, self._y0[:, None]),
        )


def _state(piece: Piece, s: Tensor) -> Tensor:
    """Give the states (P, B, D) at times s (P, B) of one step."""
    theta = (s - piece.s0) / piece.dt.where(piece.dt > 0, torch.inf)
    return piece.y0 + polynomial(piece.powers, theta[..., None].to(piece.y0.dtype))


def _by_turn(crossings: Sequence[_Crossings]) -> list[_Crossings]:
    """Give the first crossing of every sample that has one, then the second ones, and so on."""
    if not crossings:
        return []
    together = _joined(crossings)
    ordered, order = together.samples.sort(stable=True)
    places = torch.arange(len(order), device=order.device)
    turn = torch.empty_like(order)
    turn[order] = places - torch.searchsorted(ordered, ordered)
    return [_rows(together, turn == k) for k in range(int(turn.max()) + 1)]


def _joined(crossings: Sequence[_Crossings]) -> _Crossings:
    *columns, pieces = zip(*crossings, strict=True)
    samples, lo, hi, g_lo, g_hi = map(torch.cat, columns)
    *columns, powers = zip(*pieces, strict=True)
    s0, dt, s1, y0 = map(torch.cat, columns)
    piece = Piece(s0, dt, s1, y0, torch.cat(powers, dim=1))
    return _Crossings(samples, lo, hi, g_lo, g_hi, piece)


def _rows(crossings: _Crossings, wanted: Tensor) -> _Crossings:
    samples, lo, hi, g_lo, g_hi, (s0, dt, s1, y0, powers) = crossings
    piece = Piece(s0[wanted], dt[wanted], s1[wanted], y0[wanted], powers[:, wanted])
    return _Crossings(samples[wanted], lo[wanted], hi[wanted], g_lo[wanted], g_hi[wanted], piece)
