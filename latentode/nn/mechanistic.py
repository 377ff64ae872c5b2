"""Parts of a model around a mechanism: they speak the model's units to the one side."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from latentode.nn.context import Context
from latentode.nn.controls import NO_INPUTS, Inputs, chosen_inputs
from latentode.nn.driven import told_to
from latentode.nn.mechanism import Given, Mechanism, Units
from latentode.nn.path import ODEPath
from latentode.nn.student import Student
from latentode.nn.vector_field import Field
from latentode.nn.where import Where, everywhere
from latentode.solvers.checks import check_choice

# Least scale, in scaled units: no likelihood is without bound.
_LEAST_SCALE = 1e-3
# What a series has of its own is standard normal a priori: beyond this, a value is as good as
# this, so that an encoder that is not trained yet makes no equation stiff.
_MOST_SPREAD = 5.0
_FAMILIES = ("gaussian", "student-t")


class MechanisticField(nn.Module):
    """A mechanism as a vector field in the units of a model, for `LatentODE`.

    States stay in the units of the mechanism, times and covariates are turned into them.

    Parameters
    ----------
    mechanism : Mechanism
        What is known.
    units : Units
        The model's; see `units_of`.
    """

    def __init__(self, mechanism: Mechanism, units: Units) -> None:
        super().__init__()
        self.mechanism = mechanism
        self.names = units.names
        self.n_controls = units.n_controls
        self.n_static = len(units.names) - units.n_controls
        for name, value in _buffers(units).items():
            self.register_buffer(name, value)

    time: Tensor
    mean: Tensor
    std: Tensor
    given_mean: Tensor
    given_std: Tensor

    def adopt(self, units: Units) -> None:
        """Take other units of the same variables."""
        for name, value in _buffers(units).items():
            getattr(self, name).copy_(value)

    def given(self, told: list[Tensor]) -> Given:
        """Give covariates by name and in their units, from all that is told, as (..., n)."""
        if not told:
            return {}
        values = self.given_mean + self.given_std * torch.cat(told, dim=-1)
        return dict(zip(self.names, values.unbind(-1), strict=True))

    def driven(self, u: Callable[[Tensor], Tensor] | None, static: Tensor | None) -> Field:
        """Give dz/dt as a function of time since the start and of z, in the model's units."""
        fixed = [] if static is None else [static]

        def field(t: Tensor, z: Tensor) -> Tensor:
            given = self.given([*([] if u is None else [u(t)]), *fixed])
            size = self.mechanism.state_size
            dz: Tensor = self.mechanism(self.time * t, size * z, given)
            _check_shape(self.mechanism, "forward", dz, z.shape)
            return self.time / size * dz

        return field


class MechanisticPath(nn.Module):
    """Start a mechanism in each series, and carry its state through time.

    Parameters
    ----------
    path : ODEPath
        Of a `MechanisticField`, with a steady clock.
    """

    def __init__(self, path: ODEPath) -> None:
        super().__init__()
        if not isinstance(path.field, MechanisticField):
            kind = type(path.field).__name__
            raise TypeError(f"a mechanistic path is that of a MechanisticField, not {kind}.")
        self.path = path

    @property
    def field(self) -> MechanisticField:
        """The mechanism in the model's units."""
        field: MechanisticField = self.path.field  # type: ignore[assignment]
        return field

    def forward(self, e: Tensor, t0: Tensor, ts: Tensor, inputs: Inputs = NO_INPUTS) -> Tensor:
        """Give the states (B, P, N) at times ts (B, P) in any order, from e (B, L) at t0 (B,)."""
        field, zero = self.field, torch.zeros_like(t0)
        told = since(told_to(field, inputs), t0)
        given = field.given([part[:, 0] for part in told.at(zero[:, None])])
        z0: Tensor = field.mechanism.start(e.clamp(-_MOST_SPREAD, _MOST_SPREAD), given)
        if z0.dim() != 2 or len(z0) != len(e):
            _check_shape(field.mechanism, "start", z0, (len(e), "N"))
        size = field.mechanism.state_size
        zs: Tensor = self.path(z0 / size, zero, ts - t0[:, None], told)
        return size * zs


