"""Decoders: from the latent state to a distribution over the observed variables."""

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import softplus

from latentode.nn.summary import Summary

# Least standard deviation, in scaled units: data are never known better.
_LEAST_STD = 0.05


class GaussianDecoder(nn.Module):
    """Map latent states to an independent normal distribution per variable.

    Its mean starts from what is known of each variable at the end of the context, and the latent
    state adds to that. With l, a, m and n the last value, its age, the mean and the count of a
    variable's observations, at a distance d in time from the end of the context::

        w_l exp(-r_l (d + a)) l + w_m exp(-r_m d) n / (n + k) m

    The weights w, rates r and the count k that a mean needs to weigh half are learned for each
    variable; they start at w_l = 0.2, w_m = 0.7, r_l = r_m = 0.13, k = 1.3.

    Parameters
    ----------
    latent_size : int
        Width L of the latent state.
    n_features : int
        Observed variables D.
    residual : bool, default=True
        Whether the mean starts from what is known. Without it, it is read off the latent state
        alone, as in Chen et al. (2018).

    Examples
    --------
    >>> import torch
    >>> decoder = GaussianDecoder(latent_size=3, n_features=2, residual=False)
    >>> decoder(torch.zeros(1, 4, 3), torch.zeros(1, 4), None).mean.shape
    torch.Size([1, 4, 2])
    """

    def __init__(self, latent_size: int, n_features: int, *, residual: bool = True) -> None:
        super().__init__()
        self.head = nn.Linear(latent_size, 2 * n_features)
        self.residual = Residual(n_features) if residual else None
        if residual:  # what the latent state has to add is small at first
            with torch.no_grad():
                self.head.weight.mul_(0.3)
                self.head.bias.mul_(0.3)

    def forward(self, z: Tensor, ts: Tensor, known: Summary | None) -> Normal:
        """Give p(x | z) with batch shape (B, P, D).

        From states z (B, P, L) at times ts (B, P) since the end of the context, and a summary of
        the context, which may be None without a residual.
        """
        mean, raw_std = self.head(z).chunk(2, dim=-1)
        if self.residual is not None:
            if known is None:
                raise ValueError("a decoder with residual=True needs a summary of the context.")
            mean = mean + self.residual(ts, known)
        return Normal(mean, softplus(raw_std + 0.5) + _LEAST_STD)


class Residual(nn.Module):
    """What is known of each variable, fading with time; see `GaussianDecoder`.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.last_weight = nn.Parameter(torch.full((n_features,), 0.2))
        self.mean_weight = nn.Parameter(torch.full((n_features,), 0.7))
        self.last_rate = nn.Parameter(torch.full((n_features,), -2.0))
        self.mean_rate = nn.Parameter(torch.full((n_features,), -2.0))
        self.half_count = nn.Parameter(torch.full((n_features,), 1.0))

    def forward(self, ts: Tensor, known: Summary) -> Tensor:
        """Give the start of a forecast, of shape (B, P, D), at times ts (B, P)."""
        distance = ts.abs()[..., None]
        last_faded = torch.exp(-softplus(self.last_rate) * (distance + known.age[:, None]))
        mean_faded = torch.exp(-softplus(self.mean_rate) * distance)
        trust = known.n_observed / (known.n_observed + softplus(self.half_count))
        return (
            self.last_weight * last_faded * known.last[:, None]
            + self.mean_weight * mean_faded * (trust * known.mean)[:, None]
        )
