"""Data sets as frames ready for `LatentODEForecaster.fit`: bundled, generated and downloaded."""

from latentode.datasets.activity import fetch_human_activity
from latentode.datasets.archives import ArchiveError, unpack
from latentode.datasets.bundled import (
    load_epica,
    load_hare_lynx,
    load_icu,
    load_macho,
    load_mauna_loa_co2,
    load_pbcseq,
    load_remifentanil,
)
from latentode.datasets.climate import fetch_ushcn
from latentode.datasets.diffusions import make_brusselator, make_double_ou
from latentode.datasets.downloads import DownloadError, data_folder, download
from latentode.datasets.hopper import make_hopper
from latentode.datasets.ode_bank import make_ode_bank
from latentode.datasets.periodic import make_periodic
from latentode.datasets.physionet import fetch_physionet2012
from latentode.datasets.spirals import make_spirals

__all__ = [
    "ArchiveError",
    "DownloadError",
    "data_folder",
    "download",
    "fetch_human_activity",
    "fetch_physionet2012",
    "fetch_ushcn",
    "load_epica",
    "load_hare_lynx",
    "load_icu",
    "load_macho",
    "load_mauna_loa_co2",
    "load_pbcseq",
    "load_remifentanil",
    "make_brusselator",
    "make_double_ou",
    "make_hopper",
    "make_ode_bank",
    "make_periodic",
    "make_spirals",
    "unpack",
]
