"""Generated series are what their equations say, and depend on nothing but their seed."""

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import infer_schema, to_panel
from latentode.datasets import (
    make_brusselator,
    make_double_ou,
    make_ode_bank,
    make_periodic,
    make_spirals,
)
from latentode.datasets.equations import EQUATIONS
from latentode.datasets.ode_bank import solved
from latentode.datasets.spirals import N_DRAWN, STEP, WINDOW
from latentode.solvers import odeint

GENERATORS = {
    "spirals": make_spirals,
    "periodic": make_periodic,
    "double-ou": make_double_ou,
    "brusselator": make_brusselator,
    "ode-bank": lambda n, **options: make_ode_bank("lorenz", n, **options),
}
every_generator = pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)


def names_of(frame):
    return [name for name in frame if f"{name}_true" in frame]


def values_of(frame, names, n_series):
    return frame[names].to_numpy().reshape(n_series, -1, len(names))


@every_generator
def test_a_seed_gives_one_frame_and_another_seed_another(make):
    pd.testing.assert_frame_equal(make(4, random_state=1), make(4, random_state=1))
    assert not make(4, random_state=1).equals(make(4, random_state=2))


def random_states():
    numpy_state = np.random.get_state()[1:3]  # noqa: NPY002  it is the global one that counts
    return [*map(np.copy, numpy_state), torch.get_rng_state().numpy()]


@every_generator
def test_nobody_elses_random_state_is_used_or_moved(make):
    before = random_states()
    first = make(3)
    for state, was in zip(random_states(), before, strict=True):
        np.testing.assert_array_equal(state, was)
    torch.rand(1)
    pd.testing.assert_frame_equal(make(3), first)


@every_generator
def test_a_frame_keeps_the_contract_and_its_columns_are_recognised(make):
    frame = make(5)
    schema = infer_schema(frame)
    assert (*schema.id_cols, schema.time_col) == ("id", "time")
    assert list(schema.target_cols) == [*frame.columns[2:]]
    panel = to_panel(frame, schema)
    assert len(panel.ids) == 5
    assert frame.iloc[:, 2:].notna().any(axis=1).all()
    pd.testing.assert_frame_equal(frame, frame.sort_values(["id", "time"]))


@every_generator
def test_the_truth_is_added_and_changes_no_observation(make):
    frame, full = make(5), make(5, truth=True)
    names = names_of(full)
    assert names == [*frame.columns[2:]]
    observed = full.dropna(subset=names, how="all").reset_index(drop=True)
    pd.testing.assert_frame_equal(observed[[*frame.columns]], frame)


@every_generator
@pytest.mark.parametrize(
    ("options", "message"),
    [({"random_state": -1}, "random_state=-1"), ({"noise": -0.1}, "noise=-0.1")],
)
def test_a_number_out_of_its_range_is_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(3, **options)
    with pytest.raises(ValueError, match="n_series=0"):
        make(0)


@pytest.fixture(scope="module")
def spirals():
    return make_spirals(200, truth=True, random_state=1)


def polar(spirals, centre):
    x, y = spirals["y0_true"] - centre, spirals["y1_true"]
    return np.hypot(x, y).to_numpy(), np.arctan2(y, x).to_numpy()


def wrapped(angle):
    return np.angle(np.exp(1j * angle))


def test_counter_clockwise_spirals_are_those_of_archimedes(spirals):
    radius, angle = polar(spirals[~spirals["clockwise"]], 5.0)
    np.testing.assert_allclose(wrapped(radius / 0.3 - angle), 0, atol=1e-9)


def test_clockwise_spirals_are_hyperbolic(spirals):
    radius, angle = polar(spirals[spirals["clockwise"]], -5.0)
    np.testing.assert_allclose(wrapped(15 / radius - angle), 0, atol=1e-9)


def test_spirals_turn_by_one_in_a_unit_of_time(spirals):
    for clockwise, centre in [(False, 5.0), (True, -5.0)]:
        rows = spirals[spirals["clockwise"] == clockwise]
        _, angle = polar(rows, centre)
        turned = rows.assign(angle=angle).groupby("id")[["angle", "time"]].diff().dropna()
        np.testing.assert_allclose(
            wrapped(turned["angle"]), turned["time"] * (-1) ** clockwise, atol=1e-9
        )


def test_a_window_of_a_spiral_has_a_hundred_points_before_it_and_as_many_after_if_drawn(spirals):
    steps = (spirals["time"] / STEP).round().astype(int)
    assert (steps.groupby(spirals["id"]).min() == -WINDOW).all()
    last = steps.groupby(spirals["id"]).max()
    assert last.max() == 2 * WINDOW - 1
    assert last.min() >= WINDOW
    is_observed = spirals["y0"].notna()
    np.testing.assert_array_equal(is_observed, steps.between(0, WINDOW - 1))
    assert N_DRAWN == 500


def test_the_noise_of_a_spiral_has_the_deviation_asked(spirals):
    names = ["y0", "y1"]
    noise = (spirals[names] - spirals[["y0_true", "y1_true"]].to_numpy()).dropna()
    assert noise.std().tolist() == pytest.approx([0.3, 0.3], rel=0.02)
    assert noise.mean().tolist() == pytest.approx([0, 0], abs=0.01)
    exact = make_spirals(3, noise=0.0, truth=True).dropna()
    np.testing.assert_array_equal(exact[names], exact[["y0_true", "y1_true"]])


