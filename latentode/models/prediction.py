"""Forecasts of many series at once, in memory in proportion to what is asked."""

import copy
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor
from torch.distributions import Distribution

from latentode.data import Batch, ScaledPanel, Scaler
from latentode.models.latent_model import LatentModel
from latentode.models.pairs import MOST_PAIRS, batches_of_pairs
from latentode.nn import Drawn, Joint, Mixture

# Pairs of a time and a draw that are solved or decoded at a time at most.
_MOST_DRAWN = 20_000
# Pairs that are forecast at a time by a model of joint distributions, which keeps draws of them.
_MOST_JOINT = 2_000


class Told(NamedTuple):
    """What a model says of P pairs of a series and a time, in its units.

    Attributes
    ----------
    mean, std : ndarray of shape (P, D)
        Mean and standard deviation.
    quantiles : ndarray of shape (P, D, K)
        Quantiles of the levels asked.
    cdf, log_density : ndarray of shape (P, D)
        Probability of at most the value that came, and logarithm of the density there; NaN where
        none came. Where values have a distribution together, the density is that of all that came
        at a time, in equal parts.
    """

    mean: np.ndarray
    std: np.ndarray
    quantiles: np.ndarray
    cdf: np.ndarray
    log_density: np.ndarray


def unscaled(told: Told, scaler: Scaler) -> Told:
    """Give forecasts in the units of the frame; a constant target is that constant."""
    std = scaler.std
    with np.errstate(divide="ignore"):
        log_density = told.log_density - np.log(std)
    return Told(
        scaler.unscale(told.mean),
        std * told.std,
        scaler.mean[:, None] + std[:, None] * told.quantiles,
        np.where(std > 0, told.cdf, np.nan),
        np.where(std > 0, log_density, np.nan),
    )


@torch.no_grad()
def forecast(
    module: LatentModel,
    scaled: ScaledPanel,
    series: np.ndarray,
    since: np.ndarray,
    *,
    max_rows: int,
    n_draws: int = 0,
    levels: np.ndarray | None = None,
    truth: np.ndarray | None = None,
) -> Told:
    """Give the forecasts of P pairs of a series and a time, in the model's units.

    Parameters
    ----------
    module : LatentModel
        A trained model; it is not changed.
    scaled : ScaledPanel
        What was observed of S series, and what is known of them ahead; see `known_of_query`.
    series : ndarray of shape (P,)
        Position of each pair's series.
    since : ndarray of shape (P,)
        Time of each pair since the last row of its series.
    max_rows : int
        Rows of a series that are read at most, the latest ones.
    n_draws : int, default=0
        Draws of the latent state, each of which gives a part of the distribution, but not the
        mean; with 0, the distribution is that for the mean of the state.
    levels : ndarray of shape (K,) or (P, D, K), optional
        Probabilities of the quantiles.
    truth : ndarray of shape (P, D), optional
        Values that came, NaN where none did.

    Returns
    -------
    Told
        The forecasts.
    """
    module = in_double(module)
    n, d = len(series), scaled.n_features
    levels = np.zeros(0) if levels is None else levels
    told = Told(
        np.empty((n, d)),
        np.empty((n, d)),
        np.empty((n, d, levels.shape[-1])),
        np.full((n, d), np.nan),
        np.full((n, d), np.nan),
    )
    most = MOST_PAIRS if module.joint is None else _MOST_JOINT
    for some in batches_of_pairs(scaled, series, since, max_rows=max_rows, most_pairs=most):
        mean, mixture = _predicted(module, some.batch, n_draws)
        told.mean[some.pairs] = some.of_pairs(mean)
        told.std[some.pairs] = some.of_pairs(mixture.variance).sqrt()
        if levels.size:
            own = levels if levels.ndim == 1 else some.padded(levels)
            quantiles = mixture.quantile(torch.as_tensor(own))
            told.quantiles[some.pairs] = some.of_pairs(quantiles)
        if truth is not None:
            came = torch.as_tensor(some.padded(truth))
            told.cdf[some.pairs] = some.of_pairs(mixture.cdf(came))
            told.log_density[some.pairs] = some.of_pairs(mixture.log_prob(came))
    return told


