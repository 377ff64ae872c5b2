"""The laws of a solve: exact solutions, orders, and what must not matter."""

import functools
import math
import subprocess
import sys

import pytest
import torch

from latentode.solvers import METHODS, SolverError, odeint
from tests.solvers.swings import TIGHT, decay, swing

ADAPTIVE = ("bosh3", "dopri5", "tsit5", "dop853", "kvaerno3", "kvaerno5", "rodas5p", "auto")
# One method of each kind, for the laws that are the loop's and not a method's.
KINDS = ("euler", "rk4", "tsit5", "dop853", "kvaerno3", "rodas5p", "auto")
PAIRS = [name for name, tableau in METHODS.items() if tableau.error]
# Most times fall between fixed steps, so that the dense output is held to the order too.
EVENLY = torch.linspace(0, 3, 101, dtype=torch.float64)


def draw_swings():
    """Give starts and per-sample times of seven swings."""
    random = torch.Generator().manual_seed(0)
    y0 = torch.randn(7, 2, generator=random, dtype=torch.float64)
    ts = torch.rand(7, 9, generator=random, dtype=torch.float64).cumsum(1) - 1
    return y0, ts


@pytest.fixture
def swings():
    return draw_swings()


@functools.cache
def swung(*, evenly):
    """Give the states of the swings, to rounding."""
    y0, ts = draw_swings()
    return odeint(swing, y0, EVENLY if evenly else ts, method="dop853", rtol=1e-13, atol=1e-13).ys


def steps_for(method):
    """Give steps small enough for a method that does not choose its own, or only short ones."""
    return {} if method in ADAPTIVE else {"step_size": 0.03 if METHODS[method].order > 1 else 0.01}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("field", "y0", "exact"),
    [
        (decay, 2.0, lambda t: 2 * torch.exp(-t)),
        (lambda t, y: torch.cos(t)[:, None] * y, 1.0, lambda t: torch.exp(torch.sin(t))),
        (lambda t, y: -2 * t[:, None] * y**2, 1.0, lambda t: 1 / (1 + t**2)),
    ],
)
def test_it_gives_the_exact_solution(method, field, y0, exact):
    ts = torch.linspace(0, 3, 20, dtype=torch.float64)
    start = torch.full((1, 1), y0, dtype=torch.float64)
    ys = odeint(field, start, ts, method=method, rtol=1e-8, atol=1e-8, **steps_for(method)).ys
    error = {1: 0.05, 2: 1e-3, 3: 1e-5}.get(METHODS[method].order, 1e-6)
    torch.testing.assert_close(ys[0, :, 0], exact(ts), rtol=0, atol=error)


@pytest.mark.parametrize("method", METHODS)
def test_the_error_of_fixed_steps_shrinks_with_the_order(method, swings):
    y0, ts = swings[0], EVENLY
    exact = swung(evenly=True)
    order = METHODS[method].order
    longest = 0.1 if order < 8 else 0.6
    errors = [
        float((odeint(swing, y0, ts, method=method, step_size=longest / n).ys - exact).abs().max())
        for n in (1, 2, 4)
    ]
    slope = math.log2(errors[0] / errors[-1]) / (len(errors) - 1)
    assert slope == pytest.approx(order, abs=0.2 if order < 8 else 0.7)


@pytest.mark.parametrize("method", PAIRS)
def test_the_error_is_proportional_to_the_tolerance(method, swings):
    y0, ts = swings
    exact = swung(evenly=False)
    order = METHODS[method].order
    tightest = {1: 4, 2: 4, 5: 8, 8: 11}.get(order, 6)
    tolerances = [10.0**-n for n in range(5 if order == 8 else 3, tightest + 1)]
    errors = torch.tensor([
        float((odeint(swing, y0, ts, method=method, rtol=x, atol=x).ys - exact).abs().max())
        for x in tolerances
    ])
    slope = math.log10(errors[0] / errors[-1]) / (len(tolerances) - 1)
    if order == 1:  # what is wrong in a step grows as its square, and there are 1 / h of them
        assert slope == pytest.approx(0.5, abs=0.1)
        return
    assert (errors / torch.tensor(tolerances)).max() < 60
    assert 0.7 < slope < 1.4


