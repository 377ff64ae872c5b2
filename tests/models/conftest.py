"""A small set of series, and small models of them."""

import numpy as np
import pandas as pd
import pytest

from latentode.models import RNN, LatentODE, SeriesDataModule, own_torch_state
from latentode.nn import Decoder, Encoder, FlowedPosterior, MLPField


@pytest.fixture(scope="session")
def waves():
    rng = np.random.default_rng(0)
    return pd.DataFrame([
        {"id": s, "time": t, "a": np.sin(t + s), "b": np.cos(t + s) if i % 3 else np.nan}
        for s in range(20)
        for i, t in enumerate(np.sort(rng.uniform(0, 6, rng.integers(4, 12))))
    ])


@pytest.fixture(scope="session")
def data(waves):
    return SeriesDataModule(waves, batch_size=8)


@pytest.fixture
def batch(data):
    """Give a batch of series with something to read."""
    return max(data.train_dataloader(), key=lambda batch: int(batch.lengths.min()))


@pytest.fixture(scope="session")
def build():
    """Give what makes a model of the waves, always with the same weights."""

    def make(
        anchor="end",
        *,
        head="linear",
        rule="fading",
        rnn=False,
        flow=False,
        likelihood="gaussian",
        **options,
    ):
        readers = {"end": "gru", "start": "gru-backward", "rows": "gru-both"}
        with own_torch_state(0):
            encoder = Encoder(2, 4, 8, reader=readers[anchor], anchor=anchor, dropout=0.0)
            decoder = Decoder(4, 2, 8, head=head, rule=rule, likelihood=likelihood)
            if rnn:
                return RNN(encoder, decoder, **options)
            if flow:
                options["posterior"] = FlowedPosterior(4, 8)
            return LatentODE(encoder, MLPField(4, 8), decoder, **options)

    return make
