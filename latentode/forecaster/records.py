"""What a forecaster has learned, taken apart into arrays and JSON, and put together again."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentode.data import EventLog, Known, Panel, Scale, Scaler, Schema
from latentode.data.normal_scores import NormalScores
from latentode.forecaster.calibration import Calibration
from latentode.forecaster.event_network import Rates
from latentode.forecaster.tagged import from_json, to_json

# The named tuples that a model file may hold; a new field of one needs nothing here but, for
# files from before it, a default in `_SINCE`.
RECORDS: dict[str, Any] = {
    record.__name__: record
    for record in (
        Calibration,
        EventLog,
        Known,
        NormalScores,
        Panel,
        Rates,
        Scale,
        Scaler,
        Schema,
    )
}
# What a field is in files that were written before it was there.
_SINCE: dict[str, dict[str, Any]] = {name: {} for name in RECORDS}


def take_apart(value: object, name: str, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401
    """Put the arrays of a value among the tensors, and give the rest as JSON.

    Parameters
    ----------
    value : object
        An array, one of `RECORDS`, a tuple of such, or anything for `to_json`.
    name : str
        What its arrays are called: by this and the names of the fields, as "context/times".
    tensors : dict of str to Tensor
        Where the arrays go.

    Returns
    -------
    object
        JSON for `put_together`.

    Examples
    --------
    >>> tensors = {}
    >>> take_apart(NormalScores(np.zeros(1), np.ones(1)), "scores", tensors)
    {'NormalScores': {'values': {'array': 'scores/values'}, 'scores': {'array': 'scores/scores'}}}
    >>> put_together(_, tensors).scores
    array([1.])
    """
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        tensors[name] = torch.tensor(value)
        return {"array": name}
    if RECORDS.get(kind) is type(value):
        fields: dict[str, Any] = value._asdict()  # type: ignore[attr-defined]
        return {kind: {f: take_apart(v, f"{name}/{f}", tensors) for f, v in fields.items()}}
    if isinstance(value, tuple) and any(type(part) in RECORDS.values() for part in value):
        return [take_apart(part, f"{name}/{i}", tensors) for i, part in enumerate(value)]
    return to_json(value)


def put_together(value: Any, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401  as `take_apart`
    """Give the value that `take_apart` was given."""
    if isinstance(value, list):
        return tuple(put_together(part, tensors) for part in value)
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return tensors[content].numpy().copy()  # not a view that keeps the whole file in memory
    if kind not in RECORDS:
        return from_json(value)
    fields = {f: put_together(v, tensors) for f, v in content.items()}
    return RECORDS[kind](**{**_SINCE[kind], **fields})
