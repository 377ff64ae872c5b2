"""What the forecaster's defaults give beside the naive forecasters, on two bundled sets.

Nothing is chosen: `LatentODEForecaster(random_state=0)`. The liver patients, in logarithms, are
told 700 days ahead from three cutoffs of the calendar, by `backtest`; of the stays in intensive
care, 50 of 200 are drawn and told by a model of the others, by `evaluate`. Errors are in standard
deviations of the training values.

    python examples/benchmarks/forecaster_naive.py [--markdown docs/benchmarks.md] [--quick]
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from solver_tables import Table, markdown, put_into_page

from latentode import LatentODEForecaster, load_icu, load_pbcseq

METRICS = {"mse": "MSE", "mae": "MAE", "crps": "CRPS", "coverage_90": "90 % cover"}


def liver(max_epochs: int | None) -> pd.DataFrame:
    visits = load_pbcseq()
    labs = visits.columns.drop(["patient", "day"])
    visits[labs] = np.log(visits[labs])
    model = LatentODEForecaster(
        id_col="patient", time_col="day", max_epochs=max_epochs, random_state=0, verbose=0
    )
    return model.backtest(visits, horizon=700, metrics=[*METRICS], scaled=True)


def stays(max_epochs: int | None) -> pd.DataFrame:
    rows = load_icu()
    ids = np.random.default_rng(0).permutation(rows["stay"].unique())
    told = rows["stay"].isin(ids[:50])
    model = LatentODEForecaster(
        id_col="stay", time_col="minute", max_epochs=max_epochs, random_state=0, verbose=0
    )
    return model.fit(rows[~told]).evaluate(rows[told], metrics=[*METRICS], scaled=True)


SETS: dict[str, Callable[[int | None], pd.DataFrame]] = {"liver": liver, "stays": stays}


def main(quick: bool = False, page: Path | None = None) -> None:
    torch.set_num_threads(1)
    for name, scored in SETS.items():
        began = time.process_time()
        table = scored(1 if quick else None)
        seconds = time.process_time() - began
        cells = [(who, *(f"{x:.3f}" for x in row)) for who, *row in table[[*METRICS]].itertuples()]
        note = f"{seconds:.0f} CPU seconds in all."
        text = markdown(Table((name, *METRICS.values()), cells, (note,)))
        print(f"\n{text}", flush=True)
        if page is not None:
            put_into_page(page, f"defaults/{name}", text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="page to put tables into")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    main(options.quick, options.markdown)
