"""Our models on the protocols: what they are made of, how they are trained, what they forecast."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from forecast_distributions import Gaussian
from forecast_tasks import Array, Part, Task, values_of
from torch import nn

from latentode import SeriesDataModule
from latentode.data import (
    Forecast,
    Interpolation,
    Regime,
    difference,
    drop_empty_rows,
    scale_panel,
    to_panel,
)
from latentode.models import (
    Direct,
    LatentModel,
    Penalty,
    fit_corrections,
    forecast,
    own_torch_state,
    train,
)
from latentode.nn import (
    Decoder,
    Encoder,
    EulerStep,
    GatedField,
    GRUReader,
    GRUStep,
    MLPField,
    ODEPath,
    OscillatorField,
)
from latentode.nn.encoder import READERS
from latentode.nn.readers import Reader
from latentode.solvers import MLP


def plain(latent_size: int, hidden_size: int) -> MLP:
    return MLP([latent_size, hidden_size, latent_size], activation="silu")


def saturating(latent_size: int, hidden_size: int) -> MLP:
    """Give a field that is bounded: its solutions grow no faster than time."""
    return MLP([latent_size, hidden_size, latent_size])


FIELDS: Mapping[str, Callable[..., nn.Module]] = {
    "plain": plain,
    "saturating": saturating,
    "bounded": MLPField,
    "gated": GatedField,
    "oscillators": OscillatorField,
}
DIRECTIONS = {"gru": "forward", "gru-backward": "backward", "gru-both": "both"}


class Recipe(NamedTuple):
    """All that is chosen for a protocol, on validation.

    Attributes
    ----------
    latent_size, hidden_size : int
        Widths of the latent state, and of the reader.
    reader, anchor, n_frequencies, n_at_once, n_heads, n_hidden, summaries, dropout
        Of the encoder; the dropout also of the decoder.
    field, field_size
        Of the vector field; "euler" and "gru" steps take its place without an ODE.
    speed : float
        Latent time that passes in a unit of time.
    head, rule, head_size, n_attention, likelihood
        Of the decoder.
    corrections : int
        How often each series is drawn to solve for the corrections of the rule before training;
        0 for none.
    loss, penalties
        What to minimise.
    balance : float or None
        Weigh the values of a variable by its variance over its count to this power, as a
        protocol does that averages over variables in their own units; None weighs all alike.
    random_cut : bool
        Whether contexts end at rows drawn at random, rather than where the protocol cuts.
    around : tuple of two floats or None
        How long before, and how long after the protocol's cut contexts may end in training, at
        rows drawn at random.
    n_epochs, batch_size, learning_rate, weight_decay, averaging, observation_dropout
        Of the training.
    context_weight : float
        Weight of what is read among what is told.
    max_asked : int or None
        Rows of a series that a training step asks about at most.
    rtol : float
        Tolerance of the solver.
    """

    latent_size: int = 16
    hidden_size: int = 64
    reader: str = "gru"
    anchor: str = "end"
    n_frequencies: int = 0
    n_at_once: int = 1
    n_heads: int = 0
    n_hidden: int = 1
    summaries: bool = True
    dropout: float = 0.0
    field: str = "plain"
    field_size: int = 64
    speed: float = 1.0
    head: str = "linear"
    rule: str | None = "fading"
    head_size: int = 64
    n_attention: int = 0
    likelihood: str = "gaussian"
    corrections: int = 0
    loss: str = "nll"
    penalties: tuple[Penalty, ...] = ()
    balance: float | None = None
    random_cut: bool = False
    around: tuple[float, float] | None = None
    n_epochs: int = 20
    batch_size: int = 100
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    averaging: float = 0.99
    observation_dropout: float = 0.0
    context_weight: float = 0.1
    max_asked: int | None = None
    rtol: float = 1e-3


class Fitted(NamedTuple):
    """A trained model, the data it was trained on, and the CPU seconds that took."""

    model: LatentModel
    data: SeriesDataModule
    seconds: float


def fit(task: Task, recipe: Recipe, *, seed: int) -> Fitted:
    """Train a model on a task; the weights are those that are best on validation."""
    start = time.process_time()
    data = SeriesDataModule(
        task.train,
        id_col="series",
        time_col="time",
        target_cols=list(task.features),
        regime=regime_of(task, recipe),
        batch_size=recipe.batch_size,
        val=(task.val.context, task.val.asked),
        max_rows=1000,
        max_asked=recipe.max_asked,
        random_state=seed,
    )
    with own_torch_state(seed):
        model = model_of(task, recipe, data)
        if recipe.corrections:
            fit_corrections(model, *data.halves(recipe.corrections))
        train(
            model,
            data,
            max_epochs=recipe.n_epochs,
            patience=None,
            accelerator="cpu",
            label=None,
            averaging=recipe.averaging,
        )
    return Fitted(model, data, time.process_time() - start)


def regime_of(task: Task, recipe: Recipe) -> Regime:
    """Draw training examples as the protocol draws its test part, or at other cuts as well."""
    horizon_from, n_observed, n_asked = task.cut
    if horizon_from is None:
        return Interpolation(n_observed)
    if not recipe.random_cut:
        cut: object = horizon_from
        if recipe.around is not None:
            before, after = recipe.around
            cut = horizon_from - before, horizon_from + after
        return Forecast(cut=cut, n_observed=n_observed, n_asked=n_asked)
    if n_observed is None:
        return Forecast(ask_context=False)
    n_before = (task.train["time"] < horizon_from).groupby(task.train["series"]).sum().median()
    return Forecast(n_observed=float(n_observed / n_before), ask_context=False)


def model_of(task: Task, recipe: Recipe, data: SeriesDataModule) -> LatentModel:
    """Build a model as a recipe says."""
    encoder = encoder_of(recipe, data.n_features)
    decoder = decoder_of(recipe, data.n_features)
    weights = None
    if recipe.balance is not None:
        weights = balanced(task, data.scaler.std, recipe.balance)
    return LatentModel(
        encoder,
        path_of(recipe),
        decoder,
        objective=Direct(recipe.loss),
        penalties=recipe.penalties,
        variable_weights=weights,
        context_weight=recipe.context_weight,
        observation_dropout=recipe.observation_dropout,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
    )


def encoder_of(recipe: Recipe, n_features: int) -> Encoder:
    return Encoder(
        n_features,
        recipe.latent_size,
        reader=reader_of(recipe, n_features),
        anchor=recipe.anchor,
        n_heads=recipe.n_heads,
        n_hidden=recipe.n_hidden,
        summaries=recipe.summaries,
        dropout=recipe.dropout,
    )


def reader_of(recipe: Recipe, n_features: int) -> Reader:
    reader = READERS[recipe.reader](n_features, recipe.hidden_size)
    if not recipe.n_frequencies and recipe.n_at_once == 1:
        return reader
    # Made after one that is not used: what that one draws decides the weights of a seed.
    return GRUReader(
        n_features,
        recipe.hidden_size,
        direction=DIRECTIONS[recipe.reader],
        n_frequencies=recipe.n_frequencies,
        n_at_once=recipe.n_at_once,
    )


def decoder_of(recipe: Recipe, n_features: int) -> Decoder:
    return Decoder(
        recipe.latent_size,
        n_features,
        recipe.head_size,
        likelihood=recipe.likelihood,
        head=recipe.head,
        rule=recipe.rule,
        n_attention=recipe.n_attention,
        dropout=0.0 if recipe.head == "linear" else recipe.dropout,
    )


def path_of(recipe: Recipe) -> nn.Module:
    """Give what carries the latent state: an ODE, or a single step in its place."""
    if recipe.field == "gru":
        return GRUStep(recipe.latent_size)
    kind = "plain" if recipe.field == "euler" else recipe.field
    field = FIELDS[kind](recipe.latent_size, recipe.field_size)
    if recipe.field == "euler":
        return EulerStep(field, speed=recipe.speed)
    return ODEPath(field, speed=recipe.speed, rtol=recipe.rtol)


def balanced(task: Task, std: Array, power: float) -> torch.Tensor:
    """Give the weight of each variable: its variance over its count to a power, 1 on average."""
    asked = task.train
    if task.cut.horizon_from is not None:
        asked = asked[asked["time"] >= task.cut.horizon_from]
    count = np.isfinite(values_of(asked, task.features)).sum(axis=0)
    weight = np.where(count > 0, np.square(std) / np.maximum(count, 1) ** power, 0.0)
    weight = weight / ((weight * count).sum() / count.sum())
    return torch.tensor(weight, dtype=torch.float32)


def predict(fitted: Fitted, part: Part) -> Gaussian:
    """Forecast every asked row of a part."""
    model, data = fitted.model, fitted.data
    panel = drop_empty_rows(to_panel(part.context, data.schema))
    place = {key: i for i, key in enumerate(panel.ids)}
    series = part.asked["series"].map(place).to_numpy()
    end = panel.times[panel.offsets[1:] - 1]
    since = difference(part.asked["time"].to_numpy(), end[series]) / data.scaler.time_unit
    scaled = scale_panel(panel, data.scaler)
    told = forecast(model, scaled, series, since, max_rows=1000)
    return Gaussian(data.scaler.unscale(told.mean), data.scaler.std * told.std)