@torch.no_grad()
def sample(
    module: LatentModel,
    scaled: ScaledPanel,
    series: np.ndarray,
    since: np.ndarray,
    *,
    max_rows: int,
    generators: Sequence[np.random.Generator],
    n_draws: int,
) -> np.ndarray:
    """Draw values of P pairs of a series and a time, in the model's units.

    A draw is one latent path for each series, and noise of its own for each value.

    Parameters
    ----------
    module : LatentModel
        A trained model; it is not changed.
    scaled : ScaledPanel
        What was observed of S series.
    series : ndarray of shape (P,)
        Position of each pair's series.
    since : ndarray of shape (P,)
        Time of each pair since the last row of its series.
    max_rows : int
        Rows of a series that are read at most, the latest ones.
    generators : sequence of Generator
        One for each series, so that its draws do not depend on what else is asked.
    n_draws : int
        Number of draws N.

    Returns
    -------
    ndarray of shape (N, P, D)
        The values.
    """
    module = in_double(module)
    drawn = np.empty((n_draws, len(series), scaled.n_features))
    e = np.stack([g.standard_normal((n_draws, module.encoder.latent_size)) for g in generators])
    for some in batches_of_pairs(scaled, series, since, max_rows=max_rows):
        q = module.encode(some.batch.context)
        level = some.drawn([generators[i] for i in some.series], n_draws, scaled.n_features)
        # Several draws at once, as more series.
        at_once = _n_at_once(some.batch)
        for start in range(0, n_draws, at_once):
            rows = slice(start, start + at_once)
            draws = torch.tensor(e[some.series, rows]).transpose(0, 1)
            # The same for the states of all rows of a series, where there is one at each.
            z0 = q.placed(draws if q.center.dim() == 2 else draws[:, :, None])
            many = some.batch.repeated(len(z0))
            zs = module.carry(z0.flatten(0, 1), many.context, many.ts)
            p = module.decode(zs, many.ts, many.context)
            values = _placed(p, torch.tensor(level[rows]).flatten(0, 1))
            for i, value in enumerate(values.unflatten(0, (len(z0), -1)), start=start):
                drawn[i, some.pairs] = some.of_pairs(value)
    return drawn


@torch.no_grad()
def latent_path(
    module: LatentModel,
    scaled: ScaledPanel,
    series: np.ndarray,
    since: np.ndarray,
    *,
    max_rows: int,
) -> np.ndarray:
    """Give the latent states (P, L) on the path that starts at the mean of q; see `forecast`."""
    module = in_double(module)
    zs = np.empty((len(series), 0))
    for some in batches_of_pairs(scaled, series, since, max_rows=max_rows):
        context = some.batch.context
        states = module.carry(module.encode(context).center, context, some.batch.ts)
        if not zs.shape[1]:  # a mechanism has as many as it has
            zs = np.empty((len(series), states.shape[2]))
        zs[some.pairs] = some.of_pairs(states)
    return zs


def in_double(module: LatentModel) -> LatentModel:
    """Copy a module to float64: a forecast does not feel the rounding that batch mates bring."""
    return copy.deepcopy(module).double()


def _predicted(module: LatentModel, batch: Batch, n_draws: int) -> tuple[Tensor, Mixture | Drawn]:
    """Give the mean (B, P, D) of a forecast, and its distribution.

    The draws are the same for every series, so that no forecast depends on what else is asked,
    and come in pairs of opposite ones.
    """
    context = batch.context
    q, known = module.encode(context), module.decoder.read(context)
    shape = n_draws // 2, q.center.shape[-1]
    draws = torch.randn(*shape, generator=Generator().manual_seed(0)).to(q.center)
    states = [q.center, *(q.placed(e) for e in torch.cat([draws, -draws]))]
    center, *parts = (module.decoder(zs, batch.ts, known) for zs in _paths(module, states, batch))
    return center.mean, _mixture(parts or [center])


def _paths(module: LatentModel, states: list[Tensor], batch: Batch) -> Iterator[Tensor]:
    """Carry several states of each series, several at once where that is little."""
    at_once = _n_at_once(batch)
    for start in range(0, len(states), at_once):
        some = states[start : start + at_once]
        many = batch.repeated(len(some))
        zs = module.carry(torch.cat(some), many.context, many.ts)
        yield from zs.split(len(batch.ts))


def _n_at_once(batch: Batch) -> int:
    """Give how many draws are solved together, by what is read and what is asked of a batch."""
    return max(_MOST_DRAWN // max(batch.t.numel(), batch.ts.numel()), 1)


def _mixture(parts: list[Distribution]) -> Mixture | Drawn:
    joint = [p for p in parts if isinstance(p, Joint)]
    return Drawn(joint) if joint else Mixture(parts)


def _placed(p: Distribution, level: Tensor) -> Tensor:
    """Give the values that probabilities stand for, one for each; of scores where p is joint."""
    return p.of_scores(torch.special.ndtri(level)) if isinstance(p, Joint) else p.icdf(level)
