"""What a fitted forecaster uses and has learned, in some twenty lines."""

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from torch import nn

from latentode.data import Panel, Scaler, Schema, difference, drop_empty_rows, times_as_column
from latentode.data.errors import count, listed, plainly
from latentode.forecaster.mechanistic import own_field

if TYPE_CHECKING:
    from latentode.forecaster.trained import TrainedForecaster

# Targets that are named, and the width of the words on the left.
_MOST_TARGETS, _WIDTH = 10, 14
# Parameters of a vector field of your own that are shown, of so many numbers at most.
_MOST_PARAMETERS, _FEW = 8, 4
# Parameters that say what the network and its training are.
_SHOWN = ("latent_size", "hidden_size", "objective", "method", "rtol", "random_state")


def summarize(model: "TrainedForecaster") -> str:
    """Tell what is in use: columns, series, times, values, network and training.

    Parameters
    ----------
    model : TrainedForecaster
        A fitted forecaster.

    Returns
    -------
    str
        At most 25 lines.
    """
    lines = [
        type(model).__name__,
        describe(model.context_, model.scaler_),
        *_lines(_training(model)),
    ]
    return "\n".join(lines)


def describe(panel: Panel, scaler: Scaler) -> str:
    """Tell what a frame holds: columns, series, times and values.

    Parameters
    ----------
    panel : Panel
        The frame as it was read.
    scaler : Scaler
        Its scales.

    Returns
    -------
    str
        A line for each fact, and for each of the first targets.
    """
    rows = _rows(panel) if panel.ids else iter([("rows", "none kept of the Parquet files")])
    lines = [
        *_lines(_columns(panel.schema)),
        *_lines(rows),
        *_lines(_times(panel, scaler.time_unit)),
        *_lines(_targets(panel, scaler)),
    ]
    return "\n".join(lines)


def _lines(pairs: Iterator[tuple[str, str]]) -> list[str]:
    return [f"  {word:{_WIDTH}s} {text}" for word, text in pairs]


def _columns(schema: Schema) -> Iterator[tuple[str, str]]:
    yield "series by", _given("id_col", schema.id_cols, schema) or "none: one series"
    kind = "numbers" if schema.time_unit is None else f"{schema.time_kind}s in {schema.time_unit}"
    zone = "" if schema.time_zone is None else f", {schema.time_zone}"
    yield "times by", f"{_given('time_col', (schema.time_col,), schema)}, {kind}{zone}"
    covariates = {
        "past": schema.past_cols,
        "known ahead": schema.known_cols,
        "static": schema.static_cols,
    }
    for role, columns in covariates.items():
        if columns:
            yield role, listed(columns)


def _given(role: str, columns: Sequence[Hashable], schema: Schema) -> str:
    """Name the columns of a role, and say whether they were given; nothing if there are none."""
    if not columns:
        return ""
    word = "column" if len(columns) == 1 else "columns"
    return f"{word} {listed(columns)}, {_guessed(role, schema)}"


def _guessed(role: str, schema: Schema) -> str:
    return "inferred" if any(g.startswith(f"{role}=") for g in schema.guessed) else "as given"


def _rows(panel: Panel) -> Iterator[tuple[str, str]]:
    sizes = np.diff(drop_empty_rows(panel).offsets)
    n_empty = len(panel.times) - int(sizes.sum())
    yield "series", f"{len(panel.ids):,}, of {int(sizes.min())} to {int(sizes.max())} rows"
    yield "rows", f"{len(panel.times):,}, sorted; {count(n_empty, 'row')} without a value not used"


def _times(panel: Panel, unit: float) -> Iterator[tuple[str, str]]:
    schema = panel.schema
    if panel.ids:
        yield from _spans(panel)
    yield "unit of time", f"{_length(unit, schema)}, the median span of a series"


def _spans(panel: Panel) -> Iterator[tuple[str, str]]:
    schema = panel.schema
    ends = times_as_column(np.array([panel.times.min(), panel.times.max()]), schema)
    yield "span", f"{plainly(ends.iloc[0])} to {plainly(ends.iloc[1])}"
    series = panel.row_series
    gaps = difference(panel.times[1:], panel.times[:-1])[series[1:] == series[:-1]]
    if len(gaps):
        low, middle, high = (_length(gap, schema) for gap in np.quantile(gaps, [0, 0.5, 1]))
        yield "between rows", f"{middle} in the median, {low} to {high}"


