"""Point processes: likelihoods that are likelihoods, and draws that follow them."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from latentode.nn import (
    Events,
    GRUEventReader,
    Intensity,
    MLPField,
    PointProcess,
    SlowingField,
    constant_rate,
    running_rate,
    simulate,
    with_events_after,
)

PRECISE = {"rtol": 1e-8, "atol": 1e-8}


class Counter(torch.nn.Module):
    """Remember log(rate) + slope t - jump N: the self-correcting process, or a constant one."""

    def __init__(self, slope=0.0, jump=0.0, rate=1.0):
        super().__init__()
        self.slope, self.jump, self.rate = slope, jump, rate

    def forward(self, events):
        n = torch.arange(events.t.shape[1] + 1)
        t = torch.nn.functional.pad(events.t, (1, 0))
        return (math.log(self.rate) + self.slope * t - self.jump * n)[..., None]

    def advance(self, memory, t, gap, kinds):
        return memory + self.slope * gap[:, None] - self.jump

    def state(self, memory):
        return memory


def counting(slope=0.0, jump=0.0, rate=1.0, kinds=(1.0,), **options):
    """Give the process of intensity rate exp(slope t - jump N), shared among kinds."""
    shares = torch.tensor(kinds, dtype=torch.float64).log()
    return PointProcess(
        Counter(slope, jump, rate),
        lambda t, z: slope * torch.ones_like(z),
        lambda z: z + shares,
        **{**PRECISE, **options},
    )


def neural(n_kinds=1, **options):
    """Give an untrained process with lively weights, in float64."""
    process = PointProcess(
        GRUEventReader(3, 5, n_kinds=n_kinds, span=4.0),
        SlowingField(MLPField(3, 6)),
        Intensity(3, [0.7] * n_kinds, hidden_size=4),
        **{**PRECISE, **options},
    )
    for p in process.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return process.double()


def series(*times, end=6.0, start=0.0, kinds=None):
    """Give series of events as a padded batch."""
    width = max(map(len, times))
    rows = [[*ts, *[end] * (width - len(ts))] for ts in times]
    lengths = torch.tensor([len(ts) for ts in times])
    kinds = torch.zeros(len(times), width, dtype=torch.long) if kinds is None else kinds
    t = torch.tensor(rows, dtype=torch.float64).view(len(times), width)
    windows = (torch.full((len(times),), at, dtype=torch.float64) for at in (start, end))
    return Events(t, kinds, lengths, *windows)


def self_correcting(n, end, seed=0):
    """Draw series of intensity exp(t - N) without any of what is tested."""
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(n):
        t, x, times = 0.0, 0.0, []
        while True:
            gap = math.log1p(rng.exponential() * math.exp(-x))
            t, x = t + gap, x + gap - 1
            if t > end:
                break
            times.append(t)
        drawn.append(times)
    return drawn


SOME = [[0.5, 1.1, 3.9], [2.2], [0.1, 0.2, 4.0, 5.5, 5.9]]


class TestLikelihood:
    def test_of_a_constant_intensity_it_is_that_of_a_poisson_process(self):
        events = series(*SOME)
        told = counting(rate=0.8).log_prob(events)
        exact = events.lengths * math.log(0.8) - 0.8 * 6
        torch.testing.assert_close(told, exact.double())
        rule = constant_rate(events, torch.tensor([0.8]).double())
        torch.testing.assert_close(told, rule.log_prob)

    def test_of_self_correcting_events_it_is_the_closed_form(self):
        (t,) = events = ([0.5, 1.1, 3.9],)
        edges, n = np.array([0, *t, 6]), np.arange(4)
        exact = (t - n[:3]).sum() - (np.exp(edges[1:] - n) - np.exp(edges[:-1] - n)).sum()
        told = counting(slope=1.0, jump=1.0).log_prob(series(*events))
        assert abs(told.item() - exact) < 1e-7

    def test_kinds_share_the_integral_and_are_told_each_by_its_own(self):
        kinds = torch.tensor([[0, 1, 1]])
        told = counting(rate=2.0, kinds=(0.25, 0.75)).log_prob(series(SOME[0], kinds=kinds))
        assert told.item() == pytest.approx(math.log(0.5) + 2 * math.log(1.5) - 2 * 6)

    @torch.no_grad()
    def test_the_compensator_is_the_integral_of_the_intensity(self):
        process, events = neural(n_kinds=2), series(SOME[0], kinds=torch.tensor([[0, 1, 1]]))
        grid = torch.linspace(0, 6, 4_001).double()[None]
        rate = process.log_intensity(events, grid).exp().sum(dim=-1)
        integral = torch.trapezoid(rate, grid)
        torch.testing.assert_close(
            process.likelihood(events).compensator.sum(1), integral, rtol=2e-3, atol=0
        )

    @torch.no_grad()
    def test_the_log_intensity_is_that_just_before_each_event(self):
        process, events = neural(), series(*SOME)
        before = process.log_intensity(events, events.t)[..., 0] * events.inside()
        torch.testing.assert_close(process.likelihood(events).log_intensity, before)

    @torch.no_grad()
    def test_a_window_may_be_cut_anywhere(self):
        process, events = neural(), series(*SOME)
        whole = process.log_prob(events)
        for cut in (0.05, 1.1, 5.7):
            at = torch.full((3,), cut, dtype=torch.float64)
            n = (events.t <= cut).sum(1)
            early = process.log_prob(events._replace(end=at, lengths=n.minimum(events.lengths)))
            late = process.log_prob(events._replace(start=at))
            torch.testing.assert_close(early + late, whole)

    @torch.no_grad()
    def test_an_intensity_depends_on_what_was_before_alone(self):
        process, ts = neural(), torch.linspace(0, 3.8, 50).double()[None]
        told = [process.log_intensity(series(s), ts) for s in (SOME[0], SOME[0][:2])]
        torch.testing.assert_close(*told, rtol=1e-12, atol=1e-12)

    @torch.no_grad()
    def test_batch_mates_and_padding_do_not_matter(self):
        process = neural()
        together = process.log_prob(series(*SOME))
        alone = torch.cat([process.log_prob(series(one)) for one in SOME])
        torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)

    def test_the_unit_of_time_shifts_it_by_its_logarithm_for_each_event(self):
        unit, events = 60.0, series(*SOME)
        scaled = Events(unit * events.t, events.kinds, events.lengths, *(
            unit * at for at in (events.start, events.end)
        ))  # fmt: skip
        told = counting(1.0, 1.0).log_prob(events)
        other = counting(1.0 / unit, 1.0, rate=1 / unit).log_prob(scaled)
        torch.testing.assert_close(other, told - events.lengths * math.log(unit))

    @torch.no_grad()
    def test_series_without_events_are_told_by_their_silence(self):
        told = counting(rate=0.5).log_prob(series([], [], end=3.0))
        torch.testing.assert_close(told, torch.tensor([-1.5, -1.5]).double())
        assert neural().log_prob(series([], [])).isfinite().all()

    @torch.no_grad()
    def test_a_window_of_no_length_tells_nothing(self):
        events = series([0.0], end=0.0)
        assert neural().log_prob(events).tolist() == [0.0]

    def test_gradients_are_those_of_finite_differences(self):
        process, events = neural(n_kinds=2), series(*SOME[:2], start=0.3)
        for p in (process.reader.first, process.field.field.damping):
            (gradient,) = torch.autograd.grad(process.log_prob(events).sum(), p)
            direction, h, values = torch.randn_like(p), 1e-4, []
            for sign in (1, -1):
                with torch.no_grad():
                    p += sign * h * direction
                    values.append(process.log_prob(events).sum())
                    p -= sign * h * direction
            expected = (values[0] - values[1]) / (2 * h)
            torch.testing.assert_close(
                (gradient * direction).sum(), expected, rtol=1e-5, atol=1e-7
            )


class TestTimeRescaling:
    @torch.no_grad()
    def test_integrals_of_the_true_intensity_are_exponential(self):
        events = series(*self_correcting(60, 15.0), end=15.0)
        integrals = counting(1.0, 1.0, rtol=1e-6).likelihood(events).compensator
        came = integrals[:, :-1][events.inside()]
        assert stats.kstest(came.numpy(), "expon").pvalue > 0.01

    @torch.no_grad()
    def test_those_of_a_wrong_one_are_not(self):
        events = series(*self_correcting(60, 15.0), end=15.0)
        integrals = counting(rate=1.0).likelihood(events).compensator
        came = integrals[:, :-1][events.inside()]
        assert stats.kstest(came.numpy(), "expon").pvalue < 1e-6


class TestWaiting:
    @torch.no_grad()
    def test_it_is_the_inverse_of_the_integral(self):
        process = neural()
        z, amount = torch.randn(20, 3).double(), torch.rand(20).double() * 3
        t = process.wait(z, amount, torch.full((20,), 1e6).double()).t
        torch.testing.assert_close(process.integral(z, t[:, None])[:, 0], amount)

    def test_what_is_not_reached_is_infinitely_far(self):
        z, amount = torch.zeros(2, 1).double(), torch.tensor([1.0, 3.0]).double()
        waited = counting(rate=1.0).wait(z, amount, torch.full((2,), 2.0).double())
        assert waited.t.tolist() == [pytest.approx(1.0), math.inf]
        assert waited.z[1].isnan().all()

    @torch.no_grad()
    def test_a_long_silence_takes_few_steps(self):
        process, n_evals = neural(rtol=1e-4, atol=1e-4), 0

        def counted(module, inputs, output):
            nonlocal n_evals
            n_evals += 1

        process.intensity.register_forward_hook(counted)
        process.integral(torch.randn(5, 3).double(), torch.full((5, 1), 1e6).double())
        assert n_evals < 1000


class TestSimulation:
    def uniform(self, n_series, n_draws, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return lambda: torch.rand(n_series, n_draws, generator=generator)

    def test_counts_of_a_poisson_process_are_poisson(self):
        drawn = simulate(
            counting(rate=2.0, rtol=1e-4),
            series([1.0], end=2.0),
            torch.tensor([5.0]).double(),
            self.uniform(1, 1000),
        )
        counts = torch.bincount(drawn.draw, minlength=1000).double()
        assert abs(counts.mean() - 6) < 4 * math.sqrt(6 / 1000)
        assert abs(counts.var() - 6) < 1
        assert (drawn.t > 2).all() and (drawn.t <= 5).all()

    def test_they_go_on_as_others_do(self):
        end, until = 4.0, 9.0
        others = [s for s in self_correcting(3000, until) if sum(t <= end for t in s) == 3]
        later = np.array([sum(t > end for t in s) for s in others])
        drawn = simulate(
            counting(1.0, 1.0, rtol=1e-4),
            series([0.5, 1.5, 3.9], end=end),
            torch.tensor([until]).double(),
            self.uniform(1, 400),
        )
        counts = np.bincount(drawn.draw, minlength=400)
        error = math.sqrt(later.var() / len(later) + counts.var() / 400)
        assert abs(later.mean() - counts.mean()) < 4 * error

    @torch.no_grad()
    def test_expected_counts_are_expected_integrals(self):
        process, known = neural(rtol=1e-4, atol=1e-4), series([0.5, 1.5], end=2.0)
        n = 300
        until = torch.tensor([8.0]).double()
        drawn = simulate(process, known, until, self.uniform(1, n))
        every = Events(*(part.expand(n, *part.shape[1:]) for part in known))
        after = with_events_after(every, drawn.draw, drawn.t, drawn.kinds)
        after = after._replace(start=every.end, end=until.expand(n))
        integrals = process.likelihood(after).compensator.sum(1)
        excess = torch.bincount(drawn.draw, minlength=n) - integrals
        assert abs(excess.mean()) < 4 * excess.std() / math.sqrt(n)

    def test_kinds_come_in_their_shares(self):
        drawn = simulate(
            counting(rate=3.0, kinds=(0.2, 0.8), rtol=1e-3),
            series([], end=0.0),
            torch.tensor([4.0]).double(),
            self.uniform(1, 300),
        )
        share = drawn.kinds.double().mean()
        assert abs(share - 0.8) < 4 * math.sqrt(0.16 / len(drawn.kinds))

    def test_a_series_does_not_depend_on_the_others(self):
        process, u = neural(rtol=1e-4, atol=1e-4), torch.rand(200, 3, 4)
        rest = iter(u), iter(u)
        together = simulate(
            process, series(*SOME), torch.full((3,), 9.0).double(), lambda: next(rest[0])
        )
        alone = simulate(
            process, series(SOME[1]), torch.tensor([9.0]).double(), lambda: next(rest[1])[1:2]
        )
        mine = together.series == 1
        torch.testing.assert_close(together.t[mine], alone.t, rtol=1e-9, atol=1e-9)
        assert torch.equal(together.draw[mine], alone.draw)

    def test_nothing_comes_where_nothing_is_asked(self):
        events = series(*SOME)
        assert not len(simulate(neural(), events, events.end, self.uniform(3, 2)).t)


class TestReader:
    @torch.no_grad()
    def test_one_event_after_the_other_is_remembered_as_all_at_once(self):
        reader = neural(n_kinds=2).reader
        events = series(SOME[2], kinds=torch.tensor([[0, 1, 1, 0, 1]]))
        memory, at = reader(events)[:, 0], torch.zeros(1).double()
        for t, kind in zip(events.t[0], events.kinds[0], strict=True):
            memory, at = reader.advance(memory, t[None], t[None] - at, kind[None]), t[None]
        torch.testing.assert_close(memory, reader(events)[:, -1])


class TestIntensity:
    def test_it_is_positive_and_finite_however_far_the_state(self):
        intensity = Intensity(2, [0.5, 3.0]).double()
        z = torch.tensor([[0.0, 0.0], [1e4, 1e4], [-1e4, -1e4], [1e4, -1e4]]).double()
        z.requires_grad_()
        told = intensity(z)
        assert told.isfinite().all() and (told > -1e5).all()
        told.sum().backward()
        assert z.grad.isfinite().all()

    def test_a_rate_that_is_none_is_refused(self):
        with pytest.raises(ValueError, match="rate=0 must be a positive number"):
            Intensity(2, [0])


class TestRules:
    @torch.no_grad()
    def test_the_running_rate_is_the_likelihood_over_all_rates(self):
        events = series(*SOME)
        told = running_rate(events, torch.tensor([0.5]).double()).log_prob
        rates = torch.linspace(1e-4, 60, 400_001).double()
        prior = 0.5**-1 * torch.exp(-rates / 0.5)
        for i, n in enumerate(events.lengths.tolist()):
            exact = torch.trapezoid(prior * rates**n * torch.exp(-6 * rates), rates).log()
            assert abs(told[i] - exact) < 1e-3


@pytest.mark.parametrize("option", [{"method": "rk5"}, {"adjoint": "forward"}])
def test_bad_options_are_refused(option):
    with pytest.raises(ValueError, match="is not known"):
        PointProcess(GRUEventReader(2), MLPField(2), Intensity(2), **option)
