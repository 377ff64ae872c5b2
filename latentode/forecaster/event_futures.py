"""What a trained point process tells of series: intensities, draws, and the time to wait."""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentode.data import ScaledLog
from latentode.forecaster.event_network import grouped
from latentode.forecaster.seed import own_generator
from latentode.nn import Likelihood, PointProcess, simulate, with_events_after

# Rows, of events or of draws, that are solved for at once: memory is bounded.
_AT_ONCE = 20_000
# How long to wait for the next event at most, in mean times between events.
LONGEST_WAIT = 1e6


class Futures(NamedTuple):
    """Draws of what comes after the windows of series, as `Simulated`, in arrays."""

    series: np.ndarray
    draw: np.ndarray
    t: np.ndarray
    kinds: np.ndarray


def likelihood_of(process: PointProcess, log: ScaledLog) -> Likelihood:
    """Give the parts of the log-likelihood of all series, filled up with zeros."""
    width = int(log.offsets.diff().max())
    log_intensity = torch.zeros(log.n_series, width, dtype=torch.float64)
    compensator = torch.zeros(log.n_series, width + 1, dtype=torch.float64)
    for series in _portions(log.offsets.diff() + 1):
        with torch.no_grad():
            part = process.likelihood(log.events(series))
        n = part.log_intensity.shape[1]
        log_intensity[series, :n] = part.log_intensity.double()
        compensator[series, : n + 1] = part.compensator.double()
    return Likelihood(log_intensity, compensator)


def intensities(
    process: PointProcess, log: ScaledLog, series: np.ndarray, t: np.ndarray
) -> np.ndarray:
    """Give intensities (P, K) just before times (P,) of series, of what came before them."""
    ts, place = grouped(series, t, log.n_series)
    sizes = log.offsets.diff() + ts.shape[1]
    with torch.no_grad():
        parts = [
            process.log_intensity(log.events(some), ts[some]).exp() for some in _portions(sizes)
        ]
    return torch.cat(parts)[torch.tensor(series), place].numpy()


def draw_futures(
    process: PointProcess,
    log: ScaledLog,
    ids: Sequence[Hashable],
    until: Tensor,
    *,
    n_draws: int,
    seed: int,
) -> Futures:
    """Draw what comes after the windows, until times (S,) since the beginnings.

    Draws of a series depend on the seed and on its id, and not on what else is asked.
    """
    found = []
    for series in _portions(torch.full((log.n_series,), n_draws)):
        generators = [own_generator(seed, ids[i]) for i in series.tolist()]

        def uniform(generators: list[np.random.Generator] = generators) -> Tensor:
            return torch.tensor(np.stack([g.random(n_draws) for g in generators]))

        drawn = simulate(process, log.events(series), until[series], uniform)
        found.append(drawn._replace(series=series[drawn.series]))
    parts = zip(*found, strict=True)
    return Futures(*(torch.cat(part).numpy() for part in parts))


def counts_of(
    futures: Futures, asked: tuple[np.ndarray, np.ndarray], n: int, k: int
) -> np.ndarray:
    """Count the events (P, n, K) of n draws up to times (P,) of series, by kind."""
    series, t = asked
    counts = np.zeros((len(t), n, k))
    order = np.argsort(futures.series, kind="stable")
    ends = np.searchsorted(futures.series[order], [series, series + 1])
    for i, (first, last) in enumerate(ends.T):
        rows = order[first:last]
        rows = rows[futures.t[rows] <= t[i]]
        np.add.at(counts[i], (futures.draw[rows], futures.kinds[rows]), 1)
    return counts


def later_intensities(
    process: PointProcess,
    log: ScaledLog,
    futures: Futures,
    asked: tuple[np.ndarray, np.ndarray],
    n_draws: int,
) -> np.ndarray:
    """Give the means (P, K) of the intensities at times (P,) of series over n draws."""
    series, t = asked
    told = None
    for at in np.unique(series):
        pairs = np.flatnonzero(series == at)
        known = log.events(torch.full((n_draws,), int(at)))
        own = futures.series == at
        drawn = (torch.tensor(part[own]) for part in (futures.draw, futures.t, futures.kinds))
        events = with_events_after(known, *drawn)
        with torch.no_grad():
            ts = torch.tensor(t[pairs]).expand(n_draws, -1)
            mean = process.log_intensity(events, ts).exp().mean(dim=0).numpy()
        told = np.zeros((len(t), mean.shape[1])) if told is None else told
        told[pairs] = mean
    assert told is not None
    return told


def waits(process: PointProcess, log: ScaledLog, levels: np.ndarray) -> np.ndarray:
    """Give how long (S, Q) it takes from the end until the next event has come, by probability.

    Infinite where it has not after a million times the mean time between events.
    """
    n = len(levels)
    z, since, passed = _at_the_end(process, log)
    amount = passed[:, None] - torch.log1p(-torch.tensor(levels))
    limit = (since + LONGEST_WAIT).repeat_interleave(n)
    waited = process.wait(z.repeat_interleave(n, dim=0), amount.flatten(), limit).t
    return (waited.view(-1, n) - since[:, None]).numpy()


def survival(
    process: PointProcess, log: ScaledLog, series: np.ndarray, t: np.ndarray
) -> np.ndarray:
    """Give the probabilities (P,) that nothing comes between the end and times of series."""
    z, since, passed = _at_the_end(process, log)
    last = log.end - since
    order = np.argsort(t, kind="stable")
    ts, place = grouped(series[order], t[order], log.n_series)
    waited = (ts - last[:, None]).maximum(since[:, None]).cummax(dim=1).values
    with torch.no_grad():
        integral = process.integral(z, waited)
    told = torch.empty(len(t), dtype=torch.float64)
    told[torch.tensor(order)] = integral[torch.tensor(series[order]), place]
    return torch.exp(passed[torch.tensor(series)] - told).numpy()


@torch.no_grad()
def _at_the_end(process: PointProcess, log: ScaledLog) -> tuple[Tensor, Tensor, Tensor]:
    """Give the state that the last event of each series set, how long ago, and the integral."""
    z, since = [], []
    for series in _portions(log.offsets.diff() + 1):
        events = log.events(series)
        at = torch.arange(len(series))
        z.append(process.reader.state(process.reader(events)[at, events.lengths]))
        origin = torch.nn.functional.pad(events.t, (1, 0))[at, events.lengths]
        since.append(events.end - origin)
    state, silent = torch.cat(z), torch.cat(since)
    return state, silent, process.integral(state, silent[:, None])[:, 0]


def _portions(sizes: Tensor) -> Iterator[Tensor]:
    """Give the numbers of series in portions, of which the sum of the sizes (S,) is bounded."""
    first, before = 0, 0
    for i, size in enumerate(sizes.tolist()):
        if before and before + size > _AT_ONCE:
            yield torch.arange(first, i)
            first, before = i, 0
        before += size
    yield torch.arange(first, len(sizes))
