"""Forecasts as they would have been made at earlier times, each from what was known then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone

from latentode.data import (
    FrameError,
    Panel,
    drop_empty_rows,
    infer_schema,
    keep_where,
    read_time,
    select_series,
    to_panel,
)
from latentode.data.errors import as_code
from latentode.data.rows import open_frame
from latentode.forecaster.calendar import Calendar
from latentode.forecaster.evaluation import (
    Answer,
    answer,
    beside_naive,
    check_by,
    check_metrics,
    leads_of,
    table_of,
    target_std,
)
from latentode.forecaster.held_out import HeldOut, question_of_rows, targets_of
from latentode.forecaster.question import Wanted
from latentode.forecaster.table import as_table, before, quantile_parts
from latentode.metrics import Forecasts, in_units_of
from latentode.solvers.checks import check_whole

if TYPE_CHECKING:
    from latentode.forecaster.base import Forecaster


# Parameters that say what the columns are.
_COLUMNS = (
    "id_col",
    "time_col",
    "target_cols",
    "past_cols",
    "known_cols",
    "static_cols",
    "noise_cols",
)


class Window(NamedTuple):
    """A cutoff, and the time up to which rows after it are told, in the unit of the schema."""

    cutoff: float
    end: float


class Past(NamedTuple):
    """A frame that is looked at as it was at earlier times.

    Attributes
    ----------
    frame : DataFrame
        Its N rows.
    calendar : Calendar
        Their times.
    blank : Forecaster
        A forecaster that was not fitted, with the columns of the frame named.
    windows : tuple of Window
        The cutoffs, rising.
    static : DataFrame or None
        Static covariates of the series, where the frame does not have them.
    """

    frame: pd.DataFrame
    calendar: Calendar
    blank: Forecaster
    windows: tuple[Window, ...]
    static: object

    def fit_up_to(self, cutoff: float) -> Forecaster:
        """Fit a new forecaster on the rows up to a cutoff."""
        rows = self.frame[self.calendar.times <= cutoff]
        try:
            return clone(self.blank).fit(rows, static=self.static)
        except FrameError as error:
            what = f"of the rows up to the cutoff {self.calendar.plainly(cutoff)}: {error.what}"
            raise FrameError(error.code, what, error.fix) from error

    def held_out(self, panel: Panel, window: Window) -> HeldOut:
        """Ask for the rows of a window, of series observed before it, from those before it."""
        panel = drop_empty_rows(panel)
        read = keep_where(panel, panel.times <= window.cutoff)
        ids = [key for key, n in zip(read.ids, np.diff(read.offsets), strict=True) if n]
        after = (panel.times > window.cutoff) & (panel.times <= window.end)
        told = select_series(keep_where(panel, after), ids)
        if not len(told.times):
            raise self._nothing(window, read)
        return HeldOut(question_of_rows(select_series(read, ids), told), targets_of(told))

    def _nothing(self, window: Window, read: Panel) -> FrameError:
        calendar = self.calendar
        cutoff, end = (calendar.plainly(time) for time in window)
        first, last = (calendar.plainly(t) for t in (calendar.times.min(), calendar.times.max()))
        what = (
            f"of the series that have one before it up to {end}"
            if len(read.times)
            else "before it"
        )
        return FrameError(
            "E-CUTOFF",
            f"the cutoff {cutoff} leaves nothing to {'tell' if len(read.times) else 'fit'}: there "
            f"is no row with a value {what}; column {as_code(calendar.schema.time_col)} reaches "
            f"from {first} to {last}.",
            "cutoffs = [...]  # within that, or fewer of them: n_cutoffs=1",
        )


class Look(NamedTuple):
    """A forecaster at a cutoff, and what came after it."""

    cutoff: float
    forecaster: Forecaster
    held: HeldOut


def look_back(
    forecaster: Forecaster,
    df: object,
    *,
    horizon: object,
    n_cutoffs: int,
    cutoffs: Sequence[object] | None,
    step: object,
    static: object,
) -> Past:
    """Read a frame and its cutoffs; the forecaster is not changed and need not be fitted."""
    given: Any = forecaster.get_params(deep=False)
    columns = {name: given[name] for name in _COLUMNS if name in given}
    schema = infer_schema(df, static=static, **columns)
    rows = open_frame(df, id_col=columns["id_col"], time_col=schema.time_col)
    frame = rows.frame.reset_index(drop=True)
    calendar = Calendar.of(frame, schema.time_col, asker=type(forecaster).__name__)
    # Named, so that no row after a cutoff has a say in what the columns are.
    blank = clone(forecaster).set_params(
        time_col=schema.time_col, target_cols=list(schema.target_cols)
    )
    windows = _windows(calendar, horizon, n_cutoffs, cutoffs, step)
    past = Past(frame, calendar, blank, windows, static)
    panel = to_panel(df, schema, on_duplicates=forecaster.on_duplicates, static=static)
    for window in windows:
        past.held_out(panel, window)  # before anything is fitted
    return past


def looks(past: Past, *, refit: bool) -> Iterator[Look]:
    """Give the forecaster of each cutoff: fitted at the first one, or at each."""
    fitted = past.fit_up_to(past.windows[0].cutoff)
    for window in past.windows:
        if refit and window is not past.windows[0]:
            fitted = past.fit_up_to(window.cutoff)
        panel = fitted._panel(past.frame, past.static)
        yield Look(window.cutoff, fitted, past.held_out(panel, window))


def backtest(
    past: Past,
    metrics: Sequence[str],
    *,
    refit: bool,
    by: str | None,
    edges: Sequence[object] | None,
    scaled: bool,
    baselines: bool,
) -> pd.DataFrame:
    """Give metrics of forecasts at earlier times, see `Forecaster.backtest`."""
    check_metrics(metrics)
    check_by(by, edges, ("variable", "lead", "cutoff"))
    parts: dict[str, list[Answer]] = {}
    rivals: dict[str, Forecaster] = {}
    since, cutoff_of = [], []
    for look in looks(past, refit=refit):
        question, truth = look.held
        if not rivals or refit:
            rivals = beside_naive(look.forecaster, baselines=baselines)
        std = target_std(look.forecaster) if scaled else np.ones(truth.shape[1])
        for name, one in rivals.items():
            own = answer(one, question, truth, metrics)
            parts.setdefault(name, []).append(Answer(*in_units_of(std, *own)))
        since.append(question.since)
        cutoff_of.append(np.full(len(truth), look.cutoff))
    schema = look.forecaster.schema_
    groups = None
    if by == "lead":
        groups = leads_of(np.concatenate(since), edges, schema)
    if by == "cutoff":
        groups = _cutoffs(np.concatenate(cutoff_of), past)
    variables = schema.target_cols if by == "variable" else None
    answers = {name: _joined(own) for name, own in parts.items()}
    return table_of(answers, metrics, groups=groups, variables=variables)


def historical_forecasts(
    past: Past, quantiles: Sequence[float] | None, *, refit: bool
) -> pd.DataFrame:
    """Give the forecasts made at earlier times, see `Forecaster.historical_forecasts`."""
    tables = []
    for look in looks(past, refit=refit):
        question, truth = look.held
        levels = quantiles or ()
        wanted = Wanted(np.array(levels), with_spread=len(levels) > 0)
        told = look.forecaster._tell_calibrated(question, wanted)
        parts = {"": told.mean} | quantile_parts(levels, told)
        table = as_table(question.query, parts | {"_true": truth}, look.forecaster.schema_, "wide")
        cutoffs = past.calendar.column(np.full(len(table), look.cutoff))
        tables.append(before(table, "cutoff", cutoffs))
    return pd.concat(tables, ignore_index=True)


def _windows(
    calendar: Calendar,
    horizon: object,
    n_cutoffs: int,
    cutoffs: Sequence[object] | None,
    step: object,
) -> tuple[Window, ...]:
    length = calendar.length("horizon", horizon)
    if cutoffs is None:
        check_whole("n_cutoffs", n_cutoffs)
        by = length if step is None else calendar.length("step", step)
        return tuple(Window(end - length, end) for end in calendar.last_ends(n_cutoffs, by))
    if step is not None:
        raise ValueError(f"step={step} goes with n_cutoffs, not with cutoffs.")
    if isinstance(cutoffs, str) or not isinstance(cutoffs, Sequence | pd.Index | np.ndarray):
        raise TypeError(f"cutoffs must be a list of times: [{cutoffs}].")
    if not len(cutoffs):
        raise ValueError("cutoffs is empty: give at least one.")
    times = [read_time(cutoff, calendar.schema) for cutoff in cutoffs]
    return tuple(Window(time, time + length) for time in sorted(set(times)))


def _cutoffs(times: np.ndarray, past: Past) -> pd.Categorical:
    """Give the cutoff of each of P pairs, named as in the frame."""
    distinct, codes = np.unique(times, return_inverse=True)
    names = past.calendar.column(distinct)
    return pd.Categorical.from_codes(codes, pd.Index(names, name="cutoff"))


def _joined(answers: Sequence[Answer]) -> Answer:
    told = [own.told for own in answers]
    return Answer(
        np.concatenate([own.truth for own in answers]),
        Forecasts(
            np.concatenate([one.mean for one in told]),
            told[0].levels,
            np.concatenate([one.quantiles for one in told]),
            np.concatenate([one.log_density for one in told]),
        ),
    )
