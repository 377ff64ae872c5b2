"""What the classifier and the regressor of whole series have in common: read, train, tell."""

import os
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import nn

from latentode.data import (
    OnDuplicates,
    Panel,
    Scaler,
    Schema,
    columns_of,
    drop_empty_rows,
    infer_schema,
    scale_panel,
    to_panel,
    without_column,
)
from latentode.data.errors import plainly, warn
from latentode.forecaster.model_file import read_model_file, write_model_file
from latentode.models import outputs_of, own_torch_state
from latentode.models.ode_net import Loss
from latentode.supervised.base import Targets, draw_seed
from latentode.supervised.labels import in_order, read_labels, series_of
from latentode.supervised.series_network import check_parameters
from latentode.supervised.series_saving import pack, unpack
from latentode.supervised.series_training import train_member
from latentode.supervised.words import in_words_of


class Told(NamedTuple):
    """Outputs (S, M, K) of M members for S series, and whose they are."""

    ids: list[Hashable]
    outputs: np.ndarray


class SeriesEstimator(BaseEstimator, ABC):
    """Networks that read a whole irregular series, and are fitted on a frame and labels.

    Attributes
    ----------
    members_ : ModuleList of SeriesNet
        The trained networks.
    schema_ : Schema
        The columns in use, and the type of the times.
    scaler_ : Scaler
        Scales of values and times.
    history_ : DataFrame
        Losses of each epoch of each member.
    """

    id_col: Hashable | Sequence[Hashable] | None
    time_col: Hashable | None
    feature_cols: Hashable | Sequence[Hashable] | None
    static_cols: Hashable | Sequence[Hashable] | None
    on_duplicates: OnDuplicates
    latent_size: int
    hidden_size: int
    dropout: float
    method: str
    rtol: float
    atol: float
    adjoint: str
    n_members: int
    val_fraction: float
    patience: int | None
    max_epochs: int | None
    batch_size: int
    max_rows: int
    learning_rate: float
    weight_decay: float
    accelerator: str
    verbose: int
    random_state: int | np.random.RandomState | None
    members_: nn.ModuleList
    schema_: Schema
    scaler_: Scaler
    history_: pd.DataFrame
    fitted_with_: dict[str, Any]
    n_features_in_: int
    feature_names_in_: np.ndarray

    @abstractmethod
    def _targets(self, labels: pd.Series, ids: Sequence[Hashable]) -> Targets:
        """Learn of the labels of series what names or scales them, and give the targets."""

    @abstractmethod
    def n_outputs(self) -> int:
        """Give the width of the head of a fitted network."""

    @abstractmethod
    def learned(self) -> dict[str, object]:
        """Give what was learned beside weights and scales, for a file."""

    @abstractmethod
    def learn(self, learned: Mapping[str, Any]) -> None:
        """Take over what `learned` gave."""

    @abstractmethod
    def loss(self) -> Loss:
        """Give the loss of each series."""

    def fit(self, df: object, y: object = None, *, static: object = None) -> Self:
        """Learn from series whose labels are known.

        A part of the series is held out to choose the best epoch by. The same series with the
        same seed give the same networks, in whatever order rows and labels come.

        Parameters
        ----------
        df : DataFrame
            One row an observation; see ``docs/the-frame.md``.
        y : Series, mapping, DataFrame, Hashable or array
            The labels: by the ids of the series; in a frame with the id columns and one other; in
            a column of ``df``, by its name, which is then not read as a feature; or one for each
            row of ``df``, the same for all rows of a series.
        static : DataFrame, optional
            Static covariates, where ``df`` does not have them: one row for each series.

        Returns
        -------
        SeriesEstimator
            The estimator itself.

        Raises
        ------
        FrameError
            If the frame does not keep the contract, or a series has no label; the message says
            which, and how to mend it.
        ValueError
            If a parameter cannot be used.
        FloatingPointError
            If the training diverges.
        """
        check_parameters(self)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None.\n"
                "Fix: model.fit(df, y)  # labels by id, or the name of a column of df"
            )
        with in_words_of(self):
            schema, panel, labels = self._read(df, y, static)
            targets = self._targets(labels, panel.ids)
        seed = draw_seed(self.random_state)
        scaler = Scaler.fit(panel, panel)
        scaled = scale_panel(panel, scaler)
        with own_torch_state(seed):
            members = [
                train_member(self, scaled, schema, targets, number=number, seed=seed)
                for number in range(self.n_members)
            ]
        self.members_ = nn.ModuleList(member.network for member in members).eval()
        self.history_ = pd.concat([member.history for member in members], ignore_index=True)
        self.scaler_ = scaler
        self.fitted_with_ = self.get_params(deep=False)
        self.see_columns(schema)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that was learned into one file, for `load`; see ``docs/saving.md``.

        Parameters
        ----------
        path : path
            The file, such as "model.lode"; one that is there is replaced.

        Raises
        ------
        TypeError
            If a label, the name of a column or a parameter is of a type that a file has no form
            for; it is named.
        OSError
            If the file cannot be written; one that was there is as it was.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        write_model_file(path, pack(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an estimator that `save` wrote; what it tells is the same to the bit.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        SeriesEstimator
            With all that was learned, and the same parameters.

        Raises
        ------
        ModelFileError
            If the file is no model, is damaged or cut off, or comes from a later version.
        OSError
            If it cannot be read.
        """
        return unpack(cls, read_model_file(path), Path(path).name)

    @property
    def n_parameters_(self) -> int:
        """Number of trained parameters, of all members."""
        return sum(p.numel() for p in self.members_.parameters())

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that the input is a frame with missing values."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags

    def see_columns(self, schema: Schema) -> None:
        """Take the columns of a schema into use."""
        self.schema_ = schema
        self.feature_names_in_ = np.array([*columns_of(schema), None], dtype=object)[:-1]
        self.n_features_in_ = len(self.feature_names_in_)

    def _read(self, df: object, y: object, static: object) -> tuple[Schema, Panel, pd.Series]:
        """Give the columns of a frame, its series, and the label of each of these."""
        read = without_column(df, y) if _is_name(y) else df
        schema = infer_schema(
            read,
            id_col=self.id_col,
            time_col=self.time_col,
            target_cols=self.feature_cols,
            static_cols=self.static_cols,
            static=static,
        )
        panel = to_panel(read, schema, on_duplicates=self.on_duplicates, static=static)
        labels = in_order(read_labels(y, df, schema), panel.ids, schema)
        return schema, drop_empty_rows(panel), labels

    def _tell(self, df: object, static: object) -> Told:
        """Give the outputs of all members for the series of a frame, as they first appear."""
        check_is_fitted(self)
        with in_words_of(self):
            panel = to_panel(df, self.schema_, on_duplicates=self.on_duplicates, static=static)
            ids = series_of(df, self.schema_)
        panel = drop_empty_rows(panel)
        _warn_of_empty_series(panel)
        scaled = scale_panel(panel, self.scaler_)
        outputs = [
            outputs_of(member, scaled, int(self.max_rows)).double().numpy()
            for member in self.members_
        ]
        place = {key: i for i, key in enumerate(panel.ids)}
        order = [place[key] for key in ids]
        return Told(ids, np.stack(outputs, axis=1)[order])

    def _index(self, ids: Sequence[Hashable]) -> pd.Index:
        """Give ids as the index of what is told, named as the columns of the series."""
        names = self.schema_.id_cols
        if len(names) > 1:
            return pd.MultiIndex.from_tuples(ids, names=names)  # type: ignore[arg-type]
        return pd.Index(ids, name=next(iter(names), None), tupleize_cols=False)

    def _truth(self, df: object, y: object, ids: Sequence[Hashable]) -> np.ndarray:
        """Give the labels of some series, to be compared with what is told."""
        with in_words_of(self):
            return in_order(read_labels(y, df, self.schema_), ids, self.schema_).to_numpy()


def _is_name(y: object) -> bool:
    return isinstance(y, str) or (isinstance(y, Hashable) and not hasattr(y, "__len__"))


def _warn_of_empty_series(panel: Panel) -> None:
    empty = np.diff(panel.offsets) == 0
    if not empty.any():
        return
    first = panel.ids[int(np.flatnonzero(empty)[0])]
    warn(
        f"nothing was observed of {int(empty.sum())} of the {len(empty)} series, first of series "
        f"{plainly(first)}: what is told of it is told of a series that nothing is known of."
    )
