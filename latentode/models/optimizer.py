"""How weights are stepped: AdamW, with one cycle of the learning rate over the whole training."""

import math
from typing import Any

import lightning
import torch


def adamw_with_one_cycle(
    module: lightning.LightningModule, *, learning_rate: float, weight_decay: float
) -> Any:  # noqa: ANN401  Lightning's own union of dicts
    """Give what ``configure_optimizers`` of a module is to return; only matrices decay."""
    matrices = [p for p in module.parameters() if p.dim() > 1]
    others = [p for p in module.parameters() if p.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.99), fused=True)
    n_steps = int(module.trainer.estimated_stepping_batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: one_cycle(step, n_steps=n_steps)
    )
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": schedule, "interval": "step"},
    }


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
