"""Data sets as frames ready for `LatentODEForecaster.fit`."""

from latentode.datasets.bundled import load_icu, load_pbcseq

__all__ = ["load_icu", "load_pbcseq"]
