"""What training minimises: how well the values asked are told, and how far q is from the prior."""

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, StudentT

from latentode.data import Batch
from latentode.nn import Where
from latentode.nn.posterior import Posterior, prior_like
from latentode.solvers.checks import check_choice, check_not_negative, check_share, check_whole

if TYPE_CHECKING:
    from latentode.models.latent_model import LatentModel

LOSSES = ("nll", "mse", "mae", "huber")
# Weight of the likelihood of the spread beside an error of the mean.
_SPREAD_WEIGHT = 0.1


class Losses(NamedTuple):
    """What training minimises, in nats or errors for each observed value."""

    total: Tensor
    fit: Tensor
    kl: Tensor


class Draw(NamedTuple):
    """Latent states of a batch.

    Attributes
    ----------
    q : Posterior
        Distribution of the state at the anchor.
    z0 : Tensor of shape (B, L) or (B, T, L)
        A state drawn from it, or its center.
    zs : Tensor of shape (B, P, L)
        The states at the times asked.
    """

    q: Posterior
    z0: Tensor
    zs: Tensor


class Objective(Protocol):
    """Give the loss of a batch.

    Attributes
    ----------
    loss : str
        The loss of a value, by which validation compares epochs: one of `LOSSES`.
    """

    loss: str

    def __call__(
        self, model: "LatentModel", batch: Batch, *, progress: float
    ) -> tuple[Losses, Draw]:
        """Give the losses and what was drawn, at a progress of training between 0 and 1."""
        ...


class Direct:
    """Tell the values asked from the mean of q: no draw, and no prior.

    Parameters
    ----------
    loss : {"nll", "mse", "mae", "huber"}, default="nll"
        The negative log-likelihood of the values; or an error of their mean, and the likelihood
        for all that is not the mean.
    """

    def __init__(self, loss: str = "nll") -> None:
        check_choice("loss", loss, LOSSES)
        self.loss = loss

    def __call__(
        self, model: "LatentModel", batch: Batch, *, progress: float
    ) -> tuple[Losses, Draw]:
        """Give the losses."""
        fit = fit_of_mean(model, batch, self.loss)
        return Losses(fit.loss, fit.loss, torch.zeros_like(fit.loss)), fit.draw


class ELBO:
    """The evidence lower bound: tell the values from draws of q, and keep q near the prior.

    Parameters
    ----------
    kl_weight : float, default=1.0
        Weight of the prior; 1 gives the bound.
    warmup : float, default=0.2
        Share of the training during which the weight rises from 0.
    n_samples : int, default=1
        Draws of the latent state.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 5, algorithm 2.
    """

    loss = "nll"

    def __init__(self, kl_weight: float = 1.0, *, warmup: float = 0.2, n_samples: int = 1) -> None:
        check_not_negative("kl_weight", kl_weight)
        check_share("warmup", warmup)
        check_whole("n_samples", n_samples)
        self.kl_weight = kl_weight
        self.warmup = warmup
        self.n_samples = n_samples

    def __call__(
        self, model: "LatentModel", batch: Batch, *, progress: float
    ) -> tuple[Losses, Draw]:
        """Give the losses."""
        q, z0, log_q, zs, _, log_p, weights = _sampled(model, batch, self.n_samples)
        fit = -(weights * log_p).sum() / _total(weights) / self.n_samples
        divergence = q.divergence()
        if divergence is None:
            divergence = (log_q - prior_like(z0).log_prob(z0).sum(-1)).mean(0)
        kl = _per_series(divergence, batch).sum() / _total(weights)
        weight = self.kl_weight * min(1.0, progress / max(self.warmup, 1e-9))
        return Losses(fit + weight * kl, fit, kl), Draw(q, z0[0], zs[0])


class IWAE:
    """The importance-weighted bound, which rises to the likelihood with the number of draws.

    Parameters
    ----------
    n_samples : int, default=5
        Draws of the latent state.

    References
    ----------
    Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, equation 8.
    """

    loss = "nll"

    def __init__(self, n_samples: int = 5) -> None:
        check_whole("n_samples", n_samples)
        self.n_samples = n_samples

    def __call__(
        self, model: "LatentModel", batch: Batch, *, progress: float
    ) -> tuple[Losses, Draw]:
        """Give the losses."""
        q, z0, log_q, zs, where, log_p, weights = _sampled(model, batch, self.n_samples)
        likelihood = where.per_series(weights * log_p, len(batch.t))
        surplus = log_q - prior_like(z0).log_prob(z0).sum(-1)
        surplus = torch.stack([_per_series(of_draw, batch) for of_draw in surplus])
        bound = (likelihood - surplus).logsumexp(dim=0) - math.log(self.n_samples)
        total = -bound.sum() / _total(weights)
        fit = -(weights * log_p).sum() / _total(weights) / self.n_samples
        kl = surplus.mean(0).sum() / _total(weights)
        return Losses(total, fit, kl), Draw(q, z0[0], zs[0])


