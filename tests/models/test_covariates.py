"""Covariates through the whole model: they help where they act, and nothing else changes."""

from itertools import pairwise

import lightning
import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import (
    RowRange,
    drop_empty_rows,
    gather_batch,
    gather_context,
    in_float64,
    known_of_query,
    query_at,
    scale_panel,
)
from latentode.data.batch import Parts
from latentode.models import (
    RNN,
    Continuity,
    Direct,
    JacobianNorm,
    KineticEnergy,
    LatentODE,
    SeriesDataModule,
    ShiftConsistency,
    forecast,
    own_torch_state,
    train,
)
from latentode.models.training import quiet
from latentode.nn import Decoder, DrivenField, Encoder
from latentode.solvers import MLP

COVARIATES = {
    "target_cols": "y",
    "past_cols": "pulse",
    "known_cols": ["rate", "bolus"],
    "static_cols": ["class", "age"],
}
MODELS = ["end", "start", "rows", "rnn"]
every_model = pytest.mark.parametrize("kind", MODELS)


@pytest.fixture(scope="module")
def stays():
    """Give series with all kinds of covariates, stated at times of their own."""
    rng = np.random.default_rng(0)
    return pd.DataFrame([
        {
            "id": s,
            "t": t,
            "y": np.sin(t + s) if i % 3 else np.nan,
            "pulse": rng.normal() if i % 2 else np.nan,
            "rate": rng.integers(0, 3) if i % 4 == 0 else np.nan,
            "bolus": i % 5 == 0,
            "class": "low" if s % 2 else "high",
            "age": 40.0 + s,
        }
        for s in range(12)
        for i, t in enumerate(np.sort(rng.uniform(0, 6, 20)))
    ])


@pytest.fixture(scope="module")
def data(stays):
    return SeriesDataModule(stays, batch_size=6, **COVARIATES)


def build(data, kind="end", **options):
    """Make a model of some data that reads all its covariates, in every part."""
    n, told = data.n_features, {"n_controls": data.n_controls, "n_static": data.n_static}
    anchor = "end" if kind == "rnn" else kind
    reader = {"end": "gru", "start": "gru-backward", "rows": "gru-both"}[anchor]
    with own_torch_state(0):
        encoder = Encoder(n, 4, 8, reader=reader, anchor=anchor, dropout=0.0, **told)
        decoder = Decoder(4, n, 8, head="mlp", **told)
        options = {"variable_weights": data.variable_weights, **options}
        if kind == "rnn":
            return RNN(encoder, decoder, **options)
        field = DrivenField(MLP([4, 8, 4]), 4, hidden_size=8, **told)
        return LatentODE(encoder, field, decoder, **options)


def whole_parts(data, n_held=3):
    first, end = data.scaled.offsets[:-1], data.scaled.offsets[1:]
    return Parts(RowRange(first, end - n_held), RowRange(first, end))


def test_the_data_say_how_many_covariates_there_are(data):
    assert (data.n_features, data.n_controls, data.n_static) == (2, 2, 3)
    assert data.variable_weights.tolist() == [1.0, 0.0]


@every_model
def test_gradients_reach_every_parameter(kind, data):
    model = build(data, kind)
    batch = max(data.train_dataloader(), key=lambda batch: int(batch.lengths.min()))
    model.objective(model, batch, progress=1.0)[0].total.backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


def test_past_covariates_are_read_and_do_not_count(data):
    model = build(data, objective=Direct()).eval()
    batch = gather_batch(data.scaled, whole_parts(data))
    spoiled = batch.targets.clone()
    spoiled[..., 1] = 99.0
    losses = [
        model.objective(model, b, progress=1.0)[0].total
        for b in (batch, batch._replace(targets=spoiled))
    ]
    assert losses[0] == losses[1]
    x = batch.x.clone()
    x[..., 1] += batch.mask[..., 1]
    scores = batch.scores + (x - batch.x)
    assert not torch.equal(model(batch._replace(x=x, scores=scores)).mean, model(batch).mean)


