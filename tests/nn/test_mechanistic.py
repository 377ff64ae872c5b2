"""A mechanism is solved in its own units, and its parts share one set of parameters."""

import copy

import pytest
import torch
from torch import nn

from latentode.models import LatentODE, ShiftConsistency
from latentode.nn import (
    Context,
    Controls,
    Encoder,
    Inputs,
    Mechanism,
    MechanisticDecoder,
    MechanisticField,
    MechanisticPath,
    MLPField,
    ODEPath,
    Units,
)
from latentode.nn.latent_time import STEADY


class Tank(Mechanism):
    """What flows in stays for a while; half of it is seen."""

    def __init__(self, state_size=1.0):
        super().__init__()
        self.log_rate = nn.Parameter(torch.tensor(0.5).log())
        self.state_size = state_size

    def start(self, e, given):
        return given["level"][:, None] + e

    def forward(self, t, z, given):
        return given["inflow"][:, None] - self.log_rate.exp() * z + 0 * t[:, None]

    def observe(self, t, z, given):
        return z / 2


UNITS = Units(
    time=60.0,  # minutes in an hour, which is the model's unit
    mean=torch.tensor([3.0]),
    std=torch.tensor([2.0]),
    names=("inflow", "level"),
    given_mean=torch.tensor([1.0, 10.0]),
    given_std=torch.tensor([4.0, 5.0]),
    n_controls=1,
)


@pytest.fixture(autouse=True)
def in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def path_of(tank):
    field = MechanisticField(tank, UNITS)
    return MechanisticPath(ODEPath(field, rtol=1e-8, atol=1e-8, clock=STEADY))


@pytest.fixture
def inputs():
    """Inflow of 2 per minute until minute 6 after the start at -0.2 h, then none; a level of 4."""
    knots = torch.tensor([[-0.2, -0.1]])
    controls = Controls(knots, (torch.tensor([[[2.0], [0.0]]]) - 1.0) / 4.0)
    return Inputs(controls, (torch.tensor([[4.0]]) - 10.0) / 5.0)


def test_a_path_is_the_exact_solution_in_the_units_of_the_mechanism(inputs):
    e, t0 = torch.tensor([[1.0]]), torch.tensor([-0.2])
    ts = torch.tensor([[-0.2, -0.1, 0.0, 30.0]])  # hours
    zs = path_of(Tank())(e, t0, ts, inputs)[0, :, 0]
    first = 4 + (5.0 - 4) * torch.exp(torch.tensor(-0.5 * 6))
    later = first * torch.exp(torch.tensor(-0.5 * 6))
    exact = torch.stack([torch.tensor(5.0), first, later, torch.tensor(0.0)])
    torch.testing.assert_close(zs, exact, rtol=1e-6, atol=1e-6)


def test_the_size_of_a_state_does_not_matter_but_for_tolerances(inputs):
    e, t0, ts = torch.tensor([[1.0]]), torch.tensor([-0.2]), torch.tensor([[-0.15, 0.0]])
    one, other = (path_of(Tank(size))(e, t0, ts, inputs) for size in (1.0, 100.0))
    torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_no_series_is_further_off_than_any_series_is(inputs):
    t0 = torch.tensor([-0.2])
    far, most = (path_of(Tank())(torch.tensor([[e]]), t0, t0[:, None], inputs) for e in (1e9, 5.0))
    torch.testing.assert_close(far, most)


def test_what_is_seen_is_told_in_the_units_of_the_model(inputs):
    field = MechanisticField(Tank(), UNITS)
    decoder = MechanisticDecoder(field)
    x = torch.zeros(1, 1, 1)
    context = Context(torch.zeros(1, 1), x, x == 0, torch.tensor([1]), None, *inputs)
    p = decoder(torch.tensor([[[10.0]]]), torch.zeros(1, 1), decoder.read(context))
    torch.testing.assert_close(p.mean.item(), (10 / 2 - 3) / 2)
    expected = torch.hypot(decoder.additive, decoder.proportional * 5) / 2 + 1e-3
    torch.testing.assert_close(p.stddev[0, 0], expected)
    known = decoder(
        torch.tensor([[[10.0]]]), torch.zeros(1, 1), decoder.read(context), None, torch.ones(1)
    )
    torch.testing.assert_close(known.stddev[0, 0], torch.hypot(expected, torch.ones(1)))


def test_parameters_are_shared_counted_once_and_stay_shared_in_a_copy():
    field = MechanisticField(Tank(), UNITS)
    model = LatentODE(Encoder(1, 1, anchor="start"), field, MechanisticDecoder(field))
    names = [name for name in model.state_dict() if name.endswith("log_rate")]
    assert names == ["path.path.field.mechanism.log_rate"]
    twin = copy.deepcopy(model)
    assert twin.decoder._field[0] is twin.vector_field
    assert twin.vector_field is not field


def test_gradients_reach_all_parameters(inputs):
    path = path_of(Tank())
    decoder = MechanisticDecoder(path.field, likelihood="student-t")
    e, t0, ts = torch.zeros(1, 1), torch.tensor([-0.2]), torch.tensor([[-0.1, 0.0]])
    x = torch.zeros(1, 1, 1)
    context = Context(torch.tensor([[-0.2]]), x, x == 0, torch.tensor([1]), None, *inputs)
    p = decoder(path(e, t0, ts, inputs), ts, decoder.read(context))
    p.log_prob(torch.ones(1, 2, 1)).sum().backward()
    for part in (path, decoder):
        assert all(float(weight.grad.abs().sum()) > 0 for weight in part.parameters())


def test_other_anchors_and_speeds_are_refused():
    field = MechanisticField(Tank(), UNITS)
    with pytest.raises(ValueError, match="give the encoder anchor=start, not end"):
        LatentODE(Encoder(1, 1), field, MechanisticDecoder(field))
    with pytest.raises(ValueError, match=r"leave speed=2\.0 out"):
        LatentODE(Encoder(1, 1, anchor="start"), field, MechanisticDecoder(field), speed=2.0)


def test_shift_consistency_is_refused():
    field = MechanisticField(Tank(), UNITS)
    parts = Encoder(1, 1, anchor="start"), field, MechanisticDecoder(field)
    with pytest.raises(TypeError, match="not the state of a mechanism"):
        LatentODE(*parts, penalties=[ShiftConsistency()])


def test_a_path_of_something_else_is_refused():
    with pytest.raises(TypeError, match="not MLPField"):
        MechanisticPath(ODEPath(MLPField(2)))
