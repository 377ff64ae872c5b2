"""What a model is asked in training: what follows a cut, what was hidden, or what it reads."""

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import NamedTuple, Protocol

import torch
from torch import Generator, Tensor

from latentode.data.batch import Batch, Parts, RowRange, gather_batch, keep_rows, keep_values
from latentode.data.scaling import ScaledPanel
from latentode.data.split import check_cut
from latentode.solvers.checks import check_share, check_whole

# How often a whole series is to be foretold from nothing, so that the prior is trained too.
_NO_CONTEXT = 0.02
# Of how many series an interpolating model is to fill a gap, and of the others single rows.
_GAPS = 0.5


class Stretch(NamedTuple):
    """Rows of B series that may be used: at least one of each.

    Attributes
    ----------
    first, end : Tensor of shape (B,)
        Row numbers of a panel, ``first`` up to but not including ``end``.
    cut : Tensor of shape (B,)
        The first row at or after the time of the regime's cut, if it has one.
    last_cut : Tensor of shape (B,)
        The same where that is the latest of several.
    """

    first: Tensor
    end: Tensor
    cut: Tensor
    last_cut: Tensor


class Regime(Protocol):
    """Draw a batch from a panel."""

    @property
    def cut(self) -> object:
        """Time, in the units of the frame, where contexts end, or a tuple of the first and last.

        None if any row of a series will do.
        """
        ...

    def __call__(
        self, panel: ScaledPanel, rows: Stretch, *, generator: Generator, max_rows: int
    ) -> Batch:
        """Give a batch with at most ``max_rows`` to read, and as many to be asked about."""
        ...


class Forecast:
    """Read what is before a cut, be asked about what follows it.

    Parameters
    ----------
    cut : time or tuple of two times, optional
        Where contexts end: at rows before this time, or before one of the rows between two times,
        drawn at random. By default any row, so that one model answers any horizon. Where all
        forecasts will start at one time, cuts around it make more of few series.
    n_observed : int or float, optional
        Rows of a context that are kept, or the share of them, drawn at random; by default all.
    n_asked : int, optional
        Rows after the cut that are asked about at most, the first ones; by default all. To
        forecast the next few rows, ask for no others: what follows later outweighs them.
    ask_context : bool, optional
        Whether the rows of the context are asked about too, so that times within it have an
        answer; by default where no cut is given.

    Raises
    ------
    FrameError
        If the cut is no time.
    ValueError
        If ``cut`` is a tuple of other than two times of one kind in their order, ``n_observed``
        neither a number nor a share of rows, or ``n_asked`` no number.

    Examples
    --------
    >>> regime = Forecast(cut=24.0)
    >>> around = Forecast(cut=(18.0, 30.0), n_asked=3)
    """

    def __init__(
        self,
        cut: object = None,
        *,
        n_observed: float | None = None,
        n_asked: int | None = None,
        ask_context: bool | None = None,
    ) -> None:
        if cut is not None:
            check_cut(cut)
        if n_observed is not None:
            _check_n_observed(n_observed)
        if n_asked is not None:
            check_whole("n_asked", n_asked)
        self.cut = cut
        self.n_observed = n_observed
        self.n_asked = n_asked
        self.ask_context = cut is None if ask_context is None else ask_context

    def __call__(
        self, panel: ScaledPanel, rows: Stretch, *, generator: Generator, max_rows: int
    ) -> Batch:
        """Give a batch."""
        cut = _drawn_cut(rows, self.cut, generator)
        context = RowRange(torch.maximum(rows.first, cut - max_rows), cut)
        asked_first = context.first if self.ask_context else cut
        n_asked = max_rows if self.n_asked is None else min(self.n_asked, max_rows)
        asked = RowRange(asked_first, torch.minimum(rows.end, cut + n_asked))
        batch = gather_batch(panel, Parts(context, asked))
        return _with_some(batch, self.n_observed, generator)


