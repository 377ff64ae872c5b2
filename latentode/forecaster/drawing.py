"""Draws from a forecast, and the latent states behind it."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import pandas as pd

from latentode.data import ScaledPanel, Scaler, Schema, as_native
from latentode.forecaster.question import Question
from latentode.forecaster.seed import draw_seed, own_generator
from latentode.forecaster.table import beside, draws_table
from latentode.models import LatentModel, latent_path, sample
from latentode.solvers.checks import check_whole


class Drawing(ABC):
    """A forecaster with a latent state, which can draw from its forecasts.

    Attributes
    ----------
    module_ : LatentModel
        The trained module.
    schema_ : Schema
        The columns in use, and the type of the times.
    scaler_ : Scaler
        Scales of values and times.
    """

    module_: LatentModel
    schema_: Schema
    scaler_: Scaler
    max_rows: int
    _question: Callable[..., Question]

    @abstractmethod
    def _in_units_of_model(self, question: Question) -> tuple[ScaledPanel, np.ndarray, np.ndarray]:
        """Give what is known, and the series and times asked, as the module takes them."""

    def sample(
        self,
        at: object = None,
        n: int = 100,
        *,
        horizon: object = None,
        step: object = None,
        context: object = None,
        cutoff: object = None,
        static: object = None,
        random_state: int | None = None,
    ) -> pd.DataFrame:
        """Draw values from the forecast, joint in time.

        A draw of a series is one latent path, and noise of its own at every time and for every
        variable; with ``likelihood="flow"``, the noise of variables at one time is joint. Draws of
        different series are independent, and do not depend on what else is asked. They are those
        of the model before `calibrate`.

        Parameters
        ----------
        at : time, sequence of times, or DataFrame
            As in `predict`.
        n : int, default=100
            Number of draws.
        horizon, step : Timedelta, str or number, optional
            As in `predict`.
        context : DataFrame, optional
            As in `predict`.
        cutoff : time, optional
            As in `predict`.
        static : DataFrame, optional
            As in `predict`.
        random_state : int, optional
            Seed of the draws; by default others each time.

        Returns
        -------
        DataFrame
            The rows asked, once for every draw, with the columns ``draw``, series, time and
            targets.

        Raises
        ------
        FrameError
            As in `predict`.

        Examples
        --------
        >>> from latentode import LatentODEForecaster, load_pbcseq
        >>> df = load_pbcseq()
        >>> model = LatentODEForecaster(id_col="patient", time_col="day", max_epochs=2, verbose=0)
        >>> draws = model.fit(df).sample([5000, 5100], n=3, random_state=0)
        >>> draws.groupby("draw").size().tolist()
        [624, 624, 624]
        """
        check_whole("n", n)
        question = self._question(at, horizon, step, context, cutoff, static)
        seed = draw_seed(random_state)
        drawn = sample(
            self.module_,
            *self._in_units_of_model(question),
            max_rows=int(self.max_rows),
            generators=[own_generator(seed, key) for key in question.query.ids],
            n_draws=n,
        )
        values = self.scaler_.unscale(drawn)[..., : len(self.schema_.target_cols)]
        table = draws_table(question.query, values, self.schema_)
        return as_native(table, question.query.backend)

    def latent(
        self,
        at: object = None,
        *,
        horizon: object = None,
        step: object = None,
        context: object = None,
        cutoff: object = None,
        static: object = None,
    ) -> pd.DataFrame:
        """Give the latent state on its expected path.

        Parameters
        ----------
        at : time, sequence of times, or DataFrame
            As in `predict`.
        horizon, step : Timedelta, str or number, optional
            As in `predict`.
        context : DataFrame, optional
            As in `predict`.
        cutoff : time, optional
            As in `predict`.
        static : DataFrame, optional
            As in `predict`.

        Returns
        -------
        DataFrame
            Columns of series and time, and ``z0``, ``z1`` and so on.

        Raises
        ------
        FrameError
            As in `predict`.
        """
        question = self._question(at, horizon, step, context, cutoff, static)
        zs = latent_path(
            self.module_,
            *self._in_units_of_model(question),
            max_rows=int(self.max_rows),
        )
        table = beside(question.query.frame, zs, [f"z{i}" for i in range(zs.shape[1])])
        return as_native(table, question.query.backend)
