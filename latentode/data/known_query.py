"""What a question says of known covariates."""

import narwhals as nw
import numpy as np

from latentode.data.columns import Schema
from latentode.data.errors import FrameError, as_code, listed, plainly, warn
from latentode.data.known import Known, knots_of, merge_known
from latentode.data.panel import Panel
from latentode.data.query import Query
from latentode.data.rows import Rows, open_frame, place_of
from latentode.data.values import read_covariate


def known_of_query(at: object, query: Query, panel: Panel) -> Panel:
    """Add to a panel what a question says of known covariates at the times it asks about.

    Columns that it does not have, or all if it is no frame, stay as they were at last.

    Parameters
    ----------
    at : time, sequence of times, or DataFrame
        What was asked; see `query_at`.
    query : Query
        What `query_at` or `query_horizon` made of it.
    panel : Panel
        The series asked for, among others or alone.

    Returns
    -------
    Panel
        With the knots of both; where both state a value at one time, that of the question.

    Raises
    ------
    FrameError
        If a column holds what it cannot hold, or no row ever states a value of a covariate.

    Warns
    -----
    LatentODEWarning
        If a covariate is taken to stay as it was last stated, at times asked about later.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.data import infer_schema, query_at, to_panel
    >>> df = pd.DataFrame({"id": ["a", "a"], "t": [0, 1], "y": [0.1, 0.2], "rate": [2.0, 0.0]})
    >>> panel = to_panel(df, infer_schema(df, target_cols="y", known_cols="rate"))
    >>> asked = pd.DataFrame({"id": ["a"], "t": [5], "rate": [3.0]})
    >>> known_of_query(asked, query_at(asked, panel.schema, ["a"]), panel).known.values[:, 0]
    array([2., 0., 3.])
    """
    if panel.known is None:
        return panel
    stated = _stated(at, query, panel.schema)
    number = {key: i for i, key in enumerate(panel.ids)}
    codes = np.array([number[key] for key in query.ids], dtype="int64")[query.series]
    later = knots_of(codes, query.times, stated, n_series=len(panel.ids))
    known = merge_known(panel.known, later)
    _refuse_unknown(known, panel.schema)
    _warn_of_held(codes, query.times, stated, panel)
    return panel._replace(known=known)


def _stated(at: object, query: Query, schema: Schema) -> np.ndarray:
    """Give what the rows asked say of known covariates, (P, C); NaN where they say nothing."""
    values = np.full((len(query.times), len(schema.known_cols)), np.nan)
    if not isinstance(nw.from_native(at, pass_through=True), nw.DataFrame):
        return values
    rows: Rows = open_frame(
        at, id_col=list(schema.id_cols), time_col=schema.time_col, name="times"
    )
    for c, column in enumerate(schema.known_cols):
        if column in list(rows.frame.columns):
            place = place_of(rows, column, "known covariate", schema.id_cols)
            values[:, c] = read_covariate(rows.frame[column], place)
    return values


def _refuse_unknown(known: Known, schema: Schema) -> None:
    empty = np.isnan(known.values).all(axis=0)
    unknown = [column for column, none in zip(schema.known_cols, empty, strict=True) if none]
    if unknown:
        raise FrameError(
            "E-KNOWN-EMPTY",
            f"known covariates of which no row states a value: {listed(unknown)}.",
            f"times[{as_code(unknown[0])}] = 0.0  # its value from each time on",
        )


def _warn_of_held(codes: np.ndarray, times: np.ndarray, stated: np.ndarray, panel: Panel) -> None:
    """Warn of covariates that the question does not speak of, asked after all that is known."""
    assert panel.known is not None
    silent = np.isnan(stated).all(axis=0)
    offsets, known_times, _ = panel.known
    n_knots = np.diff(offsets)[codes]
    last = known_times[(offsets[1:][codes] - 1).clip(0)] if len(known_times) else times
    is_after = (n_knots == 0) | (times > last)
    if not (silent.any() and is_after.any()):
        return
    columns = [c for c, quiet in zip(panel.schema.known_cols, silent, strict=True) if quiet]
    first = panel.ids[int(codes[is_after][0])]
    warn(
        f"known covariates {listed(columns)} are taken to stay as they were last stated, at "
        f"{int(is_after.sum())} of the {len(times)} times asked, first of series "
        f"{plainly(first)}: ask with a frame that has these columns."
    )
