"""A summary says what is in use, in lines that stand below each other."""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from latentode import LatentODEForecaster


def lines_of(model):
    lines = model.summary().split("\n")
    return {line[2:16].strip(): line[17:] for line in lines[1:]}


def test_it_says_what_is_in_use(fitted_early, early):
    told = lines_of(fitted_early)
    assert told["series by"] == "column 'id', inferred"
    assert told["times by"] == "column 'time', inferred, numbers"
    assert told["series"].startswith(f"{early.id.nunique()}, of ")
    assert told["rows"].startswith(f"{len(early)}, sorted")
    assert told["a"].startswith(f"{early.a.notna().sum()} values; mean ")
    assert told["b"].startswith(f"{early.b.notna().sum()} values; mean ")
    assert told["span"] == f"{early.time.min()} to {early.time.max()}"
    assert told["network"] == f"{fitted_early.n_parameters_:,} parameters"
    assert "epochs: 2 of fit, 2 of refit" in told["training"]
    assert told["best val_loss"].startswith(f"{fitted_early.history_.val_loss.min():.4f} nats")
    assert told["calibration"] == "none"


def test_it_follows_what_is_learned_later(fitted_early, late, ripples):
    model = copy.deepcopy(fitted_early).calibrate(late)
    assert lines_of(model)["calibration"].startswith("at ")
    model.update(late)
    assert lines_of(model)["rows"].startswith(f"{len(ripples)}, sorted")


def test_times_are_written_as_they_were_given(ripples, small):
    stamps = pd.to_datetime((ripples.time * 86400).astype("int64"), unit="s", utc=True)
    df = ripples.assign(day=stamps.astype("datetime64[s, UTC]")).drop(columns="time")
    told = lines_of(LatentODEForecaster(**small, time_col="day").fit(df))
    assert told["times by"] == "column 'day', as given, datetimes in s, UTC"
    assert told["span"] == f"{df.day.min()} to {df.day.max()}"
    assert "days" in told["unit of time"]
    assert "in the median" in told["between rows"]


@pytest.mark.parametrize("n_targets", [1, 40])
def test_it_is_short_whatever_there_is(n_targets, small):
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(30, n_targets))).rename(columns="value {}".format)
    wide["value 0"] = 1.0
    df = wide.assign(time=np.arange(30))
    text = LatentODEForecaster(**small).fit(df).summary()
    assert len(text.split("\n")) <= 25
    assert "; 1 constant, forecast as that" in text
    assert lines_of(LatentODEForecaster(**small).fit(df))["series by"] == "none: one series"


def test_a_series_of_one_row_has_nothing_between_rows(small):
    df = pd.DataFrame({"id": range(9), "time": np.arange(9.0), "y": np.arange(9.0)})
    assert "between rows" not in lines_of(LatentODEForecaster(**small).fit(df))


def test_there_is_nothing_to_tell_before_fit():
    with pytest.raises(NotFittedError):
        LatentODEForecaster().summary()