def _length(number: float, schema: Schema) -> str:
    """Write a length of time in the unit of a schema."""
    if schema.time_unit is None:
        return f"{number:.6g}"
    return plainly(times_as_column(np.array([round(number)]), _as_spans(schema)).iloc[0])


def _as_spans(schema: Schema) -> Schema:
    return schema._replace(time_kind="timedelta", time_zone=None)


def _targets(panel: Panel, scaler: Scaler) -> Iterator[tuple[str, str]]:
    schema = panel.schema
    names = schema.target_cols
    n_constant = int((scaler.std[: len(names)] == 0).sum())
    constant = f"; {n_constant} constant, forecast as that" if n_constant else ""
    yield "targets", f"{len(names)}, {_guessed('target_cols', schema)}{constant}"
    n_values = np.isfinite(panel.values[:, : len(names)]).sum(axis=0)
    for d, name in enumerate(names[:_MOST_TARGETS]):
        scale = f"mean {scaler.mean[d]:.4g}, std {scaler.std[d]:.4g}"
        values = f"{n_values[d]:,} values; " if panel.ids else ""
        yield f"  {plainly(name)}"[:_WIDTH], f"{values}{scale}"
    if len(names) > _MOST_TARGETS:
        rest = int(n_values[_MOST_TARGETS:].sum())
        yield "  ...", f"{rest:,} values of {len(names) - _MOST_TARGETS} more"


def _training(model: "TrainedForecaster") -> Iterator[tuple[str, str]]:
    settings = ", ".join(f"{k}={model.fitted_with_[k]}" for k in _SHOWN if k in model.fitted_with_)
    yield "network", f"{model.n_parameters_:,} parameters"
    yield "settings", settings
    own, field = model.fitted_with_.get("vector_field"), model.module_.vector_field
    if own is not None and isinstance(field, nn.Module):
        yield "vector field", f"{type(own).__name__}: {_numbers(field)}"
    yield "training", f"{model.fit_seconds_:.1f} s, {_epochs(model)}"
    losses = model.history_.get("val_loss")
    if losses is not None and losses.notna().any():
        yield "best val_loss", _best_losses(model.history_.dropna(subset="val_loss"))
    leads = 0 if model.calibration_ is None else len(model.calibration_.leads)
    yield "calibration", f"at {count(leads, 'lead time')}" if leads else "none"


def _epochs(model: "TrainedForecaster") -> str:
    """Tell how many epochs each stage had, and what the time was too short for."""
    history = model.history_
    stages = history.stage.value_counts(sort=False)
    told = "epochs: " + ", ".join(f"{n} of {stage}" for stage, n in stages.items())
    return told if "out_of_time" not in history else f"{told}; {_of_time(model)}"


def _of_time(model: "TrainedForecaster") -> str:
    """Tell what the time was too short for."""
    history = model.history_
    cut = history.stage[history.out_of_time.eq(other=True)].unique()
    said = [f"ended {', '.join(cut)}"] if len(cut) else []
    n_starts, stages = model.fitted_with_["n_restarts"], history.stage.unique()
    n_left = n_starts - sum(stage.startswith("fit") for stage in stages)
    if n_left:
        said.append(f"left nothing for {n_left} of {n_starts} starts")
    if model.fitted_with_["refit"] and "val_loss" in history and "refit" not in set(history.stage):
        said.append("left nothing for the refit")
    return f"max_time {' and '.join(said) or 'was enough'}"


def _best_losses(history: pd.DataFrame) -> str:
    """Tell the lowest loss on held-out rows, and those of other starts."""
    best = int(history.val_loss.argmin())
    n_epochs = int(history.epoch.iloc[best]) + 1
    told = f"{history.val_loss.iloc[best]:.4f} nats a value, after {count(n_epochs, 'epoch')}"
    kept = history.stage.iloc[best]
    others = history[history.stage != kept].groupby("stage", sort=False).val_loss.min()
    listed_others = ", ".join(f"{loss:.4f} of {stage}" for stage, loss in others.items())
    return f"{told} of {kept}; {listed_others}" if len(others) else told


def _numbers(field: nn.Module) -> str:
    """Tell the learned parameters that are a few numbers, as far as there is room."""
    learned = own_field(field).named_parameters()
    found = [(name, p.detach().flatten().tolist()) for name, p in learned if p.numel() <= _FEW]
    shown = [f"{k}={', '.join(f'{x:.4g}' for x in v)}" for k, v in found[:_MOST_PARAMETERS]]
    return "; ".join(shown) or "networks alone"
