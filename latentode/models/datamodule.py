"""Batches for training and validation, out of a data frame."""

import copy
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Self

import lightning
import torch
from torch import Tensor

from latentode.data import (
    REGIMES,
    Batch,
    OnDuplicates,
    Panel,
    Regime,
    ScaledPanel,
    Scaler,
    Schema,
    check_time_span,
    drop_empty_rows,
    infer_schema,
    n_static,
    parquet_files,
    question_batches,
    to_panel,
)
from latentode.models.batches import Batches, FixedBatches, own_generator
from latentode.models.buffered import BufferedBatches, n_batches
from latentode.models.held import HeldSeries, Plan
from latentode.models.streamed import StreamedSeries
from latentode.solvers.checks import check_choice, check_part, check_sizes

# A label may be anything; LightningCLI reads and writes it as text.
Label = str | Hashable
Labels = Label | Sequence[Label]

# Batches of an epoch at least: a few series are cut at other times again and again.
_LEAST_BATCHES = 4


class SeriesDataModule(lightning.LightningDataModule):
    """Batches of irregular series for a `LatentODE`, out of a data frame or of Parquet files.

    Parameters
    ----------
    df : DataFrame, Panel, path or ParquetFiles
        One row an observation, NaN where a variable was not measured then. A panel has been read
        before, and its columns are known. A Parquet file, or a folder of them, is read a part at
        a time; see ``docs/large-data.md``.
    id_col : Hashable or list, optional
        Column of the series, or columns that tell them apart together; by default recognised by
        name.
    time_col : Hashable, optional
        Column of the time; by default recognised by name.
    target_cols : Hashable or list, optional
        Columns of the values; by default every other column of numbers.
    past_cols : Hashable or list, optional
        Past covariates: observed and read like the targets, but not to be forecast.
    known_cols : Hashable or list, optional
        Known covariates: known ahead of time, such as an infusion rate; NaN is *as before*.
    static_cols : Hashable or list, optional
        Static covariates, of numbers, categories or text.
    static : DataFrame, optional
        One row for each series, with the static covariates if ``df`` does not have them.
    known_interpolation : {"previous", "linear"}, default="previous"
        What lies between two values of a known covariate.
    noise_cols : mapping of Hashable to Hashable, optional
        Known errors: of a target, the column with the standard deviations of its measurements.
    regime : str or Regime, default="forecast"
        What a model is asked in training: what follows a cut, "forecast" or a `Forecast`; hidden
        rows, "interpolation" or an `Interpolation`; or the very rows that it reads, "elbo".
    batch_size : int, default=64
        Series in a batch.
    val_fraction : float, default=0.15
        Last part of each series' time span, held out of training for validation; may be 0.
    val : pair of DataFrame, optional
        Other series to validate on instead: rows to read, and rows to be told from them.
    max_rows : int, default=512
        Most rows of a series that are read, and that are asked about, at a time.
    max_asked : int, optional
        Most rows of a series that a training step is asked about, drawn anew each time; by default
        all. Rows that lie close together say about the same of an error: fewer of them cost less.
    on_duplicates : {"raise", "mean", "last", "merge"}, default="raise"
        What becomes of rows of one series at the same time; see `to_panel`.
    scaler : Scaler, optional
        Scales of values and times, such as those of an earlier training; by default learned.
    random_state : int, default=0
        Seed of the order of series and of the cuts.

    Attributes
    ----------
    schema : Schema
        The columns in use, and the type of the times.
    panel : Panel
        The series as they came, sorted; not of Parquet files.
    scaler : Scaler
        Scales of values and times: those given, or learned from the rows that are trained on.
    scaled : ScaledPanel
        The series in the model's units; not of Parquet files.

    Raises
    ------
    FrameError
        If the frame does not keep the contract of ``docs/the-frame.md``.
    ValueError, TypeError
        If another argument cannot be used, or leaves nothing to train or to validate on.

    Examples
    --------
    >>> from latentode import SeriesDataModule, load_pbcseq
    >>> data = SeriesDataModule(load_pbcseq(), id_col="patient", time_col="day")
    >>> data.n_features
    7
    >>> next(iter(data.train_dataloader())).x.shape[2]
    7
    """

    def __init__(
        self,
        df: object,
        *,
        id_col: Labels | None = None,
        time_col: Label | None = None,
        target_cols: Labels | None = None,
        past_cols: Labels | None = None,
        known_cols: Labels | None = None,
        static_cols: Labels | None = None,
        static: object = None,
        known_interpolation: str = "previous",
        noise_cols: Mapping[Label, Label] | None = None,
        regime: str | Regime = "forecast",
        batch_size: int = 64,
        val_fraction: float = 0.15,
        val: tuple[object, object] | None = None,
        max_rows: int = 512,
        max_asked: int | None = None,
        on_duplicates: OnDuplicates = "raise",
        scaler: Scaler | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__()
        check_sizes(batch_size=batch_size, max_rows=max_rows)
        if max_asked is not None:
            check_sizes(max_asked=max_asked)
        check_part("val_fraction", val_fraction)
        self.batch_size = batch_size
        self.max_rows = max_rows
        self.max_asked = max_asked
        self.random_state = random_state
        self._static = static
        self.on_duplicates: OnDuplicates = on_duplicates
        self.regime = _regime(regime)
        part = 0.0 if val is not None else val_fraction
        plan = Plan(self.regime, max_rows, max_asked, part)
        columns = {
            "id_col": id_col,
            "time_col": time_col,
            "target_cols": target_cols,
            "past_cols": past_cols,
            "known_cols": known_cols,
            "static_cols": static_cols,
            "static": static,
            "known_interpolation": known_interpolation,
            "noise_cols": noise_cols,
        }
        self._panel: Panel | None = None
        files = parquet_files(df)
        if files is not None:
            self._series: HeldSeries | StreamedSeries = StreamedSeries.open(
                files, plan, columns, on_duplicates=on_duplicates, scaler=scaler
            )
            self.schema = self._series.schema
        else:
            self._panel = _read(df, columns, on_duplicates)
            self.schema = self._panel.schema
            self._series = HeldSeries(self._panel, plan, scaler)
        self.scaler = self._series.scaler
        if self._n_stretches() == 0:
            _refuse_cut(self.regime)
        self._val = None if val is None else self._questions_of(val)
        self._batches: Batches | BufferedBatches | None = None
        self._reached: dict[str, int] | None = None

    def __repr__(self) -> str:
        if self._panel is None:
            return f"{type(self).__name__}(of Parquet files)"
        n_rows, n_series = len(self.panel.times), len(self.panel.ids)
        return f"{type(self).__name__}({n_series:,} series, {n_rows:,} rows)"

    __str__ = __repr__  # Lightning's fails on batches that are tuples

    @property
    def panel(self) -> Panel:
        """The series as they came, sorted; not of files, which are never in memory as a whole."""
        if self._panel is None:
            raise AttributeError("series in Parquet files are not in memory: there is no panel.")
        return self._panel

    @property
    def scaled(self) -> ScaledPanel:
        """The series in the model's units; not of files."""
        if self._panel is None:
            raise AttributeError("series in Parquet files are not in memory, scaled or not.")
        assert isinstance(self._series, HeldSeries)
        return self._series.scaled

    @property
    def streamed(self) -> StreamedSeries | None:
        """The series, if they are in Parquet files."""
        return self._series if isinstance(self._series, StreamedSeries) else None

    @property
    def n_features(self) -> int:
        """Number of targets and past covariates D: what an encoder reads and a decoder tells."""
        return len(self.schema.feature_cols)

    @property
    def n_controls(self) -> int:
        """Number of known covariates C."""
        return len(self.schema.known_cols)

    @property
    def n_static(self) -> int:
        """Number E of the numbers that static covariates are: one for each level of a category."""
        return n_static(self.schema)

    @property
    def variable_weights(self) -> Tensor:
        """Weights (D,) of the variables in the loss of a model: 1, and 0 of a past covariate."""
        return feature_weights(self.schema)

    @property
    def n_held_out(self) -> int:
        """Number of rows held out for validation."""
        return self._series.n_held_out

    def without_holdout(self) -> Self:
        """Give the same series, in the same scales, with every row to train on."""
        whole = copy.copy(self)
        whole._series = self._series.without_holdout()
        whole._batches = whole._reached = None
        return whole

    def questions(self, context: object, asked: object, *, static: object = None) -> list[Batch]:
        """Give batches that ask for the rows of one frame, from those of another.

        Parameters
        ----------
        context : DataFrame
            What may be read, in the columns of the frame that is trained on.
        asked : DataFrame
            What is to be told, of series that have a context, or none at all.
        static : DataFrame, optional
            Static covariates of the series, where they had a frame of their own; by default that.

        Returns
        -------
        list of Batch
            In the scales of training.
        """
        static = self._static if static is None else static
        read, told = (
            drop_empty_rows(
                to_panel(part, self.schema, on_duplicates=self.on_duplicates, static=static)
            )
            for part in (context, asked)
        )
        return question_batches(read, told, self.scaler, max_rows=self.max_rows)

    def _questions_of(self, val: object) -> list[Batch]:
        if not isinstance(val, tuple | list) or len(val) != 2:
            raise TypeError(
                "val must be a pair of frames, the rows to read and those to be told from them: "
                f"give val=(context, asked), not {type(val).__name__}."
            )
        batches = self.questions(*val)
        if not batches:
            raise ValueError("val has no value to be told in its second frame: give some.")
        return batches

    def n_steps(self, world_size: int = 1) -> int:
        """Give how many training steps an epoch has on so many devices."""
        n_draws = self._n_draws(world_size)
        if isinstance(self._series, StreamedSeries):
            return n_batches(self._series, n_draws, self.batch_size, world_size)
        return math.ceil(n_draws / self.batch_size / world_size)

    def train_dataloader(self) -> Batches | BufferedBatches:
        """Give the batches of the rows to train on."""
        place = self._place()
        n_draws = self._n_draws(place["world_size"])
        options = {"batch_size": self.batch_size, "n_draws": n_draws, "seed": self.random_state}
        if isinstance(self._series, StreamedSeries):
            self._batches = BufferedBatches(self._series, **options, **place)
        else:
            held, series = self._series, self._series.stretches()
            sizes = held.sizes(series)
            self._batches = Batches(series, sizes, held.draw, **options, **place)
        if self._reached is not None:
            self._batches.load_state_dict(self._reached)
        return self._batches

    def halves(self, n_draws: int = 1) -> tuple[Iterator[Batch], Iterator[Batch]]:
        """Give batches of one half of the series, and of the other: no series is in both.

        Parameters
        ----------
        n_draws : int, default=1
            How often each series is drawn, as in so many epochs.

        Returns
        -------
        pair of iterators of Batch
            What training asks of either half.

        Raises
        ------
        ValueError
            If ``n_draws`` is below 1.

        Examples
        --------
        >>> from latentode import SeriesDataModule, load_pbcseq
        >>> data = SeriesDataModule(load_pbcseq(), id_col="patient", time_col="day")
        >>> [sum(len(batch.x) for batch in half) for half in data.halves(n_draws=2)]
        [312, 312]
        """
        check_sizes(n_draws=n_draws)
        return self._half(0, n_draws), self._half(1, n_draws)

    def _half(self, half: int, n_draws: int) -> Iterator[Batch]:
        for draw in range(n_draws):
            generator = own_generator(self.random_state, half, draw)
            yield from self._series.half(half, self.batch_size, generator)

    def _n_stretches(self) -> int:
        """Count what is drawn in an epoch: a long series for each stretch that can be read."""
        if isinstance(self._series, StreamedSeries):
            return int(self._series.n_draws.sum())
        return len(self._series.stretches())

    def _n_draws(self, world_size: int) -> int:
        return max(self._n_stretches(), _LEAST_BATCHES * self.batch_size * world_size)

    def state_dict(self) -> dict[str, Any]:
        """Give how far training is, for a checkpoint."""
        return {} if self._batches is None else self._batches.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint was, with batches that were given or are yet to be."""
        self._reached = state_dict or None
        if self._batches is not None and self._reached is not None:
            self._batches.load_state_dict(self._reached)

    def val_dataloader(self) -> FixedBatches:
        """Give batches that ask for the held-out rows, from those before them."""
        if self._val is not None:
            return FixedBatches(self._val, **self._place())
        held, place = self._series, self._place()
        validated = held.validated if isinstance(held, StreamedSeries) else held
        batches = [] if validated is None else validated.held_out(place["world_size"])
        return FixedBatches(batches, **place)

    def _place(self) -> dict[str, int]:
        """Give which rank of how many this is."""
        if self.trainer is None:
            return {"rank": 0, "world_size": 1}
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}


def feature_weights(schema: Schema) -> Tensor:
    """Give the weights (D,) of what a model tells: 1 of a target, and 0 of a past covariate."""
    return torch.cat([torch.ones(len(schema.target_cols)), torch.zeros(len(schema.past_cols))])


def _regime(regime: str | Regime) -> Regime:
    if not isinstance(regime, str):
        if isinstance(regime, type) or not callable(regime):
            raise TypeError(f"regime={regime} must be a name or a regime such as Forecast().")
        return regime
    check_choice("regime", regime, REGIMES)
    made: Regime = REGIMES[regime]()
    return made


def _refuse_cut(regime: Regime) -> None:
    raise ValueError(
        f"cut={regime.cut} leaves nothing to be told: no series has a row to train on at or "
        "after it. Give an earlier one, or a smaller val_fraction."
    )


def _read(df: object, columns: dict[str, Any], on_duplicates: OnDuplicates) -> Panel:
    """Give the panel of a frame, or one that has been read before."""
    panel = df
    if not isinstance(panel, Panel):
        schema = infer_schema(df, **columns)
        panel = to_panel(df, schema, on_duplicates=on_duplicates, static=columns["static"])
    check_time_span(panel)
    return panel
