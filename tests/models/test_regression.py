"""Corrections of a rule are those of ridge regression, and never for the worse."""

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import Forecast
from latentode.data.batch import in_float64
from latentode.models import SeriesDataModule
from latentode.models.objectives import values_of
from latentode.models.regression import fit_corrections, moments
from latentode.nn import Fading, everywhere
from latentode.nn.corrections import growth


@pytest.fixture
def asked(waves):
    return SeriesDataModule(waves, batch_size=4, val_fraction=0.0, regime=Forecast(cut=3.0))


def noise_frame(n_series):
    """Give series of five rows of two variables, all of them noise."""
    draws = np.random.default_rng(0)
    frame = pd.DataFrame(draws.standard_normal((5 * n_series, 2)), columns=["a", "b"])
    return frame.assign(id=np.repeat(np.arange(n_series), 5), time=np.tile(np.arange(5), n_series))


def left_over(model, batches):
    """Give the squared error of the rule, and of the rule with its corrections."""
    rule, total = model.decoder.rule, torch.zeros(2)
    for batch in batches:
        where = values_of(batch)
        error = batch.targets[where] - rule(rule.read(batch.context), batch.ts, where)
        total = total.index_add(0, where.variable, error.square())
    return total


def features(rule, known, ts, where):
    """Give the features (N, F) of single values."""
    numbers = rule.corrections.numbers(known)[where.series, where.variable]
    grown = growth(ts)[where.series, where.time]
    return torch.cat([numbers, grown[:, None] * numbers], dim=-1)


def off_by(noise, batch, rule):
    """Give a batch of which the rule is right but for noise."""
    truth = rule(rule.read(batch.context), batch.ts, everywhere(batch.ts, 2))
    return batch._replace(targets=(truth + noise) * batch.targets_mask)


def largest_weight(corrections):
    return max(part.abs().max() for part in (corrections.own, corrections.shared))


@torch.no_grad()
def test_they_lower_the_error_of_every_variable(build, asked):
    model, batches = build(), list(asked.train_dataloader())
    before = left_over(model, batches)
    fit_corrections(model, *asked.halves())
    assert (left_over(model, batches) < before).all()


@torch.no_grad()
def test_they_find_a_linear_law(build):
    """Values that are 2 times the last value of the other variable, plus 1."""
    model, halves = build(), ([], [])
    asked = SeriesDataModule(noise_frame(400), batch_size=50, val_fraction=0.0)
    for half, batches in zip(halves, asked.halves(3), strict=True):
        for batch in batches:
            last = batch.context.summary.last.flip(1)[:, None]
            half.append(batch._replace(targets=(2 * last + 1) * batch.targets_mask))
    fit_corrections(model, *halves)
    batches = halves[0] + halves[1]
    error = left_over(model, batches) / sum(b.targets_mask.sum((0, 1)) for b in batches)
    assert (error < 5e-3).all()


@torch.no_grad()
def test_noise_is_left_alone(build, asked):
    model = build()
    rule = model.decoder.rule

    def of_noise(batch):
        return off_by(1e-3 * torch.randn_like(batch.targets), batch, rule)

    fit_corrections(model, *(map(of_noise, half) for half in asked.halves()))
    assert largest_weight(rule.corrections) < 1e-2


@torch.no_grad()
def test_the_weights_are_those_of_ridge_regression(build, asked):
    rule = build().decoder.rule.double()
    batch = max(asked.train_dataloader(), key=lambda batch: int(batch.lengths.min()))
    batch = in_float64(batch)
    where, known = values_of(batch), rule.read(batch.context)
    keep = batch.ts[where.series, where.time] > 0
    where = type(where)(*(index[keep] for index in where))
    x = features(rule, known, batch.ts, where)
    y = batch.targets[where] - rule(known, batch.ts, where)
    weights = moments(rule, batch).weights(torch.tensor(0.3))
    for d in range(2):
        some = where.variable == d
        ridge = torch.cat([x[some], 0.3**0.5 * torch.eye(x.shape[1]).double()])
        target = torch.cat([y[some], torch.zeros(x.shape[1]).double()])
        expected = torch.linalg.lstsq(ridge, target[:, None]).solution[:, 0]
        torch.testing.assert_close(weights[d], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_rule_applies_the_weights_to_the_features(batch):
    rule = Fading(2)
    where, known = values_of(batch), rule.read(batch.context)
    plain = rule(known, batch.ts, where)
    x = features(rule, known, batch.ts, where)
    weights = torch.randn(2, x.shape[1])
    rule.corrections.set_weights(weights)
    expected = plain + (x * weights[where.variable]).sum(-1)
    torch.testing.assert_close(rule(known, batch.ts, where), expected, rtol=1e-4, atol=1e-5)
    whole = rule(known, batch.ts, everywhere(batch.ts, 2))
    torch.testing.assert_close(whole[where], expected, rtol=1e-4, atol=1e-5)


def test_other_rules_are_left_alone(build, asked):
    model = build("rows", rule="interpolating", head="mlp")
    before = {name: x.clone() for name, x in model.state_dict().items()}
    fit_corrections(model, *asked.halves())
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())


def test_half_of_the_series_is_too_few_to_choose_by(build, asked):
    model = build()
    fit_corrections(model, asked.halves()[0], [])
    assert not model.decoder.rule.corrections.is_fitted


@torch.no_grad()
def test_what_is_learned_by_heart_is_not_trusted(build, asked):
    """Noise that is the same whenever a series is drawn says nothing of other series."""
    model = build()
    rule = model.decoder.rule

    def of_noise(batch):
        seed = int(batch.x.double().abs().sum() * 1e6)
        noise = torch.randn(batch.targets.shape, generator=torch.Generator().manual_seed(seed))
        return off_by(noise, batch, rule)

    one, other = ([of_noise(batch) for batch in half] * 20 for half in asked.halves())
    fit_corrections(model, one, other)
    assert largest_weight(rule.corrections) < 1e-2
    # Where both halves have all series, it is trusted.
    fit_corrections(model, one + other, one + other)
    assert largest_weight(rule.corrections) > 1e-2
