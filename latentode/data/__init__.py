"""From a data frame to padded batches."""

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
from latentode.data.columns import Schema
from latentode.data.errors import FrameError, LatentODEWarning
from latentode.data.frame import infer_schema
from latentode.data.merge import keep_where, merge_panels
from latentode.data.panel import (
    Panel,
    check_time_span,
    drop_empty_rows,
    select_series,
    to_panel,
)
from latentode.data.query import Query, query_at, query_horizon, read_length
from latentode.data.questions import question_batches
from latentode.data.regimes import (
    REGIMES,
    Forecast,
    Interpolation,
    Reconstruction,
    Regime,
    Stretch,
)
from latentode.data.scaling import ScaledPanel, Scaler, difference, scale_panel
from latentode.data.split import first_rows, read_time, rows_before, time_holdout
from latentode.data.times import times_as_column

__all__ = [
    "REGIMES",
    "Batch",
    "Forecast",
    "FrameError",
    "Interpolation",
    "LatentODEWarning",
    "Panel",
    "Parts",
    "Query",
    "Reconstruction",
    "Regime",
    "RowRange",
    "ScaledPanel",
    "Scaler",
    "Schema",
    "Stretch",
    "ask_some",
    "check_time_span",
    "difference",
    "drop_empty_rows",
    "first_rows",
    "gather_batch",
    "gather_context",
    "in_float64",
    "infer_schema",
    "keep_rows",
    "keep_where",
    "merge_panels",
    "query_at",
    "query_horizon",
    "question_batches",
    "read_length",
    "read_time",
    "rows_before",
    "scale_panel",
    "select_series",
    "time_holdout",
    "times_as_column",
    "to_panel",
]