@pytest.mark.parametrize("method", KINDS)
def test_a_sample_does_not_depend_on_its_batch(method, swings):
    y0, ts = swings
    y0[3] *= 20  # a mate that needs many more steps
    together = odeint(swing, y0, ts, method=method, **steps_for(method))
    for i in range(len(y0)):
        alone = odeint(swing, y0[i : i + 1], ts[i : i + 1], method=method, **steps_for(method))
        torch.testing.assert_close(together.ys[i], alone.ys[0], rtol=1e-12, atol=1e-12)
        assert together.stats.n_steps[i] == alone.stats.n_steps[0]
        assert together.stats.n_f_evals[i] == alone.stats.n_f_evals[0]


@pytest.mark.parametrize("method", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_a_state_does_not_depend_on_the_other_times_asked(method, training, swings):
    y0, ts = swings
    y0.requires_grad_(training)
    together = odeint(swing, y0, ts, method=method, **steps_for(method)).ys
    for j in range(1, ts.shape[1]):
        two = ts[:, [0, j]]
        alone = odeint(swing, y0, two, method=method, **steps_for(method)).ys
        torch.testing.assert_close(together[:, j], alone[:, 1], rtol=1e-14, atol=1e-14)


def test_keeping_the_steps_changes_nothing(swings):
    y0, ts = swings
    kept = odeint(swing, y0, ts, dense=True).ys
    torch.testing.assert_close(odeint(swing, y0, ts).ys, kept, rtol=0, atol=0)


def test_long_solves_are_read_off_in_parts_without_a_seam():
    # Some hundred steps: more than are kept at a time.
    ts = torch.linspace(0, 60, 301, dtype=torch.float64)
    y0 = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    solution = odeint(lambda t, y: torch.stack([y[:, 1], -y[:, 0]], 1), y0, ts, **TIGHT)
    assert solution.stats.n_steps > 128
    torch.testing.assert_close(solution.ys[0, :, 0], torch.cos(ts), rtol=0, atol=1e-6)


def test_padding_by_the_last_time_changes_nothing(swings):
    y0, ts = swings
    padded = torch.cat([ts, ts[:, -1:].expand(-1, 4)], dim=1)
    short, long = odeint(swing, y0, ts), odeint(swing, y0, padded)
    torch.testing.assert_close(long.ys[:, : ts.shape[1]], short.ys, rtol=0, atol=0)
    torch.testing.assert_close(long.ys[:, -1], short.ys[:, -1], rtol=0, atol=0)
    assert torch.equal(long.stats.n_steps, short.stats.n_steps)


def test_the_first_state_is_the_start_and_repeated_times_repeat_the_state(swings):
    y0, ts = swings
    ys = odeint(swing, y0, ts.repeat_interleave(2, dim=1)).ys
    assert torch.equal(ys[:, 0], y0)
    assert torch.equal(ys[:, ::2], ys[:, 1::2])


def test_one_time_needs_no_step(swings):
    y0, ts = swings
    solution = odeint(swing, y0, ts[:, :1])
    assert torch.equal(solution.ys[:, 0], y0)
    assert int(solution.stats.n_steps.sum()) == 0


@pytest.mark.parametrize("method", KINDS)
def test_shared_times_are_those_times_for_every_sample(method, swings):
    y0, ts = swings
    shared = odeint(swing, y0, ts[0], method=method, **steps_for(method)).ys
    own = odeint(swing, y0, ts[:1].expand(7, -1), method=method, **steps_for(method)).ys
    assert torch.equal(shared, own)


@pytest.mark.parametrize("method", ["dopri5", "tsit5"])
def test_time_runs_backward_as_well(method, swings):
    y0, ts = swings
    there = odeint(swing, y0, ts, method=method, **TIGHT).ys
    back = odeint(swing, there[:, -1], ts.flip(1), method=method, **TIGHT).ys
    torch.testing.assert_close(back.flip(1), there, rtol=0, atol=1e-7)


def test_samples_may_run_in_different_directions():
    ts = torch.tensor([[0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    ys = odeint(decay, torch.ones(2, 1, dtype=torch.float64), ts, **TIGHT).ys
    torch.testing.assert_close(ys[:, 1, 0], torch.exp(-ts[:, 1]), rtol=1e-8, atol=0)


@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (2, 0)])
def test_states_may_have_any_shape(shape):
    y0 = torch.ones(5, *shape)
    ys = odeint(decay, y0, torch.tensor([0.0, 1.0, 2.0])).ys
    assert ys.shape == (5, 3, *shape)
    torch.testing.assert_close(ys[:, 1], y0 * math.exp(-1), rtol=1e-3, atol=0)


def test_an_empty_batch_gives_an_empty_solution():
    assert odeint(decay, torch.ones(0, 3), torch.tensor([0.0, 1.0])).ys.shape == (0, 2, 3)


def test_complex_states_rotate():
    ts = torch.linspace(0, 3, 7, dtype=torch.float64)
    y0 = torch.ones(1, 1, dtype=torch.complex128)
    ys = odeint(lambda t, y: 1j * y, y0, ts, **TIGHT).ys
    torch.testing.assert_close(ys[0, :, 0], torch.exp(1j * ts), rtol=0, atol=1e-8)


def test_large_times_cost_no_precision_of_a_coarse_state():
    """Seconds since 1970 are 128 apart in float32: steps must not be counted in it."""
    early = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    y0 = torch.ones(1, 1)
    late = odeint(decay, y0, early + 1.7e9).ys
    torch.testing.assert_close(late, odeint(decay, y0, early).ys, rtol=0, atol=1e-6)


def test_statistics_count_the_evaluations():
    seen = []

    def field(t, y):
        seen.append(None)
        return swing(t, y)

    y0 = torch.randn(1, 2, dtype=torch.float64)
    stats = odeint(field, y0, torch.tensor([0.0, 5.0]), rtol=1e-8, atol=1e-8).stats
    assert stats.n_f_evals.tolist() == [len(seen)]
    assert torch.equal(stats.n_steps, stats.n_accepted + stats.n_rejected)


@pytest.mark.parametrize(
    ("size", "end", "n_steps"), [(0.01, 1.0, 100), (0.1, 1.0, 10), (0.7, 7, 10)]
)
@pytest.mark.parametrize("clip_end", [False, True])
def test_steps_of_one_size_are_as_many_as_they_should_be(size, end, n_steps, clip_end):
    ts, y0 = torch.tensor([0.0, end], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    solution = odeint(
        decay, y0, ts, method="rk4", step_size=size, max_steps=n_steps, clip_end=clip_end
    )
    assert solution.stats.n_steps == n_steps
    assert solution.ys[0, 1, 0].item() == pytest.approx(math.exp(-end), rel=0.05)


def test_a_first_step_that_is_given_saves_an_evaluation():
    y0, ts = torch.ones(1, 1), torch.tensor([0.0, 1.0])
    guessed, given = odeint(decay, y0, ts), odeint(decay, y0, ts, first_step=0.05)
    torch.testing.assert_close(guessed.ys, given.ys, rtol=1e-3, atol=0)
    assert given.stats.n_f_evals == 1 + 6 * given.stats.n_steps


@pytest.mark.parametrize("tolerances", [{"rtol": 0.0}, {"atol": 0.0}])
def test_one_tolerance_is_enough(tolerances):
    y0 = torch.tensor([[1.0, 0.0]], dtype=torch.float64)  # with an entry that stays zero
    ts = torch.tensor([0.0, 1.0])
    ys = odeint(lambda t, y: -y, y0, ts, **{"rtol": 1e-8, "atol": 1e-8} | tolerances).ys
    assert ys[0, 1, 0].item() == pytest.approx(math.exp(-1), rel=1e-6)


def test_clip_end_keeps_the_field_within_the_times():
    latest = []

    def field(t, y):
        latest.append(float(t.max()))
        return -1e-3 * y  # so slow that a first step could be long

    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    odeint(field, torch.ones(1, 1, dtype=torch.float64), ts, clip_end=True)
    assert max(latest) <= 1
    latest.clear()
    odeint(field, torch.ones(1, 1, dtype=torch.float64), ts)
    assert max(latest) > 1


def test_dense_output_is_the_solution_at_any_time(swings):
    y0, ts = swings
    dense = odeint(swing, y0, ts, dense=True, **TIGHT).dense
    between = ts[:, :1] + (ts[:, -1:] - ts[:, :1]) * torch.rand(7, 5, dtype=torch.float64)
    ordered = between.sort(dim=1)
    with_start = torch.cat([ts[:, :1], ordered.values], dim=1)
    asked = odeint(swing, y0, with_start, **TIGHT).ys[:, 1:]
    read = dense(between).gather(1, ordered.indices[..., None].expand_as(asked))
    torch.testing.assert_close(read, asked, rtol=0, atol=1e-12)


def test_dense_output_refuses_times_outside(swings):
    y0, ts = swings
    dense = odeint(swing, y0, ts, dense=True).dense
    with pytest.raises(ValueError, match=r"time -5 of sample 0 lies outside"):
        dense(torch.tensor([-5.0]))
    with pytest.raises(ValueError, match="time nan of sample 0"):
        dense(torch.tensor([math.nan]))
    with pytest.raises(TypeError, match="times must be a Tensor, not list"):
        dense([0.5])
    with pytest.raises(ValueError, match=r"shape \(T,\) or \(B, T\) with B=7"):
        dense(torch.zeros(3, 1))


class TestFailures:
    """A failed solve raises, and names cause, sample, time and method."""

    def test_a_blow_up_in_finite_time(self):
        y0 = torch.tensor([[0.1], [1.0]], dtype=torch.float64)
        with pytest.raises(
            SolverError, match=r"tsit5 cannot solve sample 1 of 2 past t=1[:.]"
        ) as e:
            odeint(lambda t, y: y**2, y0, torch.tensor([0.0, 5.0]))
        assert e.value.sample == 1
        assert e.value.t == pytest.approx(1, abs=1e-3)

    @pytest.mark.parametrize("method", ADAPTIVE)
    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_a_field_that_stops_being_finite(self, method, value):
        field = lambda t, y: torch.where(t[:, None] > 0.5, value, -y)
        ts = torch.tensor([[0.0, 0.1], [0.0, 1.0]], dtype=torch.float64)
        with pytest.raises(SolverError, match=r"sample 1 of 2 past t=0\.5.*not finite"):
            odeint(field, torch.ones(2, 1), ts, method=method, clip_end=True)

    def test_a_field_that_is_not_finite_at_the_start(self):
        with pytest.raises(SolverError, match=r"sample 0 of 1 past t=0: .*at the start"):
            odeint(lambda t, y: y / 0, torch.zeros(1, 1), torch.tensor([0.0, 1.0]))

    def test_a_step_out_of_the_domain_is_taken_again_shorter(self):
        """The square root of a negative number must not end the solve, nor poison gradients."""
        field = lambda t, y: torch.where(y < 0, torch.nan, -(y.clamp(min=1e-12) ** 0.5))
        y0 = torch.ones(2, 1, dtype=torch.float64).requires_grad_()
        ts = torch.tensor([0.0, 1.9], dtype=torch.float64)
        ys = odeint(field, y0, ts, first_step=3.0, **TIGHT).ys
        torch.testing.assert_close(ys[:, 1], torch.full_like(y0, (1 - 0.95) ** 2))
        ys[:, 1].sum().backward()
        torch.testing.assert_close(y0.grad, torch.full_like(y0, 1 - 0.95), rtol=1e-5, atol=0)

    def test_a_sample_that_has_arrived_cannot_hold_up_the_others(self):
        calls = []

        def field(t, y):
            calls.append(None)
            k = -y * torch.tensor([[1.0], [60.0]], dtype=y.dtype)
            if len(calls) > 60:  # what it does with the first sample no longer matters
                k[0] = math.nan
            return k

        ts = torch.tensor([[0.0, 0.01], [0.0, 5.0]], dtype=torch.float64)
        ys = odeint(field, torch.ones(2, 1, dtype=torch.float64), ts).ys
        assert ys[0, 1, 0].item() == pytest.approx(math.exp(-0.01))

    def test_fixed_steps_that_are_unstable(self):
        y0, ts = torch.ones(3, 1), torch.tensor([0.0, 100.0])
        with pytest.raises(SolverError, match=r"euler .*not finite.*shorter step_size"):
            odeint(lambda t, y: -100 * y, y0, ts, method="euler", step_size=0.5)

    def test_too_many_steps(self):
        y0, ts = torch.ones(2, 1), torch.tensor([[0.0, 1.0], [0.0, 0.001]])
        with pytest.raises(SolverError, match=r"sample 0 of 2 .*max_steps=3.*1 of 2 samples"):
            odeint(lambda t, y: -50 * y, y0, ts, max_steps=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y0": 1.0}, "y0 must be a Tensor"),
        ({"y0": [1.0]}, r"y0\[0\] must be a Tensor"),
        ({"y0": ()}, "y0 is empty"),
        (
            {"y0": torch.ones(2, 1, dtype=torch.long)},
            r"y0 must hold real or complex .* y0\.double",
        ),
        ({"y0": torch.tensor([[1.0], [math.nan]])}, "y0 is not finite in sample 1"),
        ({"y0": torch.tensor(1.0)}, "batch axis first"),
        ({"ts": torch.zeros(3, 2)}, r"\(T,\) or \(B, T\) with B=2 .* \(3, 2\)"),
        ({"ts": torch.zeros(2, 0)}, "ts is empty"),
        ({"ts": torch.tensor([0.0, math.nan])}, r"ts\[0, 1\] is nan"),
        ({"ts": torch.tensor([0.0, 2.0, 1.0])}, r"ts\[0, 1\]=2 is followed by ts\[0, 2\]=1"),
        ({"ts": torch.tensor([0.0, -2.0, -1.0])}, r"ts\[0, 1\]=-2 is followed by ts\[0, 2\]=-1"),
        ({"method": "rk45"}, "method=rk45 is not known: choose one of euler, midpoint, heun"),
        (
            {"adjoint": "magic"},
            "adjoint=magic is not known: choose one of auto, direct, replay, backsolve, none",
        ),
        ({"method": "rk4"}, "method=rk4 .* give step_size"),
        ({"rtol": -1.0}, r"rtol=-1\.0 must be a number of at least 0"),
        ({"atol": math.nan}, "atol=nan must be a number of at least 0"),
        ({"rtol": 0.0, "atol": 0.0}, "both 0"),
        ({"max_steps": 0}, "max_steps=0 must be"),
        ({"max_steps": 2.5}, r"max_steps=2\.5 must be a whole number"),
        ({"rtol": "tight"}, "rtol must be a number or a Tensor, not str"),
        ({"rtol": torch.ones(3)}, r"rtol of shape \(3,\) does not fit states of shape \(2, 1\)"),
        ({"control": "shared"}, "control=shared is not known: choose one of per_sample, joint"),
        ({"on_failure": "ignore"}, "on_failure=ignore is not known: choose one of raise, mask"),
        ({"checkpoint_every": 0}, "checkpoint_every=0 must be"),
        ({"max_step": 0.0}, r"max_step=0\.0 must be positive"),
        ({"min_step": -1.0}, r"min_step=-1\.0 must be"),
        ({"t0": 0.5, "ts": torch.tensor([0.0, 1.0])}, "is followed by"),
        ({"t0": torch.zeros(3)}, r"t0 must be a number or have shape \(B,\) with B=2"),
        ({"jump_ts": torch.tensor([0.5]), "adjoint": "backsolve"}, "not for adjoint=backsolve"),
        ({"step_ts": torch.tensor([math.inf])}, "step_ts must be finite"),
        ({"f": None}, "f must be callable"),
        ({"step_size": torch.ones(3)}, r"shape \(B,\) with B=2, not \(3,\)"),
        ({"ts": torch.tensor([0, 2**60])}, r"above 2\*\*53"),
        ({"ts": torch.tensor([0, 2, 1], dtype=torch.uint8)}, "is followed by"),
        ({"step_size": -1.0}, "step_size must be positive"),
        ({"dense": True, "adjoint": "backsolve"}, "keeps no graph"),
        ({"f": lambda t, y: y[:1]}, r"each of the 2 samples of y, but it returned shape \(1, 1\)"),
        ({"f": lambda t, y: None}, "f must return dy/dt as a Tensor, but it returned NoneType"),
        ({"f": lambda t, y: 1j * y}, "complex dy/dt for a real state"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    usual = {"f": decay, "y0": torch.ones(2, 1), "ts": torch.tensor([0.0, 1.0])}
    with pytest.raises((ValueError, TypeError), match=message):
        odeint(**usual | arguments)


def test_nothing_of_the_callers_is_changed(swings):
    y0, ts = swings
    copies = y0.clone(), ts.clone()
    odeint(swing, y0, ts)
    assert torch.equal(y0, copies[0])
    assert torch.equal(ts, copies[1])


@pytest.mark.slow
def test_failures_are_the_same_when_python_drops_assertions():
    code = (
        "import torch; from latentode.solvers import SolverError, odeint\n"
        "y0, ts = torch.ones(1, 1), torch.tensor([0.0, 5.0])\n"
        "for f, options, error in [(lambda t, y: y**2, {}, SolverError),"
        " (lambda t, y: -y, {'rtol': -1.0}, ValueError),"
        " (lambda t, y: -y, {'method': 'rk4'}, ValueError)]:\n"
        "    try: odeint(f, y0, ts, **options)\n"
        "    except error: print('raised')\n"
    )
    run = subprocess.run(
        [sys.executable, "-O", "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert run.stdout.split() == ["raised"] * 3
