"""How long a training may take is read as it is written, or refused."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from latentode import LatentODEForecaster
from latentode.forecaster.time_limit import seconds_of


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None),
        (90, 90.0),
        (np.float32(0.5), 0.5),
        ("10min", 600.0),
        ("1h 30min", 5400.0),
        (dt.timedelta(minutes=2), 120.0),
        (pd.Timedelta("1D"), 86400.0),
        (np.timedelta64(3, "m"), 180.0),
    ],
)
def test_a_length_of_time_is_read_as_seconds(given, seconds):
    assert seconds_of(given) == seconds


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (0, ValueError, "max_time=0 must be a positive number"),
        (-1.5, ValueError, r"max_time=-1\.5 must be a positive number"),
        ("-5min", ValueError, r"max_time=-300\.0 must be a positive number"),
        (np.nan, ValueError, "max_time=nan must be a positive number"),
        (np.inf, ValueError, "max_time=inf must be a positive number"),
        (True, ValueError, "max_time=True must be a positive number"),
        (pd.NaT, TypeError, "max_time=NaT must be seconds"),
        ("600", ValueError, "max_time='600' has no unit.\nFix: max_time='600s'"),
        ("+10", ValueError, "max_time='.10' has no unit"),
        ("soon", ValueError, "max_time='soon' cannot be read .*\nFix: max_time='10min'"),
        ([5], TypeError, r"max_time=\[5\] must be seconds, .* not of type list"),
    ],
)
def test_what_is_no_length_of_time_is_refused_by_fit(given, error, message, ripples):
    with pytest.raises(error, match=message):
        LatentODEForecaster(max_time=given).fit(ripples)


@pytest.mark.parametrize("given", [0, -1, 1.5, True, "3", None])
def test_restarts_are_a_whole_number(given, ripples):
    with pytest.raises(ValueError, match=rf"n_restarts={given} must be a whole number of at leas"):
        LatentODEForecaster(n_restarts=given).fit(ripples)
