"""Vector fields for flows of densities, which know their divergence in closed form."""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from latentode.nn.divergence import Product, Traced
from latentode.solvers.checks import check_sizes, check_whole


class _Pass(NamedTuple):
    """What an evaluation of a `FlowField` leaves: dz/dt, and the slopes of its layers (B, H)."""

    rate: Tensor
    slopes: list[Tensor]


class Layers(NamedTuple):
    """A `FlowField` of two hidden layers as plain ones at each of E times.

    There, ``dz/dt = W_3 tanh(W_2 tanh(W_1 z + s_1) + s_2) + s_3``.

    Attributes
    ----------
    weight1, shift1, weight2, shift2 : Tensor of shape (E, H, D), (E, H), (E, H, H), (E, H)
        The hidden layers, gates and shifts included.
    weight3, shift3 : Tensor of shape (D, H), (D,)
        The last one, which does not know the time.
    form : Tensor of shape (E, H, H)
        The divergence is ``tanh'_1 @ form @ tanh'_2``.
    """

    weight1: Tensor
    shift1: Tensor
    weight2: Tensor
    shift2: Tensor
    weight3: Tensor
    shift3: Tensor
    form: Tensor


class FlowField(nn.Module):
    """A network whose hidden layers are gated and shifted by time, and by a context if given.

    ``h_i = tanh(g_i(t, c) * W_i h_(i-1) + s_i(t, c))``, with gates g between 0 and 2, and dz/dt is
    linear in the last of them. With one or two hidden layers its divergence costs no more than the
    field does, whatever the number of variables; with more, as much as D fields.

    Parameters
    ----------
    size : int
        Number of variables D.
    hidden_size : int, default=64
        Width H of the hidden layers.
    n_hidden : int, default=2
        How many there are.
    context_size : int, default=0
        Width C of the context; 0 for none.

    References
    ----------
    Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud (2019), FFJORD: layers gated by time.

    Examples
    --------
    >>> import torch
    >>> field = FlowField(2)
    >>> rate, trace = field.with_trace(torch.zeros(5), torch.randn(5, 2))
    >>> rate.shape, trace.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(
        self, size: int, hidden_size: int = 64, *, n_hidden: int = 2, context_size: int = 0
    ) -> None:
        super().__init__()
        check_sizes(size=size, hidden_size=hidden_size, n_hidden=n_hidden)
        check_whole("context_size", context_size, least=0)
        self.size = size
        self.context_size = context_size
        widths = [size, *[hidden_size] * n_hidden]
        self.inner = nn.ModuleList(
            nn.Linear(n_in, n_out, bias=False) for n_in, n_out in pairwise(widths)
        )
        self.outer = nn.Linear(hidden_size, size)
        self.told = nn.Linear(1 + context_size, 2 * n_hidden * hidden_size)

    def forward(self, t: Tensor, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Give dz/dt (B, D) at times t (B,) and states z (B, D), told a context (B, C)."""
        for weight, gate, shift in zip(self._weights(), *self._gates(t, context), strict=True):
            z = torch.tanh(torch.addcmul(shift, gate, z @ weight.mT))
        rate: Tensor = self.outer(z)
        return rate

    def with_trace(self, t: Tensor, z: Tensor, context: Tensor | None = None) -> Traced:
        """Give the field and its divergence (B,): the trace of W_(n+1) S_n W_n ... S_1 W_1."""
        rate, slopes = self._passed(t, z, context)
        inner, outer = self._weights(), self.outer.weight
        if len(slopes) == 1:
            return Traced(rate, slopes[0] @ (inner[0] * outer.mT).sum(1))
        if len(slopes) == 2:
            # Two diagonal matrices between constant ones: a bilinear form in their diagonals.
            form = inner[1].mT * (inner[0] @ outer)
            return Traced(rate, ((slopes[0] @ form) * slopes[1]).sum(1))
        columns = slopes[0][:, None] * inner[0].mT  # (B, D, H): a row for each column of J
        for slope, weight in zip(slopes[1:], inner[1:], strict=True):
            columns = slope[:, None] * (columns @ weight.mT)
        return Traced(rate, (columns * outer).sum((1, 2)))

    def with_product(
        self, t: Tensor, z: Tensor, v: Tensor, context: Tensor | None = None
    ) -> Product:
        """Give the field and J v (B, D), for directions v (B, D)."""
        rate, slopes = self._passed(t, z, context)
        for slope, weight in zip(slopes, self._weights(), strict=True):
            v = slope * (v @ weight.mT)
        return Product(rate, v @ self.outer.weight.mT)

    def at_times(self, t: Tensor) -> Layers:
        """Give the layers at times t (E,), for a field of two hidden ones without a context."""
        (gate1, gate2), (shift1, shift2) = self._gates(t, None)
        (inner1, inner2), outer = self._weights(), self.outer.weight
        form = inner2.mT * (inner1 @ outer)
        return Layers(
            gate1[:, :, None] * inner1,
            shift1,
            gate2[:, :, None] * inner2,
            shift2,
            outer,
            self.outer.bias,
            gate1[:, :, None] * gate2[:, None] * form,
        )

    def _passed(self, t: Tensor, z: Tensor, context: Tensor | None) -> _Pass:
        slopes = []
        for weight, gate, shift in zip(self._weights(), *self._gates(t, context), strict=True):
            z = torch.tanh(torch.addcmul(shift, gate, z @ weight.mT))
            slopes.append(gate * (1 - z.square()))
        return _Pass(self.outer(z), slopes)

    def _weights(self) -> list[Tensor]:
        return [layer.weight for layer in self.inner if isinstance(layer, nn.Linear)]

    def _gates(
        self, t: Tensor, context: Tensor | None
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Give the gates and the shifts of every hidden layer, (B, H) each."""
        gates, shifts = self.told(_told(t, context, self.context_size)).chunk(2, dim=1)
        n_hidden = len(self.inner)
        return (2 * torch.sigmoid(gates)).chunk(n_hidden, dim=1), shifts.chunk(n_hidden, dim=1)


class PlanarField(nn.Module):
    """The field of a planar continuous normalizing flow: a sum of M gated planar fields.

    ``dz/dt = sum_n sigma_n(t) u_n(t) tanh(w_n(t) . z + b_n(t))``. A network of time, and of
    a context if given, tells u, w, b and the gates sigma, between 0 and 1. Its divergence is
    ``sum_n sigma_n (u_n . w_n) tanh'(w_n . z + b_n)``.

    Parameters
    ----------
    size : int
        Number of variables D.
    n_units : int, default=32
        Number of planar fields M, the width of the flow.
    hidden_size : int, default=32
        Width of the two hidden layers of the network of time.
    context_size : int, default=0
        Width C of the context; 0 for none.

    References
    ----------
    Chen, Rubanova, Bettencourt and Duvenaud (2018), Neural Ordinary Differential Equations,
    section 4.1.

    Examples
    --------
    >>> import torch
    >>> field = PlanarField(2, n_units=8)
    >>> field(torch.zeros(5), torch.randn(5, 2)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self, size: int, n_units: int = 32, *, hidden_size: int = 32, context_size: int = 0
    ) -> None:
        super().__init__()
        check_sizes(size=size, n_units=n_units, hidden_size=hidden_size)
        check_whole("context_size", context_size, least=0)
        self.size = size
        self.n_units = n_units
        self.context_size = context_size
        self.told = nn.Sequential(
            nn.Linear(1 + context_size, hidden_size),
            nn.Tanh(),
            nn.Linear(hidden_size, hidden_size),
            nn.Tanh(),
            nn.Linear(hidden_size, n_units * (2 * size + 2)),
        )

    def forward(self, t: Tensor, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Give dz/dt (B, D) at times t (B,) and states z (B, D), told a context (B, C)."""
        u, w, b = self._planes(t, context)
        return _summed(u, torch.tanh(_projected(w, z) + b))

    def with_trace(self, t: Tensor, z: Tensor, context: Tensor | None = None) -> Traced:
        """Give the field and its divergence (B,)."""
        u, w, b = self._planes(t, context)
        h = torch.tanh(_projected(w, z) + b)
        return Traced(_summed(u, h), ((1 - h.square()) * (u * w).sum(2)).sum(1))

    def with_product(
        self, t: Tensor, z: Tensor, v: Tensor, context: Tensor | None = None
    ) -> Product:
        """Give the field and J v (B, D), for directions v (B, D)."""
        u, w, b = self._planes(t, context)
        h = torch.tanh(_projected(w, z) + b)
        return Product(_summed(u, h), _summed(u, (1 - h.square()) * _projected(w, v)))

    def _planes(self, t: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Give gated u (B, M, D), w (B, M, D) and b (B, M), or one of each if all share them."""
        if context is None and t.stride() == (0,):  # one time, expanded
            t = t[:1]
        numbers = self.told(_told(t, context, self.context_size))
        planes = numbers.unflatten(1, (self.n_units, 2 * self.size + 2))
        u, w, b, gate = planes.split([self.size, self.size, 1, 1], dim=2)
        return u * torch.sigmoid(gate), w, b[..., 0]


def _projected(w: Tensor, z: Tensor) -> Tensor:
    return z @ w[0].mT if len(w) == 1 else torch.bmm(w, z[..., None])[..., 0]


def _summed(u: Tensor, h: Tensor) -> Tensor:
    return h @ u[0] if len(u) == 1 else torch.bmm(h[:, None], u)[:, 0]


def _told(t: Tensor, context: Tensor | None, context_size: int) -> Tensor:
    """Give time and context as rows (B, 1 + C)."""
    given = 0 if context is None else context.shape[-1]
    if given != context_size:
        raise ValueError(
            f"the field was made for a context of width {context_size}, but was given one of "
            f"width {given}.\nFix: make the field with context_size={given}"
        )
    return t[:, None] if context is None else torch.cat([t[:, None], context], dim=1)
