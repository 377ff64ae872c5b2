"""Training on one device, here, or on several, in a process for each."""

from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor

from latentode.models import LatentModel, run_ranks


def on_devices(
    learn: Callable[[LatentModel], pd.DataFrame],
    module: LatentModel,
    devices: int,
    accelerator: str,
) -> pd.DataFrame:
    """Train a module in place, and give its losses.

    Parameters
    ----------
    learn : callable
        ``learn(module)`` trains it and gives its losses; on several devices it runs on each.
    module : LatentModel
        The module.
    devices : int
        How many.
    accelerator : str
        Lightning's name of what they are.

    Returns
    -------
    DataFrame
        The losses of each epoch.
    """
    if devices == 1:
        return learn(module)

    def learned() -> tuple[pd.DataFrame, dict[str, Tensor]]:
        return learn(module), module.cpu().state_dict()

    on_gpus = accelerator != "cpu" and torch.cuda.is_available()
    history, weights = run_ranks(learned, devices, backend="nccl" if on_gpus else "gloo")
    module.load_state_dict(weights)
    module.eval()
    return history
