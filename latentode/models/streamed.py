"""Series in Parquet files: learned of in one pass, and read a part at a time to train on."""

import copy
import hashlib
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Generator

from latentode.data import (
    Batch,
    Group,
    OnDuplicates,
    Panel,
    ParquetFiles,
    Scaler,
    ScalerSums,
    Schema,
    drop_empty_rows,
    first_rows,
    join_panels,
    select_series,
    time_holdout,
    to_panel,
)
from latentode.data.layout import Layout, find_groups
from latentode.data.panel import check_times_differ
from latentode.data.parquet import learn_schema, n_rows_of, naming, read_columns, read_groups
from latentode.data.sums import bounds
from latentode.models.held import HeldSeries, Plan, n_stretches, rows_before_cuts

# Groups that make a buffer at least: what is in memory together is drawn anew in each epoch.
_GROUPS = 16


class Reading(NamedTuple):
    """How the rows of files become panels."""

    schema: Schema
    columns: list[Any] | None
    on_duplicates: OnDuplicates
    static: object

    def panel(self, groups: list[Group]) -> Panel:
        """Read groups, and check them."""
        frame = read_groups(groups, self.columns)
        return to_panel(frame, self.schema, on_duplicates=self.on_duplicates, static=self.static)


class StreamedSeries:
    """Series in Parquet files, of which a part is in memory at a time.

    Parameters
    ----------
    files : ParquetFiles
        The files, and how much of them is in memory.
    reading : Reading
        How they are read.
    layout : Layout
        Where the series are.
    plan : Plan
        What is asked of them.
    scaler : Scaler, optional
        Scales of values and times; by default learned from the rows that are trained on.

    Attributes
    ----------
    schema : Schema
        The columns.
    scaler : Scaler
        The scales.
    n_draws : ndarray of shape (G,)
        How many stretches of series can be read of each group.
    n_held_out : int
        Number of rows held out for validation.
    validated : HeldSeries or None
        The series that are validated on.
    fingerprint : str
        SHA-256 of all that was read, and of how much is in memory.

    Raises
    ------
    FrameError
        If a file does not keep the contract.
    """

    def __init__(
        self,
        files: ParquetFiles,
        reading: Reading,
        layout: Layout,
        plan: Plan,
        scaler: Scaler | None = None,
    ) -> None:
        self.files, self.plan = files, plan
        self.schema = reading.schema
        self.groups = layout.groups
        self._reading = reading
        learned = _learn(files, reading, layout, plan)
        self.scaler = scaler or learned.sums.scaler()
        self._n_draws = learned.n_draws
        self.n_held_out = learned.n_held_out
        self.fingerprint = learned.digest
        self.validated: HeldSeries | None = None
        if learned.validated:
            panel = join_panels(learned.validated)
            self.validated = HeldSeries(panel, plan, self.scaler)

    @classmethod
    def open(
        cls,
        files: ParquetFiles,
        plan: Plan,
        columns: dict[str, Any],
        *,
        on_duplicates: OnDuplicates = "raise",
        scaler: Scaler | None = None,
    ) -> Self:
        """Find the columns, see `infer_schema`, and learn all that is to be known of the files."""
        schema = learn_schema(files.files, files.buffer_rows, columns)
        least = max(files.buffer_rows // _GROUPS, 1)
        layout = find_groups(files.files, schema, least_rows=least)
        names = read_columns(files.files, schema)
        reading = Reading(schema, names, on_duplicates, columns.get("static"))
        return cls(files, reading, layout, plan, scaler)

    @property
    def n_draws(self) -> np.ndarray:
        """How many stretches of series can be read of each group (G,)."""
        return self._n_draws[int(self.plan.val_fraction == 0)]

    def held(self, numbers: np.ndarray) -> HeldSeries:
        """Read some groups, by their numbers.

        Raises
        ------
        RuntimeError
            If they are not as they were.
        """
        groups = [self.groups[i] for i in numbers.tolist()]
        series = HeldSeries(self._reading.panel(groups), self.plan, self.scaler)
        if len(series.stretches()) != int(self.n_draws[numbers].sum()):
            names = ", ".join(dict.fromkeys(group.file.name for group in groups))
            raise RuntimeError(f"the rows of {names} have changed while they were trained on.")
        return series

    def half(self, half: int, batch_size: int, generator: Generator) -> Iterator[Batch]:
        """Draw batches of every other series of each group; one group is in memory at a time."""
        for number in range(len(self.groups)):
            held = self.held(np.array([number]))
            yield from held.half((half + number) % 2, batch_size, generator)

    def without_holdout(self) -> Self:
        """Give the same series, in the same scales, with every row to train on."""
        whole = copy.copy(self)
        whole.plan = self.plan._replace(val_fraction=0.0)
        whole.n_held_out, whole.validated = 0, None
        return whole


class _Learned(NamedTuple):
    sums: ScalerSums
    n_draws: np.ndarray
    n_held_out: int
    validated: list[Panel]
    digest: str


def _learn(files: ParquetFiles, reading: Reading, layout: Layout, plan: Plan) -> _Learned:
    """Go through all groups once."""
    sums = ScalerSums(len(reading.schema.feature_cols))
    n_draws, n_held_out, validated = [], 0, []
    n_rows, ends = n_rows_of(files.files), np.zeros(0)
    share = files.max_val_rows / n_rows if plan.val_fraction else 0.0
    digest = hashlib.sha256(f"{files.buffer_rows} {files.max_val_rows}".encode())
    for group in layout.groups:
        with naming(group.file):
            panel = reading.panel([group])
        observed = drop_empty_rows(panel)
        n_kept = time_holdout(observed, plan.val_fraction)
        sums.add(first_rows(observed, n_kept), observed)
        ends = bounds(ends, panel.times)
        n_draws.append(_counts(observed, n_kept, plan))
        n_held_out += len(observed.times) - int(n_kept.sum())
        validated += _some(panel, share)
        _add_to_digest(digest, panel)
    check_times_differ(ends, n_rows, reading.schema)
    return _Learned(sums, np.array(n_draws).T, n_held_out, validated, digest.hexdigest())


def _counts(panel: Panel, n_kept: np.ndarray, plan: Plan) -> tuple[int, int]:
    """Count the stretches of the rows that are trained on, and of all rows."""
    before = rows_before_cuts(panel, plan.regime)[0]
    counts = (torch.tensor(n_kept), torch.tensor(np.diff(panel.offsets)))
    some, every = (int(n_stretches(n, before, plan).sum()) for n in counts)
    return some, every


def _some(panel: Panel, share: float) -> list[Panel]:
    """Give a share of the series, which depends on their ids alone."""
    if share >= 1:
        return [panel]
    chosen = [key for key in panel.ids if zlib.crc32(str(key).encode()) < share * 2**32]
    return [select_series(panel, chosen)] if chosen else []


def _add_to_digest(digest: Any, panel: Panel) -> None:  # noqa: ANN401  hashlib names no type
    digest.update(repr(panel.ids).encode())
    known = () if panel.known is None else panel.known
    for part in (panel.offsets, panel.times, panel.values, panel.static, panel.noise, *known):
        digest.update(b"" if part is None else np.ascontiguousarray(part).tobytes())
