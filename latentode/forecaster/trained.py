"""Forecasters with a trained module: trained further, saved, loaded, and told about."""

import copy
import os
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted
from torch import nn

from latentode.data import Scaler, Schema, columns_of, merge_panels
from latentode.forecaster.base import Forecaster
from latentode.forecaster.model_file import read_model_file, write_model_file
from latentode.forecaster.saving import differing, pack, unpack
from latentode.forecaster.summary import summarize
from latentode.models import LatentModel, SeriesDataModule, own_torch_state
from latentode.solvers.checks import check_whole


class TrainedForecaster(Forecaster):
    """A forecaster whose parameters are the weights of a Lightning module.

    Attributes
    ----------
    module_ : LatentModel
        The trained module.
    history_ : DataFrame
        Losses of each epoch.
    fit_seconds_ : float
        Seconds that all training since the last ``fit`` took.
    fitted_with_ : dict
        The parameters at the time of ``fit``.
    """

    module_: LatentModel
    history_: pd.DataFrame
    fit_seconds_: float
    fitted_with_: dict[str, Any]
    n_features_in_: int
    feature_names_in_: np.ndarray

    @abstractmethod
    def build_module(self, schema: Schema) -> LatentModel:
        """Build an untrained module for the columns of a schema."""

    @abstractmethod
    def _fit(self, df: object, static: object = None, epochs: int | None = None) -> Self:
        """Learn from a frame, for as many epochs as given instead of those of the parameters."""

    @abstractmethod
    def _data(
        self, source: object, seed: int, *, static: object = None, scaler: Scaler | None = None
    ) -> SeriesDataModule:
        """Give batches of a frame or panel, in given scales or in scales of its own."""

    @abstractmethod
    def _seed(self) -> int:
        """Draw the seed of a training."""

    @abstractmethod
    def _train_further(
        self, module: LatentModel, data: SeriesDataModule, epochs: int | None, seed: int
    ) -> pd.DataFrame:
        """Train a module on all rows of the data, and give its losses."""

    def partial_fit(
        self, df: object, y: None = None, *, static: object = None, epochs: int | None = None
    ) -> Self:
        """Add rows to what is known, and train further on all of it.

        The first call is a ``fit``. A later one starts from the weights of the one before, with
        the scales of the first: no part of the rows is held out, and the learning rate is half of
        that of ``fit``. The same calls with the same seed give the same model, also if it was
        saved and loaded between them.

        Parameters
        ----------
        df : DataFrame
            New rows, of the same series or of others, with the columns of ``fit``.
        y : None
            Not used; the targets are columns of ``df``.
        static : DataFrame, optional
            As in ``fit``, of the series of these rows.
        epochs : int, optional
            Passes over all rows; in the first call, at most so many before the refit. By default
            as many as the refit of ``fit`` has.

        Returns
        -------
        TrainedForecaster
            The forecaster itself, no longer calibrated.

        Raises
        ------
        FrameError
            If the frame does not keep the contract, or a row is at a time that is known already:
            nothing has changed then. ``df[~model.knows(df)]`` are the rows that are new.
        ValueError
            If a parameter cannot be used.

        Examples
        --------
        >>> from latentode import LatentODEForecaster, load_pbcseq
        >>> df = load_pbcseq()
        >>> model = LatentODEForecaster(id_col="patient", time_col="day", max_epochs=2, verbose=0)
        >>> for years in (df[df.day < 3000], df[df.day >= 3000]):
        ...     model = model.partial_fit(years, epochs=1)
        >>> model.history_.stage.tolist()
        ['fit', 'refit', 'further']
        """
        if epochs is not None:
            check_whole("epochs", epochs)
        if not hasattr(self, "module_"):
            return self._fit(df, static, epochs)
        began = time.perf_counter()
        context = merge_panels(self.context_, self._panel(df, static))
        # The n-th training draws otherwise than the one before, and always the same.
        seeds = np.random.SeedSequence([self._seed(), len(self.history_)])
        seed = int(seeds.generate_state(1)[0])
        data = self._data(context, seed, scaler=self.scaler_).without_holdout()
        module = copy.deepcopy(self.module_)  # what was there stays if training fails
        with own_torch_state(seed):
            history = self._train_further(module, data, epochs, seed)
        self.module_, self.context_, self.calibration_ = module, context, None
        self.history_ = pd.concat([self.history_, history], ignore_index=True)
        self.fit_seconds_ += time.perf_counter() - began
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that was learned into one file, for `load`.

        The file appears at once or not at all, and nothing in it can run code. See
        ``docs/saving.md``.

        Parameters
        ----------
        path : path
            The file, such as "model.lode"; one that is there is replaced.

        Raises
        ------
        TypeError
            If an id, the name of a column or a parameter is of a type that a file has no form
            for; it is named.
        OSError
            If the file cannot be written; one that was there is as it was.
        NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> import tempfile
        >>> from latentode import LatentODEForecaster, load_pbcseq
        >>> model = LatentODEForecaster(id_col="patient", time_col="day", max_epochs=2, verbose=0)
        >>> model = model.fit(load_pbcseq())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.lode")
        ...     again = LatentODEForecaster.load(f"{folder}/model.lode")
        >>> again.predict(5000).equals(model.predict(5000))
        True
        """
        check_is_fitted(self)
        write_model_file(path, pack(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, vector_field: nn.Module | None = None) -> Self:
        """Read a forecaster that `save` wrote; its forecasts are the same to the bit.

        Parameters
        ----------
        path : path
            The file.
        vector_field : Module, optional
            Where the forecaster was fitted with one: a module of the same class, made in the same
            way. The file holds its weights, and no code. The module itself is not changed.

        Returns
        -------
        TrainedForecaster
            With all that was learned, and the same parameters but for a ``logger``.

        Raises
        ------
        ModelFileError
            If the file is no model, is damaged or cut off, or comes from a later version; or
            ``vector_field`` is missing, or is another one.
        OSError
            If it cannot be read.
        """
        modules = {"vector_field": vector_field}
        return unpack(cls, read_model_file(path), Path(path).name, modules)

    def summary(self) -> str:
        """Tell what is in use: columns, series, times, values, network and training.

        Returns
        -------
        str
            Some twenty lines.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        return summarize(self)

    @property
    def n_parameters_(self) -> int:
        """Number of trained parameters."""
        return sum(p.numel() for p in self.module_.parameters())

    def see_columns(self, schema: Schema) -> None:
        """Take the columns of a schema into use."""
        self.schema_ = schema
        self.feature_names_in_ = np.array([*columns_of(schema), None], dtype=object)[:-1]
        self.n_features_in_ = len(self.feature_names_in_)

    def _start_where_it_was(self, module: LatentModel, schema: Schema) -> None:
        """Give a module the weights of the fit before, of the same columns and sizes."""
        before, now = columns_of(self.schema_), columns_of(schema)
        if before != now:
            raise ValueError(
                f"warm_start=True goes on from the fit before, of the columns {before}; these are "
                f"{now}.\nFix: model.set_params(warm_start=False)"
            )
        weights = self.module_.state_dict()
        differs = differing(module, weights)
        if differs is not None:
            raise ValueError(
                "warm_start=True goes on from the weights of the fit before, and these are of "
                f"other sizes: {differs}.\nFix: model.set_params(warm_start=False)"
            )
        module.load_state_dict(weights)
