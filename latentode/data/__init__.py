"""From a data frame to padded batches."""

from latentode.data.arrays import from_arrays
from latentode.data.batch import (
    Batch,
    Parts,
    RowRange,
    ask_some,
    gather_batch,
    gather_context,
    in_float64,
    keep_rows,
)
from latentode.data.columns import Schema, columns_of, without_covariates
from latentode.data.duplicates import OnDuplicates
from latentode.data.errors import FrameError, LatentODEWarning
from latentode.data.event_batch import ScaledLog, scale_log
from latentode.data.event_log import EventLog, event_schema, to_event_log
from latentode.data.event_parts import HeldOutEvents, follow, hold_out_events, some_series
from latentode.data.events import from_events
from latentode.data.frame import infer_schema
from latentode.data.horizon import read_length
from latentode.data.known import Known
from latentode.data.known_query import known_of_query
from latentode.data.merge import join_panels, keep_where, merge_panels
from latentode.data.native import as_native, without_column
from latentode.data.panel import (
    Panel,
    check_time_span,
    drop_empty_rows,
    empty_panel,
    select_series,
    to_panel,
)
from latentode.data.parquet import Group, ParquetFiles, parquet_files
from latentode.data.query import Query, pairs_frame, query_at, query_horizon
from latentode.data.questions import question_batches
from latentode.data.regimes import (
    REGIMES,
    Forecast,
    Interpolation,
    Reconstruction,
    Regime,
    Stretch,
)
from latentode.data.scaling import Scale, ScaledPanel, Scaler, difference, scale_panel
from latentode.data.sharding import new_folder, write_parquet
from latentode.data.split import first_rows, read_time, rows_before, time_holdout
from latentode.data.static import n_static
from latentode.data.sums import ScalerSums
from latentode.data.times import times_as_column
from latentode.data.units import unit_scaler, units_of

__all__ = [
    "REGIMES",
    "Batch",
    "EventLog",
    "Forecast",
    "FrameError",
    "Group",
    "HeldOutEvents",
    "Interpolation",
    "Known",
    "LatentODEWarning",
    "OnDuplicates",
    "Panel",
    "ParquetFiles",
    "Parts",
    "Query",
    "Reconstruction",
    "Regime",
    "RowRange",
    "Scale",
    "ScaledLog",
    "ScaledPanel",
    "Scaler",
    "ScalerSums",
    "Schema",
    "Stretch",
    "as_native",
    "ask_some",
    "check_time_span",
    "columns_of",
    "difference",
    "drop_empty_rows",
    "empty_panel",
    "event_schema",
    "first_rows",
    "follow",
    "from_arrays",
    "from_events",
    "gather_batch",
    "gather_context",
    "hold_out_events",
    "in_float64",
    "infer_schema",
    "join_panels",
    "keep_rows",
    "keep_where",
    "known_of_query",
    "merge_panels",
    "n_static",
    "new_folder",
    "pairs_frame",
    "parquet_files",
    "query_at",
    "query_horizon",
    "question_batches",
    "read_length",
    "read_time",
    "rows_before",
    "scale_log",
    "scale_panel",
    "select_series",
    "some_series",
    "time_holdout",
    "times_as_column",
    "to_event_log",
    "to_panel",
    "unit_scaler",
    "units_of",
    "without_column",
    "without_covariates",
    "write_parquet",
]
