"""Networks for supervised learning, the ODE-Net among them, and how they are trained."""

from collections.abc import Callable
from typing import Any, NamedTuple

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler

from latentode.models.one_loss import OneLoss
from latentode.nn import ODEBlock
from latentode.solvers import MLP

Loss = Callable[[Tensor, Tensor], Tensor]


class ODENet(nn.Module):
    """A linear layer down to a state, an `ODEBlock` of a perceptron, and a linear head.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Widths of what goes in and of what comes out.
    hidden_size : int, default=64
        Width of the state.
    field_size : int, default=64
        Width of the hidden layer of the field.
    method : str, default="tsit5"
        Solver; see `odeint`.
    rtol, atol : float, default=1e-2
        Its tolerances.
    adjoint : {"auto", "direct", "replay", "backsolve"}, default="auto"
        How to differentiate it.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 3.

    Examples
    --------
    >>> import torch
    >>> ODENet(64, 10)(torch.randn(5, 64)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        *,
        hidden_size: int = 64,
        field_size: int = 64,
        method: str = "tsit5",
        rtol: float = 1e-2,
        atol: float = 1e-2,
        adjoint: str = "auto",
    ) -> None:
        super().__init__()
        self.down = nn.Linear(n_inputs, hidden_size)
        self.block = ODEBlock(
            MLP([hidden_size, field_size, hidden_size]),
            method=method,
            rtol=rtol,
            atol=atol,
            adjoint=adjoint,
        )
        self.head = nn.Linear(hidden_size, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Give the outputs (B, n_outputs) for inputs x (B, n_inputs)."""
        y: Tensor = self.head(self.block(self.down(x)))
        return y


class Rows(NamedTuple):
    """Rows of a table, to learn from.

    Attributes
    ----------
    x : Tensor of shape (B, ...), or Batch
        Inputs: of rows, or of whole series.
    y : Tensor of shape (B, ...)
        Targets.
    weight : Tensor of shape (B,)
        How much each counts.
    """

    x: Any
    y: Tensor
    weight: Tensor


class Supervised(OneLoss):
    """Train any network on `Rows`: weighted loss, AdamW, one cycle of the learning rate.

    Parameters
    ----------
    network : Module
        Gives outputs (B, ...) for inputs (B, ...).
    loss : callable
        ``loss(outputs, targets)`` gives a loss (B,) for each row.
    learning_rate : float, default=0.003
        Its largest value.
    weight_decay : float, default=0.01
        Decay of matrices.

    Raises
    ------
    FloatingPointError
        In training, if the loss is not finite or the network cannot be solved.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        *,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(learning_rate=learning_rate, weight_decay=weight_decay)
        self.network = network
        self.loss = loss
        self.keep(Supervised, learning_rate=learning_rate, weight_decay=weight_decay)

    def forward(self, x: Any) -> Tensor:  # noqa: ANN401  what the network takes
        """Give the outputs of the network."""
        y: Tensor = self.network(x)
        return y

    def loss_of(self, batch: Rows) -> Tensor:
        """Give the weighted mean of the losses of a batch."""
        return (batch.weight * self.loss(self(batch.x), batch.y)).mean()

    def weight_of(self, batch: Rows) -> int:
        """Give how many rows there are."""
        return len(batch.weight)


class RowsDataModule(lightning.LightningDataModule):
    """Batches of rows that are in memory, in an order drawn anew for each epoch.

    Parameters
    ----------
    rows : Rows
        What is learned from.
    held_out : Rows, optional
        What is validated on, in one batch.
    batch_size : int, default=64
        Rows of a batch.
    seed : int, default=0
        Seed of the order.
    """

    def __init__(
        self, rows: Rows, held_out: Rows | None = None, *, batch_size: int = 64, seed: int = 0
    ) -> None:
        super().__init__()
        self.rows = rows
        self.held_out = held_out
        self.batch_size = batch_size
        self._random = torch.Generator().manual_seed(seed)

    def train_dataloader(self) -> DataLoader[Rows]:
        """Give the batches of an epoch; the order goes on from one epoch to the next."""
        data = _Picked(self.rows)
        order = RandomSampler(data, generator=self._random)
        batches = BatchSampler(order, self.batch_size, drop_last=False)
        return DataLoader(data, sampler=batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[Rows] | list[Any]:
        """Give what is held out, as one batch; nothing where nothing is."""
        if self.held_out is None:
            return []
        data = _Picked(self.held_out)
        batches = BatchSampler(SequentialSampler(data), len(data), drop_last=False)
        return DataLoader(data, sampler=batches, batch_size=None)


class _Picked(Dataset[Rows]):
    """Rows that are picked by a list of their numbers, in one piece."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows.x)

    def __getitem__(self, at: list[int]) -> Rows:
        return Rows(*(part[at] for part in self.rows))