@every_model
@torch.no_grad()
def test_a_forecast_does_not_depend_on_batch_mates(kind, data):
    model = build(data, kind).eval().double()
    parts = whole_parts(data)
    together = model(in_float64(gather_batch(data.scaled, parts))).mean
    for i in range(data.scaled.n_series):
        mine = Parts(*(RowRange(r.first[i : i + 1], r.end[i : i + 1]) for r in parts))
        alone = model(in_float64(gather_batch(data.scaled, mine))).mean
        n = alone.shape[1]
        torch.testing.assert_close(together[i, :n], alone[0], rtol=0, atol=1e-10)


@every_model
@torch.no_grad()
def test_a_forecast_does_not_depend_on_what_else_is_asked(kind, data):
    model = build(data, kind).eval().double()
    context = RowRange(data.scaled.offsets[:3], data.scaled.offsets[1:4] - 5)
    ts = torch.tensor([[-0.4, 2.0, 0.1, 0.0]]).expand(3, -1)
    whole = model(in_float64(gather_context(data.scaled, context, ts))).mean
    for j in range(4):
        one = model(in_float64(gather_context(data.scaled, context, ts[:, j : j + 1]))).mean
        torch.testing.assert_close(whole[:, j], one[:, 0], rtol=0, atol=1e-10)


@every_model
@torch.no_grad()
def test_a_forecast_does_not_depend_on_what_is_known_after_it(kind, data):
    model = build(data, kind).eval().double()
    context = RowRange(data.scaled.offsets[:3], data.scaled.offsets[1:4] - 8)
    batch = in_float64(gather_context(data.scaled, context, torch.tensor([[0.1, 0.2]] * 3)))
    t, values, _ = batch.controls
    later = (t > 0.2)[..., None]
    other = batch.controls._replace(
        t=torch.cat([t, t[:, -1:] + 9], 1),
        values=torch.cat([torch.where(later, 9.0, values), values[:, -1:] - 9], 1),
    )
    changed = model(batch._replace(controls=other)).mean
    torch.testing.assert_close(changed, model(batch).mean, rtol=0, atol=1e-12)


@every_model
@torch.no_grad()
def test_the_order_of_rows_changes_nothing(kind, stays, data):
    shuffled = SeriesDataModule(stays.sample(frac=1, random_state=1), batch_size=6, **COVARIATES)
    model = build(data, kind).eval()
    one, other = (model(gather_batch(d.scaled, whole_parts(d))).mean for d in (data, shuffled))
    assert torch.equal(one, other)


@every_model
def test_it_trains_with_a_plain_trainer(kind, stays):
    data = SeriesDataModule(stays, batch_size=6, **COVARIATES)
    with quiet():
        trainer = lightning.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(build(data, kind), data)
    assert {"train_loss", "val_loss"} <= set(trainer.callback_metrics)


@pytest.mark.parametrize(
    ("anchor", "penalty"),
    [
        ("end", ShiftConsistency(1.0)),
        ("start", ShiftConsistency(1.0)),
        ("rows", Continuity(1.0)),
        ("end", KineticEnergy(1.0)),
        ("end", JacobianNorm(1.0)),
    ],
)
def test_penalties_know_the_covariates(anchor, penalty, data):
    model = build(data, anchor, penalties=[penalty])
    batch = gather_batch(data.scaled, whole_parts(data))
    loud = batch._replace(
        controls=batch.controls._replace(values=batch.controls.values * 3), static=batch.static * 3
    )
    values = []
    for told in (batch, loud):
        torch.manual_seed(0)
        _, draw = model.objective(model, told, progress=1.0)
        values.append(penalty(model, told, draw))
    assert values[0].isfinite() and values[0] != values[1]


@torch.no_grad()
def test_a_question_says_what_will_be_known(data):
    schema, panel, model = data.schema, data.panel, build(data).eval()
    later = pd.DataFrame({
        "id": [0, 0],
        "t": [7.0, 8.0],
        "rate": [2.0, 2.0],
        "bolus": [True, True],
    })
    means = []
    for rate in (0.0, 2.0):
        asked = later.assign(rate=rate)
        query = query_at(asked, schema, panel.ids)
        told = drop_empty_rows(known_of_query(asked, query, panel))
        scaled = scale_panel(told, data.scaler)
        since = (query.times - told.times[told.offsets[1] - 1]) / data.scaler.time_unit
        options = {"max_rows": 99, "n_draws": 4}
        means.append(forecast(model, scaled, query.series, since, **options).mean)
    assert means[0].shape == (2, 2)
    assert (np.abs(means[0] - means[1])[:, 0] > 1e-6).all()