class Seen(NamedTuple):
    """What a `MechanisticDecoder` knows of a context: when a series starts, and its inputs."""

    start: Tensor
    inputs: Inputs


class MechanisticDecoder(nn.Module):
    """Tell what is seen of a mechanism, with an error that is learned.

    Its standard deviation is the root of ``a^2 + (b x)^2``, in the units of the data, with
    learned a and b for each variable: errors may be of one size, or in proportion to what is
    measured.

    Parameters
    ----------
    field : MechanisticField
        Of the same model: this is where its parameters are.
    likelihood : {"gaussian", "student-t"}, default="gaussian"
        Family of the distribution; the latter has heavier tails, for outliers.
    """

    def __init__(self, field: MechanisticField, *, likelihood: str = "gaussian") -> None:
        super().__init__()
        check_choice("likelihood", likelihood, _FAMILIES)
        self._field = (field,)  # not as a part: it is one of the path
        self.n_features = len(field.mean)
        self.log_additive = nn.Parameter(torch.full((self.n_features,), -1.0))
        self.log_proportional = nn.Parameter(torch.full((self.n_features,), -2.0))
        is_normal = likelihood == "gaussian"
        self.raw_df = None if is_normal else nn.Parameter(torch.full((self.n_features,), 2.0))

    @property
    def additive(self) -> Tensor:
        """Standard deviation of an error (D,) of one size, in the units of the data."""
        return self._field[0].std * self.log_additive.exp()

    @property
    def proportional(self) -> Tensor:
        """Standard deviation of an error (D,) as a share of what is measured."""
        return self.log_proportional.exp()

    def read(self, context: Context) -> Seen:
        """Give when each series starts, and its inputs from there on."""
        field = self._field[0]
        told = chosen_inputs(
            context.inputs,
            n_controls=field.n_controls,
            n_static=field.n_static,
            reader="the decoder",
        )
        start = context.t[:, 0]
        return Seen(start, since(told, start))

    def forward(
        self,
        z: Tensor,
        ts: Tensor,
        known: Seen,
        where: Where | None = None,
        noise: Tensor | None = None,
    ) -> Distribution:
        """Give p(x | z) for the values asked, or for all of them, of batch shape (B, P, D).

        From states z (B, P, N) at times ts (B, P) since the end of the context, what was read of
        it, and the known standard deviation of a measurement, if there is one.
        """
        field = self._field[0]
        t = ts - known.start[:, None]
        x: Tensor = field.mechanism.observe(field.time * t, z, field.given(known.inputs.at(t)))
        _check_shape(field.mechanism, "observe", x, (*ts.shape, self.n_features))
        where = where or everywhere(ts, self.n_features)
        x, variable = where.pick(x), where.variable
        std = field.std[variable]
        scale = torch.hypot(
            self.log_additive.exp()[variable], self.proportional[variable] * x / std
        )
        scale = scale + _LEAST_SCALE
        if noise is not None:
            scale = torch.hypot(scale, noise)
        location = (x - field.mean[variable]) / std
        if self.raw_df is None:
            return Normal(location, scale, validate_args=False)
        df = 2.1 + nn.functional.softplus(self.raw_df[variable])
        return Student(df.expand_as(location), location, scale, validate_args=False)


def since(inputs: Inputs, start: Tensor) -> Inputs:
    """Count the times of controls from the start (B,) of each series."""
    controls = inputs.controls
    return inputs if controls is None else inputs._replace(controls=controls.shifted(-start))


def _buffers(units: Units) -> dict[str, Tensor]:
    parts = {k: v for k, v in units._asdict().items() if k not in ("names", "n_controls")}
    return {k: torch.as_tensor(v, dtype=torch.get_default_dtype()) for k, v in parts.items()}


def _check_shape(mechanism: Mechanism, method: str, x: Tensor, shape: tuple[object, ...]) -> None:
    if tuple(x.shape) != tuple(shape):
        wanted = ", ".join(str(n) for n in shape)
        raise ValueError(
            f"{type(mechanism).__name__}.{method} must give a tensor of shape ({wanted}), not "
            f"{tuple(x.shape)}."
        )
