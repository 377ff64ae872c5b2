"""What training may ask of a latent path beside telling the values."""

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from latentode.data import Batch
from latentode.models.objectives import Draw
from latentode.nn import Context, Inputs, MechanisticPath, ODEPath
from latentode.nn.context import Kept, kept_rows, within
from latentode.nn.segments import carried
from latentode.solvers.checks import check_not_negative, check_share

if TYPE_CHECKING:
    from latentode.models.latent_model import LatentModel


class Penalty(Protocol):
    """Give something to be added to the loss.

    If it has a method ``check``, that is called with a model that is made with it, and raises if
    the penalty is not for such a model.
    """

    def __call__(self, model: "LatentModel", batch: Batch, draw: Draw) -> Tensor:
        """Give the penalty for what was drawn of a batch, its weight included."""
        ...


class ShiftConsistency:
    """A part of a series, encoded on its own, is to lie on the path of the whole series.

    A random number of rows is left out: the first ones where the latent state stands at the start,
    the last ones where it stands at the end. The state that the encoder gives for the others and
    the path of the whole must agree where the former stands. Without it, a path may fit
    what was observed and leave it right after.

    Parameters
    ----------
    weight : float, default=0.1
        Weight of the mean square of the difference.
    most : float, default=0.5
        Largest share of the rows that is left out.
    far : float, default=0.0
        Largest share of what is then left that is left out at the other end too. Else all parts
        reach as far as their series do, and a state may count down to where nothing is asked.
    """

    def __init__(self, weight: float = 0.1, *, most: float = 0.5, far: float = 0.0) -> None:
        check_not_negative("weight", weight)
        check_share("most", most)
        check_share("far", far)
        self.weight = weight
        self.most = most
        self.far = far

    def check(self, model: "LatentModel") -> None:
        """Raise if the model has no state of a whole series."""
        anchor = model.encoder.anchor
        if anchor not in ("start", "end"):
            raise ValueError(
                f"shift consistency is for anchors start and end, not {anchor}: leave it out, or "
                "give the encoder another anchor."
            )
        if isinstance(model.path, MechanisticPath):
            raise TypeError(
                "shift consistency compares states with what the encoder gives, which is not the "
                "state of a mechanism: leave it out."
            )

    def __call__(self, model: "LatentModel", batch: Batch, draw: Draw) -> Tensor:
        """Give the penalty."""
        self.check(model)
        context = batch.context
        near = _some_of(context.lengths, self.most)
        far = _some_of(context.lengths - near, self.far)
        if model.encoder.anchor == "start":
            part, end = part_of(context, near, context.lengths - far)
            # A state of the whole series, carried to where the part begins.
            begin = part.t[:, :1] + end[:, None]
            here = carried(model.path, draw.z0, context.t[:, 0], begin, context.inputs)[:, 0]
            difference = here - model.encode(part).center
        else:
            part, end = part_of(context, far, context.lengths - near)
            z_end = model.encode(part).center
            now = torch.zeros_like(end)[:, None]
            difference = carried(model.path, z_end, end, now, context.inputs)[:, 0] - draw.z0
        return self.weight * difference.square().mean()


class Continuity:
    """Where a state stands at every row, the path from each is to arrive at the next.

    This is multiple shooting: long series are solved as many short pieces, side by side.

    Parameters
    ----------
    weight : float, default=0.1
        Weight of the mean square of the difference.
    """

    def __init__(self, weight: float = 0.1) -> None:
        check_not_negative("weight", weight)
        self.weight = weight

    def check(self, model: "LatentModel") -> None:
        """Raise if the model has not a state at every row."""
        anchor = model.encoder.anchor
        if anchor != "rows":
            raise ValueError(
                f"continuity is for anchor=rows, not {anchor}: leave it out, or give the encoder "
                "that anchor."
            )

    def __call__(self, model: "LatentModel", batch: Batch, draw: Draw) -> Tensor:
        """Give the penalty."""
        self.check(model)
        t, z = batch.t, draw.z0
        is_step = batch.context.inside()[:, 1:].flatten()
        start, end = t[:, :-1].flatten()[is_step], t[:, 1:].flatten()[is_step]
        if not len(start):
            return z.new_zeros(())
        series = is_step.nonzero()[:, 0] // (t.shape[1] - 1)
        inputs = batch.context.inputs.of(series)
        begin = z[:, :-1].flatten(0, 1)[is_step]
        arrived = carried(model.path, begin, start, end[:, None], inputs)[:, 0]
        return self.weight * (arrived - z[:, 1:].flatten(0, 1)[is_step]).square().mean()


