"""Vector fields: what they can do, and what their solutions cannot."""

import math

import pytest
import torch

from latentode.nn import GatedField, MLPField, OscillatorField
from latentode.solvers import odeint

FIELDS = {"mlp": MLPField, "gated": GatedField, "oscillators": OscillatorField}
every_field = pytest.mark.parametrize("field", FIELDS)


@every_field
def test_a_field_does_not_change_with_time(field):
    field, z = FIELDS[field](4), torch.randn(5, 4)
    assert torch.equal(field(torch.zeros(5), z), field(torch.full((5,), 1e6), z))


@every_field
def test_gradients_reach_every_parameter(field):
    field = FIELDS[field](4)
    field(torch.zeros(5), torch.randn(5, 4)).square().sum().backward()
    for name, p in field.named_parameters():
        assert p.grad is not None and p.grad.abs().sum() > 0, name


@torch.no_grad()
@pytest.mark.parametrize("field", ["mlp", "gated"])
def test_no_solution_grows_forever(field):
    field = FIELDS[field](4)
    for p in field.parameters():
        if p.dim() > 1:
            torch.nn.init.normal_(p, std=3.0)
    end = odeint(field, torch.randn(20, 4), torch.tensor([0.0, 200.0])).ys[:, -1]
    assert end.abs().max() < 10


@torch.no_grad()
def test_gates_keep_solutions_within_one():
    field = GatedField(4)
    for p in field.parameters():
        torch.nn.init.normal_(p, std=3.0)
    ys = odeint(field, 2 * torch.rand(20, 4) - 1, torch.linspace(0, 100, 50)).ys
    assert ys.abs().max() < 1.001


@torch.no_grad()
def test_oscillators_turn_at_their_frequency():
    field = OscillatorField(4, max_frequency=3.0)
    torch.nn.init.zeros_(field.outer.weight)
    torch.nn.init.constant_(field.damping, -30.0)
    z0 = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    ts = torch.tensor([0.0, 0.3])
    z = odeint(field, z0, ts, rtol=1e-7, atol=1e-9).ys[0, 1]
    angle = 2 * math.pi * field.frequency * 0.3
    expected = torch.cat([angle.cos(), -angle.sin()])
    torch.testing.assert_close(z, expected, rtol=0, atol=1e-5)


def test_a_turning_frame_changes_no_solution():
    torch.manual_seed(0)
    field = OscillatorField(6, 16, max_frequency=3.0).double()
    torch.nn.init.normal_(field.outer.weight, std=0.5)
    z0 = torch.randn(4, 6, dtype=torch.float64)
    spans = torch.tensor([1.0, 0.3, -1.0, -2.0], dtype=torch.float64)
    ts = spans[:, None] * torch.linspace(0, 1, 7, dtype=torch.float64)
    plain = odeint(field, z0, ts, rtol=1e-10, atol=1e-10).ys
    frame = field.frame()
    turned = frame.leave(ts, odeint(frame.field, z0, ts, rtol=1e-10, atol=1e-10).ys)
    torch.testing.assert_close(turned, plain, rtol=1e-7, atol=1e-7)


def test_oscillators_alone_take_no_more_steps_the_faster_they_turn():
    def n_steps(max_frequency):
        field = OscillatorField(4, max_frequency=max_frequency)
        torch.nn.init.zeros_(field.outer.weight)
        frame = field.frame()
        solution = odeint(frame.field, torch.ones(1, 4), torch.tensor([[0.0, 1.0]]))
        return int(solution.stats.n_steps.max())

    assert n_steps(100.0) <= n_steps(1.0) + 2


def test_no_oscillator_is_faster_than_the_data_support():
    field = OscillatorField(8, max_frequency=3.0)
    assert field.frequency.max() < 3.0
    assert (field.frequency.diff() > 0).all()
    torch.nn.init.constant_(field.raw_frequency, 100.0)
    assert field.frequency.max() <= 3.0


def test_oscillators_are_pairs():
    with pytest.raises(ValueError, match="latent_size=3 must be even"):
        OscillatorField(3)


@pytest.mark.parametrize("frequency", [0.0, -1.0, math.inf])
def test_the_largest_frequency_is_positive(frequency):
    with pytest.raises(ValueError, match=f"max_frequency={frequency} must be a positive number"):
        OscillatorField(4, max_frequency=frequency)


@pytest.mark.parametrize(
    ("field", "options", "message"),
    [
        (MLPField, {"n_hidden": 0}, "n_hidden=0 must be a whole number of at least 1"),
        (GatedField, {"hidden_size": 0}, "hidden_size=0 must be a whole number of at least 1"),
        (OscillatorField, {"latent_size": 0}, "latent_size=0 must be a whole number"),
    ],
)
def test_bad_sizes_are_refused(field, options, message):
    with pytest.raises(ValueError, match=message):
        field(**{"latent_size": 4, **options})
