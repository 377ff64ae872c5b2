"""Every protocol keeps what is asked from what is read, and each series in one part."""

import forecast_hopper
import forecast_ice_core
import forecast_icu_hourly
import forecast_liver
import forecast_ode_bank
import forecast_periodic
import forecast_rivals_table
import forecast_spirals
import numpy as np
import pandas as pd
import pytest
from forecast_icu_source import VARIABLES, Lines
from forecast_protocols import PROTOCOLS
from forecast_tasks import KEYS, Split, values_of


@pytest.fixture
def small(monkeypatch):
    """Make the generated sets small."""
    monkeypatch.setattr(forecast_ode_bank, "N_INSTANCES", 40)
    monkeypatch.setattr(forecast_spirals, "N_SPIRALS", 12)
    split = Split(range(20), range(20, 25), range(25, 30))
    monkeypatch.setattr(forecast_hopper, "SPLIT", split)


@pytest.fixture
def cache(tmp_path):
    runs = np.random.default_rng(0).normal(size=(30, 200, 14)).astype(np.float32)
    np.save(tmp_path / "hopper.npy", runs)
    return tmp_path


@pytest.fixture
def core(tmp_path):
    """An ice core of which every second row is a temperature, the others CO2."""
    time = -np.arange(0.25, 800.0, 0.5)[::-1]
    frame = pd.DataFrame({"series_id": "EDC", "time": time, "co2": time, "temp": -time})
    frame.loc[::2, "co2"] = np.nan
    frame.loc[1::2, "temp"] = np.nan
    frame.to_csv(tmp_path / "epica_dome_c.csv", index=False)
    return tmp_path


FAST = {
    "hopper/extrapolation": lambda at: forecast_hopper.extrapolation(30, cache=at),
    "hopper/interpolation": lambda at: forecast_hopper.interpolation(10, cache=at),
    "liver": lambda _: forecast_liver.task(1),
    "periodic": lambda _: forecast_periodic.task(),
    "spirals": lambda _: forecast_spirals.task(30),
    "lorenz": lambda _: forecast_ode_bank.task("lorenz"),
    "ice-core": lambda at: forecast_ice_core.task(data=at),
}


@pytest.fixture(params=FAST)
def task(request, small, cache, core):
    return FAST[request.param](cache)


def keys_of(frame):
    return pd.MultiIndex.from_frame(frame[KEYS])


def test_times_rise_within_each_series(task):
    for frame in (task.train, *task.val[:2], *task.test[:2]):
        keys = keys_of(frame)
        assert keys.is_unique
        for _, rows in frame.groupby("series"):
            assert (np.diff(rows.index) == 1).all()
            assert (np.diff(rows["time"]) > 0).all()


def test_no_series_is_in_two_parts(task):
    parts = [set(frame["series"]) for frame in (task.train, task.val.asked, task.test.asked)]
    assert len(set.union(*parts)) == sum(map(len, parts))


def test_hidden_rows_are_those_that_are_not_read(task):
    for part in (task.val, task.test):
        read = keys_of(part.asked).isin(keys_of(part.context))
        np.testing.assert_array_equal(part.hidden, ~read)
        if task.cut.horizon_from is not None:
            assert part.hidden.all()
            assert part.context["time"].max() < task.cut.horizon_from


def test_the_truth_has_no_error(task):
    truth = np.nan_to_num(values_of(task.test.asked, task.features))
    assert set(task.metrics(truth, task.test).values()) == {0.0}


def test_a_forecast_that_is_off_by_one_has_an_error_of_one(task):
    off = np.nan_to_num(values_of(task.test.asked, task.features)) + 1
    for measure in task.metrics(off, task.test).values():
        assert measure == pytest.approx(1.0)


def test_as_many_steps_of_a_hopper_are_read_as_published(small, cache):
    n_read = {10: 6, 20: 13, 30: 19, 50: 33}
    for percent, n in n_read.items():
        context = forecast_hopper.extrapolation(percent, cache=cache).test.context
        assert (context.groupby("series").size() == n).all()


def test_hours_lose_what_the_published_code_loses():
    rows = [
        *((1, 0, "Age", 50.0), (1, 5, None, 1.0), (1, 7, "HR", 80.0), (1, 30, "HR", 90.0)),
        *((1, 65, "HR", 60.0), (1, 70, "Temp", 36.0), (1, 80, "Temp", 38.0)),
        *((1, 130, "HR", 70.0), (2, 10, "HR", 75.0)),
    ]
    stay, minute, names, value = zip(*rows, strict=True)
    variable = [VARIABLES.index(name) if name else -1 for name in names]
    kinds = (np.int32, np.int16, np.int8, np.float32)
    lines = Lines(*map(np.array, (stay, minute, variable, value), kinds))
    frame = forecast_icu_hourly.hours_frame(lines)
    # Lost: the first value of hour 1, hour 2, which is the last, and stay 2, which has but one.
    assert frame[KEYS].to_numpy().tolist() == [[1, 0], [1, 1]]
    assert frame["HR"].tolist() == pytest.approx([85.0, np.nan], nan_ok=True)
    assert frame["Temp"].tolist() == pytest.approx([np.nan, 37.0], nan_ok=True)


def test_the_table_of_a_task_has_a_row_for_each_rule(capsys):
    forecast_rivals_table.main(quick=True)
    printed = capsys.readouterr().out
    assert "linear interpolation" in printed
    forecast_rivals_table.main(arguments=["--list"])
    assert capsys.readouterr().out.split() == [*PROTOCOLS]


def test_a_protocol_without_its_files_is_left_out(capsys, tmp_path):
    folders = ["--data", str(tmp_path), "--cache", str(tmp_path)]
    forecast_rivals_table.main(arguments=["--tasks", "icu/42", *folders])
    assert "left out" in capsys.readouterr().out