def test_static_covariates_of_another_frame_reach_the_questions(stays, data):
    static = stays.groupby("id")[["class", "age"]].first().reset_index()
    options = {**COVARIATES, "static_cols": None, "static": static}
    apart = SeriesDataModule(stays.drop(columns=["class", "age"]), batch_size=6, **options)
    frames = stays[stays["t"] < 4], stays[stays["t"] >= 4]
    for one, other in zip(data.questions(*frames), apart.questions(*frames), strict=True):
        torch.testing.assert_close(one.static, other.static)
        torch.testing.assert_close(one.controls.values, other.controls.values)


def infusions(n_series, seed):
    """Simulate one compartment under random infusions, each stated with no observation.

    dz/dt = u - 1.5 z, solved exactly between the changes of u.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for s in range(n_series):
        changes = np.sort(rng.uniform(0, 4, 4))
        rates = rng.choice([0.0, 1.0, 3.0], 4)
        times = np.sort(rng.uniform(0, 4, 16))
        z, edges = 0.5, [0.0, *changes, 4.0]
        for (begin, end), u in zip(pairwise(edges), [0.0, *rates], strict=True):
            rows.append({"id": s, "t": begin, "y": np.nan, "rate": u})
            for t in times[(times >= begin) & (times < end)]:
                level = u / 1.5 + (z - u / 1.5) * np.exp(-1.5 * (t - begin))
                rows.append({"id": s, "t": t, "y": level, "rate": np.nan})
            z = u / 1.5 + (z - u / 1.5) * np.exp(-1.5 * (end - begin))
    return pd.DataFrame(rows)


def classes(n_series, seed):
    """Simulate waves whose amplitude is that of a class, seen nowhere but in a static column."""
    rng = np.random.default_rng(seed)
    rows = []
    for s in range(n_series):
        kind = rng.choice(["low", "high"])
        amplitude = {"low": -1.0, "high": 2.0}[kind]
        for t in np.sort(rng.uniform(0, 4, 12)):
            y = amplitude * np.maximum(t - 2, 0.0)  # both kinds are 0 in the first half
            rows.append({"id": s, "t": t, "y": y, "kind": kind})
    return pd.DataFrame(rows)


def error_of_forecasts(df, val, *, n_epochs=12, **columns):
    """Train a model to forecast the second half of other series, and give its error there."""
    halves = val[val["t"] < 2], val[val["t"] >= 2]
    data = SeriesDataModule(df, target_cols="y", batch_size=32, val=halves, **columns)
    n, told = data.n_features, {"n_controls": data.n_controls, "n_static": data.n_static}
    with own_torch_state(0):
        field = MLP([6, 24, 6])
        if columns:
            field = DrivenField(field, 6, hidden_size=16, **told)
        encoder = Encoder(n, 6, 16, dropout=0.0, **told)
        model = LatentODE(encoder, field, Decoder(6, n, **told), objective=Direct("mse"))
        train(model, data, max_epochs=n_epochs, patience=None, accelerator="cpu", label=None)
    errors = []
    with torch.no_grad():
        for batch in data.val_dataloader():
            errors.append((model(batch).mean - batch.targets)[batch.targets_mask])
    return float(torch.cat(errors).square().mean().sqrt()) * float(data.scaler.std[0])


@pytest.mark.parametrize(
    ("simulate", "columns"),
    [(infusions, {"known_cols": "rate"}), (classes, {"static_cols": "kind"})],
    ids=["infusions", "classes"],
)
def test_a_model_that_is_told_forecasts_far_better(simulate, columns):
    df, val = simulate(64, seed=0), simulate(64, seed=1)
    named = [*columns.values()]
    told = error_of_forecasts(df, val, **columns)
    blind = error_of_forecasts(df.drop(columns=named), val.drop(columns=named))
    assert told < 0.5 * blind, (told, blind)
