"""Scales that are learned a part at a time are those learned at once."""

import numpy as np
import pandas as pd
import pytest

from latentode.data import Scaler, ScalerSums, infer_schema, select_series, to_panel
from latentode.data.sums import Drawn, Moments

OPTIONS = {"target_cols": ["a", "b"], "known_cols": "rate", "static_cols": "age"}


def panel_of(rng, scale):
    ids = np.repeat(np.arange(40), rng.integers(1, 9, 40))
    df = pd.DataFrame({
        "id": ids,
        "time": rng.random(len(ids)).cumsum(),
        "a": scale * rng.normal(3.0, 1.0, len(ids)),
        "b": np.where(rng.random(len(ids)) < 0.5, 7.0, np.nan),
        "rate": rng.random(len(ids)),
        "age": ids % 11,
    })
    return to_panel(df, infer_schema(df, **OPTIONS))


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_scales_of_parts_are_those_of_the_whole(scale):
    panel = panel_of(np.random.default_rng(0), scale)
    sums = ScalerSums(2)
    for part in np.array_split(np.arange(40), 9):
        some = select_series(panel, part.tolist())
        sums.add(some, some)
    learned, whole = sums.scaler(), Scaler.fit(panel, panel)
    for field in ("mean", "std", "time_unit"):
        np.testing.assert_allclose(getattr(learned, field), getattr(whole, field), rtol=1e-13)
    np.testing.assert_allclose(learned.known, whole.known, rtol=1e-13)
    np.testing.assert_allclose(learned.static, whole.static, rtol=1e-13)
    for ours, theirs in zip(learned.scores, whole.scores, strict=True):
        np.testing.assert_array_equal(ours.values, theirs.values)
        np.testing.assert_array_equal(ours.scores, theirs.scores)
    assert learned.std[1] == 0  # constant in every part


def test_large_numbers_keep_their_digits():
    values = 1e9 + np.random.default_rng(0).normal(size=10_000)
    moments = Moments()
    for part in np.array_split(values, 37):
        moments = moments.with_values(part)
    assert moments.mean == pytest.approx(values.mean(), rel=1e-15)
    assert moments.std == pytest.approx(values.std(), rel=1e-7)


def test_what_is_drawn_has_the_quantiles_of_all():
    drawn = Drawn(5_000)
    for part in range(20):
        drawn.add(np.linspace(part, part + 1, 2_000))  # they come in order
    assert len(drawn.values) == 5_000
    quantiles = np.quantile(drawn.values, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(quantiles, [2.0, 10.0, 18.0], atol=0.5)
