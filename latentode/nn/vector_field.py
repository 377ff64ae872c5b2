"""Neural vector fields dz/dt = f(t, z)."""

import torch
from torch import Tensor, nn


class MLPField(nn.Module):
    """A two-layer network, bounded and damped: no solution can grow without end.

    ``dz/dt = tanh(W2 tanh(W1 z + b1) + b2) - softplus(d) z``, with a learned rate d for each
    latent variable. It does not change with time, so that shifting a series in time shifts its
    forecast.

    Parameters
    ----------
    latent_size : int
        Width L of the latent state.
    hidden_size : int, default=32
        Width of the hidden layer.

    Examples
    --------
    >>> import torch
    >>> field = MLPField(3)
    >>> field(torch.zeros(5), torch.randn(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(self, latent_size: int, hidden_size: int = 32) -> None:
        super().__init__()
        self.inner = nn.Linear(latent_size, hidden_size)
        self.outer = nn.Linear(hidden_size, latent_size)
        self.damping = nn.Parameter(torch.full((latent_size,), -1.0))

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Give dz/dt of shape (B, L) at states z (B, L); times t (B,) are not used."""
        drive = torch.tanh(self.outer(torch.tanh(self.inner(z))))
        return drive - nn.functional.softplus(self.damping) * z
