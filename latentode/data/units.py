"""What a model's numbers are in the units of a frame, for a mechanism that thinks in these."""

from collections.abc import Hashable

import numpy as np
import torch

from latentode.data.columns import Schema
from latentode.data.horizon import read_length
from latentode.data.scaling import Scale, Scaler
from latentode.data.static import n_static
from latentode.nn import Units

__all__ = ["static_names", "unit_scaler", "units_of"]


def units_of(schema: Schema, scaler: Scaler, *, time_unit: float | str = 1.0) -> Units:
    """Give the units of a model for a `MechanisticField`.

    Parameters
    ----------
    schema : Schema
        The columns in use.
    scaler : Scaler
        Scales of values and times.
    time_unit : float or str, default=1.0
        Length of the mechanism's unit of time, in units of the frame; such as "1min" where its
        times are dates.

    Returns
    -------
    Units
        For the columns of the schema.

    Raises
    ------
    FrameError
        If the unit of time is no length of time in such a frame.

    Examples
    --------
    >>> from latentode import SeriesDataModule, load_pbcseq
    >>> data = SeriesDataModule(load_pbcseq(), id_col="patient", time_col="day")
    >>> scaler = data.scaler._replace(time_unit=730.5)
    >>> units_of(data.schema, scaler, time_unit=365.25).time
    2.0
    """
    length = read_length("time_unit", time_unit, schema)
    nothing = Scale(np.zeros(0), np.ones(0))
    scales = [scaler.known or nothing, scaler.static or nothing]
    mean, std = (np.concatenate(parts) for parts in zip(*scales, strict=True))
    return Units(
        float(scaler.time_unit / length),
        torch.tensor(scaler.mean),
        torch.tensor(_divisor(scaler.std)),
        (*schema.known_cols, *static_names(schema)),
        torch.tensor(mean),
        torch.tensor(_divisor(std)),
        len(schema.known_cols),
    )


def static_names(schema: Schema) -> tuple[Hashable, ...]:
    """Name the numbers that static covariates are: by their columns, or by column and level.

    >>> schema = Schema(("id",), "t", ("y",), "number", None, None, ())
    >>> levels = {"static_cols": ("age", "sex"), "static_levels": (None, ("f", "m"))}
    >>> static_names(schema._replace(**levels))
    ('age', 'sex=f', 'sex=m')
    """
    names: list[Hashable] = []
    for column, levels in zip(schema.static_cols, schema.static_levels, strict=True):
        names += [column] if levels is None else [f"{column}={level}" for level in levels]
    return tuple(names)


def unit_scaler(schema: Schema) -> Scaler:
    """Give scales that change nothing, for the columns of a schema."""
    known, static, values = (
        Scale(np.zeros(n), np.ones(n))
        for n in (len(schema.known_cols), n_static(schema), len(schema.feature_cols))
    )
    return Scaler(*values, time_unit=1.0, known=known, static=static)


def _divisor(std: np.ndarray) -> np.ndarray:
    """Give by what values were divided: a constant column was not."""
    return np.where(std > 0, std, 1.0)