class Interpolation:
    """Read some rows of a stretch, drawn at random, and be asked about all of them.

    Parameters
    ----------
    n_observed : int, optional
        Rows to read; by default a share drawn anew for every batch.
    least, most : float, default=0.1 and 0.9
        Between which the share is drawn.
    gaps : float, default=0.0
        Share of the series of which the rows that are not read lie together. In half of these
        gaps, but for a single variable, one variable alone is not read.

    Raises
    ------
    ValueError
        If an argument is out of its range, or ``least`` above ``most``.

    Examples
    --------
    >>> regime = Interpolation(n_observed=10, gaps=0.5)
    """

    cut = None

    def __init__(
        self,
        n_observed: int | None = None,
        *,
        least: float = 0.1,
        most: float = 0.9,
        gaps: float = 0.0,
    ) -> None:
        if n_observed is not None:
            check_whole("n_observed", n_observed)
        check_share("least", least)
        check_share("most", most)
        if least > most:
            raise ValueError(f"least={least} must not be above most={most}: exchange them.")
        check_share("gaps", gaps)
        self.n_observed = n_observed
        self.least = least
        self.most = most
        self.gaps = gaps

    def __call__(
        self, panel: ScaledPanel, rows: Stretch, *, generator: Generator, max_rows: int
    ) -> Batch:
        """Give a batch."""
        batch = Reconstruction()(panel, rows, generator=generator, max_rows=max_rows)
        n = self.n_observed
        if n is None:
            draw = float(torch.rand((), generator=generator))
            share = self.least + (self.most - self.least) * draw
            n = max(round(share * batch.t.shape[1]), 1)
        return (
            _with_some(batch, n, generator) if self.gaps == 0 else self._torn(batch, n, generator)
        )

    def _torn(self, batch: Batch, n: int, generator: Generator) -> Batch:
        """Keep n rows of each context, and of some series those around a gap."""
        n_series, n_rows, n_variables = batch.x.shape
        draws = torch.rand(n_series, 4, 1, generator=generator).to(batch.t.device).unbind(1)
        has_gap, middle = draws[0] < self.gaps, draws[1] * batch.lengths[:, None]
        away = (torch.arange(n_rows, device=batch.t.device) + 0.5 - middle).abs()
        singly = torch.rand(n_series, n_rows, generator=generator).to(away)
        kept = _first_of(batch, torch.where(has_gap, -away, singly), batch.lengths.clamp(max=n))
        if n_variables == 1:
            return keep_rows(batch, kept)
        # The rows of such a gap stay, without the variable.
        alone = has_gap & (draws[2] < 0.5)
        variable = (draws[3] * n_variables).long()
        is_it = torch.arange(n_variables, device=away.device) == variable
        less = keep_values(batch, ~((alone & ~kept)[..., None] & is_it[:, None]))
        return keep_rows(less, (kept | alone) & less.mask.any(dim=-1))


class Reconstruction:
    """Read a stretch of each series, and be asked about the same rows.

    Examples
    --------
    >>> regime = Reconstruction()
    """

    cut = None

    def __call__(
        self, panel: ScaledPanel, rows: Stretch, *, generator: Generator, max_rows: int
    ) -> Batch:
        """Give a batch."""
        excess = (rows.end - rows.first - max_rows).clamp(min=0)
        draw = torch.rand(len(excess), generator=generator, dtype=torch.float64)
        first = rows.first + (draw * (excess + 1)).long()
        stretch = RowRange(first, torch.minimum(rows.end, first + max_rows))
        return gather_batch(panel, Parts(stretch, stretch))


def _drawn_cut(rows: Stretch, cut: object, generator: Generator) -> Tensor:
    """Give the row (B,) where each context ends, for no cut, one, or a tuple of two."""
    if cut is None:
        return random_cut(rows, generator)
    if not isinstance(cut, tuple):
        return rows.cut
    # A row follows the cut, wherever it is.
    n = (rows.last_cut.minimum(rows.end - 1) - rows.cut).clamp(min=0) + 1
    draw = torch.rand(len(n), generator=generator, dtype=torch.float64)
    return rows.cut + (draw * n).long()


def random_cut(rows: Stretch, generator: Generator) -> Tensor:
    """Draw the row (B,) where each context ends.

    At least one row follows; a series of one row has no context, and any other seldom none.
    """
    n_rows = rows.end - rows.first
    draw = torch.rand(len(n_rows), generator=generator, dtype=torch.float64)
    blind = torch.rand(len(n_rows), generator=generator) < _NO_CONTEXT
    n_read = torch.where(blind, 0, 1 + (draw * (n_rows - 1)).long()).minimum(n_rows - 1)
    return rows.first + n_read


def _with_some(batch: Batch, n: float | None, generator: Generator) -> Batch:
    """Keep n rows of each context, or that share of them, drawn at random, in their order."""
    if n is None:
        return batch
    is_count = isinstance(n, Integral)
    wanted = batch.lengths.clamp(max=int(n)) if is_count else torch.ceil(n * batch.lengths)
    draw = torch.rand(batch.t.shape, generator=generator, device=batch.t.device)
    return keep_rows(batch, _first_of(batch, draw, wanted))


def _first_of(batch: Batch, draw: Tensor, wanted: Tensor) -> Tensor:
    """Say which rows (B, T) of each context are the wanted (B,) with the lowest draws."""
    rank = draw.masked_fill(~batch.context.inside(), torch.inf).argsort(dim=1).argsort(dim=1)
    return rank < wanted[:, None]


def _check_n_observed(n: float) -> None:
    if isinstance(n, Integral):
        check_whole("n_observed", n)
    elif not (isinstance(n, float) and 0 < n <= 1):
        raise ValueError(
            f"n_observed={n} must be a whole number of rows, or a share of them above 0 and at "
            "most 1."
        )


REGIMES: dict[str, Callable[[], Regime]] = {
    "forecast": Forecast,
    "interpolation": partial(Interpolation, gaps=_GAPS),
    "elbo": Reconstruction,
}
