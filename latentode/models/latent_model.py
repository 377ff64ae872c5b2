"""What all models have in common: encode, carry the state through time, decode, train."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from latentode.data import Batch
from latentode.data.batch import keep_values
from latentode.models.checkpointed import Checkpointed
from latentode.models.epoch import EpochLog
from latentode.models.objectives import Objective, fit_of_mean, values_of
from latentode.models.one_loss import diverged, epoch_ends
from latentode.models.optimizer import adamw_with_one_cycle
from latentode.models.penalties import Penalty
from latentode.nn import (
    Context,
    Decoder,
    Encoder,
    FlowLikelihood,
    MechanisticDecoder,
    Where,
    everywhere,
)
from latentode.nn.crps import crps
from latentode.nn.path import counted
from latentode.nn.posterior import FlowedPosterior, NormalPosterior, Posterior
from latentode.nn.segments import carried, segment_path
from latentode.solvers import SolverError
from latentode.solvers.checks import check_not_negative, check_part, check_positive
from latentode.solvers.outside import outside_graphs


class LatentModel(Checkpointed):
    """A model with a latent state that moves through time; see `LatentODE`.

    Parameters
    ----------
    encoder : Encoder
        Gives q(z | context).
    path : Module
        Carries a latent state from one time to others.
    decoder : Decoder or MechanisticDecoder
        Gives p(x | z).
    objective : Objective
        What training minimises.
    penalties : sequence of Penalty
        What it minimises beside.
    variable_weights : Tensor of shape (D,), optional
        Weights of the variables in the loss; by default all values count alike.
    context_weight : float
        Weight in the loss of values within the context, beside those after it.
    observation_dropout : float
        Share of the values of a context that each training step leaves out.
    learning_rate : float
        Highest learning rate of the cycle.
    weight_decay : float
        Decay of the weight matrices.
    posterior : FlowedPosterior, optional
        What bends the normal distribution of the encoder; by default it is q itself.
    """

    def __init__(
        self,
        encoder: Encoder,
        path: nn.Module,
        decoder: Decoder | MechanisticDecoder,
        *,
        objective: Objective,
        penalties: Sequence[Penalty],
        variable_weights: Tensor | None,
        context_weight: float,
        observation_dropout: float,
        learning_rate: float,
        weight_decay: float,
        posterior: FlowedPosterior | None = None,
    ) -> None:
        super().__init__()
        check_not_negative("context_weight", context_weight)
        check_part("observation_dropout", observation_dropout)
        check_positive("learning_rate", learning_rate)
        check_not_negative("weight_decay", weight_decay)
        self.encoder = encoder
        self.posterior = posterior
        self.path = path
        self.decoder = decoder
        self.objective = objective
        self.penalties = tuple(penalties)
        if variable_weights is None:
            variable_weights = torch.ones(decoder.n_features)
        self.variable_weights: Tensor
        self.register_buffer("variable_weights", variable_weights)
        if variable_weights.shape != (decoder.n_features,):
            raise ValueError(
                f"variable_weights must be of shape (D,) with D={decoder.n_features}, not "
                f"{tuple(variable_weights.shape)}."
            )
        if self.joint is not None:
            self.joint.leave_out(variable_weights == 0)
        self.context_weight = context_weight
        self.observation_dropout = observation_dropout
        self.learning_rate = float(learning_rate)  # numpy's own would be in every checkpoint
        self.weight_decay = float(weight_decay)
        self._epoch = EpochLog()
        self._validated: list[Tensor] = []
        for penalty in self.penalties:
            check = getattr(penalty, "check", None)
            if check is not None:
                check(self)

    @property
    def joint(self) -> FlowLikelihood | None:
        """What makes one distribution of all values of a time of a series, if anything does."""
        likelihood = getattr(self.decoder, "likelihood", None)
        return likelihood if isinstance(likelihood, FlowLikelihood) else None

    def forward(self, batch: Batch) -> Distribution:
        """Give p(x) at the times asked about, of shape (B, P, D), from the center of q."""
        context = batch.context
        zs = self.carry(self.encode(context).center, context, batch.ts)
        return self.decode(zs, batch.ts, context)

    def encode(self, context: Context) -> Posterior:
        """Give q over the latent state at the anchor, or at every row."""
        normal = self.encoder(context)
        if self.posterior is None:
            return NormalPosterior(normal)
        q: Posterior = self.posterior(normal, context.lengths > 0)
        return q

    def carry(self, z0: Tensor, context: Context, ts: Tensor) -> Tensor:
        """Give the latent states (B, P, L) at times ts (B, P), from those at the anchor."""
        inputs = context.inputs
        if self.encoder.anchor == "rows":
            return segment_path(self.path, z0, context.t, context.lengths, ts, inputs)
        return carried(self.path, z0, self.encoder.anchor_time(context.t), ts, inputs)

    def decode(
        self,
        zs: Tensor,
        ts: Tensor,
        context: Context,
        where: Where | None = None,
        noise: Tensor | None = None,
    ) -> Distribution:
        """Give p(x | z) for all variables at times ts (B, P), or for some, from zs (B, P, L).

        With the known standard deviations of these values, if there are any.
        """
        p: Distribution = self.decoder(zs, ts, self.decoder.read(context), where, noise)
        return p

    @outside_graphs  # whether values are picked out is told by their number
    def values_asked(self, batch: Batch) -> tuple[Where, Tensor]:
        """Give where the values to tell are, and their weights.

        These are the observed ones among those asked, one by one; or all of them, and the weight
        of those not observed is 0, where most are observed. Where values have a distribution
        together, it is that of the observed ones that count.
        """
        of_time = torch.where(batch.ts > 0, 1.0, self.context_weight)
        if self.joint is not None:
            batch = batch._replace(targets_mask=batch.targets_mask & (self.variable_weights > 0))
        elif 2 * int(batch.targets_mask.sum()) > batch.targets_mask.numel():
            weights = of_time[..., None] * self.variable_weights * batch.targets_mask
            return everywhere(batch.ts, self.decoder.n_features), weights
        where = values_of(batch)
        return where, of_time[where.series, where.time] * self.variable_weights[where.variable]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Give the loss of a batch."""
        batch = thinned(batch, self.observation_dropout)
        try:
            with counted(self.path) as costs:
                losses, draw = self.objective(self, batch, progress=self._progress())
                total = losses.total
                for penalty in self.penalties:
                    total = total + penalty(self, batch, draw)
        except SolverError as error:
            raise diverged(self, batch_idx, str(error)) from error
        except ValueError as error:  # of torch, for a distribution with a mean of NaN
            if "to satisfy the constraint" not in str(error):
                raise
            raise diverged(self, batch_idx, "the encoder gives NaN.") from error
        if not bool(total.isfinite()):
            raise diverged(self, batch_idx, f"the loss is {float(total.detach())}.")
        if self._trainer is not None:  # a loop of the user's own has no epochs to speak of
            self._epoch.add(losses._replace(total=total), costs, batch)
        return total

    def on_train_epoch_start(self) -> None:
        """Begin the log of an epoch, but not of one that is gone on with."""
        self._epoch = EpochLog()

    def on_after_backward(self) -> None:
        """Count what the step has cost."""
        self._epoch.add_evals()

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        """Log what an epoch gave at its end, or where training ends within it."""
        trainer = self.trainer
        if not epoch_ends(trainer):
            return
        # As numbers of a step, they would reach a logger every so many steps only.
        how: dict[str, Any] = {"on_step": False, "on_epoch": True, "batch_size": 1}
        among_ranks = trainer.world_size > 1
        self.log_dict(self._epoch.means(), sync_dist=among_ranks, **how)
        pace = self._epoch.rows_per_second()
        self.log("rows_per_second", pace, sync_dist=among_ranks, reduce_fx="sum", **how)
        self._epoch = EpochLog()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what an epoch that has begun has given."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["epoch_log"] = self._epoch.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take what an epoch that had begun had given."""
        super().on_load_checkpoint(checkpoint)
        self._epoch = EpochLog(**checkpoint.get("epoch_log", {}))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Give the loss and the CRPS of a value at the center of q, without prior or penalty."""
        fit = fit_of_mean(self, batch, self.objective.loss)
        p, x, weights = fit.told
        score = crps(p, x)
        total = weights.new_tensor(torch.nan) if score is None else (weights * score).sum()
        self._validated.append(torch.stack([fit.loss * fit.weight, total, fit.weight]))

    def on_validation_epoch_end(self) -> None:
        """Log ``val_loss`` and ``val_crps``, means over all values of all ranks.

        A rank may have no value.
        """
        own = torch.zeros(3, device=self.device)
        for sums in self._validated:
            own += sums
        self._validated.clear()
        loss, score, weight = self.trainer.strategy.reduce(own, reduce_op="sum")
        loss, score = (total / weight.clamp(min=1) for total in (loss, score))
        among_ranks = self.trainer.world_size > 1  # they are equal: it keeps Lightning quiet
        self.log("val_loss", loss, sync_dist=among_ranks)
        if not bool(score.isnan()):
            self.log("val_crps", score, sync_dist=among_ranks)

    def configure_optimizers(self) -> Any:  # noqa: ANN401  Lightning's own union of dicts
        """Give AdamW with one cycle of the learning rate over the whole training."""
        return adamw_with_one_cycle(
            self, learning_rate=self.learning_rate, weight_decay=self.weight_decay
        )

    def _progress(self) -> float:
        if self._trainer is None:  # a loop of the user's own: all of the KL divergence counts
            return 1.0
        return self.global_step / max(int(self.trainer.estimated_stepping_batches), 1)


def thinned(batch: Batch, share: float) -> Batch:
    """Leave out a share of the observed values of the contexts, drawn at random."""
    if share == 0:
        return batch
    return keep_values(batch, torch.rand_like(batch.x) >= share)
