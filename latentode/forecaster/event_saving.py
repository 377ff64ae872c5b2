"""What of an `EventForecaster` goes into its file, and how it is made again from there."""

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from torch import Tensor

from latentode.data import EventLog, columns_of
from latentode.data.errors import as_code
from latentode.forecaster.event_network import Rates, build_process, in_use
from latentode.forecaster.model_file import Content, ModelFileError
from latentode.forecaster.records import put_together, take_apart
from latentode.forecaster.saving import (
    AGAIN,
    WEIGHTS,
    check_class,
    check_labels,
    check_sizes_of,
    header_of,
    weights_in,
    with_parameters,
)
from latentode.forecaster.tagged import from_json
from latentode.models import own_torch_state
from latentode.nn import PointProcess

if TYPE_CHECKING:
    from latentode.forecaster.events import EventForecaster

F = TypeVar("F", bound="EventForecaster")

# Learned attributes other than the weights, in the order of the file.
_LEARNED = ("context_", "rates_", "fit_seconds_")


def pack_events(model: "EventForecaster") -> Content:
    """Give what a model file is to hold of a fitted forecaster of events."""
    log = model.context_
    column = as_code(next(iter(log.schema.id_cols), None))
    check_labels("series", log.ids, f"df[{column}] = df[{column}].map(str)")
    kinds = as_code(next(iter(log.schema.target_cols), None))
    check_labels("kind", log.levels, f"df[{kinds}] = df[{kinds}].map(str)")
    check_labels("column", columns_of(log.schema), "df.columns = df.columns.map(str)")
    tensors = {WEIGHTS + k: v.cpu() for k, v in model.process_.state_dict().items()}
    learned = {name: take_apart(getattr(model, name), name, tensors) for name in _LEARNED}
    return Content({**header_of(model), **learned}, tensors)


def unpack_events(cls: type[F], content: Content, name: str) -> F:
    """Make a forecaster of events out of what its file holds."""
    header, tensors = content
    check_class(cls, header, name)
    model = with_parameters(cls, header, "parameters", name, {})
    for attribute in _LEARNED:
        setattr(model, attribute, put_together(header[attribute], tensors))
    model.history_ = pd.DataFrame(from_json(header["history"]))
    model.fitted_with_ = {k: from_json(v) for k, v in header["fitted_with"].items()}
    model.schema_ = model.context_.schema
    _check_log(model.context_, name)
    builder = with_parameters(cls, header, "fitted_with", name, {})
    model.process_ = _built(builder, model.rates_, weights_in(tensors, WEIGHTS), name)
    return model


def _built(
    builder: "EventForecaster", rates: Rates, weights: dict[str, Tensor], name: str
) -> PointProcess:
    """Build the process, once it is known that it takes no more room than the file has for it."""
    with own_torch_state(0):
        check_sizes_of(lambda: build_process(builder, rates), weights, name, AGAIN)
        process = in_use(builder, build_process(builder, rates), rates)
    process.load_state_dict(weights)
    return process


def _check_log(log: EventLog, name: str) -> None:
    """Refuse events that do not fit together, which no file of ours has."""
    n_events, n_series = len(log.times), len(log.ids)
    fits = (
        len(log.offsets) == n_series + 1
        and log.offsets[0] == 0
        and log.offsets[-1] == n_events
        and bool((np.diff(log.offsets) >= 0).all())
        and len(log.kinds) == n_events
        and bool(((log.kinds >= 0) & (log.kinds < len(log.levels))).all())
        and all(len(side) == n_series for side in (log.begin, log.start, log.end))
    )
    if not fits:
        raise ModelFileError(f"{name} has events and series that do not fit together.", AGAIN)
