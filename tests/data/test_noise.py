"""Known errors stand beside the values that they are of, through every selection of rows."""

import numpy as np
import pandas as pd
import pytest

from latentode import FrameError, SeriesDataModule
from latentode.data import (
    drop_empty_rows,
    infer_schema,
    keep_where,
    merge_panels,
    select_series,
    to_panel,
)


@pytest.fixture
def stars():
    rng = np.random.default_rng(0)
    n = 60
    return pd.DataFrame({
        "id": rng.integers(0, 6, n),
        "t": rng.permutation(n) / 7,
        "red": rng.normal(size=n),
        "blue": np.where(rng.uniform(size=n) < 0.3, np.nan, rng.normal(size=n)),
        "err": rng.uniform(0.1, 2.0, n),
    })


@pytest.fixture
def panel(stars):
    return to_panel(stars, infer_schema(stars, noise_cols={"blue": "err"}))


def pairs(panel):
    """Give the values of blue and their errors, as they stand beside each other."""
    return sorted(zip(panel.values[:, 1].round(9), panel.noise[:, 1].round(9), strict=True))


def test_a_column_of_errors_is_no_target(panel):
    assert panel.schema.target_cols == ("red", "blue")
    assert panel.schema.noise_cols == (None, "err")
    assert np.isnan(panel.noise[:, 0]).all()


def test_each_error_stays_beside_its_value(stars, panel):
    by_value = dict(zip(stars.blue.round(9), stars.err.round(9), strict=True))
    chosen = select_series(drop_empty_rows(panel), panel.ids[1:4])
    for value, error in pairs(keep_where(chosen, chosen.times > 1)):
        assert np.isnan(value) or by_value[value] == error


def test_rows_put_together_are_those_of_one_frame(stars, panel):
    schema = panel.schema
    parts = to_panel(stars[:25], schema), to_panel(stars[25:], schema)
    np.testing.assert_array_equal(merge_panels(*parts).noise, panel.noise)


def test_batches_hold_scaled_errors_of_what_is_asked(stars):
    data = SeriesDataModule(stars, noise_cols={"blue": "err"}, val_fraction=0, max_asked=3)
    batch = next(iter(data.train_dataloader()))
    assert batch.noise.shape == batch.targets.shape
    assert not batch.noise[..., 0].any()
    scaled = stars.err.to_numpy() / data.scaler.std[1]
    asked = batch.noise[..., 1][batch.targets_mask[..., 1]]
    for error in asked:
        assert np.abs(scaled - float(error)).min() < 1e-6


def test_without_errors_there_are_none(stars):
    data = SeriesDataModule(stars.drop(columns="err"), val_fraction=0)
    assert next(iter(data.train_dataloader())).noise is None


def test_errors_must_say_of_what_they_are(stars):
    with pytest.raises(TypeError, match=r"noise_cols=\{'y': 'y_err'\}, not list"):
        infer_schema(stars, noise_cols=["err"])
    with pytest.raises(FrameError, match="known errors in fit") as error:
        to_panel(stars.drop(columns="err"), infer_schema(stars, noise_cols={"blue": "err"}))
    assert error.value.code == "E-NOISE-COL"
