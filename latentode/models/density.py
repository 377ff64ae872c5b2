"""Train a continuous normalizing flow on points: quietly, and with its best weights kept."""

import copy
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.models.optimizer import one_cycle
from latentode.models.progress import progress_bar
from latentode.nn import Carried, ContinuousFlow, Costs
from latentode.solvers.checks import check_choice, check_not_negative, check_positive, check_sizes

STEPS = ("shared", "adaptive")
# Shared steps to begin with. There are more whenever they tell a loss that is further than this,
# in nats, from that of the flow itself.
_N_STEPS = 4
_MOST_OFF = 0.02
# Points by which this is seen, at most.
_N_SEEN = 250


class Plan(NamedTuple):
    """How to train a flow.

    Attributes
    ----------
    max_epochs, batch_size : int
        Passes over the points at most, and points a step.
    learning_rate : float
        Highest learning rate of Adam's cycle.
    patience : int
        Epochs without a lower loss of the held out points after which to stop.
    kinetic, jacobian : float
        Weights of the costs of the paths, see `Costs`, beside the mean negative log likelihood.
    steps : {"shared", "adaptive"}
        Whether all points of a training step share a few steps in time, or each has its own, to
        the tolerance of the flow.
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    kinetic: float
    jacobian: float
    steps: str

    def check(self) -> None:
        """Raise if a number cannot be used."""
        check_sizes(max_epochs=self.max_epochs, batch_size=self.batch_size, patience=self.patience)
        check_positive("learning_rate", self.learning_rate)
        check_not_negative("kinetic", self.kinetic)
        check_not_negative("jacobian", self.jacobian)
        check_choice("steps", self.steps, STEPS)


class Epoch(NamedTuple):
    """What an epoch came to: mean losses in nats a point, and mean evaluations of the field."""

    epoch: int
    train_loss: float
    val_loss: float
    n_f_evals: float


def train_flow(
    flow: ContinuousFlow, x: Tensor, held_out: Tensor, plan: Plan, *, label: str | None = None
) -> list[Epoch]:
    """Train a flow in place by maximum likelihood, and leave it with its best weights.

    Parameters
    ----------
    flow : ContinuousFlow
        The flow.
    x : Tensor of shape (N, D)
        Points to fit.
    held_out : Tensor of shape (M, D)
        Points by which epochs are compared; with none of them, the last is kept.
    plan : Plan
        How to train.
    label : str, optional
        Label of a progress bar; none by default.

    Returns
    -------
    list of Epoch
        The epochs.

    Raises
    ------
    FloatingPointError
        If a loss is not finite.
    """
    optimizer = torch.optim.Adam(flow.parameters(), plan.learning_rate, fused=True)
    n_updates = plan.max_epochs * -(-len(x) // plan.batch_size)
    cycle = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: one_cycle(step, n_steps=n_updates)
    )
    n_steps = _N_STEPS if plan.steps == "shared" else None
    exact = _with_exact_trace(flow)
    history, best, weights = list[Epoch](), 0, copy.deepcopy(flow.state_dict())
    with progress_bar(label, plan.max_epochs) as bar:
        for epoch in range(1, plan.max_epochs + 1):
            losses, evals = zip(*_steps(flow, x, plan, optimizer, cycle, n_steps), strict=True)
            train_loss = sum(losses) / len(losses)
            val_loss = _mean_loss(exact, held_out) if len(held_out) else train_loss
            if n_steps is not None:
                n_steps = _enough_steps(exact, held_out if len(held_out) else x, n_steps)
            history.append(Epoch(epoch, train_loss, val_loss, sum(evals) / len(evals)))
            bar.update()
            if not len(held_out) or val_loss <= min(past.val_loss for past in history):
                best, weights = epoch, copy.deepcopy(flow.state_dict())
            if epoch - best >= plan.patience:
                break
    flow.load_state_dict(weights)
    return history


def _steps(
    flow: ContinuousFlow,
    x: Tensor,
    plan: Plan,
    optimizer: torch.optim.Optimizer,
    cycle: torch.optim.lr_scheduler.LRScheduler,
    n_steps: int | None,
) -> Iterator[tuple[float, float]]:
    """Take the steps of an epoch; give the loss and the evaluations of each."""
    for rows in torch.randperm(len(x), device=x.device).split(plan.batch_size):
        loss, objective, evals = _objective(flow, x[rows], plan, n_steps)
        if not bool(objective.isfinite()):
            raise FloatingPointError(
                f"training diverged: the loss of {len(rows)} points is {loss:.4g}.\n"
                f"Fix: learning_rate={plan.learning_rate / 10:.1g}"
            )
        optimizer.zero_grad()
        objective.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimizer.step()
        cycle.step()
        yield loss, evals


def _objective(
    flow: ContinuousFlow, x: Tensor, plan: Plan, n_steps: int | None
) -> tuple[float, Tensor, float]:
    """Give the mean negative log likelihood, it with the costs, and the mean evaluations."""
    if not (plan.kinetic or plan.jacobian):
        carried = flow.carry_density(x, flow.duration, 0.0, n_steps=n_steps)
        loss = -_log_density(carried).mean()
        return float(loss.detach()), loss, float(carried.n_f_evals.float().mean())
    costs = flow.carry_with_costs(x, flow.duration, 0.0, n_steps=n_steps)
    loss = -_log_density(costs).mean()
    weighted = plan.kinetic * costs.kinetic + plan.jacobian * costs.jacobian
    evals = float(costs.n_f_evals.float().mean())
    return float(loss.detach()), loss + weighted.mean(), evals


def _log_density(at: Carried | Costs) -> Tensor:
    """Give the log density (B,) of points that were carried to time 0; NaN where they left."""
    constant = at.z.shape[1] * math.log(2 * math.pi)
    return at.log_det - (at.z.square().sum(1) + constant) / 2


@torch.no_grad()
def _mean_loss(flow: ContinuousFlow, x: Tensor, n_steps: int | None = None) -> float:
    """Give the mean loss of points, over shared steps if ``n_steps`` says how many."""
    carried = flow.carry_density(x, flow.duration, 0.0, n_steps=n_steps)
    return -float(_log_density(carried).mean())


def _enough_steps(flow: ContinuousFlow, x: Tensor, n_steps: int) -> int:
    """Give the number of shared steps that tell the loss, from one that may be too few."""
    x = x[:_N_SEEN]
    off = abs(_mean_loss(flow, x, n_steps) - _mean_loss(flow, x))
    if off <= _MOST_OFF:
        return n_steps
    # The error falls as the fourth power of the number.
    factor = min((off / _MOST_OFF) ** 0.25, 2.0) if math.isfinite(off) else 2.0
    return math.ceil(factor * n_steps)


def _with_exact_trace(flow: ContinuousFlow) -> ContinuousFlow:
    """Give a flow of the same field whose densities are no estimates."""
    exact = copy.copy(flow)
    exact.trace = "exact"
    return exact
