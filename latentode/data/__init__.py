"""From a data frame to padded batches."""

from latentode.data.batch import (
    Batch,
    Parts,
    RowRange,
    gather_batch,
    gather_context,
    in_float64,
)
from latentode.data.columns import Schema
from latentode.data.errors import FrameError, LatentODEWarning
from latentode.data.frame import infer_schema
from latentode.data.panel import (
    Panel,
    check_time_span,
    drop_empty_rows,
    select_series,
    to_panel,
)
from latentode.data.query import Query, query_at, query_horizon
from latentode.data.scaling import ScaledPanel, Scaler, difference, scale_panel
from latentode.data.split import OBJECTIVES, first_rows, time_holdout

__all__ = [
    "OBJECTIVES",
    "Batch",
    "FrameError",
    "LatentODEWarning",
    "Panel",
    "Parts",
    "Query",
    "RowRange",
    "ScaledPanel",
    "Scaler",
    "Schema",
    "check_time_span",
    "difference",
    "drop_empty_rows",
    "first_rows",
    "gather_batch",
    "gather_context",
    "in_float64",
    "infer_schema",
    "query_at",
    "query_horizon",
    "scale_panel",
    "select_series",
    "time_holdout",
    "to_panel",
]
