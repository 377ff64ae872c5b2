"""Temporal point processes: the likelihood of events, whose intensity an ODE carries."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from latentode.nn.event_reader import EventReader, Events
from latentode.nn.intensity import prepared_field
from latentode.nn.vector_field import Field
from latentode.solvers import Event, odeint
from latentode.solvers.arguments import check_choices

LogIntensity = Callable[[Tensor], Tensor]


class Likelihood(NamedTuple):
    """What the log-likelihood of events is made of.

    Attributes
    ----------
    log_intensity : Tensor of shape (B, T)
        Logarithm of the intensity of the kind that came, just before each event that is told; 0
        for any other.
    compensator : Tensor of shape (B, T + 1)
        Integral of the intensity of all kinds, within the window, from the beginning to the first
        event, from each event to the next, and from the last to the end of the window.
    """

    log_intensity: Tensor
    compensator: Tensor

    @property
    def log_prob(self) -> Tensor:
        """The log-likelihood (B,) of each series."""
        return self.log_intensity.sum(dim=1) - self.compensator.sum(dim=1)


class Waited(NamedTuple):
    """When the integral of intensities reached given amounts.

    Attributes
    ----------
    t : Tensor of shape (N,)
        Time waited; infinite where that was not before the limit.
    z : Tensor of shape (N, L)
        The state then; NaN where it was not reached.
    """

    t: Tensor
    z: Tensor


class PointProcess(nn.Module):
    """Events whose intensity depends on all events before, and on the time since the last one.

    A reader sets a latent state anew at each event, an ODE carries it on, and at any time its
    intensities are how many events of each kind to expect in a short time, over that time. The
    integral of the intensities is part of the ODE's state. All gaps of all series are solved at
    once, each for as long as it lasts.

    Parameters
    ----------
    reader : Module
        Remembers events, see `EventReader`.
    field : Module
        dz/dt as a function of t (B,), the time since the last event or the beginning, and of
        z (B, L).
    intensity : Module
        Log intensities (..., K) of the kinds, of states z (..., L).
    method : str, default="tsit5"
        Solver; see `odeint`.
    rtol, atol : float, default=1e-3
        Its tolerances.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="auto"
        How to differentiate it.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 5.2. Daley and Vere-Jones (2003), An Introduction to the Theory of Point Processes,
    proposition 7.2.III.

    Examples
    --------
    >>> from latentode.nn import Events, GRUEventReader, Intensity, MLPField
    >>> process = PointProcess(GRUEventReader(4), MLPField(4), Intensity(4))
    >>> t, kinds = torch.tensor([[0.5, 2.0]]), torch.zeros(1, 2, dtype=torch.long)
    >>> events = Events(t, kinds, torch.tensor([2]), torch.zeros(1), torch.tensor([3.0]))
    >>> process.log_prob(events).shape
    torch.Size([1])
    """

    def __init__(
        self,
        reader: EventReader,
        field: Field,
        intensity: LogIntensity,
        *,
        method: str = "tsit5",
        rtol: float = 1e-3,
        atol: float = 1e-3,
        adjoint: str = "auto",
    ) -> None:
        super().__init__()
        check_choices(method, adjoint, has_step_size=False, dense=False)
        self.reader = reader
        self.field = field
        self.intensity = intensity
        self.solve = partial(odeint, method=method, rtol=rtol, atol=atol, adjoint=adjoint)

    def log_prob(self, events: Events) -> Tensor:
        """Give the log-likelihood (B,) of the events in each window, in nats.

        It is a density in the times: in a unit of time u times as long, that of n events is larger
        by n log u.
        """
        return self.likelihood(events).log_prob

    def likelihood(self, events: Events) -> Likelihood:
        """Give the parts that the log-likelihood is made of."""
        z = self.reader.state(self.reader(events))
        origin, until, since = gaps_of(events)
        told = until > since  # what lies before the window is not solved for
        ts = torch.stack([torch.zeros_like(until), since - origin, until - origin], dim=-1)[told]
        zs, integral = self._carried(z[told], ts.to(z.dtype))
        compensator = z.new_zeros(told.shape).masked_scatter(told, integral[:, 2] - integral[:, 1])
        came = torch.cat([events.told(), torch.zeros_like(told[:, :1])], dim=1)
        kinds = nn.functional.pad(events.kinds, (0, 1))[told]
        log_all = self.intensity(zs[:, 2])
        log_kind = log_all.gather(1, kinds[:, None])[:, 0]
        log_intensity = z.new_zeros(told.shape).masked_scatter(told, log_kind) * came
        return Likelihood(log_intensity[:, :-1], compensator)

    def log_intensity(self, events: Events, ts: Tensor) -> Tensor:
        """Give the log intensities (B, P, K) just before times ts (B, P), of the events before."""
        z = self.reader.state(self.reader(events))
        t = events.t.masked_fill(~events.inside(), torch.inf)
        n_before = torch.searchsorted(t.contiguous(), ts.contiguous())
        origin = _origins(events).gather(1, n_before)
        z0 = z.gather(1, n_before[..., None].expand(-1, -1, z.shape[2])).flatten(0, 1)
        waited = (ts - origin).to(z.dtype).flatten()
        zs, _ = self._carried(z0, torch.stack([torch.zeros_like(waited), waited], dim=1))
        return self.intensity(zs[:, 1]).unflatten(0, ts.shape)

    def integral(self, z: Tensor, ts: Tensor) -> Tensor:
        """Give the integrals (N, P) of the intensities from states z (N, L) to times ts (N, P)."""
        return self._carried(z, nn.functional.pad(ts, (1, 0)))[1][:, 1:]

    @torch.no_grad()
    def wait(self, z: Tensor, amount: Tensor, limit: Tensor) -> Waited:
        """Wait from states z (N, L) until the integral is an amount (N,), or for a limit (N,).

        Where the amount is drawn from an exponential distribution of mean one, an event comes
        then; where it is -log(1 - p), it has come with probability p.
        """
        ts = torch.stack([torch.zeros_like(limit), limit], dim=1)
        reached = Event(lambda t, y: y[1][:, 0], direction=1, terminal=True)
        start = (z, -amount[:, None])
        (found,) = self.solve(self._rates(), start, ts, events=[reached]).events
        came = found.n > 0
        t = torch.full_like(limit, torch.inf, dtype=found.ts.dtype)
        state = torch.full_like(z, torch.nan)
        if bool(came.any()):
            t[came], state[came] = found.ts[came, 0], found.ys[0][came, 0]
        return Waited(t, state)

    def _carried(self, z: Tensor, ts: Tensor) -> tuple[Tensor, Tensor]:
        """Give states (N, P, L) and integrals (N, P) at times ts (N, P) from the first on."""
        zs, integral = self.solve(self._rates(), (z, z.new_zeros(len(z), 1)), ts).ys
        return zs, integral[..., 0]

    def _rates(self) -> Callable[[Tensor, tuple[Tensor, Tensor]], tuple[Tensor, Tensor]]:
        """Give how the state and the integral change, for one solve."""
        field, intensity = prepared_field(self.field), self.intensity

        def rates(t: Tensor, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return field(t, y[0]), intensity(y[0]).exp().sum(dim=-1, keepdim=True)

        return rates


def _origins(events: Events) -> Tensor:
    """Give the times (B, T + 1) at which a state is set: the beginning, and each event."""
    return nn.functional.pad(events.t, (1, 0))


def gaps_of(events: Events) -> tuple[Tensor, Tensor, Tensor]:
    """Give when each gap (B, T + 1) begins and ends, and from when on it is told.

    Where nothing of a gap is to be told, it is told from its end.
    """
    origin = _origins(events)
    place = torch.arange(origin.shape[1], device=origin.device)
    last = place == events.lengths[:, None]
    until = torch.where(last, events.end[:, None], nn.functional.pad(events.t, (0, 1)))
    since = origin.maximum(events.start[:, None])
    is_gap = place <= events.lengths[:, None]
    return origin, until, torch.where(is_gap, since, until)
