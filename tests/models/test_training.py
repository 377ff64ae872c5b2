"""Training: what is kept, and when it ends."""

import gc
import weakref

import pytest
import torch

from latentode.models import Direct, SeriesDataModule, train

QUIETLY = {"accelerator": "cpu", "label": None}


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_training_lowers_the_loss_and_keeps_the_best_weights(averaging, build, data):
    model = build(objective=Direct())
    history = train(model, data, max_epochs=15, patience=None, averaging=averaging, **QUIETLY)
    losses = [row["val_loss"] for row in history]
    assert min(losses) < losses[0] - 0.1
    with torch.no_grad():
        (batch,) = data.val_dataloader()
        kept = model.objective(model, batch, progress=1.0)[0].fit
    assert float(kept) == pytest.approx(min(losses), rel=1e-5)


def test_averaged_weights_are_not_the_last_ones(build, data):
    def history(averaging):
        torch.manual_seed(0)
        return train(build(), data, max_epochs=3, patience=None, averaging=averaging, **QUIETLY)

    first, second = history(0.0), history(0.9)
    # What is trained is the same; what is validated is not.
    assert first[-1]["train_loss"] == pytest.approx(second[-1]["train_loss"], rel=1e-6)
    assert first[-1]["val_loss"] != pytest.approx(second[-1]["val_loss"], rel=1e-3)


def test_patience_ends_training(build, data):
    model = build(learning_rate=1e-12)
    assert len(train(model, data, max_epochs=50, patience=3, **QUIETLY)) < 50


@pytest.mark.parametrize("averaging", [-0.1, 1.0])
def test_a_decay_that_is_none_is_refused(averaging, build, data):
    with pytest.raises(ValueError, match=rf"averaging={averaging} must be at least 0 and less"):
        train(build(), data, max_epochs=1, patience=None, averaging=averaging, **QUIETLY)


def test_nothing_is_held_once_training_is_over(build, waves):
    gc.collect()
    gc.disable()  # who trains in a loop would run out of memory before it comes to that
    try:
        model, data = build(), SeriesDataModule(waves, batch_size=8)
        train(model, data, max_epochs=1, patience=None, averaging=0.9, **QUIETLY)
        held = weakref.ref(model), weakref.ref(data)
        del model, data
        assert held[0]() is None
        assert held[1]() is None
    finally:
        gc.enable()