def test_half_of_the_spirals_are_clockwise(spirals):
    assert spirals.groupby("id")["clockwise"].first().mean() == pytest.approx(0.5, abs=0.1)


def test_observed_points_of_a_spiral_are_some_of_all():
    some, every = (make_spirals(20, n_observed=n) for n in (30, None))
    assert (some.groupby("id").size() == 30).all()
    assert some.merge(every).shape == some.shape
    with pytest.raises(ValueError, match="n_observed=101 must be at most 100"):
        make_spirals(n_observed=101)


def test_periodic_series_are_sines_within_the_bounds_of_their_draws():
    frame = make_periodic(500, truth=True)
    series = frame.groupby("id").first()
    assert series["frequency"].between(0.4, 0.8).all()
    assert series["level"].mean() == pytest.approx(1.0, abs=0.02)
    assert series["level"].std() == pytest.approx(0.1, rel=0.1)
    sine = np.sin(2 * np.pi * frame["frequency"] * frame["time"]) + frame["level"]
    np.testing.assert_allclose(frame["y_true"], sine, atol=1e-12)
    noise = frame["y"] - frame["y_true"]
    assert noise.between(0, 0.01).all()
    assert (noise[frame["time"] == 0] == 0).all()
    assert frame["time"].between(0, 5).all()
    assert frame["time"].nunique() == 100


def test_ornstein_uhlenbeck_processes_reach_their_stationary_moments():
    n, rate, step = 2000, 1.0, 0.05
    paths = make_double_ou(n, rate=rate, noise=0.1, correlation=0.9, truth=True)
    late = paths[paths["time"] > 8]
    deviation = late[["y0_true", "y1_true"]] - late[["mean0", "mean1"]].to_numpy()
    assert deviation.mean().tolist() == pytest.approx([0, 0], abs=0.01)
    # Of the recursion that the steps of Euler and Maruyama are.
    variance = step * 0.1**2 / (1 - (1 - rate * step) ** 2)
    assert deviation.var().tolist() == pytest.approx([variance] * 2, rel=0.05)
    assert deviation.corr().iloc[0, 1] == pytest.approx(0.9, abs=0.01)


def test_without_noise_the_brusselator_is_what_small_steps_of_euler_make_of_its_equation():
    frame = make_brusselator(3, noise=0.0, truth=True)
    states = values_of(frame, ["y0_true", "y1_true"], 3)
    u, v = states[..., 0], states[..., 1]
    rate = np.stack([1 - 2.4 * u + 0.3 * u**2 * v, 1.4 * u - 0.3 * u**2 * v], axis=-1)
    np.testing.assert_allclose(np.diff(states, axis=1) / 0.1, rate[:, :-1], atol=1e-9)


@pytest.mark.parametrize(
    ("make", "least", "most", "both"),
    [(make_double_ou, 16, 23, 0.2), (make_brusselator, 20, 29, 0.8)],
)
def test_a_diffusion_is_observed_now_and_then_as_it_is(make, least, most, both):
    frame = make(300, truth=True)
    seen = frame.dropna(subset=["y0", "y1"], how="all")
    counts = seen.groupby("id").size()
    assert (counts.min(), counts.max()) == (least, most)
    is_seen = seen[["y0", "y1"]].notna()
    assert is_seen.all(axis=1).mean() == pytest.approx(both, abs=0.03)
    assert is_seen.mean().tolist() == pytest.approx([(1 + both) / 2] * 2, abs=0.02)
    for name in ("y0", "y1"):
        own = seen.dropna(subset=[name])
        np.testing.assert_array_equal(own[name], own[f"{name}_true"])


def test_a_correlation_above_one_is_refused():
    with pytest.raises(ValueError, match=r"correlation=1\.5 must be between -1 and 1"):
        make_double_ou(3, correlation=1.5)


@pytest.mark.parametrize("name", EQUATIONS)
def test_an_ode_bank_solves_its_equation(name):
    equation, n = EQUATIONS[name], 3
    times, states = solved(equation, n, random_state=0)
    means = np.array([*equation.start, *equation.constants])
    low, high = 1 - equation.spread, 1 + equation.spread
    drawn = torch.tensor(means * np.random.default_rng(0).uniform(low, high, (n, len(means))))
    constants = drawn[:, len(equation.start) :].T
    # From the middle on, by another method.
    middle = len(times) // 2
    later = odeint(
        lambda t, y: torch.stack(equation.rate(y.T, constants), dim=1),
        torch.tensor(states[:, middle]),
        torch.tensor(times[middle:]),
        method="dop853",
        rtol=1e-9,
        atol=1e-9,
        adjoint="none",
    )
    np.testing.assert_allclose(later.ys, states[:, middle:], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(states[:, 0], drawn[:, : len(equation.start)], rtol=1e-12)
    assert (states.std(axis=1) > 1e-3).all()


def test_an_ode_bank_is_standardised_sparse_and_noisy():
    frame = make_ode_bank("fitzhugh-nagumo", 200, truth=True)
    true, seen = frame[["y0_true", "y1_true"]], frame[["y0", "y1"]]
    assert true.mean().tolist() == pytest.approx([0, 0], abs=1e-6)
    assert true.std().tolist() == pytest.approx([1, 1], rel=1e-3)
    assert seen.notna().mean().tolist() == pytest.approx([0.2, 0.2], abs=0.01)
    assert (seen - true.to_numpy()).std().tolist() == pytest.approx([0.05, 0.05], rel=0.05)


def test_an_unknown_equation_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="lotka-volterra"):
        make_ode_bank("lorentz")
