"""Networks that tell something of a whole series, and the batches they learn from."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import lightning
import torch
from torch import Generator, Tensor, nn

from latentode.data import Batch, RowRange, ScaledPanel, gather_context
from latentode.models.latent_model import thinned
from latentode.models.ode_net import Rows
from latentode.nn import Context, Encoder
from latentode.nn.segments import carried
from latentode.nn.summary import N_NUMBERS
from latentode.solvers.checks import check_part, check_sizes

# Batches that are filled together, so that each holds series of about one length.
_BUCKET = 16
# Series that are read at once where nothing is learned.
_AT_ONCE = 256


class SeriesNet(nn.Module):
    """Read a series into a latent state, carry it on by an ODE, and tell something of the whole.

    The encoder gives the latent state at the last row, the path carries it through the times
    ahead, and a head reads the states there. What the encoder does not hand on, static covariates
    and summaries of every variable, the head reads too.

    Parameters
    ----------
    encoder : Encoder
        Gives q(z | series), of which the mean is taken; its anchor is "end".
    path : Module
        Carries a latent state from one time to others, as `ODEPath`.
    n_features : int
        Observed variables D.
    n_outputs : int
        Numbers K that are told of a series.
    ahead : sequence of float, default=(0.5, 1.0)
        Times after the last row at which the head reads the state, beside that at the last row;
        () for this alone, without an ODE.
    hidden_size : int, default=64
        Width of the hidden layer of the head, which is added to a linear one.
    dropout : float, default=0.5
        Share of what the head reads, and of its hidden layer, that a training step leaves out;
        static covariates are never left out.
    observation_dropout : float, default=0.1
        Share of the observed values that each training step leaves out.

    Examples
    --------
    >>> from latentode.nn import MLPField, ODEPath
    >>> net = SeriesNet(Encoder(3, 8), ODEPath(MLPField(8)), 3, n_outputs=2)
    >>> net.n_read
    60
    """

    def __init__(
        self,
        encoder: Encoder,
        path: nn.Module,
        n_features: int,
        n_outputs: int,
        *,
        ahead: Sequence[float] = (0.5, 1.0),
        hidden_size: int = 64,
        dropout: float = 0.5,
        observation_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_sizes(n_features=n_features, n_outputs=n_outputs, hidden_size=hidden_size)
        check_part("observation_dropout", observation_dropout)
        if encoder.anchor != "end":
            raise ValueError(
                f"the encoder's anchor must be end, where the path starts, not {encoder.anchor}."
            )
        self.encoder = encoder
        self.path = path
        self.ahead = tuple(ahead)
        self.observation_dropout = observation_dropout
        self.dropout = nn.Dropout(dropout)
        n_states = encoder.latent_size * (1 + len(self.ahead))
        self.n_read = n_states + N_NUMBERS * n_features
        width = self.n_read + encoder.n_static
        self.linear = nn.Linear(width, n_outputs)
        self.hidden = nn.Sequential(
            nn.Linear(width, hidden_size),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, n_outputs),
        )

    def forward(self, batch: Batch) -> Tensor:
        """Give the outputs (B, K) of the series of a batch."""
        # Summaries of normal scores: what is told does not hang on outliers or on units.
        batch = batch._replace(x=batch.scores)
        if self.training:
            batch = thinned(batch, self.observation_dropout)
        context = batch.context
        states = self.states(context).flatten(1)
        read = self.dropout(torch.cat([states, context.summary.bounded().flatten(1)], dim=1))
        if context.static is not None:
            read = torch.cat([read, context.static], dim=1)
        outputs: Tensor = self.linear(read) + self.hidden(read)
        return outputs

    def states(self, context: Context) -> Tensor:
        """Give the latent states (B, 1 + A, L) at the last row, and at the times ahead."""
        z0 = self.encoder(context).mean
        if not self.ahead:
            return z0[:, None]
        t0 = self.encoder.anchor_time(context.t)
        ts = torch.tensor(self.ahead).to(z0).expand(len(z0), -1)
        later = carried(self.path, z0, t0, ts, context.inputs)
        return torch.cat([z0[:, None], later], dim=1)


class Labelled(NamedTuple):
    """Series of a panel, and what is to be told of them.

    Attributes
    ----------
    series : Tensor of shape (N,), dtype=torch.long
        Their numbers.
    y : Tensor of shape (N, ...)
        What is to be told.
    weight : Tensor of shape (N,)
        How much each counts.
    """

    series: Tensor
    y: Tensor
    weight: Tensor

    def at(self, places: Tensor) -> "Labelled":
        """Give some of them, by number or by a mask."""
        return Labelled(*(part[places] for part in self))


class WholeSeriesDataModule(lightning.LightningDataModule):
    """Batches of whole series, of about one length each, in an order drawn anew for each epoch.

    Parameters
    ----------
    panel : ScaledPanel
        The series.
    learned : Labelled
        Those that are learned from.
    held_out : Labelled, optional
        Those that are validated on.
    batch_size : int, default=64
        Series of a batch.
    max_rows : int, default=512
        Rows of a series that are read at most: the latest ones.
    seed : int, default=0
        Seed of the order.
    """

    def __init__(
        self,
        panel: ScaledPanel,
        learned: Labelled,
        held_out: Labelled | None = None,
        *,
        batch_size: int = 64,
        max_rows: int = 512,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.panel = panel
        self.learned = learned
        self.held_out = held_out
        self.batch_size = batch_size
        self.max_rows = max_rows
        self._random = torch.Generator().manual_seed(seed)

    def train_dataloader(self) -> "SeriesBatches":
        """Give the batches of an epoch; the order goes on from one epoch to the next."""
        return SeriesBatches(self, self.learned, self.batch_size, self._random)

    def val_dataloader(self) -> "SeriesBatches | list[Rows]":
        """Give what is held out; nothing where nothing is."""
        if self.held_out is None:
            return []
        return SeriesBatches(self, self.held_out, _AT_ONCE, None)

    def rows_of(self, some: Labelled) -> Rows:
        """Give some of the series as a batch to learn from."""
        return Rows(whole_series(self.panel, some.series, self.max_rows), some.y, some.weight)


class SeriesBatches:
    """The batches of an epoch, drawn anew each time they are gone through.

    Parameters
    ----------
    data : WholeSeriesDataModule
        Makes a batch of some series.
    labelled : Labelled
        The series to go through.
    batch_size : int
        Series of a batch.
    random : Generator or None
        What orders are drawn from; without one the order is by length.
    """

    def __init__(
        self,
        data: WholeSeriesDataModule,
        labelled: Labelled,
        batch_size: int,
        random: Generator | None,
    ) -> None:
        self._data = data
        self._labelled = labelled
        self._batch_size = batch_size
        self._random = random
        self._sizes = n_rows_of(data.panel)[labelled.series]

    def __len__(self) -> int:
        return math.ceil(len(self._labelled.series) / self._batch_size)

    def __iter__(self) -> Iterator[Rows]:
        for places in self._places():
            yield self._data.rows_of(self._labelled.at(places))

    def _places(self) -> list[Tensor]:
        """Split the series into batches of about one length, in an order of their own."""
        if self._random is None:
            return by_length(self._sizes, self._batch_size)
        order = torch.randperm(len(self._sizes), generator=self._random)
        batches: list[Tensor] = []
        for bucket in order.split(_BUCKET * self._batch_size):
            parts = by_length(self._sizes[bucket], self._batch_size)
            batches += [bucket[part] for part in parts]
        shuffled = torch.randperm(len(batches), generator=self._random)
        return [batches[i] for i in shuffled.tolist()]


def whole_series(panel: ScaledPanel, series: Tensor, max_rows: int) -> Batch:
    """Give a batch of whole series (B,), or the latest ``max_rows`` rows of each."""
    first, end = panel.offsets[series], panel.offsets[series + 1]
    rows = RowRange(torch.maximum(first, end - max_rows), end)
    return gather_context(panel, rows, torch.zeros(len(series), 0), series)


def by_length(sizes: Tensor, batch_size: int) -> list[Tensor]:
    """Split the numbers of series with some sizes (N,) into batches of about one size.

    Examples
    --------
    >>> by_length(torch.tensor([5, 2, 9, 3]), 2)
    [tensor([1, 3]), tensor([0, 2])]
    """
    return list(sizes.argsort(stable=True).split(batch_size))


def n_rows_of(panel: ScaledPanel) -> Tensor:
    """Give the number of rows (S,) of each series."""
    return panel.offsets.diff()


def outputs_of(network: nn.Module, panel: ScaledPanel, max_rows: int) -> Tensor:
    """Give the outputs (S, K) of a network for every series of a panel.

    Parameters
    ----------
    network : Module
        Such as a `SeriesNet`, in evaluation mode.
    panel : ScaledPanel
        The series.
    max_rows : int
        Rows of a series that are read at most: the latest ones.

    Returns
    -------
    Tensor of shape (S, K)
        Outputs, in the order of the panel.
    """
    device = next(network.parameters()).device
    batches = by_length(n_rows_of(panel), _AT_ONCE)
    with torch.inference_mode():
        parts = [
            network(whole_series(panel, some, max_rows).mapped(lambda part: part.to(device)))
            for some in batches
        ]
    order = torch.cat(batches)
    return torch.cat(parts).cpu()[order.argsort()]
