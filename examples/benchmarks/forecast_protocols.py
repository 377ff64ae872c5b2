"""All protocols of forecasting by name, each a function from folders to its task."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import forecast_hopper as hopper
import forecast_ice_core as ice_core
import forecast_icu as icu
import forecast_icu_hourly as icu_hourly
import forecast_liver as liver
import forecast_ode_bank as ode_bank
import forecast_periodic as periodic
import forecast_spirals as spirals
from forecast_tasks import Task


class Folders(NamedTuple):
    """Where original files are, and where to keep what is made of them; None for the default."""

    data: Path | None = None
    cache: Path | None = None


Protocols = dict[str, Callable[[Folders], Task]]

# The name of a loop's variable stands as a default, or all would share its last value.
_ICU: Protocols = {
    f"icu/{split}": lambda at, split=split: icu.task(split, data=at.data, cache=at.cache)
    for split in ("official-like", *icu.PLAIN_SEEDS)
}
_HOPPER: Protocols = {
    f"hopper/{regime.__name__}/{percent}": (
        lambda at, regime=regime, percent=percent: regime(percent, cache=at.cache)
    )
    for regime in (hopper.extrapolation, hopper.interpolation)
    for percent in hopper.PERCENTS
}
_LIVER: Protocols = {
    f"liver/{seed}": lambda _, seed=seed: liver.task(seed) for seed in liver.SEEDS
}
_SPIRALS: Protocols = {
    f"spirals/{n_observed}": lambda _, n_observed=n_observed: spirals.task(n_observed)
    for n_observed in spirals.N_OBSERVED
}
_ODE_BANK: Protocols = {
    f"ode-bank/{name}": lambda _, name=name: ode_bank.task(name) for name in ode_bank.EQUATIONS
}

PROTOCOLS: Protocols = {
    **_ICU,
    "icu-hourly": lambda at: icu_hourly.task(data=at.data, cache=at.cache),
    **_HOPPER,
    "periodic": lambda _: periodic.task(),
    **_ODE_BANK,
    "ice-core": lambda at: ice_core.task(data=at.data),
    **_LIVER,
    **_SPIRALS,
}
