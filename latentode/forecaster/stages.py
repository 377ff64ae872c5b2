"""The stages of a training: from one or more initial weights, and then on all rows."""

import copy
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from latentode.forecaster.mechanistic import adopt_units
from latentode.forecaster.resume import Training
from latentode.forecaster.time_limit import seconds_of
from latentode.models import LatentModel, SeriesDataModule, Span, from_first, own_torch_state
from latentode.nn import Mechanism

if TYPE_CHECKING:
    from latentode.forecaster.latent_ode import LatentODEForecaster

# Training steps that the default number of epochs amounts to, and how few and many epochs these
# may be; and the share of them that follows, on all rows, after early stopping.
_N_STEPS, _FEWEST_EPOCHS, _MOST_EPOCHS = 1000, 10, 100
_REFIT_SHARE = 0.6
# Decay of the moving average of the weights, which is what is kept of a training; parameters of a
# mechanism are few, come a long way, and are read.
_AVERAGING, _OF_MECHANISM = 0.99, 0.9


class Job(NamedTuple):
    """A training: of which forecaster, on which series, with what kept of it.

    Attributes
    ----------
    forecaster : LatentODEForecaster
        Says how to train.
    data : SeriesDataModule
        The series.
    training : Training
        Its stages.
    max_epochs : int or None
        Epochs of a fit at most; None for those of the forecaster, or as many as make enough steps.
    """

    forecaster: "LatentODEForecaster"
    data: SeriesDataModule
    training: Training
    max_epochs: int | None = None

    @property
    def n_epochs(self) -> int:
        """Epochs of a fit at most."""
        given = self.max_epochs or self.forecaster.max_epochs
        return given or _n_epochs(self.data.n_steps(self.forecaster.devices))

    @property
    def n_refit_epochs(self) -> int:
        """Epochs on all rows."""
        return math.ceil(_REFIT_SHARE * self.n_epochs)


def check_restarts(forecaster: "LatentODEForecaster", data: SeriesDataModule) -> None:
    """Refuse several starts where there is nothing to choose among them by."""
    if forecaster.n_restarts > 1 and not data.n_held_out:
        raise ValueError(
            f"n_restarts={forecaster.n_restarts} keeps the start with the lowest loss on held-out "
            f"rows, and none are held out, with val_fraction={forecaster.val_fraction} and "
            f"objective={forecaster.objective}.\nFix: model.set_params(n_restarts=1)"
        )


def learn(module: LatentModel, job: Job) -> pd.DataFrame:
    """Stop early on the held-out rows, then go on a little with all of them.

    Parameters
    ----------
    module : LatentModel
        The untrained module, which is trained in place.
    job : Job
        How, and on what.

    Returns
    -------
    DataFrame
        Losses of each epoch.
    """
    forecaster, data = job.forecaster, job.data
    refits = bool(forecaster.refit and data.n_held_out)
    seconds = seconds_of(forecaster.max_time)
    n_starts = forecaster.n_restarts
    # Of the time, stages have as much as they would have of the epochs.
    for_fits = None if seconds is None else seconds * n_starts / (n_starts + _REFIT_SHARE * refits)
    history = _fit(module, job, for_fits)
    span = _span(job, "refit", seconds, least_epochs=0) if refits else None
    if not refits or _is_over(span):
        return history
    module.learning_rate = forecaster.learning_rate / 2
    whole = job._replace(data=data.without_holdout())
    refit = _train("refit", module, whole, n_epochs=job.n_refit_epochs, span=span)
    return pd.concat([history, refit], ignore_index=True)


def learn_further(module: LatentModel, job: Job) -> pd.DataFrame:
    """Train on all rows, as in the refit; see `learn`."""
    forecaster = job.forecaster
    module.learning_rate = forecaster.learning_rate / 2
    span = _span(job, "further", seconds_of(forecaster.max_time))
    n_epochs = job.max_epochs or job.n_refit_epochs
    return _train("further", module, job, n_epochs=n_epochs, span=span)


def _fit(module: LatentModel, job: Job, end: float | None) -> pd.DataFrame:
    """Train from several initial weights, as far as there is time, and keep the best."""
    histories: dict[str, pd.DataFrame] = {}
    n_starts = job.forecaster.n_restarts
    for number in range(n_starts):
        stage = f"fit {number + 1}" if number else "fit"
        span = _span(job, stage, end, n_to_come=n_starts - number)
        if number and _is_over(span):
            break
        if number:
            _draw_weights(module, job, number)
        # A copy: how far one start is in its epochs is not where the next one begins.
        own = job._replace(data=copy.copy(job.data))
        histories[stage] = _train(stage, module, own, n_epochs=job.n_epochs, span=span)
    if len(histories) > 1:
        best = min(histories, key=lambda stage: histories[stage].val_loss.min())
        job.training.restore(best, module)
    return pd.concat(histories.values(), ignore_index=True)


def _draw_weights(module: LatentModel, job: Job, number: int) -> None:
    """Give a module initial weights of its own for a start, whatever was drawn before."""
    seeds = np.random.SeedSequence([job.training.seed, number])
    with own_torch_state(int(seeds.generate_state(1)[0])):
        other = job.forecaster.build_module(job.data.schema)
    adopt_units(other, job.data.scaler, job.data.schema)
    module.load_state_dict(other.state_dict())


def _span(
    job: Job, stage: str, end: float | None, *, n_to_come: int = 1, least_epochs: int = 1
) -> Span | None:
    """Give how long a stage may last, of the time that it shares with those that follow."""
    if end is None:
        return None
    clock, begun = job.training.clock, job.training.begun
    if stage not in begun:
        now = clock.seconds
        begun[stage] = now if job.forecaster.devices == 1 else from_first(now)
    begin = begun[stage]
    return Span(clock, begin, begin + (end - begin) / n_to_come, least_epochs)


def _is_over(span: Span | None) -> bool:
    """Tell whether a stage has no time from its begin."""
    return span is not None and span.begin >= span.end


def _train(
    stage: str, module: LatentModel, job: Job, *, n_epochs: int, span: Span | None
) -> pd.DataFrame:
    forecaster = job.forecaster
    knows = isinstance(forecaster.vector_field, Mechanism)
    history = job.training.train(
        stage,
        module,
        job.data,
        max_epochs=n_epochs,
        patience=forecaster.patience,
        accelerator=forecaster.accelerator,
        devices=int(forecaster.devices),
        label=stage if forecaster.verbose else None,
        averaging=_OF_MECHANISM if knows else _AVERAGING,
        logger=forecaster.logger,
        span=span,
    )
    return pd.DataFrame(history).assign(stage=stage)


def _n_epochs(n_batches: int) -> int:
    return min(max(math.ceil(_N_STEPS / n_batches), _FEWEST_EPOCHS), _MOST_EPOCHS)
