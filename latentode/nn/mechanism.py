"""Mechanisms: equations that are known, in the units of the data."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from typing import NamedTuple

from torch import Tensor, nn

Given = Mapping[Hashable, Tensor]


class Mechanism(nn.Module, ABC):
    """What is known of a system: how it starts, how it moves, and what is seen of it.

    A module of your own, with parameters that are learned, in the units of the data: times,
    values and covariates come and go as they are in the frame. What differs between series, and
    is not known, is a vector ``e``: standard normal a priori, and read from the observations of a
    series by an encoder. It stays within 5 of 0.

    Every method is given the covariates by the names of their columns, each of the shape of a
    time, as in ``given["rate"]``; a static covariate that is no number is 0 or 1 for each of its
    levels, as in ``given["sex=m"]``.

    Attributes
    ----------
    latent_size : int, default=1
        Width L of ``e``.
    time_unit : float or str, default=1.0
        Length of the unit of time that ``forward`` thinks in: in units of the frame where times
        are numbers, as 1 / 60 for minutes in a frame of hours, and such as "1min" where they are
        dates.
    state_size : float, default=1.0
        Size of a state for which an error is as much as the solver's ``atol``.

    Examples
    --------
    A drug that is infused at a known rate, in mg per hour, and eliminated, with a clearance of
    its own for each patient:

    >>> import torch
    >>> class OneCompartment(Mechanism):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.log_clearance = nn.Parameter(torch.tensor(0.0))  # litres per hour
    ...         self.log_volume = nn.Parameter(torch.tensor(1.0))  # litres
    ...         self.log_spread = nn.Parameter(torch.tensor(-1.0))
    ...
    ...     def start(self, e, given):
    ...         clearance = torch.exp(self.log_clearance + self.log_spread.exp() * e[..., 0])
    ...         return torch.stack([torch.zeros_like(clearance), clearance], dim=-1)
    ...
    ...     def forward(self, t, z, given):
    ...         amount, clearance = z.unbind(-1)
    ...         eliminated = clearance * amount / self.log_volume.exp()
    ...         return torch.stack([given["rate"] - eliminated, torch.zeros_like(amount)], dim=-1)
    ...
    ...     def observe(self, t, z, given):
    ...         return z[..., :1] / self.log_volume.exp()
    >>> drug = OneCompartment()
    >>> z = drug.start(torch.zeros(5, 1), {})
    >>> drug(torch.zeros(5), z, {"rate": torch.ones(5)}).tolist()[0]
    [1.0, 0.0]
    """

    latent_size: int = 1
    time_unit: float | str = 1.0
    state_size: float = 1.0

    def __init__(self) -> None:
        super().__init__()

    @abstractmethod
    def start(self, e: Tensor, given: Given) -> Tensor:
        """Give the state (B, N) of each series at its first row, from e (B, L).

        With covariates of shape (B,), as they are there.
        """

    @abstractmethod
    def forward(self, t: Tensor, z: Tensor, given: Given) -> Tensor:
        """Give dz/dt (B, N) at times t (B,) since the first row, and states z (B, N).

        With covariates of shape (B,), as they are at these times.
        """

    @abstractmethod
    def observe(self, t: Tensor, z: Tensor, given: Given) -> Tensor:
        """Give what is seen, (B, P, D), at times t (B, P) and states z (B, P, N).

        The targets, in the order of their columns, then past covariates; with covariates of shape
        (B, P).
        """


class Units(NamedTuple):
    """What the numbers of a model are in the units of a frame.

    Attributes
    ----------
    time : float
        How much of a mechanism's time passes in a unit of the model's.
    mean, std : Tensor of shape (D,)
        Of the variables.
    names : tuple of Hashable
        What a mechanism is given: C controls, then E numbers that do not change.
    given_mean, given_std : Tensor of shape (C + E,)
        Of these.
    n_controls : int
        Number of controls C.
    """

    time: float
    mean: Tensor
    std: Tensor
    names: tuple[Hashable, ...]
    given_mean: Tensor
    given_std: Tensor
    n_controls: int
