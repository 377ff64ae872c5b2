"""The training of one of the networks of an estimator of whole series."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latentode.data import ScaledPanel, Schema
from latentode.models import Labelled, SeriesNet, Supervised, WholeSeriesDataModule, train
from latentode.supervised.base import Targets
from latentode.supervised.rows import held_out
from latentode.supervised.series_network import build_member

if TYPE_CHECKING:
    from latentode.supervised.series_base import SeriesEstimator

# Training steps that the default number of epochs amounts to, and how few and many epochs these
# may be.
_N_STEPS, _FEWEST_EPOCHS, _MOST_EPOCHS = 2000, 10, 100
# What is kept of a training is a moving average of the weights, over this share of its steps, and
# over so many of them at most.
_AVERAGED_SHARE, _MOST_AVERAGED = 0.1, 100


class Member(NamedTuple):
    """A trained network, and its losses of each epoch."""

    network: SeriesNet
    history: pd.DataFrame


def train_member(
    estimator: "SeriesEstimator",
    scaled: ScaledPanel,
    schema: Schema,
    targets: Targets,
    *,
    number: int,
    seed: int,
) -> Member:
    """Train a network; each member holds out series of its own."""
    seeds = np.random.SeedSequence([seed, number])
    own_seed = int(seeds.generate_state(1)[0])
    torch.manual_seed(own_seed)
    marked = torch.tensor(
        held_out(targets.codes, estimator.val_fraction, np.random.default_rng(seeds))
    )
    learned, kept = (_labelled(targets, part) for part in (~marked, marked))
    data = WholeSeriesDataModule(
        scaled,
        learned,
        kept if len(kept.series) else None,
        batch_size=int(estimator.batch_size),
        max_rows=int(estimator.max_rows),
        seed=own_seed,
    )
    network = build_member(estimator, schema)
    module = Supervised(
        network,
        estimator.loss(),
        learning_rate=estimator.learning_rate,
        weight_decay=estimator.weight_decay,
    )
    n_batches = len(data.train_dataloader())
    n_epochs = estimator.max_epochs or _n_epochs(n_batches)
    history = train(
        module,
        data,
        max_epochs=n_epochs,
        patience=estimator.patience,
        accelerator=estimator.accelerator,
        label=f"member {number + 1}" if estimator.verbose else None,
        averaging=averaging_for(n_epochs * n_batches),
    )
    return Member(network.cpu(), pd.DataFrame(history).assign(member=number))


def _labelled(targets: Targets, chosen: Tensor) -> Labelled:
    values = torch.tensor(targets.values)
    values = values.float() if values.is_floating_point() else values
    weights = torch.tensor(targets.weights / targets.weights.mean()).float()
    return Labelled(torch.arange(len(values)), values, weights).at(chosen)


def _n_epochs(n_batches: int) -> int:
    return min(max(math.ceil(_N_STEPS / n_batches), _FEWEST_EPOCHS), _MOST_EPOCHS)


def averaging_for(n_steps: int) -> float:
    """Give the decay of the moving average of the weights in a training of some steps.

    Examples
    --------
    >>> [averaging_for(n_steps) for n_steps in (5, 20, 100, 10_000)]
    [0.0, 0.5, 0.9, 0.99]
    """
    n_averaged = min(max(_AVERAGED_SHARE * n_steps, 1.0), _MOST_AVERAGED)
    return 1 - 1 / n_averaged
