"""Data sets as frames ready for `LatentODEForecaster.fit`: bundled ones and generated ones."""

from latentode.datasets.bundled import (
    load_epica,
    load_hare_lynx,
    load_icu,
    load_macho,
    load_mauna_loa_co2,
    load_pbcseq,
    load_remifentanil,
)
from latentode.datasets.diffusions import make_brusselator, make_double_ou
from latentode.datasets.ode_bank import make_ode_bank
from latentode.datasets.periodic import make_periodic
from latentode.datasets.spirals import make_spirals

__all__ = [
    "load_epica",
    "load_hare_lynx",
    "load_icu",
    "load_macho",
    "load_mauna_loa_co2",
    "load_pbcseq",
    "load_remifentanil",
    "make_brusselator",
    "make_double_ou",
    "make_ode_bank",
    "make_periodic",
    "make_spirals",
]
