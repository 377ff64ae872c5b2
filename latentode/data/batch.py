"""Padded batches: each series on its own times, never on the union of them."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from latentode.data.knots import controls_of
from latentode.data.scaling import ScaledPanel
from latentode.nn import Context, Controls
from latentode.nn.context import kept_rows, within


class Batch(NamedTuple):
    """B series: what was observed of each, and the times asked about.

    All times are relative to the end of the context, the last row of each series that a model may
    read, in the model's unit. Padding repeats the last time of a row with an empty mask: there is
    nothing to read, and a solver is already there. A named tuple, because Lightning moves those
    to a device.

    Attributes
    ----------
    t : Tensor of shape (B, T)
        Times of the context, rising to 0.
    x : Tensor of shape (B, T, D)
        Observed values, 0 where there is none.
    scores : Tensor of shape (B, T, D)
        Their normal scores, 0 where there is none: what networks read.
    mask : Tensor of shape (B, T, D), dtype=torch.bool
        True where a value was observed.
    lengths : Tensor of shape (B,), dtype=torch.long
        Rows of the context that are not padding.
    ts : Tensor of shape (B, P)
        Times asked about, in any order.
    targets : Tensor of shape (B, P, D)
        Values observed at the times asked about, 0 where there is none.
    targets_mask : Tensor of shape (B, P, D), dtype=torch.bool
        True where one was observed; nowhere in a batch to predict.
    controls : Controls or None
        Known covariates, before and after the end of the context.
    static : Tensor of shape (B, E), or None
        Static covariates.
    noise : Tensor of shape (B, P, D), or None
        Known standard deviations of the targets, 0 where there is none.
    """

    t: Tensor
    x: Tensor
    scores: Tensor
    mask: Tensor
    lengths: Tensor
    ts: Tensor
    targets: Tensor
    targets_mask: Tensor
    controls: Controls | None = None
    static: Tensor | None = None
    noise: Tensor | None = None

    @property
    def context(self) -> Context:
        """What may be read."""
        t, x, scores, mask, lengths, *_ = self
        return Context(t, x, mask, lengths, scores, self.controls, self.static)

    def repeated(self, n: int) -> "Batch":
        """Give the series of the batch n times over, one batch after the other."""
        if n == 1:
            return self
        return self.mapped(lambda part: part.repeat(n, *[1] * (part.dim() - 1)))

    def mapped(self, f: Callable[[Tensor], Tensor]) -> "Batch":
        """Give the batch with a function of every tensor in its place."""
        parts = {k: f(part) for k, part in self._asdict().items() if isinstance(part, Tensor)}
        controls = self.controls
        if controls is not None:
            controls = controls._replace(t=f(controls.t), values=f(controls.values))
        return self._replace(**parts, controls=controls)


class RowRange(NamedTuple):
    """Row numbers of a panel, ``first`` up to but not including ``end``, each (B,)."""

    first: Tensor
    end: Tensor


class Parts(NamedTuple):
    """For each series of a batch, the rows to read and the rows to be asked about."""

    context: RowRange
    asked: RowRange


def gather_batch(panel: ScaledPanel, parts: Parts) -> Batch:
    """Cut the context and the targets of B series out of a panel.

    Without a row of context, times are relative to the first row asked about.
    """
    has_context = parts.context.end > parts.context.first
    origin = torch.where(has_context, parts.context.end - 1, parts.asked.first)
    t0 = panel.t[origin]
    read, asked = _gather(panel, parts.context, t0), _gather(panel, parts.asked, t0)
    series = torch.searchsorted(panel.offsets, origin, right=True) - 1
    told = told_of(panel, series, t0, read.t, asked.t)
    noise = _noise_of(panel, parts.asked)
    return Batch(*read, asked.t, asked.x, asked.mask, *told, noise)


def gather_context(
    panel: ScaledPanel, context: RowRange, ts: Tensor, series: Tensor | None = None
) -> Batch:
    """Cut the context of B series out of a panel, and ask about times ts (B, P).

    Where a series may have no row of context, it is to be told which ``series`` (B,) it is.
    """
    t0 = _last_time(panel, context)
    read = _gather(panel, context, t0)
    if series is None:
        series = torch.searchsorted(panel.offsets, context.first, right=True) - 1
    nothing = read.x.new_zeros(*ts.shape, panel.n_features)
    # A series without rows counts its times from its first knot.
    t0 = torch.where(read.lengths > 0, t0, 0.0)
    told = told_of(panel, series, t0, read.t, ts)
    return Batch(*read, ts, nothing, nothing.bool(), *told)


def gather_questions(
    panel: ScaledPanel, answers: ScaledPanel, parts: Parts, since: Tensor, series: Tensor
) -> Batch:
    """Cut the context of B series out of one panel, and what is asked out of another.

    Times are relative to ``since`` (B,), the end of the context in the times of the answers, of
    which each is one ``series`` (B,): the other panel need not have it. What is told beside
    observations is that of the answers.
    """
    read = _gather(panel, parts.context, _last_time(panel, parts.context))
    asked = _gather(answers, parts.asked, since)
    told = told_of(answers, series, since, read.t, asked.t)
    noise = _noise_of(answers, parts.asked)
    return Batch(*read, asked.t, asked.x, asked.mask, *told, noise)


class _Told(NamedTuple):
    controls: Controls | None
    static: Tensor | None


def told_of(panel: ScaledPanel, series: Tensor, t0: Tensor, t: Tensor, ts: Tensor) -> _Told:
    """Give what is told of some series (B,) beside observations.

    Known covariates are those that matter at times t (B, T) and ts (B, P) since t0 (B,), and have
    the precision of the latter.
    """
    static = None if panel.static is None else panel.static[series]
    if panel.known is None:
        return _Told(None, static)
    times = torch.cat([t, ts], dim=1)
    stretch = t0 + times.amin(dim=1), t0 + times.amax(dim=1)
    controls = controls_of(panel.known, series, t0, *stretch)
    return _Told(controls._replace(t=controls.t.to(ts.dtype)), static)


def keep_rows(batch: Batch, kept: Tensor) -> Batch:
    """Leave out the rows of the context that are not kept (B, T), as if they had never been.

    Times are then relative to the last row that is kept.
    """
    less, end = kept_rows(batch.context, kept)
    return batch._replace(
        t=less.t,
        x=less.x,
        scores=less.read,
        mask=less.mask,
        lengths=less.lengths,
        ts=batch.ts - end[:, None],
        controls=less.controls,
    )


def keep_values(batch: Batch, kept: Tensor) -> Batch:
    """Leave out the values of the context that are not kept (B, T, D); their rows stay."""
    mask = batch.mask & kept
    return batch._replace(x=batch.x * mask, scores=batch.scores * mask, mask=mask)


def ask_some(batch: Batch, n: int | None, generator: Generator) -> Batch:
    """Ask about n of the times of each series at most, drawn at random, in their order.

    Times with anything to tell come before those without, as padding.
    """
    if n is None or batch.ts.shape[1] <= n:
        return batch
    draw = torch.rand(batch.ts.shape, generator=generator, device=batch.ts.device)
    draw = draw.masked_fill(~batch.targets_mask.any(dim=-1), 2.0)
    chosen = draw.argsort(dim=1)[:, :n].sort(dim=1).values
    wide = chosen[..., None].expand(-1, -1, batch.targets.shape[2])
    return batch._replace(
        ts=batch.ts.gather(1, chosen),
        targets=batch.targets.gather(1, wide),
        targets_mask=batch.targets_mask.gather(1, wide),
        noise=None if batch.noise is None else batch.noise.gather(1, wide),
    )


def in_float64(batch: Batch) -> Batch:
    """Give the same batch with numbers of double precision."""
    return batch.mapped(lambda x: x.double() if x.is_floating_point() else x)


def _last_time(panel: ScaledPanel, rows: RowRange) -> Tensor:
    """Give the time (B,) of the last row of each range; of an empty one, that of any row."""
    return panel.t[(rows.end - 1).clamp(min=0)]


class _Rows(NamedTuple):
    t: Tensor
    x: Tensor
    scores: Tensor
    mask: Tensor
    lengths: Tensor


def _places(rows: RowRange) -> tuple[Tensor, Tensor, Tensor]:
    """Give lengths (B,), which places have a row (B, T), and which row each is."""
    lengths = rows.end - rows.first
    inside = within(lengths, max(int(lengths.max()), 1))
    steps = torch.arange(inside.shape[1], device=lengths.device)
    index = (rows.first[:, None] + steps).minimum((rows.end - 1)[:, None]).clamp(min=0)
    return lengths, inside, index


def _noise_of(panel: ScaledPanel, rows: RowRange) -> Tensor | None:
    return None if panel.noise is None else panel.noise[_places(rows)[2]]


def _gather(panel: ScaledPanel, rows: RowRange, t0: Tensor) -> _Rows:
    lengths, inside, index = _places(rows)
    t = torch.where(lengths[:, None] > 0, panel.t[index] - t0[:, None], 0.0).float()
    mask = panel.mask[index] & inside[..., None]
    return _Rows(t, panel.x[index] * mask, panel.scores[index] * mask, mask, lengths)
