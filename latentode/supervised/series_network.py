"""The network of an estimator of whole series: what its parameters make of the columns."""

from typing import TYPE_CHECKING

from torch import nn

from latentode.data import Schema, n_static
from latentode.models import SeriesNet
from latentode.nn import DrivenField, Encoder, ODEPath
from latentode.solvers import ADJOINTS, METHODS, MLP
from latentode.solvers.checks import (
    check_choice,
    check_not_negative,
    check_part,
    check_positive,
    check_whole,
)

if TYPE_CHECKING:
    from latentode.supervised.series_base import SeriesEstimator


def build_member(estimator: "SeriesEstimator", schema: Schema) -> SeriesNet:
    """Build an untrained network of an estimator for the columns of a schema."""
    n_features, n_numbers = len(schema.feature_cols), n_static(schema)
    size = estimator.latent_size
    # Bounded: a solution grows no faster than time.
    field: nn.Module = MLP([size, estimator.hidden_size, size], activation="tanh")
    if n_numbers:
        field = DrivenField(field, size, n_static=n_numbers)
    encoder = Encoder(
        n_features,
        size,
        estimator.hidden_size,
        n_hidden=1,
        summaries=False,
        dropout=estimator.dropout / 2,
        n_static=n_numbers,
    )
    path = ODEPath(
        field,
        method=estimator.method,
        rtol=estimator.rtol,
        atol=estimator.atol,
        adjoint=estimator.adjoint,
    )
    return SeriesNet(
        encoder,
        path,
        n_features,
        estimator.n_outputs(),
        hidden_size=estimator.hidden_size,
        dropout=estimator.dropout,
    ).float()  # whatever torch's default is


def check_parameters(estimator: "SeriesEstimator") -> None:
    """Refuse parameters that would fail late, or not at all."""
    sizes = ("latent_size", "hidden_size", "n_members", "batch_size", "max_rows")
    for name in sizes:
        check_whole(name, getattr(estimator, name))
    for name in ("max_epochs", "patience"):
        if getattr(estimator, name) is not None:
            check_whole(name, getattr(estimator, name))
    for name in ("learning_rate", "rtol", "atol"):
        check_positive(name, getattr(estimator, name))
    check_not_negative("weight_decay", estimator.weight_decay)
    for name in ("dropout", "val_fraction"):
        check_part(name, getattr(estimator, name))
    methods = [name for name, method in METHODS.items() if method.error is not None]
    check_choice("method", estimator.method, methods)
    check_choice("adjoint", estimator.adjoint, [name for name in ADJOINTS if name != "none"])
