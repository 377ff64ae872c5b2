"""Inputs from outside: controls, which change with time, and what does not."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from latentode.solvers.checks import check_choice

HOLDS = ("previous", "linear")
# A time that is a knot but for rounding is one: what is stated for a time asked holds at it.
_REACH = 1e-9


class Controls(NamedTuple):
    """What acts on B series from outside, as functions of time, known ahead: a rate, a price.

    Before its first knot, a control is what it is there; after the last one, likewise. What "mean"
    is in the frame is 0 here, so a series of which nothing is known has one knot, of 0.

    Attributes
    ----------
    t : Tensor of shape (B, K)
        Times of the knots, rising, in the times of the context; padding repeats the last knot.
    values : Tensor of shape (B, K, C)
        Values there, in the model's units.
    interpolation : {"previous", "linear"}
        What lies between two knots: the value of the former, held until the next one as an
        infusion rate is, or a line.

    Examples
    --------
    >>> import torch
    >>> t, rate = torch.tensor([[0.0, 1.0]]), torch.tensor([[[2.0], [6.0]]])
    >>> ts = torch.tensor([[-1.0, 0.5, 1.0, 9.0]])
    >>> Controls(t, rate).at(ts)[0, :, 0]
    tensor([2., 2., 6., 6.])
    >>> Controls(t, rate, "linear").at(ts)[0, :, 0]
    tensor([2., 4., 6., 6.])
    """

    t: Tensor
    values: Tensor
    interpolation: str = "previous"

    def at(self, ts: Tensor) -> Tensor:
        """Give the values (B, P, C) at times ts (B, P) in any order, after a jump at its time."""
        i, wide = self._knot(ts)
        before = self.values.gather(1, wide)
        if self._is_held():
            return before
        share = self._since(ts, i) / self._gap().gather(1, i).clamp(min=1e-12)
        after = self.values.gather(1, (wide + 1).clamp(max=self.t.shape[1] - 1))
        return before + (after - before) * share.clamp(0, 1)[..., None]

    def amount(self, ts: Tensor) -> Tensor:
        """Give the integrals (B, P, C) from the first knot to times ts (B, P)."""
        i, wide = self._knot(ts)
        gap = self._gap()[..., :-1, None]
        left, right = self.values[:, :-1], self.values[:, 1:]
        pieces = gap * (left if self._is_held() else (left + right) / 2)
        whole = pad(pieces.cumsum(dim=1), (0, 0, 1, 0)).gather(1, wide)
        here = self.values.gather(1, wide)
        mean = here if self._is_held() else (here + self.at(ts)) / 2
        return whole + self._since(ts, i)[..., None] * mean

    def shifted(self, by: Tensor) -> "Controls":
        """Give the same at times that are ``by`` (B,) later."""
        return self._replace(t=self.t + by[:, None])

    def of(self, series: Tensor) -> "Controls":
        """Give the controls of some of the series, by their numbers."""
        return self._replace(t=self.t[series], values=self.values[series])

    def changes(self) -> Tensor:
        """Say of each knot whether a control that is held has another value after it; (B, K)."""
        return pad((self.values.diff(dim=1) != 0).any(dim=-1), (1, 0))

    def check(self) -> None:
        """Raise if the parts do not go together."""
        check_choice("interpolation", self.interpolation, HOLDS)
        if self.values.dim() != 3 or self.t.shape != self.values.shape[:2] or not self.t.shape[1]:
            raise ValueError(
                "controls need times of shape (B, K) and values of shape (B, K, C) with one knot "
                f"or more, not {tuple(self.t.shape)} and {tuple(self.values.shape)}."
            )

    def _is_held(self) -> bool:
        return self.interpolation == "previous"

    def _knot(self, ts: Tensor) -> tuple[Tensor, Tensor]:
        """Give the last knot up to each time, or the first, as an index (B, P) and (B, P, C)."""
        reach = max(_REACH, 8 * torch.finfo(ts.dtype).eps) * (1 + ts.abs())
        n_before = torch.searchsorted(self.t.contiguous(), ts + reach, right=True)
        i = (n_before - 1).clamp(min=0)
        return i, i[..., None].expand(-1, -1, self.values.shape[2])

    def _since(self, ts: Tensor, i: Tensor) -> Tensor:
        return ts - self.t.gather(1, i)

    def _gap(self) -> Tensor:
        """Give the time (B, K) from each knot to the next; 0 after the last."""
        return pad(self.t.diff(dim=1), (0, 1))


class Inputs(NamedTuple):
    """What a model is told of B series beside observations.

    Attributes
    ----------
    controls : Controls or None
        What changes with time, C numbers.
    static : Tensor of shape (B, E), or None
        What does not.
    """

    controls: Controls | None = None
    static: Tensor | None = None

    def of(self, series: Tensor) -> "Inputs":
        """Give the inputs of some of the series, by their numbers."""
        controls, static = self
        return Inputs(
            None if controls is None else controls.of(series),
            None if static is None else static[series],
        )

    def exist(self) -> bool:
        """Say whether there are any."""
        return self.controls is not None or self.static is not None

    def at(self, ts: Tensor) -> list[Tensor]:
        """Give the controls and what does not change at times ts (B, P), as parts (B, P, n)."""
        controls, static = self
        parts = [] if controls is None else [controls.at(ts)]
        if static is not None:
            parts.append(static[:, None].expand(-1, ts.shape[1], -1))
        return parts

    def amounts(self, since: Tensor, ts: Tensor) -> list[Tensor]:
        """Give the integrals of the controls from ``since`` to times ts, both (B, P)."""
        controls = self.controls
        return [] if controls is None else [controls.amount(ts) - controls.amount(since)]


NO_INPUTS = Inputs()


def chosen_inputs(inputs: Inputs, *, n_controls: int, n_static: int, reader: str) -> Inputs:
    """Give of the inputs what a part of a model was made to read.

    Parameters
    ----------
    inputs : Inputs
        All there are.
    n_controls, n_static : int
        How many numbers of each kind the part reads; 0 for none.
    reader : str
        What to call the part.

    Returns
    -------
    Inputs
        Without what it does not read.

    Raises
    ------
    ValueError
        If there are not as many as it reads.
    """
    controls, static = inputs
    n_given = 0 if controls is None else controls.values.shape[2]
    _check_width(reader, "controls", n_controls, n_given, "known_cols")
    _check_width(reader, "static", n_static, 0 if static is None else static.shape[1], "static")
    return Inputs(controls if n_controls else None, static if n_static else None)


def _check_width(reader: str, noun: str, wanted: int, given: int, argument: str) -> None:
    if wanted not in (0, given):
        raise ValueError(
            f"{reader} reads n_{noun}={wanted}, and the context has {given}: make it with "
            f"n_{noun}={given}, or give the data another {argument}."
        )
