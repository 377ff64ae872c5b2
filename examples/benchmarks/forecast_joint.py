"""Compare likelihoods on variables that are measured together: do they depend on each other?

Two simulated sets, whose noise lies on a ring and along a curve, and two bundled ones. Some
series are fitted, and of the others the first half of their time span is read and the rest is
told. Run as `python examples/benchmarks/forecast_joint.py [set [seeds]]`.
"""

import sys
import time
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from latentode import LatentODEForecaster, load_icu, load_pbcseq
from latentode.data import scale_panel
from latentode.forecaster.held_out import held_out
from latentode.metrics import energy_score
from latentode.models.pairs import batches_of_pairs
from latentode.models.prediction import in_double

LIKELIHOODS = ("gaussian", "student-t", "flow")
# Draws of the latent state, and draws of values for the energy score.
N_STATES, N_DRAWS = 16, 100
HEAD = """| set | likelihood | nats a value | energy score | seconds to fit |
|---|---|---|---|---|"""


class Set(NamedTuple):
    """A frame, the names of its columns of series and time, and for how many epochs to fit.

    All other columns are told.
    """

    frame: pd.DataFrame
    id_col: str
    time_col: str
    epochs: int


class Scores(NamedTuple):
    """Means over values and over rows, and the seconds of processor time that training took."""

    nats: float
    energy: float
    seconds: float


def simulated(noise: str, n_series: int = 200, n_rows: int = 24) -> pd.DataFrame:
    """Give series that fall from 2 to 0, with a noise on a ring or along a curve."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(0, 10, (n_series, n_rows)), axis=1).ravel()
    fine = rng.normal(size=t.size)
    if noise == "ring":
        angle, radius = rng.uniform(0, 2 * np.pi, t.size), 1 + 0.1 * fine
        a, b = radius * np.cos(angle), radius * np.sin(angle)
    else:
        a = rng.normal(size=t.size)
        b = a**2 - 1 + 0.2 * fine
    fallen = 2 * np.exp(-t / 2)
    series = np.repeat(np.arange(n_series), n_rows)
    return pd.DataFrame({"id": series, "time": t, "a": fallen + a, "b": fallen + b})


SETS = {
    "ring": lambda: Set(simulated("ring"), "id", "time", 30),
    "curve": lambda: Set(simulated("curve"), "id", "time", 20),
    "liver": lambda: Set(load_pbcseq(), "patient", "day", 20),
    "icu": lambda: Set(load_icu(), "stay", "minute", 8),
}


def measured(given: Set, likelihood: str, seed: int) -> Scores:
    """Fit on three quarters of the series, drawn by the seed, and measure on the others."""
    ids = np.random.default_rng(seed).permutation(given.frame[given.id_col].unique())
    is_val = given.frame[given.id_col].isin(ids[: len(ids) // 4])
    model = LatentODEForecaster(
        id_col=given.id_col,
        time_col=given.time_col,
        likelihood=likelihood,
        max_epochs=given.epochs,
        batch_size=16,  # the sets are small
        random_state=seed,
        verbose=0,
    )
    began = time.process_time()
    model.fit(given.frame[~is_val])
    seconds = time.process_time() - began
    val = given.frame[is_val]
    return Scores(nats_per_value(model, val), energy_of(model, val, given), seconds)


@torch.no_grad()
def nats_per_value(model: LatentODEForecaster, val: pd.DataFrame) -> float:
    """Give the negative log density of all values of a row together, for each of them.

    In standard deviations of the training values. For every likelihood it is the mixture over
    draws of the state, given which the values are told.
    """
    question, truth = held_out(model.context_, model._panel(val))
    module, scaled = in_double(model.module_), scale_panel(question.known, model.scaler_)
    since = question.since / model.scaler_.time_unit
    e = torch.randn(
        N_STATES // 2, module.encoder.latent_size, generator=torch.Generator().manual_seed(0)
    )
    truth, total = model.scaler_.scale(truth), 0.0
    for some in batches_of_pairs(
        scaled, question.query.series, since, max_rows=512, most_pairs=2000
    ):
        context, ts = some.batch.context, some.batch.ts
        q, known = module.encode(context), module.decoder.read(context)
        came = torch.as_tensor(some.padded(truth))
        of_states = [
            module
            .decoder(module.carry(q.placed(one), context, ts), ts, known)
            .log_prob(came)
            .nansum(-1)
            for one in torch.cat([e, -e]).double()
        ]
        rows = torch.stack(of_states).logsumexp(0) - np.log(N_STATES)
        total += float(some.of_pairs(rows).sum())
    return -total / np.isfinite(truth).sum()


def energy_of(model: LatentODEForecaster, val: pd.DataFrame, given: Set) -> float:
    """Give the mean energy score of the rows asked, in standard deviations of training values."""
    question, truth = held_out(model.context_, model._panel(val))
    columns = list(model.schema_.target_cols)
    asked = question.query.frame[[given.id_col, given.time_col]]
    early = val.merge(asked, how="left", indicator=True).query("_merge == 'left_only'")
    draws = model.sample(asked, n=N_DRAWS, context=early.drop(columns="_merge"), random_state=0)
    values = draws[columns].to_numpy().reshape(N_DRAWS, len(asked), len(columns))
    std = model.scaler_.std
    return float(np.nanmean(energy_score(truth / std, values / std)))


def main(name: str = "all", n_seeds: int = 2, *, quick: bool = False) -> None:
    """Print a row of the table for each set and likelihood, with what each seed gave."""
    torch.set_num_threads(1)
    sets = SETS
    if quick:
        sets = {"ring": lambda: Set(simulated("ring", 16, 8), "id", "time", 1)}
        n_seeds = 1
    print(HEAD)
    for chosen in sets if name == "all" else [name]:
        given = sets[chosen]()
        for likelihood in LIKELIHOODS:
            scores = [measured(given, likelihood, seed) for seed in range(n_seeds)]
            nats, energy, seconds = (
                " / ".join(f"{x:.{d}f}" for x in column)
                for column, d in zip(zip(*scores, strict=True), (3, 3, 0), strict=True)
            )
            print(f"| {chosen} | {likelihood} | {nats} | {energy} | {seconds} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
