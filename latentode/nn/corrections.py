"""What a linear regression on all that is known of a series adds to a rule."""

import torch
from torch import Tensor, nn

from latentode.nn.summary import CLIP, N_NUMBERS, Summary
from latentode.nn.where import Where

# Where the slopes of a regression on one number may change, in standard deviations.
_KNOTS, _FEW_KNOTS = (-1.5, -0.75, 0.0, 0.75, 1.5), (-1.0, 0.0, 1.0)
# How fast the last value is forgotten with its age, in 1 per unit of time.
_RATES = (2.0, 8.0, 24.0)
# Where the trust in a mean may change, in shares n / (n + 2).
_TRUST_KNOTS = (0.3, 0.6, 0.8, 0.9)
_LARGEST = 9.0
# Numbers of each variable that the regressions of the others read, and how strong they are beside
# its own: the weaker, the more a ridge penalises them.
_N_SHARED, _SHARED_SCALE = 7, 0.1
# Numbers of a variable that its own regression reads: see `own_numbers`.
_N_BENT = 3 * len(_KNOTS) + 4 * len(_FEW_KNOTS) + len(_TRUST_KNOTS)
_N_FADED, _N_PRODUCTS = 3 * len(_RATES), 18
_N_OWN = N_NUMBERS + _N_BENT + _N_FADED + _N_PRODUCTS


class Corrections(nn.Module):
    """A linear regression on what is known of a series, for each variable; all 0 before it is fit.

    Of the variable itself it reads `own_numbers`, of every variable `shared_numbers`, and all of
    them once more times d / (1 + d) at a distance d from the end of the context.

    Parameters
    ----------
    n_features : int
        Observed variables D.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.own: Tensor
        self.shared: Tensor
        self.register_buffer("own", torch.zeros(2, n_features, _N_OWN))
        self.register_buffer("shared", torch.zeros(2, _N_SHARED * n_features, n_features))

    @property
    def is_fitted(self) -> bool:
        """Whether there is anything but 0."""
        return bool(self.own.any())

    def forward(self, known: Summary, ts: Tensor, where: Where) -> Tensor:
        """Give the corrections of the values asked at times ts (B, P)."""
        series, time, variable = where
        own = torch.einsum("bdf,kdf->kbd", own_numbers(known), self.own)
        constant, changing = own + shared_numbers(known) @ self.shared
        grown = growth(ts)[series, time]
        return constant[series, variable] + grown * changing[series, variable]

    def numbers(self, known: Summary) -> Tensor:
        """Give half of the features, (B, D, F / 2); the others are these times d / (1 + d)."""
        own = own_numbers(known)
        shared = shared_numbers(known)[:, None].expand(-1, own.shape[1], -1)
        return torch.cat([own, shared], dim=-1)

    def set_weights(self, weights: Tensor) -> None:
        """Take the weights (D, F) of the features."""
        for k, half in enumerate(weights.chunk(2, dim=1)):
            self.own[k] = half[:, :_N_OWN]
            self.shared[k] = half[:, _N_OWN:].mT


def own_numbers(known: Summary) -> Tensor:
    """Give what the regression of a variable reads of the variable itself, (B, D, F).

    These are 1, the numbers of `Summary`, bent at some knots, and products of two of them: what
    trees find out by their first splits.
    """
    numbers = known.bounded()
    last, mean, recent, low, high, slope, spread, last_read, mean_read, age, trust, seen = (
        numbers.unbind(-1)
    )
    jump = last - mean
    bent = [_bent(v, _KNOTS) for v in (last_read, mean_read, recent)]
    bent += [_bent(v, _FEW_KNOTS) for v in (low, high, slope, spread)]
    bent.append(_bent(trust, _TRUST_KNOTS))
    fresh = torch.exp(-age[..., None] * torch.tensor(_RATES, device=age.device))
    faded = [fresh * v[..., None] for v in (seen, last, jump)]
    products = [
        *(jump.abs(), jump * spread, last * spread, mean * trust, last * trust, spread * trust),
        *(recent - mean, last * (high - low), slope * age, slope * trust),
        *(jump.clamp(-0.5, 0.5), jump**3 / _LARGEST, (last - recent).abs(), high - last),
        *(seen * ((last - value).abs() < 1e-4) for value in (low, high)),
        *(seen * ((high - low).abs() < 1e-4), torch.ones_like(last)),
    ]
    parts = [numbers, *bent, *faded, torch.stack(products, dim=-1)]
    return torch.cat(parts, dim=-1).clamp(-_LARGEST, _LARGEST)


def shared_numbers(known: Summary) -> Tensor:
    """Give what every regression reads of all variables, (B, 7 D)."""
    seen = (known.n_observed > 0).to(known.last.dtype)
    parts = [
        *(known.last.clamp(-CLIP, CLIP), known.last_read, known.mean_read, seen),
        2 * known.n_observed / (known.n_observed + 2),
        known.slope.clamp(-CLIP, CLIP),
        torch.exp(-4 * known.age) * seen,
    ]
    return _SHARED_SCALE * torch.cat(parts, dim=-1)


def growth(ts: Tensor) -> Tensor:
    """Give d / (1 + d) at distances d from the end of the context."""
    return ts.abs() / (1 + ts.abs())


def _bent(values: Tensor, knots: tuple[float, ...]) -> Tensor:
    """Give by how much values (...) exceed each of some knots, (..., K)."""
    return torch.relu(values[..., None] - torch.tensor(knots, device=values.device))
