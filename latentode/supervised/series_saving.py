"""What of a fitted estimator of whole series goes into its file, and how it is made again."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
from torch import Tensor, nn

from latentode.data import Schema, columns_of
from latentode.forecaster.model_file import Content
from latentode.forecaster.records import put_together, take_apart
from latentode.forecaster.saving import (
    check_class,
    check_labels,
    check_sizes_of,
    header_of,
    weights_in,
    with_parameters,
)
from latentode.forecaster.tagged import from_json, to_json
from latentode.models import own_torch_state
from latentode.supervised.series_network import build_member

if TYPE_CHECKING:
    from latentode.supervised.series_base import SeriesEstimator

S = TypeVar("S", bound="SeriesEstimator")

_WEIGHTS = "members/"
_AGAIN = "fit the model anew with this version and save it: model.fit(df, y).save(path)"
_MENDED = "df.columns = df.columns.map(str)"


def pack(model: "SeriesEstimator") -> Content:
    """Give what a model file is to hold of a fitted estimator.

    Raises
    ------
    TypeError
        If a label, the name of a column or a parameter is of a type that a file has no form for.
    """
    learned = model.learned()
    check_labels("column", columns_of(model.schema_), _MENDED)
    check_labels("class", learned.get("classes_", ()), "y = y.map(str)")  # type: ignore[arg-type]
    tensors = {_WEIGHTS + k: v.cpu() for k, v in model.members_.state_dict().items()}
    header = {
        **header_of(model),
        "learned": to_json(learned),
        "schema_": take_apart(model.schema_, "schema_", tensors),
        "scaler_": take_apart(model.scaler_, "scaler_", tensors),
    }
    return Content(header, tensors)


def unpack(cls: type[S], content: Content, name: str) -> S:
    """Make an estimator out of what its file holds.

    Raises
    ------
    ModelFileError
        If the file holds an estimator of another class, has parameters that are not known here,
        or weights that do not fit.
    """
    header, tensors = content
    check_class(cls, header, name)
    model = with_parameters(cls, header, "parameters", name, {})
    builder = with_parameters(cls, header, "fitted_with", name, {})
    for one in (model, builder):
        one.learn(from_json(header["learned"]))
    model.scaler_ = put_together(header["scaler_"], tensors)
    model.see_columns(put_together(header["schema_"], tensors))
    model.history_ = pd.DataFrame(from_json(header["history"]))
    model.fitted_with_ = {k: from_json(v) for k, v in header["fitted_with"].items()}
    model.members_ = _built(builder, model.schema_, weights_in(tensors, _WEIGHTS), name)
    return model


def _built(
    builder: "SeriesEstimator", schema: Schema, weights: Mapping[str, Tensor], name: str
) -> nn.ModuleList:
    """Build the networks, once it is known that they take no more room than the file has."""
    with own_torch_state(0):
        check_sizes_of(lambda: _members(builder, schema, weights), weights, name, _AGAIN)
        members = _members(builder, schema, weights)
    members.load_state_dict(weights)
    return members.eval()


def _members(
    builder: "SeriesEstimator", schema: Schema, weights: Mapping[str, Any]
) -> nn.ModuleList:
    """Build as many members as were fitted, but no more than there are weights of."""
    n_there = len({name.partition(".")[0] for name in weights})
    n_members = min(int(builder.n_members), n_there + 1)
    return nn.ModuleList(build_member(builder, schema) for _ in range(n_members))