class ValuesTold(NamedTuple):
    """What is told of N values, or of all that were asked about.

    Attributes
    ----------
    p : Distribution of batch shape (N,) or (B, P, D)
        The distributions of the values.
    x : Tensor of shape (N,) or (B, P, D)
        The values.
    weights : Tensor of shape (N,) or (B, P, D)
        How much each counts.
    """

    p: Distribution
    x: Tensor
    weights: Tensor


class Fit(NamedTuple):
    """How well the values asked of a batch are told from the center of q.

    Attributes
    ----------
    loss : Tensor of shape ()
        The loss of a value, a weighted mean.
    weight : Tensor of shape ()
        The weights of all values, summed up.
    draw : Draw
        The states, with no draw in them.
    told : ValuesTold
        The values.
    """

    loss: Tensor
    weight: Tensor
    draw: Draw
    told: ValuesTold


def fit_of_mean(model: "LatentModel", batch: Batch, loss: str) -> Fit:
    """Tell the values asked of a batch from the center of q, and give the loss of a value."""
    context = batch.context
    q = model.encode(context)
    z0 = q.center
    zs = model.carry(z0, context, batch.ts)
    where, weights = model.values_asked(batch)
    p = model.decode(zs, batch.ts, context, where, _noise_of(batch, where))
    x, total = where.pick(batch.targets), _total(weights)
    fit = (weights * errors(p, x, loss)).sum() / total
    return Fit(fit, total, Draw(q, z0, zs), ValuesTold(p, x, weights))


def errors(p: Distribution, x: Tensor, loss: str) -> Tensor:
    """Give the loss of each value x under p."""
    if loss == "nll":
        return -p.log_prob(x)
    error = p.mean - x
    if loss == "mse":
        point = error.square()
    elif loss == "mae":
        point = error.abs()
    else:
        point = torch.nn.functional.huber_loss(p.mean, x, reduction="none")
    fixed = around(p)
    # In units of the error, or the spread of small errors would rule the latent state.
    weight = _SPREAD_WEIGHT * fixed.variance.detach().clamp(max=1)
    return point - weight * fixed.log_prob(x)


def around(p: Distribution) -> Distribution:
    """Give the distribution with a location that passes no gradient on."""
    if isinstance(p, Normal):
        return Normal(p.loc.detach(), p.scale, validate_args=False)
    if isinstance(p, StudentT):
        return StudentT(p.df, p.loc.detach(), p.scale, validate_args=False)
    raise ValueError(f"{type(p).__name__} has no location apart: train it with loss=nll.")


class _Sampled(NamedTuple):
    """Draws of q, and how well they tell the values asked.

    States z0 (S, B, ...) with log q of each (S, B) or (S, B, T), and zs (S, B, P, L); where the
    values are, log p(x) of them for each draw, and their weights.
    """

    q: Posterior
    z0: Tensor
    log_q: Tensor
    zs: Tensor
    where: Where
    log_p: Tensor
    weights: Tensor


def _sampled(model: "LatentModel", batch: Batch, n_samples: int) -> _Sampled:
    context, again = batch.context, batch.repeated(n_samples)
    q = model.encode(context)
    z0, log_q = q.drawn(n_samples)
    zs = model.carry(z0.flatten(0, 1), again.context, again.ts).unflatten(0, (n_samples, -1))
    where, weights = model.values_asked(batch)
    known = model.decoder.read(context)
    x, noise = where.pick(batch.targets), _noise_of(batch, where)
    log_p = [model.decoder(z, batch.ts, known, where, noise).log_prob(x) for z in zs]
    return _Sampled(q, z0, log_q, zs, where, torch.stack(log_p), weights)


def _noise_of(batch: Batch, where: Where) -> Tensor | None:
    """Give the known standard deviations of the values asked, if there are any."""
    return None if batch.noise is None else where.pick(batch.noise)


def _per_series(values: Tensor, batch: Batch) -> Tensor:
    """Sum (B, T) over the rows of each series, without those that are padding; leave (B,)."""
    if values.dim() == 1:
        return values
    return (values * batch.context.inside()).sum(dim=1)


def _total(weights: Tensor) -> Tensor:
    return weights.sum().clamp(min=1e-6)


def values_of(batch: Batch) -> Where:
    """Give where the values asked of a batch are."""
    return Where(*batch.targets_mask.nonzero(as_tuple=True))