class KineticEnergy:
    """The latent state is not to move faster than it must.

    The mean square of dz/dt over the times asked.

    Parameters
    ----------
    weight : float, default=0.01
        Weight of the mean square.

    References
    ----------
    Finlay, Jacobsen, Nurbekyan and Oberman (2020), How to Train Your Neural ODE, section 3.
    """

    def __init__(self, weight: float = 0.01) -> None:
        check_not_negative("weight", weight)
        self.weight = weight

    def check(self, model: "LatentModel") -> None:
        """Raise if the model has no vector field."""
        _path(model)

    def __call__(self, model: "LatentModel", batch: Batch, draw: Draw) -> Tensor:
        """Give the penalty."""
        z = draw.zs.flatten(0, 1)
        rate = _path(model).rate(batch.ts.flatten(), z, _at_each_time(batch))
        return self.weight * rate.square().mean()


class JacobianNorm:
    """Neighbouring latent paths are to stay alike: the field's Jacobian is to be small.

    Its mean squared Frobenius norm over the times asked, estimated by one random direction each.

    Parameters
    ----------
    weight : float, default=0.01
        Weight of the mean square.

    References
    ----------
    Finlay, Jacobsen, Nurbekyan and Oberman (2020), How to Train Your Neural ODE, section 3.
    """

    def __init__(self, weight: float = 0.01) -> None:
        check_not_negative("weight", weight)
        self.weight = weight

    def check(self, model: "LatentModel") -> None:
        """Raise if the model has no vector field."""
        _path(model)

    def __call__(self, model: "LatentModel", batch: Batch, draw: Draw) -> Tensor:
        """Give the penalty."""
        path, t = _path(model), batch.ts.flatten()
        z = draw.zs.flatten(0, 1)
        z = z if z.requires_grad else z.requires_grad_()
        direction, rate = torch.randn_like(z), path.rate(t, z, _at_each_time(batch))
        (product,) = torch.autograd.grad(rate, z, direction, create_graph=True)
        return self.weight * product.square().mean()


def part_of(context: Context, first: Tensor, last: Tensor) -> Kept:
    """Keep the rows of each series from ``first`` (B,) up to but not including ``last`` (B,).

    The times of the part are relative to its own end, which is given too.
    """
    n_rows = context.t.shape[1]
    return kept_rows(context, ~within(first, n_rows) & within(last, n_rows))


def _some_of(n_rows: Tensor, most: float) -> Tensor:
    """Draw how many of so many rows (B,) are left out: at most a share of them, and never all."""
    if most == 0:
        return torch.zeros_like(n_rows)
    share = torch.rand(len(n_rows), device=n_rows.device)
    return (share * most * n_rows).long().minimum((n_rows - 1).clamp(min=0))


def _at_each_time(batch: Batch) -> Inputs:
    """Give the inputs of the series of every time asked, one after another."""
    n_series, n_asked = batch.ts.shape
    series = torch.arange(n_series, device=batch.ts.device).repeat_interleave(n_asked)
    return batch.context.inputs.of(series)


def _path(model: "LatentModel") -> ODEPath:
    if not isinstance(model.path, ODEPath):
        raise TypeError(
            f"{type(model.path).__name__} has no vector field to penalise: leave the penalty out."
        )
    return model.path
