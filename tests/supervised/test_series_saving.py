"""A saved estimator of whole series comes back the same, and damage is caught."""

import json

import numpy as np
import pandas as pd
import pytest

from latentode import LatentODEForecaster, ModelFileError, SeriesClassifier, SeriesRegressor
from latentode.forecaster.model_file import write_model_file
from latentode.supervised.series_saving import pack
from tests.supervised.trends import SMALL


@pytest.fixture(scope="module")
def fitted(trends):
    return SeriesClassifier(**SMALL, n_members=2).fit(*trends)


@pytest.mark.parametrize(
    "kinds",
    [("falls", "rises"), (0, 1), (False, True), (0.5, 1.5)],
    ids=lambda kinds: type(kinds[0]).__name__,
)
def test_what_is_told_is_the_same_to_the_bit(kinds, df, labels, tmp_path):
    y = pd.Series([kinds[label == "rises"] for label in labels])
    estimator = SeriesRegressor if kinds == (0.5, 1.5) else SeriesClassifier
    model = estimator(**SMALL).fit(df, y)
    model.save(tmp_path / "m.lode")
    again = estimator.load(tmp_path / "m.lode")
    pd.testing.assert_series_equal(again.predict(df), model.predict(df), rtol=0, atol=0)
    pd.testing.assert_series_equal(again.evaluate(df, y), model.evaluate(df, y), rtol=0, atol=0)
    pd.testing.assert_frame_equal(again.history_, model.history_)
    assert vars(again).keys() == vars(model).keys()
    assert again.get_params() == model.get_params()
    before = (tmp_path / "m.lode").read_bytes()
    again.save(tmp_path / "m.lode")
    assert (tmp_path / "m.lode").read_bytes() == before


def test_damage_anywhere_is_caught(fitted, tmp_path):
    path = tmp_path / "m.lode"
    fitted.save(path)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    for bit in rng.integers(0, 8 * len(data), 60):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match="damaged"):
            SeriesClassifier.load(path)


def test_a_file_of_another_estimator_is_refused(fitted, tmp_path):
    fitted.save(tmp_path / "m.lode")
    with pytest.raises(
        ModelFileError, match=r"holds a SeriesClassifier(.|\n)*SeriesClassifier.lo"
    ):
        LatentODEForecaster.load(tmp_path / "m.lode")


@pytest.mark.parametrize("sizes", [{"hidden_size": 10**7}, {"n_members": 10**9}])
def test_networks_too_large_for_their_weights_are_never_built(sizes, fitted, tmp_path):
    content = pack(fitted)
    header = json.loads(json.dumps(content.header)) | {"fitted_with": sizes}
    write_model_file(tmp_path / "m.lode", content._replace(header=header))
    with pytest.raises(ModelFileError, match=r"weights of another model: \d\.encoder"):
        SeriesClassifier.load(tmp_path / "m.lode")
