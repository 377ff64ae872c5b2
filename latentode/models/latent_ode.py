"""The latent ODE: encode what was observed, solve in latent space, decode at any time."""

import math
from functools import partial
from typing import Any, NamedTuple

import lightning
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from latentode.data import Batch
from latentode.nn import GaussianDecoder, GRUEncoder, summarise
from latentode.solvers import SolverError, odeint

# How far from the anchor time runs as it is, and how much of it is left after that, in the model's
# unit: ahead, where solutions are damped, and back, where the same damping lets them grow.
_AHEAD, _BACK = 4.0, 1.0
# A latent path is short and smooth: one that needs more steps has diverged.
_MAX_STEPS = 1000


class Losses(NamedTuple):
    """What training minimises, in nats for each observed value."""

    total: Tensor
    nll: Tensor
    kl: Tensor


class LatentODE(lightning.LightningModule):
    """A latent ODE, to be trained by a Lightning ``Trainer`` on batches of a `SeriesDataModule`.

    The encoder gives a normal distribution q over the latent state at its anchor, the vector
    field carries a state forward and backward in time from there, each series at its own times,
    and the decoder gives a distribution over the observed variables at every time asked about.
    Training minimises ``-E_q log p(x) + kl_weight KL(q || N(0, 1))``. Which values x are meant is
    a matter of the data: those that follow a context for a forecast, the context itself for the
    evidence lower bound of Chen et al. (2018).

    Parameters
    ----------
    encoder : GRUEncoder
        Gives q(z | context).
    vector_field : Module
        dz/dt as a function of t (B,) and z (B, L).
    decoder : GaussianDecoder
        Gives p(x | z).
    kl_weight : float, default=0.01
        Weight of the prior; 1 gives the evidence lower bound.
    kl_warmup : float, default=0.2
        Share of the training during which the weight rises from 0.
    context_weight : float, default=0.1
        Weight in the loss of values within the context, beside those after it.
    observation_dropout : float, default=0.1
        Share of the values of a context that each training step leaves out.
    learning_rate : float, default=0.01
        Highest learning rate of the cycle.
    weight_decay : float, default=0.01
        Decay of the weight matrices.
    method : str, default="tsit5"
        Solver; see `odeint`.
    rtol, atol : float, default=1e-3
        Its tolerances.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="direct"
        How to differentiate it.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 5. Rubanova, Chen and Duvenaud (2019), Latent ODEs for irregularly-sampled time series.

    Examples
    --------
    >>> from latentode.nn import GaussianDecoder, GRUEncoder, MLPField
    >>> encoder, decoder = GRUEncoder(3, latent_size=8), GaussianDecoder(8, n_features=3)
    >>> model = LatentODE(encoder, MLPField(8), decoder, adjoint="backsolve")
    """

    def __init__(
        self,
        encoder: GRUEncoder,
        vector_field: nn.Module,
        decoder: GaussianDecoder,
        *,
        kl_weight: float = 0.01,
        kl_warmup: float = 0.2,
        context_weight: float = 0.1,
        observation_dropout: float = 0.1,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-2,
        method: str = "tsit5",
        rtol: float = 1e-3,
        atol: float = 1e-3,
        adjoint: str = "direct",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.vector_field = vector_field
        self.decoder = decoder
        self.kl_weight = kl_weight
        self.kl_warmup = kl_warmup
        self.context_weight = context_weight
        self.observation_dropout = observation_dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.solve = partial(
            odeint, method=method, rtol=rtol, atol=atol, adjoint=adjoint, max_steps=_MAX_STEPS
        )
        self._epoch: list[Losses] = []

    def forward(self, batch: Batch) -> Normal:
        """Give p(x) at the times asked about, of shape (B, P, D), from the mean of q."""
        return self.decode(self.encode(batch).mean, batch)

    def encode(self, batch: Batch) -> Normal:
        """Give q over the latent state at the anchor, of batch shape (B, L)."""
        q: Normal = self.encoder(batch.t, batch.x, batch.mask, batch.lengths)
        return q

    def decode(self, z0: Tensor, batch: Batch) -> Normal:
        """Give p(x | z0) at the times asked about, of batch shape (B, P, D), from z0 (B, L)."""
        zs = self.latent_path(z0, self.encoder.anchor_time(batch.t), batch.ts)
        p: Normal = self.decoder(zs, batch.ts, summarise(batch.t, batch.x, batch.mask))
        return p

    def latent_path(self, z0: Tensor, t0: Tensor, ts: Tensor) -> Tensor:
        """Give the latent states (B, P, L) at times ts (B, P) in any order, from z0 at t0 (B,).

        Far from t0, latent time runs slower and slower, so that a forecast settles: `far_time`.
        """
        ts = t0[:, None] + far_time(ts - t0[:, None])
        is_later = ts >= t0[:, None]
        if bool(is_later.all()):
            return self._solve(z0, t0, ts)
        # Both directions at once: each sample of the batch runs in its own.
        later = torch.where(is_later, ts, t0[:, None])
        earlier = torch.where(is_later, t0[:, None], ts)
        both = self._solve(torch.cat([z0, z0]), torch.cat([t0, t0]), torch.cat([later, earlier]))
        forward, backward = both.chunk(2)
        return torch.where(is_later[..., None], forward, backward)

    def _solve(self, z0: Tensor, t0: Tensor, ts: Tensor) -> Tensor:
        order = (ts - t0[:, None]).abs().argsort(dim=1, stable=True)
        ordered = torch.cat([t0[:, None], ts.gather(1, order)], dim=1)
        zs = self.solve(self.vector_field, z0, ordered).ys[:, 1:]
        return zs.gather(1, order.argsort(dim=1)[..., None].expand_as(zs))

    def losses(self, batch: Batch, z0: Tensor, q: Normal, *, kl_weight: float) -> Losses:
        """Give the loss of a batch for one draw z0 (B, L) of q."""
        p = self.decode(z0, batch)
        weight = torch.where(batch.ts > 0, 1.0, self.context_weight)[..., None]
        weight = weight * batch.targets_mask
        n_values = weight.sum().clamp(min=1e-6)
        nll = -(weight * p.log_prob(batch.targets)).sum() / n_values
        kl = kl_divergence(q, Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean)))
        kl = kl.sum() / n_values
        return Losses(nll + kl_weight * kl, nll, kl)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Give the loss of a batch for one draw of the latent state."""
        batch = thinned(batch, self.observation_dropout)
        try:
            q = self.encode(batch)
        except ValueError as error:  # of torch, for a distribution with a mean of NaN
            raise self._diverged(batch_idx, "the encoder gives NaN.") from error
        try:
            losses = self.losses(batch, q.rsample(), q, kl_weight=self._current_kl_weight())
        except SolverError as error:
            raise self._diverged(batch_idx, str(error)) from error
        if not bool(losses.total.isfinite()):
            raise self._diverged(batch_idx, f"the loss is {float(losses.total.detach())}.")
        self._epoch.append(Losses(*(loss.detach() for loss in losses)))
        return losses.total

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        """Log the mean losses of an epoch at its end: logging costs as much as a small step."""
        if not self.trainer.is_last_batch:
            return
        names = ("train_loss", "train_nll", "train_kl")
        for name, values in zip(names, zip(*self._epoch, strict=True), strict=True):
            self.log(name, torch.stack(values).mean())
        self._epoch.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log ``val_loss``, the negative log-likelihood of a value under the mean of q."""
        q = self.encode(batch)
        n_values = int(batch.targets_mask.sum())
        nll = self.losses(batch, q.mean, q, kl_weight=0.0).nll
        self.log("val_loss", nll, on_step=False, on_epoch=True, batch_size=n_values)

    def configure_optimizers(self) -> Any:  # noqa: ANN401  Lightning's own union of dicts
        """Give AdamW with one cycle of the learning rate over the whole training."""
        matrices = [p for p in self.parameters() if p.dim() > 1]
        others = [p for p in self.parameters() if p.dim() <= 1]
        groups = [
            {"params": matrices, "weight_decay": self.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate, betas=(0.9, 0.99))
        n_steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: one_cycle(step, n_steps=n_steps)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _current_kl_weight(self) -> float:
        n_warmup = self.kl_warmup * int(self.trainer.estimated_stepping_batches)
        return self.kl_weight * min(1.0, self.global_step / max(n_warmup, 1.0))

    def _diverged(self, batch_idx: int, what: str) -> FloatingPointError:
        return FloatingPointError(
            f"training diverged in epoch {self.current_epoch}, batch {batch_idx}: {what} Lower "
            "learning_rate, or look for outliers in the data."
        )


def far_time(since: Tensor) -> Tensor:
    """Give latent time since the anchor: as it is nearby, and bounded however far it goes.

    Examples
    --------
    >>> far_time(torch.tensor([-1e6, -0.5, 3.0, 6.0, 1e6]))
    tensor([-2.0000, -0.5000,  3.0000,  5.5739,  8.0000])
    """
    near = torch.where(since > 0, _AHEAD, _BACK)
    beyond = (since.abs() - near).clamp(min=0)
    slowed = near * -torch.expm1(-beyond / near)
    return since.sign() * (since.abs().minimum(near) + slowed)


def thinned(batch: Batch, share: float) -> Batch:
    """Leave out a share of the observed values of the contexts, drawn at random."""
    mask = batch.mask & (torch.rand_like(batch.x) >= share)
    return batch._replace(x=batch.x * mask, mask=mask)


def one_cycle(step: int, *, n_steps: int) -> float:
    """Give the factor of the learning rate: up for a tenth of the steps, then down by a cosine.

    Examples
    --------
    >>> [round(one_cycle(step, n_steps=100), 2) for step in (0, 9, 10, 55, 99)]
    [0.1, 1.0, 1.0, 0.51, 0.01]
    """
    n_rising = max(n_steps // 10, 1)
    if step < n_rising:
        return (step + 1) / n_rising
    done = (step - n_rising) / max(n_steps - n_rising, 1)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(done, 1.0))) / 2
