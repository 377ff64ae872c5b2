"""What an epoch of training gave and cost, gathered step by step and logged at its end."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from latentode.data import Batch
from latentode.models.objectives import Losses
from latentode.solvers import Stats


class EpochLog:
    """The losses, the evaluations of the field and the pace of an epoch, which begins here.

    Logging costs as much as a small step: what the steps gave is put together once an epoch.

    Parameters
    ----------
    losses, evals : sequence of Tensor, default=()
        What the steps of an epoch that is gone on with have given; its pace is measured anew.
    """

    def __init__(self, losses: Sequence[Tensor] = (), evals: Sequence[Tensor] = ()) -> None:
        self._losses = list(losses)
        self._evals = list(evals)
        self._costs: Sequence[Stats] = ()
        self._n_series = 1
        self._n_rows: Tensor | int = 0
        self._began = time.perf_counter()

    def add(self, losses: Losses, costs: Sequence[Stats], batch: Batch) -> None:
        """Add a step: its losses, what its solves cost, and its batch."""
        self._losses.append(torch.stack([loss.detach() for loss in losses]))
        self._costs, self._n_series = costs, len(batch.t)
        self._n_rows = self._n_rows + batch.targets_mask.any(dim=-1).sum()

    def add_evals(self) -> None:
        """Add the evaluations of the step, which are all counted once its gradient is there."""
        if self._costs:
            forward = torch.cat([cost.n_f_evals for cost in self._costs])
            backward = torch.cat([cost.n_f_evals_backward for cost in self._costs])
            self._evals.append(torch.stack([forward, backward]).sum(dim=1) / self._n_series)
        self._costs = ()

    def means(self) -> dict[str, Tensor]:
        """Give the means over the steps, by name."""
        names = ("train_loss", "train_fit", "train_kl")
        means = dict(zip(names, _mean(self._losses), strict=True))
        if self._evals:
            evals = _mean(self._evals)
            means.update(zip(("n_f_evals", "n_f_evals_backward"), evals, strict=True))
        return means

    def rows_per_second(self) -> Tensor | float:
        """Give how many rows were trained on in a second, of those asked about with a value."""
        return self._n_rows / (time.perf_counter() - self._began)

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Give what the steps of an epoch that has begun have given, for a checkpoint."""
        return {"losses": list(self._losses), "evals": list(self._evals)}


def _mean(steps: list[Tensor]) -> Tensor:
    """Give the mean over the steps; what comes from a checkpoint may be on another device."""
    return torch.stack([step.to(steps[-1].device) for step in steps]).mean(dim=0)
